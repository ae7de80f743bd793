package dsl

import (
	"fmt"
	"reflect"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// TableOf is a table of rows of type T by key K in a plan: the last row of each key counts, a null deletes it.
//
// A table that was declared with Table is mirrored into every process, to be read there. Used in steps and joins, it is kept once
// more, a partition per task, in the state of the application.
type TableOf[K, T any] struct {
	b      *Builder
	key    entity.KeyCodec[K]
	origin string
	node   *topology.Node // puts out its changes; nil of one that is declared and not used yet
	part   *part
	kept   *topology.Node // the same with its rows kept: node itself or one below it; nil: not needed yet

	source *sourceOf[T]    // nil of what was not declared
	table  *topology.Table // the mirror; nil of what was not declared
}

// Table declares a table over a topic, mirrored into the store of every process. T must have key columns: a table without a
// key is a mistake. K is the type of its keys: that of the key column, or for a composite key a struct with the same columns.
// The topic may be left out as in Stream.
func Table[K, T any](b *Builder, topic ...string) *TableOf[K, T] {
	at := place()
	s := declare[T](b, at, "table", entity.Table, topic)
	if s.model != nil && len(s.model.Key) == 0 {
		b.wrong(at, "table %q: %s has no key column: a table must have a key (tag a field with `ashi:\"name,key\"`)", s.topic, typeName[T]())
	}
	key, err := entity.KeyOf[K]()
	if err != nil {
		b.wrong(at, "table %q: key: %w", s.topic, err)
	}
	t := &topology.Table{Topic: s.topic, Place: at, Folder: s.topic, File: "main", Row: typeName[T]()}
	b.plan.Tables = append(b.plan.Tables, t)
	if s.model != nil { // as in Stream
		checkCodec(b, at, func() codecs.Codec[T] { return s.codec }, func(string) {})
	}
	return &TableOf[K, T]{b: b, source: s, table: t, key: key, origin: s.topic}
}

// ToTable is the table of the last row of each key of a stream; K is the type of the key that its records have. Rows without one are
// dropped and counted.
func ToTable[K, T any](s *StreamOf[T]) *TableOf[K, T] {
	key, err := entity.KeyOf[K]()
	if err != nil {
		s.b.wrong(place(), "ToTable: key of type %v: %w", reflect.TypeFor[K](), err)
	}
	s = s.placed()
	n := s.b.keep(s.node, s.b.unique(s.node.Name+"-table"), rowsOf[T]())
	return &TableOf[K, T]{b: s.b, key: key, origin: s.origin, node: n, kept: n, part: s.part}
}

// keep adds below a node the keeping of a table's rows.
func (b *Builder) keep(below *topology.Node, name string, rows topology.Rows) *topology.Node {
	n := &topology.Node{Name: name, Place: place(), Op: &topology.Materialize{Rows: rows}}
	below.Next = append(below.Next, n)
	return n
}

// rowsOf is how operators keep rows of type T.
func rowsOf[T any]() topology.Rows {
	codec := codecs.Internal[T]()
	return topology.Rows{Row: typeName[T](), Codec: codec.Name(), Open: func() (func(any, []byte) ([]byte, error), func([]byte) (any, error)) {
		row := new(T)
		encode := func(r any, dst []byte) ([]byte, error) { return codec.Encode(dst, r.(*T)) }
		return encode, func(b []byte) (any, error) { return row, codec.Decode(b, row) }
	}}
}

// use makes a declared table one that steps can stand below: its topic is read, and its rows are kept.
func (t *TableOf[K, T]) use() *TableOf[K, T] {
	if t.node != nil {
		return t
	}
	s := t.source
	source := &topology.Node{Name: t.b.unique(s.topic), Place: s.at, Op: &topology.Source{Topic: s.topic, Table: true, Row: typeName[T](), Open: s.open}}
	checkCodec(t.b, s.at, func() codecs.Codec[T] { return s.codec }, func(name string) { source.Op.(*topology.Source).Codec = name })
	t.part = t.b.root(source, false)
	t.kept = t.b.keep(source, t.b.unique(s.topic+"-table"), rowsOf[T]())
	t.node = t.kept
	return t
}

// keeping is the table's node that keeps its rows: its Op is a *topology.Materialize.
func (t *TableOf[K, T]) keeping() *topology.Node {
	t.use()
	if t.kept == nil {
		t.kept = t.b.keep(t.node, t.b.unique(t.node.Name+"-table"), rowsOf[T]())
	}
	return t.kept
}

// Codec sets how values are encoded: JSON if it is not called.
func (t *TableOf[K, T]) Codec(c codecs.Codec[T]) *TableOf[K, T] {
	if t.source == nil {
		t.b.wrong(place(), "Codec: only a table that was declared with Table has values in a topic")
		return t
	}
	t.source.codec = c
	return t
}

// To writes the changes of the table to a compacted topic, deletions as nulls. Values are JSON unless Codec says otherwise.
func (t *TableOf[K, T]) To(topic string) *SinkOf[T] {
	t.use()
	sink := &SinkOf[T]{b: t.b, codec: codecs.JSON[T]()}
	t.node.Next = append(t.node.Next, sinkNode(t.b, topic, true, func() codecs.Codec[T] { return sink.codec }))
	return sink
}

// ToStream is the stream of the rows that the table comes to have. Deletions are not in it.
func (t *TableOf[K, T]) ToStream() *StreamOf[T] {
	t.use()
	s := &StreamOf[T]{b: t.b, node: t.node, part: t.part, origin: t.origin}
	if t.source != nil && t.source.model != nil {
		s.keyed = func(row *T) ([]byte, error) { return t.source.model.AppendKey(nil, row) }
	}
	return s.same(step[T, T](s, "stream", func() func(*topology.Record, []*topology.Record) ([]*topology.Record, error) {
		var row topology.Record
		return func(r *topology.Record, out []*topology.Record) ([]*topology.Record, error) {
			if r.Value == nil {
				return out, nil
			}
			row = *r
			row.Old = nil
			return append(out, &row), nil
		}
	}))
}

// Ref is the table as the engine's Table wants it.
func (t *TableOf[K, T]) Ref() topology.TableOf[K, T] {
	if t.source == nil {
		return topology.TableOf[K, T]{Err: fmt.Errorf("dsl: table %s is in no topic: write it to one with To, and declare that in the plan that reads it", t.node.Name)}
	}
	return topology.TableOf[K, T]{Table: t.table, Key: t.key.Append, Decode: t.source.decode}
}

// StreamRef is the table's topic as the engine's Add and ForEach want it.
func (t *TableOf[K, T]) StreamRef() topology.StreamOf[T] {
	if t.source == nil {
		return topology.StreamOf[T]{Err: fmt.Errorf("dsl: table %s is in no topic: write it to one with To", t.node.Name)}
	}
	return t.source.ref()
}
