package codecs

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"

	"github.com/ashi-stream/ashi/topology"
)

type pairDay struct {
	Pair string `ashi:"pair"`
	Day  int32  `ashi:"day"`
}

func TestKeysGolden(t *testing.T) {
	s := &shelf{}
	golden := func(got []byte, err error) string {
		require.NoError(t, err)
		return hex.EncodeToString(got)
	}
	text, n, f, composite := "EUR", int64(-3), 1.5, pairDay{"EUR", 3}
	require.Equal(t, "0000000007"+"06455552", golden(KeyAt(Registered(s, AvroKey[string]()), "rates").Encode(nil,
		&text)))
	require.Equal(t, "0000000008"+"05", golden(KeyAt(Registered(s, AvroKey[int64]()), "rates").Encode(nil, &n)))
	require.Equal(t, "0000000009"+"000000000000f83f",
		golden(KeyAt(Registered(s, AvroKey[float64]()), "rates").Encode(nil, &f)))
	require.Equal(t, "000000000a"+"0645555206", golden(KeyAt(Registered(s, AvroKey[pairDay]()), "rates").Encode(nil,
		&composite)))
	require.Equal(t, "000000000b"+hex.EncodeToString([]byte(`"EUR"`)),
		golden(KeyAt(Registered(s, JSONKey[string]()), "rates").Encode(nil, &text)))
	require.Equal(t, hex.EncodeToString([]byte(`-3`)), golden(JSONKey[int64]().Encode(nil, &n)))
	require.Equal(t, []string{"rates-key", "rates-key", "rates-key", "rates-key", "rates-key"}, s.subjects)
	require.Equal(t, `"string"`, s.schemas[0].Text)
	require.Equal(t, `"long"`, s.schemas[1].Text)

	var back string
	require.NoError(t, Registered(s, AvroKey[string]()).Decode([]byte("\x00\x00\x00\x00\x07\x06EUR"), &back))
	require.Equal(t, "EUR", back)
	require.ErrorContains(t, Registered(s, AvroKey[string]()).Decode([]byte("\x00\x00\x00\x00\x08\x05"), &back),
		"cannot be read")
	require.ErrorContains(t, Registered(s, AvroKey[string]()).Decode([]byte("\x00\x00\x00\x00\x07\x06EURx"), &back),
		"1 bytes behind the key")
	require.NoError(t, JSONKey[string]().Decode([]byte(`"EUR"`), &back))
	require.Equal(t, "EUR", back)
	require.Error(t, JSONKey[string]().Decode([]byte(`"EUR"x`), &back))
	require.ErrorIs(t, JSONKey[string]().Decode([]byte(`null`), &back), ErrNull)
	broken := "\xff"
	for _, c := range []Codec[string]{AvroKey[string](), JSONKey[string]()} {
		_, err := c.Encode(nil, &broken)
		require.ErrorIs(t, err, errNotUTF8)
	}
	require.ErrorContains(t, Err(Codec[[]string](AvroKey[[]string]())), "cannot be a key")
	require.ErrorContains(t, Err(Codec[[]string](JSONKey[[]string]())), "cannot be a key")
}

// A key whose schema lets it be null is read, and null is none.
func TestAvroKeyOfUnion(t *testing.T) {
	for _, schema := range []string{`["null","int"]`, `["int","null"]`} {
		decode, err := AvroKey[int64]().Reader(topology.Schema{Format: topology.AvroSchema, Text: schema})
		require.NoError(t, err)
		data, err := avro.MustParse(schema).Encode(int32(5))
		require.NoError(t, err)
		var k int64
		require.NoError(t, decode(data, &k))
		require.Equal(t, int64(5), k)
		null, err := avro.MustParse(schema).Encode(nil)
		require.NoError(t, err)
		require.ErrorIs(t, decode(null, &k), ErrNull)
	}
}
