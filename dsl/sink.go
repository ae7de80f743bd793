package dsl

import (
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/topology"
)

// SinkOf is a topic that a stream is written to.
type SinkOf[T any] struct {
	b     *Builder
	node  *topology.Node
	codec codecs.Codec[T]
	keys  string // form of the rows' keys; empty: not known
}

// To writes the stream to a topic, each row with the key and event time that it has. Values are
// JSON unless Codec says otherwise, keys in ksqlDB's KAFKA format unless WriteKeys does.
func (s *StreamOf[T]) To(topic string) *SinkOf[T] {
	sink := &SinkOf[T]{b: s.b, codec: codecs.JSON[T](), keys: s.form}
	sink.node = sinkNode(s.b, topic, false, func() codecs.Codec[T] { return sink.codec })
	s.node.Next = append(s.node.Next, sink.node)
	return sink
}

// Codec sets how values are encoded: JSON if it is not called.
func (s *SinkOf[T]) Codec(c codecs.Codec[T]) *SinkOf[T] {
	s.codec = c
	return s
}

// sinkNode is a node that writes to a topic. codec is asked at Build and later.
func sinkNode[T any](b *Builder, topic string, compact bool, codec func() codecs.Codec[T]) *topology.Node {
	op := &topology.Sink{Topic: topic, Row: typeName[T](), Compact: compact}
	var c codecs.Codec[T]
	op.Open = func() func(*topology.Record, []byte) ([]byte, error) {
		return func(r *topology.Record, dst []byte) ([]byte, error) { return c.Encode(dst, r.Value.(*T)) }
	}
	at := place()
	checkCodec(b, at, codec, func(given codecs.Codec[T]) {
		op.Codec, c = given.Name(), codecs.At(given, op.Topic)
		b.startup(at, "schema of topic "+op.Topic, c)
	})
	return &topology.Node{Name: b.unique("to-" + topic), Place: at, Op: op}
}
