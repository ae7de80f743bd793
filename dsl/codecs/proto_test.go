package codecs

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// oldRate is what protoc-gen-go of github.com/golang/protobuf once made: three methods and tags, no
// reflection.
type oldRate struct {
	Pair string  `protobuf:"bytes,1,opt,name=pair,proto3"`
	Bid  float64 `protobuf:"fixed64,2,opt,name=bid,proto3"`
}

func (m *oldRate) Reset()         { *m = oldRate{} }
func (m *oldRate) String() string { return fmt.Sprintf("%s %v", m.Pair, m.Bid) }
func (*oldRate) ProtoMessage()    {}

func TestProtoGolden(t *testing.T) {
	c := Proto[timestamppb.Timestamp]()
	require.NoError(t, Err[timestamppb.Timestamp](c))
	require.Equal(t, "protobuf", c.Name())
	got, err := c.Encode([]byte{0xee}, &timestamppb.Timestamp{Seconds: 5, Nanos: 7})
	require.NoError(t, err)
	require.Equal(t, "ee08051007", hex.EncodeToString(got))
	back := timestamppb.Timestamp{Seconds: 99, Nanos: 99}
	require.NoError(t, c.Decode([]byte{8, 6}, &back))
	require.EqualValues(t, 6, back.Seconds)
	require.Zero(t, back.Nanos, "left over")
}

func TestProtoLegacyMessage(t *testing.T) {
	c := Proto[oldRate]()
	row := oldRate{"EUR", 1.5}
	got, err := c.Encode(nil, &row)
	require.NoError(t, err)
	require.Equal(t, "0a0345555211000000000000f83f", hex.EncodeToString(got))
	back := oldRate{"left over", 9}
	require.NoError(t, c.Decode(got, &back))
	require.Equal(t, row, back)
	require.NoError(t, c.Decode([]byte{}, &back))
	require.Equal(t, oldRate{}, back)
}

func TestProtoNullAndMalformed(t *testing.T) {
	c := Proto[wrapperspb.StringValue]()
	var v wrapperspb.StringValue
	require.ErrorIs(t, c.Decode(nil, &v), ErrNull)
	require.NoError(t, c.Decode([]byte{}, &v), "a message without fields")
	got, err := c.Encode(nil, &v)
	require.NoError(t, err)
	require.NotNil(t, got, "nil bytes would be a tombstone")
	require.Empty(t, got)
	for what, data := range map[string][]byte{
		"truncated": {10, 5, 'a'}, "not UTF-8": {10, 1, 0xff}, "no tag": {0}, "huge length": {10, 0xff, 0xff, 0xff,
			0xff, 0x0f}, "ten megabytes": make([]byte, 10<<20),
	} {
		require.ErrorContains(t, c.Decode(data, &v), "codecs: protobuf *wrapperspb.StringValue", what)
	}
	_, err = c.Encode([]byte("kept"), &wrapperspb.StringValue{Value: "\xff"})
	require.Error(t, err)
}

func TestProtoEqualMessagesEqualBytes(t *testing.T) {
	c := Proto[structpb.Struct]()
	var first []byte
	for i := range 20 {
		s, err := structpb.NewStruct(map[string]any{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
		require.NoError(t, err)
		got, err := c.Encode(nil, s)
		require.NoError(t, err)
		if i == 0 {
			first = got
		}
		require.Equal(t, first, got)
	}
}

func BenchmarkProtoDecode(b *testing.B) {
	c := Proto[timestamppb.Timestamp]()
	var v timestamppb.Timestamp
	data := []byte{8, 5, 16, 7}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Decode(data, &v); err != nil {
			b.Fatal(err)
		}
	}
}

// What is taken is a message that is written and read again as the same; whatever the bytes are,
// nothing panics.
func FuzzProtoDecode(f *testing.F) {
	c := Proto[structpb.Struct]()
	row, err := structpb.NewStruct(map[string]any{"a": 1.5, "b": []any{true, nil, "x", map[string]any{}}})
	require.NoError(f, err)
	data, err := c.Encode(nil, row)
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, again structpb.Struct
		if c.Decode(data, &got) != nil {
			return
		}
		out, err := c.Encode(nil, &got)
		require.NoError(t, err)
		require.NoError(t, c.Decode(out, &again))
		require.True(t, proto.Equal(&got, &again) || hasNaN(&got), "%x came back as %x", data, out)
	})
}

// hasNaN says that a message is not equal to itself.
func hasNaN(m *structpb.Struct) bool { return !proto.Equal(m, m) }
