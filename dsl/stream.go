package dsl

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// StreamOf is a stream of rows of type T in a plan. Each row is an event of its own.
type StreamOf[T any] struct {
	b      *Builder
	node   *topology.Node
	part   *part
	origin string        // the topic that it comes from
	source *sourceOf[T]  // nil of what was not declared
	keyed  *entity.Model // its key columns are the key of each record, from which the row has them; nil: not known
	format *format[T]    // how its rows are written in internal topics and state
	moved  *moved[T]     // the key is not that of the topic any more; else nil
	form   string        // of its records' keys (entity.KeyCodec.Form); empty: not known
}

// sourceOf is what a declared stream or table has beside its node.
type sourceOf[T any] struct {
	at    string
	topic string
	model *entity.Model
	codec codecs.Codec[T]

	onError, onDecode *topology.Policy // of a table, which may have no node

	key   func([]byte) ([]byte, error)            // the key in the KAFKA format, in its one form; nil: it is
	keyed func(dst, plain []byte) ([]byte, error) // of ReadKeys: the way back
}

// Stream declares a stream: T's tags say which columns are its key and event time (package entity),
// and what is said here outdoes them: a topic, Key, Timestamp, OnError. Without a topic it is the
// one of the tags, or the name of T, with a warning in the log. Values are JSON unless Codec says
// otherwise.
func Stream[T any](b *Builder, topic ...string) *StreamOf[T] {
	s := declare[T](b, place(), "stream", entity.Stream, topic)
	node := &topology.Node{Name: b.unique(s.topic), Place: s.at, Op: &topology.Source{Topic: s.topic,
		Row: typeName[T](), Open: s.open}}
	s.settle(b, node)
	stream := &StreamOf[T]{b: b, node: node, part: b.root(node, false), origin: s.topic, source: s,
		format: readRows(func() codecs.Codec[T] { return s.codec })}
	stream.keyedBySource()
	s.checkKey(b, "stream", "")
	if s.model != nil { // else the codec would only tell the mistakes of T again
		checkCodec(b, s.at, func() codecs.Codec[T] { return s.codec }, func(c codecs.Codec[T]) {
			node.Op.(*topology.Source).Codec, s.codec = c.Name(), codecs.At(codecs.WithModel(c, s.model), s.topic)
		})
	}
	return stream
}

// declare reads T's tags and notes the topic.
func declare[T any](b *Builder, at, what string, kind entity.Kind, topic []string) *sourceOf[T] {
	s := &sourceOf[T]{at: at}
	model, errs := entity.For[T]()
	for _, err := range errs {
		b.wrong(at, "%s: %w", what, err)
	}
	s.model = model
	switch {
	case len(topic) > 1:
		b.wrong(at, "%s: one topic, not %q", what, topic)
		fallthrough
	case len(topic) == 1:
		s.topic = topic[0]
	case model != nil:
		s.topic = model.Topic
		b.plan.Warnings = append(b.plan.Warnings, model.Warnings...)
	}
	if model != nil && model.Kind != entity.Unstated && model.Kind != kind {
		b.wrong(at, "%s %q: the tags of %s say that it is a %s", what, s.topic, typeName[T](), model.Kind)
	}
	b.source(at, s.topic)
	s.codec = codecs.JSON[T]()
	return s
}

// checkCodec notes at Build what is wrong with a codec for its type, and hands on one that is
// right.
func checkCodec[T any](b *Builder, at string, codec func() codecs.Codec[T], use func(codecs.Codec[T])) {
	b.atBuild = append(b.atBuild, func() {
		c := codec()
		if err := codecs.Err(c); err != nil {
			b.wrong(at, "%w", err)
			return
		}
		use(c)
		b.adjusts(typeName[T](), c)
	})
}

// Codec sets how the values of a declared stream are encoded: JSON if it is not called. Of what
// steps make it sets how rows are written in internal topics and in state. Without it they are
// written with all their exported fields, by name; those of a declared stream with a codec of the
// program's own by that (docs/codecs.md, "Internal rows").
func (s *StreamOf[T]) Codec(c codecs.Codec[T]) *StreamOf[T] {
	if s.source == nil {
		s.format.given = c
	} else {
		s.source.codec = c
	}
	return s
}

// open makes a decoder with a row of its own.
func (s *sourceOf[T]) open() func(*topology.Record, []byte, []byte) error {
	row := new(T)
	return func(r *topology.Record, key, value []byte) error {
		key, err := s.plainKey(key)
		if err != nil {
			return err
		}
		r.Key, r.Group = key, key
		if value == nil { // of a table, see topology.Source.Deletions
			return nil
		}
		switch err := s.fill(key, value, row); {
		case errors.Is(err, codecs.ErrNull):
			return nil // bytes that stand for null
		case err != nil:
			return err
		}
		r.Value = row
		at, ok, err := s.eventTime(value, row)
		if ok {
			r.Time = at
		}
		return err
	}
}

// eventTime is that of a row that was decoded from value; false: the value has none.
func (s *sourceOf[T]) eventTime(value []byte, row *T) (windows.Time, bool, error) {
	at, ok := s.model.EventTime(row)
	if !ok {
		return 0, false, nil
	}
	if column, doubt := s.model.TimeInDoubt(row); doubt {
		has, err := codecs.Has(s.codec, value, column)
		return at, has, err
	}
	return at, true, nil
}

// plainKey is a key in the KAFKA format.
func (s *sourceOf[T]) plainKey(key []byte) ([]byte, error) {
	if s.key == nil || key == nil {
		return key, nil
	}
	return s.key(key)
}

// decode fills a row as the topic has it.
func (s *sourceOf[T]) decode(key, value []byte, row *T) error {
	key, err := s.plainKey(key)
	if err != nil {
		return err
	}
	return s.fill(key, value, row)
}

// fill fills a row from the value, then its key columns from the key, which are what counts where
// both have them.
func (s *sourceOf[T]) fill(key, value []byte, row *T) error {
	if err := s.codec.Decode(value, row); err != nil {
		return err
	}
	if key == nil || len(s.model.Key) == 0 {
		return nil
	}
	return s.model.SetKey(row, key)
}

// StreamRef is the stream as the engine's Add and ForEach want it.
func (s *StreamOf[T]) StreamRef() topology.StreamOf[T] {
	if s.source == nil {
		return topology.StreamOf[T]{Err: fmt.Errorf("dsl: step %s is not in a topic: write it to one with To",
			s.node.Name)}
	}
	return s.source.ref()
}

func (s *sourceOf[T]) ref() topology.StreamOf[T] {
	return topology.StreamOf[T]{Topic: s.topic, Decode: s.decode,
		Key: func(dst []byte, row *T) ([]byte, error) {
			if len(s.model.Key) == 0 {
				return nil, nil
			}
			if s.keyed == nil {
				return s.model.AppendKey(dst, row)
			}
			plain, err := s.model.AppendKey(nil, row)
			if err != nil {
				return dst, err
			}
			return s.keyed(dst, plain)
		},
		Encode: func(dst []byte, row *T) ([]byte, error) { return s.codec.Encode(dst, row) },
		Time:   func(row *T) (windows.Time, bool) { return s.model.EventTime(row) },
	}
}

func typeName[T any]() string { return reflect.TypeFor[T]().String() }
