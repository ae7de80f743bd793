package dsl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/rows"
	"github.com/ashi-stream/ashi/topology"
)

// format says how rows of a stream or table are written where the engine writes them by itself: in
// internal topics and in state. It is settled when the plan is built, as codecs may be given until
// then.
type format[T any] struct {
	of    []*format[T]           // where rows are those of others
	codec func() codecs.Codec[T] // what the program has given the rows
	given codecs.Codec[T]        // by Codec, in place of all else
	made  bool                   // a function of the program makes the rows
}

// madeRows is the format of rows that a function of the program makes.
func madeRows[T any]() *format[T] { return &format[T]{made: true} }

// readRows is the format of rows as a codec reads them.
func readRows[T any](codec func() codecs.Codec[T]) *format[T] { return &format[T]{codec: codec} }

// same is the format of rows that are those of others; where they have several formats it is that
// of what a function makes.
func same[T any](of ...*format[T]) *format[T] { return &format[T]{of: of} }

var errFormats = errors.New("the merged streams have several codecs: give one to each, or to what Merge returns")

func (f *format[T]) settle() (*rows.Format[T], error) {
	switch {
	case f.given != nil:
		if err := codecs.Err(f.given); err != nil {
			return nil, err
		}
		return rows.For(f.given, true)
	case len(f.of) > 0:
		first, err := f.of[0].settle()
		for _, other := range f.of[1:] {
			if err != nil || first == nil {
				return nil, err
			}
			var next *rows.Format[T]
			if next, err = other.settle(); err == nil && next != nil && !first.Same(next) {
				if first, err = rows.Of[T](); err != nil {
					return nil, fmt.Errorf("%w\n%w", errFormats, err)
				}
				if first.Name() != next.Name() {
					return nil, errFormats
				}
			}
		}
		return first, err
	case f.codec != nil:
		c := f.codec()
		if codecs.Err(c) != nil {
			return nil, nil // which is noted where it was given
		}
		return rows.For(c, f.made)
	}
	return rows.Of[T]()
}

// use notes at Build what is wrong with rows in a place, and hands on how they are written there.
func (f *format[T]) use(b *Builder, where string, use func(*topology.Rows)) {
	at := place()
	b.atBuild = append(b.atBuild, func() {
		settled, err := f.settle()
		switch {
		case err != nil:
			b.wrong(at,
				"rows of %s cannot be written to %s as they are:\n  %s\n  Export what is not exported, leave it "+
					"out, or give the rows a codec that knows it (Codec)", typeName[T](), where,
				strings.ReplaceAll(err.Error(), "\n", "\n  "))
		case settled != nil:
			r := settled.Rows()
			use(&r)
		}
	})
}

// keepIn is use for the state of an operator.
func (f *format[T]) keepIn(b *Builder, name string, to *topology.Rows) {
	f.use(b, "the state of "+name, func(r *topology.Rows) { *to = *r })
}

// passThrough is use for an internal topic of rows.
func (f *format[T]) passThrough(b *Builder, sink *topology.Sink, source *topology.Source) {
	f.use(b, "internal topic "+sink.Topic, func(r *topology.Rows) {
		sink.Codec, source.Codec, source.Rows = r.Codec, r.Codec, r
		sink.Open = func() func(*topology.Record, []byte) ([]byte, error) {
			encode, _ := r.OpenWire()
			return func(rec *topology.Record, dst []byte) ([]byte, error) { return encode(rec.Value, dst) }
		}
		source.Open = func() func(*topology.Record, []byte, []byte) error {
			_, decode := r.OpenWire()
			return func(rec *topology.Record, _, value []byte) (err error) {
				rec.Value, err = decode(value)
				return err
			}
		}
	})
}

// passChanges is use for an internal topic of changes of a table.
func (f *format[T]) passChanges(b *Builder, sink *topology.Sink, source *topology.Source) {
	sink.Changes, source.Holds = true, "changes"
	f.use(b, "internal topic "+sink.Topic, func(r *topology.Rows) {
		sink.Codec, source.Codec, source.Rows = r.Codec+" changes", r.Codec+" changes", r
		sink.Open = func() func(*topology.Record, []byte) ([]byte, error) { return changeEncoder(r) }
		source.Open = func() func(*topology.Record, []byte, []byte) error { return changeDecoder(r) }
	})
}
