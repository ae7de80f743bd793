package dsl

import (
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// TableOf is a table of rows of type T by key K in a plan: the last row of each key counts, a null deletes it.
type TableOf[K, T any] struct {
	source *sourceOf[T]
	table  *topology.Table
	key    entity.KeyCodec[K]
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
	return &TableOf[K, T]{source: s, table: t, key: key}
}

// Codec sets how values are encoded: JSON if it is not called.
func (t *TableOf[K, T]) Codec(c codecs.Codec[T]) *TableOf[K, T] {
	t.source.codec = c
	return t
}

// Ref is the table as the engine's Table wants it.
func (t *TableOf[K, T]) Ref() topology.TableOf[K, T] {
	return topology.TableOf[K, T]{Table: t.table, Key: t.key.Append, Decode: t.source.decode}
}

// StreamRef is the table's topic as the engine's Add and ForEach want it.
func (t *TableOf[K, T]) StreamRef() topology.StreamOf[T] { return t.source.ref() }
