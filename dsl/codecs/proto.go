package codecs

import (
	"fmt"

	//lint:ignore SA1019 its MessageV2 is what makes old generated messages usable
	legacy "github.com/golang/protobuf/proto"
	"google.golang.org/protobuf/proto"
)

// ProtoCodec is the Protobuf format; see [Proto].
type ProtoCodec[T any, P interface {
	*T
	legacy.Message
}] struct{}

// Proto writes Protobuf messages, made by any generator: those of google.golang.org/protobuf, and
// older ones that know only the methods of github.com/golang/protobuf (these cost an allocation per
// row more). P is inferred: codecs.Proto[pb.Rate]().
//
// Equal messages have equal bytes within one build of a program. Fields that the message type does
// not know are kept and written again. Invalid UTF-8 in a proto3 string, missing proto2 fields that
// are required, and malformed bytes are errors. Strings and bytes of a decoded message are copies.
func Proto[T any, P interface {
	*T
	legacy.Message
}]() *ProtoCodec[T, P] {
	return &ProtoCodec[T, P]{}
}

// Name is "protobuf".
func (*ProtoCodec[T, P]) Name() string { return "protobuf" }

// Encode implements [Codec]. A message without fields has no bytes, but is not null.
func (*ProtoCodec[T, P]) Encode(dst []byte, v *T) ([]byte, error) {
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, legacy.MessageV2(P(v)))
	if err != nil {
		return dst, fmt.Errorf("codecs: protobuf %T: %w", v, err)
	}
	if out == nil {
		out = []byte{}
	}
	return out, nil
}

// Decode implements [Codec].
func (*ProtoCodec[T, P]) Decode(data []byte, v *T) error {
	if data == nil {
		return ErrNull
	}
	if err := (proto.UnmarshalOptions{}).Unmarshal(data, legacy.MessageV2(P(v))); err != nil {
		return fmt.Errorf("codecs: protobuf %T: %w", v, err)
	}
	return nil
}

// Message says that rows are Protobuf messages.
func (*ProtoCodec[T, P]) Message() {}
