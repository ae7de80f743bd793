package codecs

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"

	"github.com/ashi-stream/ashi/topology"
)

type sighted struct {
	ID string `ashi:"id,key"`
	T  int64  `ashi:"t,timestamp"`
}

// A column that a value does not have, or has as null, is told apart from one that is zero.
func TestPresence(t *testing.T) {
	has := func(c Codec[sighted], data []byte) bool {
		var row sighted
		require.NoError(t, c.Decode(data, &row))
		require.Zero(t, row.T)
		ok, err := Has(c, data, "t")
		require.NoError(t, err)
		return ok
	}
	for value, want := range map[string]bool{`{"t":0}`: true, `{"T":0.0}`: true, `{}`: false, `{"t":null}`: false,
		`{"t":5,"t":null}`: false, `{"t":null,"T":0}`: true, `{"x":{"t":0}}`: false, ` {"a":[{}],"t" : 0 }`: true,
		"\xef\xbb\xbf{\"t\":0}": true} {
		require.Equal(t, want, has(JSON[sighted](), []byte(value)), value)
		framed := append([]byte{0, 0, 0, 0, 7}, value...)
		s := &shelf{}
		c := At(Codec[sighted](Registered(s, JSON[sighted]())), "t")
		_, err := c.Encode(nil, &sighted{})
		require.NoError(t, err)
		require.Equal(t, want, has(c, framed), value)
	}
	_, err := JSON[sighted]().Has([]byte(`{"t":`), "t")
	require.Error(t, err)
	require.True(t, has(Fixed[sighted](), make([]byte, 8)), "Fixed has every column")

	for _, c := range []struct {
		fields string
		row    map[string]any
		want   bool
	}{
		{`{"name":"t","type":"long"}`, map[string]any{"t": int64(0)}, true},
		{`{"name":"t","type":["null","long"]}`, map[string]any{"t": nil}, false},
		{`{"name":"t","type":["null","long"]}`, map[string]any{"t": int64(0)}, true},
		{`{"name":"T","type":["null","long"]}`, map[string]any{"T": nil}, false},
		{`{"name":"other","type":"int"}`, map[string]any{"other": 0}, false},
	} {
		text := `{"type":"record","name":"sighted","fields":[{"name":"id","type":"string"},` + c.fields + `]}`
		c.row["id"] = "a"
		data, err := avro.MustParse(text).Encode(c.row)
		require.NoError(t, err)
		s := &shelf{schemas: []topology.Schema{{Format: topology.AvroSchema, Text: text}}}
		codec := Codec[sighted](Registered(s, Avro[sighted]()))
		require.Equal(t, c.want, has(codec, append(binary.BigEndian.AppendUint32([]byte{0}, 7), data...)), text)
	}
}
