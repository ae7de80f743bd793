package dsl

import (
	"math"
	"reflect"
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// GroupedOf is a stream whose rows are put into groups by a key of type K.
type GroupedOf[K, T any] struct {
	stream        *StreamOf[T]
	appendKey     func(dst []byte, row *T) ([]byte, error) // nil: the group is the key that records have
	codec         entity.KeyCodec[K]
	global        bool
	copartitioned bool
	table         bool             // the stream is changes of a table's groups, from a topology.Regroup
	at            *GroupedOf[K, T] // with the rows of a group in one partition; nil: not needed yet
}

// All is the key of the one group of GroupAll.
type All struct{}

// GroupAll puts all rows into one group. Their topic must have one partition, or they go through
// one that has: Repartition(name, 1).
func GroupAll[T any](s *StreamOf[T]) *GroupedOf[All, T] {
	return &GroupedOf[All, T]{stream: s, global: true}
}

// append appends a key's bytes. That of the global group has none.
func (g *GroupedOf[K, T]) append(dst []byte, key K) ([]byte, error) {
	if g.global {
		return append(dst, []byte{}...), nil
	}
	return g.codec.Append(dst, key)
}

// form says how keys are written; empty where that is as the records' are, which nobody knows.
func (g *GroupedOf[K, T]) form() string {
	if g.global {
		return ""
	}
	return g.codec.Form()
}

func (g *GroupedOf[K, T]) decode(b []byte) (key K, err error) {
	if g.global {
		return key, nil
	}
	return g.codec.Decode(b)
}

// GroupByKey puts rows into groups by the key that their records have, of type K: a string, a
// number, or a struct of such for a composite key, in the format of Kafka's and ksqlDB's
// serializers. Filter, Peek, Map and FlatMap leave the key as it is, whatever they do to the row;
// joins give the join key, and PartitionBy another. Only after PartitionBy do rows go through an
// internal topic.
//
// Rows whose record has no key, or one that is no K, are dropped and counted.
func GroupByKey[K, T any](s *StreamOf[T]) *GroupedOf[K, T] {
	c, err := entity.KeyOf[K]()
	switch {
	case err != nil:
		s.b.wrong(place(), "GroupByKey: key of type %v: %w", reflect.TypeFor[K](), err)
	case s.form != "" && s.form != c.Form():
		s.b.wrong(place(),
			"GroupByKey: keys of type %v are %s, those of the rows are %s: give the type of their keys, or group "+
				"with GroupBy", reflect.TypeFor[K](), c.Form(), s.form)
	}
	return &GroupedOf[K, T]{stream: s, codec: c}
}

// GroupBy puts rows into groups by a key that a function makes of each: as PartitionBy and then
// GroupByKey. As rows of a group may be in any partition, they always go through an internal topic
// that is partitioned by the group's key, with their event times. Where the key is that of the
// topic, or of a join, use GroupByKey or GroupByColumns, which spare the topic.
func GroupBy[T, K any](s *StreamOf[T], key func(*T) K) *GroupedOf[K, T] {
	s.b.given("GroupBy", map[string]any{"key": key})
	c, err := entity.KeyOf[K]()
	if err != nil {
		s.b.wrong(place(), "GroupBy: key of type %v: %w", reflect.TypeFor[K](), err)
	}
	return &GroupedOf[K, T]{stream: s, codec: c,
		appendKey: func(dst []byte, row *T) ([]byte, error) { return c.Append(dst, key(row)) }}
}

// GroupByColumns puts rows into groups by columns of theirs, named as in messages: as
// PartitionByColumns and then GroupByKey. Where the columns are known to be the key of the records,
// rows stay where they are; where they are not, it is as GroupBy.
func GroupByColumns[K, T any](s *StreamOf[T], columns ...string) *GroupedOf[K, T] {
	c, m := keyOfColumns[K, T](s, "GroupByColumns", columns)
	g := &GroupedOf[K, T]{stream: s, codec: c}
	if m != nil && !s.keyedBy(m) {
		g.appendKey = func(dst []byte, row *T) ([]byte, error) { return m.AppendKey(dst, row) }
	}
	return g
}

// AssumeCopartitioned says that all rows of a group are in one partition already, whatever their
// key: nothing goes through an internal topic. A row whose group belongs to another partition
// fails: OnError of the aggregation says what becomes of it.
func (g *GroupedOf[K, T]) AssumeCopartitioned() *GroupedOf[K, T] {
	g.copartitioned = true
	return g
}

// placed is g with the rows of a group in one partition.
func (g *GroupedOf[K, T]) placed() *GroupedOf[K, T] {
	switch {
	case g.global, g.copartitioned:
		return g
	case g.at != nil:
	case g.table:
		g.at = &GroupedOf[K, T]{stream: g.stream.placedChanges(), codec: g.codec, table: true}
	case g.appendKey == nil:
		g.at = &GroupedOf[K, T]{stream: g.stream.placed(), codec: g.codec}
	default:
		moved := g.stream.rekey("group", func(r *topology.Record, dst []byte) ([]byte, error) {
			return g.appendKey(dst,
				r.Value.(*T))
		})
		g.at = &GroupedOf[K, T]{stream: moved.placed(), codec: g.codec}
	}
	return g.at
}

// Group is a group in one window, as a projection sees it: the functions of package aggregates take
// it.
type Group[K, T any] struct {
	ref *groupRef[K, T]
}

type groupRef[K, T any] struct {
	recorder *aggregates.Recorder[T]
	key      K
	window   windows.Window
}

// Key is the group's key.
func (g Group[K, T]) Key() K { return g.ref.key }

// WindowStart is the start of the window, in UTC.
func (g Group[K, T]) WindowStart() time.Time { return g.ref.window.Start.Std() }

// WindowEnd is the end of the window, in UTC: not included, but of sessions and sliding windows;
// the zero Time where it has none.
func (g Group[K, T]) WindowEnd() time.Time {
	if g.ref.window.End == math.MaxInt64 {
		return time.Time{}
	}
	return g.ref.window.End.Std()
}

// Recorder is for package aggregates.
func (g Group[K, T]) Recorder() *aggregates.Recorder[T] { return g.ref.recorder }

// openKey makes what appends a row's group key.
func (g *GroupedOf[K, T]) openKey() func(*topology.Record, []byte) ([]byte, error) {
	switch {
	case g.global:
		return func(_ *topology.Record, dst []byte) ([]byte, error) { return append(dst, []byte{}...), nil }
	case g.appendKey != nil:
		return func(r *topology.Record, dst []byte) ([]byte, error) { return g.appendKey(dst, r.Value.(*T)) }
	case g.table:
		return func(r *topology.Record, dst []byte) ([]byte, error) { return append(dst, r.Group...), nil }
	}
	// A key is read and written: what is no K fails here, where the record's policy decides, and
	// not when the row is emitted; and two ways to write one key are one group.
	return func(r *topology.Record, dst []byte) ([]byte, error) {
		key, err := g.codec.Decode(r.Group)
		if err != nil {
			return dst, err
		}
		return g.codec.Append(dst, key)
	}
}
