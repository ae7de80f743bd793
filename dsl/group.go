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
	stream  *StreamOf[T]
	key     func(*T) K // nil: the key that records have
	codec   entity.KeyCodec[K]
	global  bool
	inPlace bool
	table   bool // the stream is changes of a table's groups, from a topology.Regroup
}

// All is the key of the one group of GroupAll.
type All struct{}

// GroupAll puts all rows into one group. Their topic must have one partition, or they go through one that has: Repartition(name, 1).
func GroupAll[T any](s *StreamOf[T]) *GroupedOf[All, T] {
	return &GroupedOf[All, T]{stream: s, key: func(*T) All { return All{} }, global: true}
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

// GroupBy puts rows into groups. K is a string, a number, or a struct of such for a composite key; the group's key is written
// as Kafka's and ksqlDB's serializers write it.
//
// All rows of a group must be in one partition. Where the group's key is the key of the topic they are ([G3]); where it is
// not, or is not known to be, rows go through an internal topic that is partitioned by it: see PartitionBy. InPlace spares that
// where the program knows better. Rows without a Kafka key are dropped and counted, unless they go through such a topic.
func GroupBy[T, K any](s *StreamOf[T], key func(*T) K) *GroupedOf[K, T] {
	c, err := entity.KeyOf[K]()
	if err != nil {
		s.b.wrong(place(), "GroupBy: key of type %v: %w", reflect.TypeFor[K](), err)
	}
	return &GroupedOf[K, T]{stream: s, key: key, codec: c}
}

// InPlace says that all rows of a group are in one partition already, whatever the key of the topic: nothing goes through an internal
// topic. A row whose group belongs to another partition ends the task with an error that says so.
func (g *GroupedOf[K, T]) InPlace() *GroupedOf[K, T] {
	g.inPlace = true
	return g
}

// placed is g with the rows of a group in one partition.
func (g *GroupedOf[K, T]) placed() *GroupedOf[K, T] {
	key := func(row *T) ([]byte, error) { return g.codec.Append(nil, g.key(row)) }
	switch s := g.stream; {
	case g.global, g.inPlace:
		return g
	case g.table:
		return &GroupedOf[K, T]{stream: s.placedChanges(), codec: g.codec, table: true}
	case s.hasKey(key):
		return &GroupedOf[K, T]{stream: s.placed(), key: g.key, codec: g.codec}
	}
	moved := g.stream.rekey("group", func(r *topology.Record, dst []byte) ([]byte, error) { return g.codec.Append(dst, g.key(r.Value.(*T))) })
	return &GroupedOf[K, T]{stream: moved.placed(), codec: g.codec}
}

// Group is a group in one window, as a projection sees it: the functions of package aggregates take it.
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

// WindowEnd is the end of the window, in UTC: not included, but of sessions and sliding windows; the zero Time where it has none.
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
	if g.key == nil {
		return func(r *topology.Record, dst []byte) ([]byte, error) { return append(dst, r.Group...), nil }
	}
	return func(r *topology.Record, dst []byte) ([]byte, error) {
		return g.append(dst, g.key(r.Value.(*T)))
	}
}
