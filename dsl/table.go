package dsl

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// TableOf is a table of rows of type T by key K in a plan: the last row of each key counts, a null
// deletes it.
//
// A table that was declared with Table is mirrored into every process, to be read there. Used in
// steps and joins, it is kept once more, a partition per task, in the state of the application.
type TableOf[K, T any] struct {
	b      *Builder
	key    entity.KeyCodec[K]
	origin string
	node   *topology.Node // puts out its changes; nil of one that is declared and not used yet
	part   *part
	kept   *topology.Node // the one that keeps its rows, which is node then; nil: not needed yet
	held   *topology.Node // of a table of Suppress, the one that holds changes back; else nil
	name   string         // if the program gave one: of held, or else of kept
	made   bool           // of other tables: its rows come in the order of their changes, not of event times

	format *format[T]
	source *sourceOf[T]    // nil of what was not declared
	table  *topology.Table // the mirror; nil of what was not declared
}

// Table declares a table over a topic, mirrored into the store of every process. T must have key
// columns: a table without a key is a mistake. K is the type of its keys: that of the key column,
// or for a composite key a struct with the same columns. The topic may be left out as in Stream.
func Table[K, T any](b *Builder, topic ...string) *TableOf[K, T] {
	at := place()
	s := declare[T](b, at, "table", entity.Table, topic)
	key, err := entity.KeyOf[K]()
	if err != nil {
		b.wrong(at, "table %q: key: %w", s.topic, err)
		s.checkKey(b, "table", "")
	} else {
		s.checkKey(b, "table", key.Form())
	}
	t := &topology.Table{Topic: s.topic, Place: at, Folder: s.topic, File: "main", Row: typeName[T]()}
	b.plan.Tables = append(b.plan.Tables, t)
	if s.model != nil { // as in Stream
		t.WithoutMirror = s.model.NoMirror
		checkCodec(b, at, func() codecs.Codec[T] { return s.codec }, func(c codecs.Codec[T]) {
			s.codec = codecs.At(codecs.WithModel(c, s.model), s.topic)
			t.Null = func(value []byte) bool { return codecs.IsNull(s.codec, value) }
		})
	}
	table := &TableOf[K, T]{b: b, source: s, table: t, key: key, origin: s.topic,
		format: readRows(func() codecs.Codec[T] { return s.codec })}
	b.atBuild = append(b.atBuild, table.inOneForm)
	return table
}

// ToTable is the table of the last row of each key of a stream; K is the type of the key that its
// records have. Rows without one are dropped and counted.
func ToTable[K, T any](s *StreamOf[T]) *TableOf[K, T] {
	key, err := entity.KeyOf[K]()
	if err != nil {
		s.b.wrong(place(), "ToTable: key of type %v: %w", reflect.TypeFor[K](), err)
	}
	if s.form != "" && err == nil && s.form != key.Form() {
		s.b.wrong(place(),
			"ToTable: keys of type %v are %s, those of the rows are %s: give the type of their keys, or other keys "+
				"with PartitionBy", reflect.TypeFor[K](), key.Form(), s.form)
	}
	s = s.placed()
	n := keep(s.b, s.node, s.b.unique(s.origin+"-table"), s.format)
	return &TableOf[K, T]{b: s.b, key: key, origin: s.origin, node: n, kept: n, part: s.part, format: same(s.format)}
}

// keep adds below a node the keeping of a table's rows.
func keep[T any](b *Builder, below *topology.Node, name string, f *format[T]) *topology.Node {
	op := &topology.Materialize{}
	n := &topology.Node{Name: name, Place: place(), Op: op}
	f.keepIn(b, name, &op.Rows)
	below.Next = append(below.Next, n)
	return n
}

// use makes a declared table one that steps can stand below: its topic is read, and its rows are
// kept.
func (t *TableOf[K, T]) use() *TableOf[K, T] {
	if t.node != nil {
		return t
	}
	s := t.source
	t.inOneForm()
	source := &topology.Node{Name: t.b.unique(s.topic), Place: s.at, Op: &topology.Source{Topic: s.topic, Table: true,
		Row: typeName[T](), Open: s.open}}
	checkCodec(t.b, s.at, func() codecs.Codec[T] { return s.codec },
		func(c codecs.Codec[T]) { source.Op.(*topology.Source).Codec = c.Name() })
	s.settle(t.b, source)
	t.part = t.b.root(source, false)
	if s.key != nil {
		source.Op.(*topology.Source).Deletions = true
		source, t.part = throughTable(t.b, source, s.topic, t.format)
	}
	name := t.name
	if name == "" {
		name = t.b.unique(s.topic + "-table")
	}
	t.kept = keep(t.b, source, name, t.format)
	t.node = t.kept
	return t
}

// throughTable writes the rows and deletions of a table's source to an internal topic, by their
// keys, and reads them again.
func throughTable[T any](b *Builder, source *topology.Node, origin string, f *format[T]) (*topology.Node, *part) {
	topic := b.internal(b.unique(origin+"-repartition"), 0)
	sink, read := &topology.Sink{Topic: topic, Internal: true, Row: typeName[T]()}, &topology.Source{Table: true,
		Internal: true, Topic: topic, Row: typeName[T]()}
	f.passThrough(b, sink, read)
	source.Next = append(source.Next, &topology.Node{Name: b.unique("to-" + topic), Place: place(), Op: sink})
	node := &topology.Node{Name: b.unique(topic), Place: place(), Op: read}
	return node, b.root(node, true)
}

// keeping is the table's node that keeps its rows: its Op is a *topology.Materialize.
func (t *TableOf[K, T]) keeping() *topology.Node {
	t.use()
	if t.kept == nil {
		name := t.name
		switch {
		case name == "":
			name = t.b.unique(t.origin + "-table")
		case t.held != nil:
			name += "-table"
		}
		t.kept = keep(t.b, t.node, name, t.format)
		t.node = t.kept
	}
	return t.kept
}

// As names the table; of one that Suppress makes what is held back. Its rows are kept under the
// name: a plan that is changed keeps its state where the names of what has state stay. Without it
// the name is that of the topic with -table, or -suppress, numbered in the order of declarations
// where several come from one topic: name those before you change the plan.
func (t *TableOf[K, T]) As(name string) *TableOf[K, T] {
	t.b.named("As", name)
	t.name = name
	if t.held != nil {
		t.held.Name = name
		name += "-table"
	}
	if t.kept != nil {
		t.kept.Name = name
	}
	return t
}

// Versioned keeps, beside the last row of each key, those that were in force back to history before
// the newest event time of the table, each from its own event time until that of the next. Rows
// that come out of order are put in their place, deletions too; older ones than the history are
// dropped and counted as late [VT1]. JoinTable then takes the row that was in force at the time of
// the stream's record [ST3], and only the newest row of a key by event time is handed on to joins
// of tables, groups and topics [TT3]. What is made of a versioned table, such as by Filter, is a
// table of newest rows, and cannot be versioned itself.
func (t *TableOf[K, T]) Versioned(history time.Duration) *TableOf[K, T] {
	switch {
	case history < time.Millisecond:
		t.b.wrong(place(), "Versioned: a history of %v: give a millisecond or more", history)
		return t
	case t.made:
		t.b.wrong(place(), "Versioned: only a table that was declared with Table or made by ToTable can keep a history")
		return t
	}
	t.keeping().Op.(*topology.Materialize).History = windows.Time(history.Milliseconds())
	return t
}

// WithoutMirror says that no process needs a copy of the table to read it, and why: its rows are
// read by steps and joins only. The engine logs the reason as a warning, and gives no reader
// (engine.ErrNoMirror); broadcast joins with it are refused. The tag nomirror='reason' says the
// same of every table of T. Tables of results are always mirrored, or none of a process's tables
// are (engine.Config.WithoutTables) (TC-1).
func (t *TableOf[K, T]) WithoutMirror(reason string) *TableOf[K, T] {
	switch {
	case t.table == nil:
		t.b.wrong(place(), "WithoutMirror: only a table that was declared with Table is mirrored")
	case strings.TrimSpace(reason) == "":
		t.b.wrong(place(), "WithoutMirror: say why table %q is not to be mirrored", t.table.Topic)
	default:
		t.table.WithoutMirror = strings.TrimSpace(reason)
	}
	return t
}

// Codec is that of a stream.
func (t *TableOf[K, T]) Codec(c codecs.Codec[T]) *TableOf[K, T] {
	if t.source == nil {
		t.format.given = c
	} else {
		t.source.codec = c
	}
	return t
}

// To writes the changes of the table to a compacted topic, deletions as nulls. Values are JSON
// unless Codec says otherwise, keys in ksqlDB's KAFKA format unless WriteKeys does.
func (t *TableOf[K, T]) To(topic string) *SinkOf[T] {
	t.use()
	sink := &SinkOf[T]{b: t.b, codec: codecs.JSON[T](), keys: t.key.Form()}
	sink.node = sinkNode(t.b, topic, true, func() codecs.Codec[T] { return sink.codec })
	t.node.Next = append(t.node.Next, sink.node)
	return sink
}

// ToStream is the stream of the rows that the table comes to have. Deletions are not in it.
func (t *TableOf[K, T]) ToStream() *StreamOf[T] {
	t.use()
	s := &StreamOf[T]{b: t.b, node: t.node, part: t.part, origin: t.origin, form: t.key.Form(), format: same(t.format)}
	if t.source != nil && t.source.model != nil {
		s.keyed = t.source.model
	}
	return s.same(step[T, T](s, "stream", func() func(*topology.Record, []*topology.Record) ([]*topology.Record,
		error) {
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
		return topology.TableOf[K, T]{Err: fmt.Errorf(
			"dsl: table %s is in no topic: write it to one with To, and declare that in the plan that reads it",
			t.node.Name)}
	}
	return topology.TableOf[K, T]{Table: t.table, Key: t.key.Append, Decode: t.source.fill}
}

// StreamRef is the table's topic as the engine's Add and ForEach want it.
func (t *TableOf[K, T]) StreamRef() topology.StreamOf[T] {
	if t.source == nil {
		return topology.StreamOf[T]{Err: fmt.Errorf("dsl: table %s is in no topic: write it to one with To",
			t.node.Name)}
	}
	return t.source.ref()
}
