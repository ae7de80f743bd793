package codecs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ashi-stream/ashi/topology"
)

// shelf is a registry that is a list. Ids begin at 7. It is for one goroutine.
type shelf struct {
	subjects []string
	schemas  []topology.Schema
	asked    int
	err      error
}

func (s *shelf) Register(_ context.Context, subject string, schema topology.Schema) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	s.subjects, s.schemas = append(s.subjects, subject), append(s.schemas, schema)
	return 6 + len(s.schemas), nil
}

func (s *shelf) Schema(_ context.Context, id int) (topology.Schema, error) {
	if s.asked++; s.err != nil {
		return topology.Schema{}, s.err
	}
	if id < 7 || id > 6+len(s.schemas) {
		return topology.Schema{}, fmt.Errorf("no schema %d", id)
	}
	return s.schemas[id-7], nil
}

// The frames are those of Confluent's serializers.
func TestRegisteredGolden(t *testing.T) {
	s := &shelf{}
	row := someTrade(t)
	framed := golden(t, s, Registered(s, Avro[trade]()), &row)
	require.Equal(t, "0000000007"+tradeBytes, framed)

	require.Equal(t, "0000000008"+hex.EncodeToString([]byte(tickJSON)), golden(t, s, Registered(s, JSON[tick]()),
		&tickRow))

	text := wrapperspb.StringValue{Value: "EUR"} // the eighth message of its file
	require.Equal(t, "0000000009"+"020e"+"0a03455552", golden(t, s, Registered(s, Proto[wrapperspb.StringValue]()),
		&text))
	name := descriptorpb.FileDescriptorSet{} // the first
	require.Equal(t, "000000000a"+"00", golden(t, s, Registered(s, Proto[descriptorpb.FileDescriptorSet]()), &name))
	nested := descriptorpb.DescriptorProto_ReservedRange{} // the second message within the third
	require.Equal(t, "000000000b"+"040402",
		golden(t, s, Registered(s, Proto[descriptorpb.DescriptorProto_ReservedRange]()), &nested))

	require.Equal(t, []string{"rates-value", "rates-value", "rates-value", "rates-value", "rates-value"}, s.subjects)
	require.Contains(t, s.schemas[2].Text, "message StringValue {\n")
	require.Contains(t, s.schemas[2].Text, "package google.protobuf;")
}

// golden is v in a frame, after it has been read back.
func golden[T any](t *testing.T, s *shelf, c *RegisteredCodec[T], v *T) string {
	require.NoError(t, c.Err())
	of := At(c, "rates")
	data, err := of.Encode([]byte("x"), v)
	require.NoError(t, err)
	again, err := of.Encode(nil, v)
	require.NoError(t, err)
	require.Equal(t, data[1:], again)
	var back T
	asked := s.asked
	for range 3 { // a source need not know its topic
		require.NoError(t, c.Decode(again, &back))
	}
	require.Equal(t, asked+1, s.asked)
	rewritten, err := of.Encode(nil, &back)
	require.NoError(t, err)
	require.Equal(t, again, rewritten)
	require.ErrorIs(t, c.Decode(nil, &back), ErrNull)
	return hex.EncodeToString(again)
}

func TestRegisteredFrames(t *testing.T) {
	s := &shelf{}
	c := Registered(s, Avro[tick]())
	for data, want := range map[string]string{
		"":                        "0 bytes are no frame",
		"\x00\x00\x00\x07":        "4 bytes are no frame",
		`{"pair":"EURUSD"}`:       "the first byte is 0x7b",
		"\x00\x00\x00\x00\x07abc": "schema 7: no schema 7",
	} {
		require.ErrorContains(t, c.Decode([]byte(data), new(tick)), want)
	}
	for _, index := range []string{"", "\x02", "\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x04\x02"} {
		_, err := cutIndex([]byte(index))
		require.ErrorIs(t, err, errIndex, "%x", index)
	}
}

func TestRegisteredUnavailable(t *testing.T) {
	s := &shelf{err: fmt.Errorf("registry: %w", topology.ErrUnavailable)}
	c := Registered(s, Avro[tick]())
	of := At(c, "rates")
	frame, err := Avro[tick]().Encode([]byte{0, 0, 0, 0, 7}, &tickRow)
	require.NoError(t, err)
	require.ErrorIs(t, c.Decode(frame, new(tick)), topology.ErrUnavailable)
	_, err = of.Encode(nil, &tickRow)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	s.err = nil
	_, err = of.Encode(nil, &tickRow)
	require.NoError(t, err)
	require.NoError(t, c.Decode(frame, new(tick)))
	s.err = errors.New("down")
	require.NoError(t, c.Decode(frame, new(tick)), "what is known goes on")
}

func TestRegisteredMistakes(t *testing.T) {
	s := &shelf{}
	require.ErrorContains(t, Registered(nil, Avro[tick]()).Err(), "no registry")
	require.ErrorContains(t, Registered(s, Avro[tick]()).Subject(nil).Err(), "no subject strategy")
	require.Error(t, Registered(s, Avro[struct{ C chan int }]()).Err())
	_, err := Registered(s, Avro[tick]()).Encode(nil, &tickRow)
	require.ErrorIs(t, err, errNoTopic)
	require.Equal(t, "avro, registered", Registered(s, Avro[tick]()).Name())
}

func TestSubjects(t *testing.T) {
	for want, of := range map[string]Subject{"rates-value": TopicName, "tick": RecordName,
		"rates-tick": TopicRecordName} {
		s := &shelf{}
		require.NoError(t, At(Registered(s, Avro[tick]()).Subject(of),
			"rates").(*RegisteredCodec[tick]).Register(t.Context()))
		require.Equal(t, []string{want}, s.subjects)
	}
	require.Equal(t, "rates-key", TopicName("rates", true, ""))
}

func TestJSONSchema(t *testing.T) {
	s, err := JSON[nested]().Schema()
	require.NoError(t, err)
	require.Equal(t, topology.JSONSchema, s.Format)
	const within = `{"type":"object","properties":{"pair":{"type":"string"},"rate":{}},"additionalProperties":false}`
	require.JSONEq(t, `{"$schema":"http://json-schema.org/draft-07/schema#","title":"nested","type":"object","properties":{
		"id":{"type":"string"},
		"list":{"type":["array","null"],"items":{"type":["number","string"]}},
		"names":{"type":["object","null"],"additionalProperties":{"type":"string"}},
		"leg":`+within+`,
		"legs":{"type":["array","null"],"items":`+within+`},
		"next":`+strings.Replace(within, `"object"`, `["object","null"]`, 1)+`,
		"four":{"type":"array","items":{"type":"integer"}},
		"any":{},
		"at":{"type":"string","format":"date-time"},
		"day":{"type":"string"},
		"pday":{"type":["string","null"]},
		"size":{"type":"number"},
		"psize":{"type":["number","null"]}},"additionalProperties":false}`, s.Text)

	type defaults struct {
		N int         `ashi:"n,default=7"`
		S string      `ashi:"s,default=x,maxlen=9"`
		D apd.Decimal `ashi:"d,precision=4,scale=1,default=1.5"`
		T time.Time   `ashi:"t,format=ms,default=5"`
		B []byte      `ashi:"b"`
	}
	s, err = JSON[defaults]().Schema()
	require.NoError(t, err)
	require.JSONEq(t, `{"$schema":"http://json-schema.org/draft-07/schema#","title":"defaults","type":"object","properties":{
		"n":{"type":"integer","default":7},
		"s":{"type":"string","default":"x","maxLength":9},
		"d":{"type":"number","default":1.5},
		"t":{"type":"integer","default":5},
		"b":{"type":["string","null"],"contentEncoding":"base64"}},"additionalProperties":false}`, s.Text)
	_, err = JSON[nested]().Reader(topology.Schema{Format: topology.AvroSchema})
	require.ErrorContains(t, err, "the schema is AVRO, not JSON")
}

func FuzzRegisteredDecode(f *testing.F) {
	s := &shelf{}
	row := someTrade(f)
	c := At(Registered(s, Avro[trade]()), "rates")
	data, err := c.Encode(nil, &row)
	require.NoError(f, err)
	p := At(Registered(s, Proto[descriptorpb.FileDescriptorProto]()), "rates")
	f.Add(data)
	f.Add([]byte("\x00\x00\x00\x00\x07\x04\x04\x02"))
	f.Fuzz(func(_ *testing.T, data []byte) { // panics are what is looked for
		_ = c.Decode(data, new(trade))
		_ = p.Decode(data, new(descriptorpb.FileDescriptorProto))
		_, _ = cutIndex(data)
	})
}
