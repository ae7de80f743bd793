package codecs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	legacy "github.com/golang/protobuf/proto" //lint:ignore SA1019 as in proto.go
	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ashi-stream/ashi/topology"
)

// Schema is the file that the message is declared in, printed from its descriptor. Files that
// import others than Google's own (google/protobuf/...), which every registry knows, are an error.
func (c *ProtoCodec[T, P]) Schema() (topology.Schema, error) {
	file := c.message().ParentFile()
	imports := file.Imports()
	for i := range imports.Len() {
		if path := imports.Get(i).Path(); !strings.HasPrefix(path, "google/protobuf/") {
			return topology.Schema{}, fmt.Errorf("codecs: protobuf %s: %s imports %s: a registered schema is one file",
				c.record(), file.Path(), path)
		}
	}
	text, err := (&protoprint.Printer{}).PrintProtoToString(file)
	if err != nil {
		return topology.Schema{}, fmt.Errorf("codecs: protobuf %s: %w", c.record(), err)
	}
	return topology.Schema{Format: topology.ProtobufSchema, Text: text}, nil
}

func (*ProtoCodec[T, P]) message() protoreflect.MessageDescriptor {
	return legacy.MessageV2(P(new(T))).ProtoReflect().Descriptor()
}

func (c *ProtoCodec[T, P]) record() string { return string(c.message().FullName()) }

// Index is the way to the message in its file: how many steps, then the position in each, as zigzag
// varints. A single 0 is short for the first message of the file.
func (c *ProtoCodec[T, P]) Index() []byte {
	var path []int64
	for d := protoreflect.Descriptor(c.message()); ; d = d.Parent() {
		if _, top := d.(protoreflect.FileDescriptor); top {
			break
		}
		path = append(path, int64(d.Index()))
	}
	if len(path) == 1 && path[0] == 0 {
		return []byte{0}
	}
	out := binary.AppendVarint(nil, int64(len(path)))
	for _, i := range slices.Backward(path) {
		out = binary.AppendVarint(out, i)
	}
	return out
}

// Reader implements [Framed]. Protobuf needs no schema to be read.
func (c *ProtoCodec[T, P]) Reader(writer topology.Schema) (func([]byte, *T) error, error) {
	if writer.Format != topology.ProtobufSchema {
		return nil, fmt.Errorf("the schema is %s, not PROTOBUF", writer.Format)
	}
	return func(data []byte, v *T) error {
		value, err := cutIndex(data)
		if err != nil {
			return fmt.Errorf("codecs: protobuf %T: %w", v, err)
		}
		return c.Decode(value, v)
	}, nil
}

var errIndex = errors.New("the index of the message is cut off or broken")

// cutIndex takes the message's index off the front. Which message it is depends on the writer's
// file, and is not checked.
func cutIndex(data []byte) (value []byte, err error) {
	steps, n := binary.Varint(data)
	if n <= 0 || steps < 0 || steps > int64(len(data)) {
		return nil, errIndex
	}
	data = data[n:]
	for range steps {
		step, n := binary.Varint(data)
		if n <= 0 || step < 0 {
			return nil, errIndex
		}
		data = data[n:]
	}
	return data, nil
}
