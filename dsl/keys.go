package dsl

import (
	"context"
	"reflect"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// ReadKeys says that the keys of a declared stream's topic are not in ksqlDB's KAFKA format but in
// that of c: they are turned into it when they are read. As the topic is partitioned by other
// bytes, rows are grouped and joined through an internal topic. Call it before any step.
func ReadKeys[K, T any](s *StreamOf[T], c codecs.Codec[K]) *StreamOf[T] {
	at := place()
	key, err := entity.KeyOf[K]()
	switch {
	case err != nil:
		s.b.wrong(at, "ReadKeys: %w", err)
	case codecs.Err(c) != nil:
		s.b.wrong(at, "ReadKeys: %w", codecs.Err(c))
	case s.source == nil:
		s.b.wrong(at, "ReadKeys: only a stream that was declared with Stream has keys in a topic")
	case len(s.node.Next) > 0:
		s.b.wrong(at, "ReadKeys: call it before the first step")
	default:
		// Rows of one key may be anywhere: their frames may differ.
		s.keyed, s.moved, s.form = nil, &moved[T]{}, key.Form()
		keysBy(s.source, c, key)
	}
	return s
}

// keysBy lets a source have keys in the format of c.
func keysBy[K, T any](s *sourceOf[T], c codecs.Codec[K], key entity.KeyCodec[K]) {
	s.key = func(b []byte) ([]byte, error) {
		var k K
		if err := c.Decode(b, &k); err != nil {
			return nil, err
		}
		return key.Append(nil, k)
	}
	of := codecs.KeyAt(c, s.topic)
	s.keyed = func(dst, plain []byte) ([]byte, error) {
		k, err := key.Decode(plain)
		if err != nil {
			return dst, err
		}
		return of.Encode(dst, &k)
	}
}

// KeyCodec says that the keys of a declared table's topic are not in ksqlDB's KAFKA format but in
// that of c: they are turned into it when they are read, by mirrors too. As the topic is
// partitioned by other bytes, steps and joins read it by way of an internal topic. Call it before
// any step.
func (t *TableOf[K, T]) KeyCodec(c codecs.Codec[K]) *TableOf[K, T] {
	switch at := place(); {
	case codecs.Err(c) != nil:
		t.b.wrong(at, "KeyCodec: %w", codecs.Err(c))
	case t.source == nil:
		t.b.wrong(at,
			"KeyCodec: only a table that was declared with Table has keys in a topic; WriteKeys is for what To writes")
	case t.node != nil:
		t.b.wrong(at, "KeyCodec: call it before the first step")
	default:
		keysBy(t.source, c, t.key)
		t.table.Keys, t.table.PlainKey = c.Name()+" of "+t.key.Form(), t.source.key
	}
	return t
}

// WriteKeys sets how a sink writes keys, in place of ksqlDB's KAFKA format: in that of c, whose
// type must be that of the keys. The partition is that of the key in the new format. Rows without a
// key are written without one.
func WriteKeys[K, T any](s *SinkOf[T], c codecs.Codec[K]) *SinkOf[T] {
	at := place()
	key, err := entity.KeyOf[K]()
	switch {
	case err != nil:
		s.b.wrong(at, "WriteKeys: %w", err)
	case codecs.Err(c) != nil:
		s.b.wrong(at, "WriteKeys: %w", codecs.Err(c))
	case s.keys != "" && s.keys != key.Form():
		s.b.wrong(at,
			"WriteKeys: keys of type %v are %s, those of the rows are %s: give the codec of their type, or other "+
				"keys with PartitionBy", reflect.TypeFor[K](), key.Form(), s.keys)
	default:
		sinkKeys(s.b, at, s.node.Op.(*topology.Sink), c, key.Decode)
	}
	return s
}

// KeyCodec sets how the keys of results are written, in place of ksqlDB's KAFKA format: the group's
// key in the format of c, and behind it the start of the window in 8 bytes, as ksqlDB has it in
// each of its formats. The partition is that of the key in the new format.
func (w *WindowedOf[K, R]) KeyCodec(c codecs.Codec[K]) *WindowedOf[K, R] {
	if err := codecs.Err(c); err != nil {
		w.b.wrong(place(), "KeyCodec: %w", err)
		return w
	}
	if w.agg.Global {
		w.b.wrong(place(), "KeyCodec: results for all records together have no keys")
		return w
	}
	w.keys = c
	return w
}

// writeKeys lets a sink of results write their keys in the format that KeyCodec gave. It waits for
// Build, as the codec may still be set.
func (w *WindowedOf[K, R]) writeKeys(at string, op *topology.Sink) {
	w.b.atBuild = append(w.b.atBuild, func() {
		if w.keys != nil {
			sinkKeys(w.b, at, op, w.keys, w.keyFrom)
		}
	})
}

// sinkKeys lets a sink write keys by c; from decodes those that it is given. The topic's name must
// be final.
func sinkKeys[K any](b *Builder, at string, op *topology.Sink, c codecs.Codec[K], from func([]byte) (K, error)) {
	c = codecs.KeyAt(c, op.Topic)
	op.Key = func(dst, plain []byte) ([]byte, error) {
		k, err := from(plain)
		if err != nil {
			return dst, err
		}
		return c.Encode(dst, &k)
	}
	b.startup(at, "key schema of topic "+op.Topic, c)
}

// keyIn is how readers of the results in a topic write keys.
func (w *WindowedOf[K, R]) keyIn(topic string) func(dst []byte, key K) ([]byte, error) {
	if w.keys == nil {
		return w.keyOf
	}
	c := codecs.KeyAt(w.keys, topic)
	return func(dst []byte, key K) ([]byte, error) { return c.Encode(dst, &key) }
}

// plainKey is the key of a result, without its window, in the KAFKA format.
func (w *WindowedOf[K, R]) plainKey(key []byte) ([]byte, error) {
	if w.keys == nil {
		return key, nil
	}
	var k K
	if err := w.keys.Decode(key, &k); err != nil {
		return nil, err
	}
	return w.keyOf(nil, k)
}

// startup notes a codec that has to be registered, if it is one.
func (b *Builder) startup(at, what string, codec any) {
	if r, ok := codec.(interface{ Register(context.Context) error }); ok {
		b.plan.Startups = append(b.plan.Startups, topology.Startup{Place: at, What: what, Do: r.Register})
	}
}
