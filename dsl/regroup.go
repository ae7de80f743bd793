package dsl

import (
	"encoding/binary"
	"fmt"
	"reflect"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// GroupTable puts the rows that a table has into groups, to be aggregated with windows.Unbounded():
// the result is always that of the rows that are in the table now. A row that is replaced or
// deleted is taken out of its group, and a row that changes its group is taken out of the old one
// first ([A1], [A2]); so all aggregates must have undo. A group of which all rows are gone keeps
// its row, as of no records: Having leaves it out.
//
// Changes go through an internal topic that is partitioned by the group's key; AssumeCopartitioned
// spares that where the program knows that a row and its group are in one partition. key must give
// the same for the same row; a row for which it fails is in no group, and is counted. Filter leaves
// out rows that belong to no group.
func GroupTable[K, T, G any](t *TableOf[K, T], key func(*T) G) *GroupedOf[G, T] {
	t.b.given("GroupTable", map[string]any{"key": key})
	c, err := entity.KeyOf[G]()
	if err != nil {
		t.b.wrong(place(), "GroupTable: key of type %v: %w", reflect.TypeFor[G](), err)
	}
	t.use()
	n := &topology.Node{Name: t.b.unique(t.node.Name + "-regroup"), Place: place(),
		Op: &topology.Regroup{Row: typeName[T](),
			OpenKey: func() func(any, []byte) ([]byte, error) {
				return func(row any, dst []byte) ([]byte, error) { return c.Append(dst, key(row.(*T))) }
			}}}
	t.node.Next = append(t.node.Next, n)
	return &GroupedOf[G, T]{stream: &StreamOf[T]{b: t.b, node: n, part: t.part, origin: t.origin, moved: &moved[T]{},
		format: same(t.format)}, codec: c, table: true}
}

// placedChanges is the changes of groups with those of one group in one partition.
func (s *StreamOf[T]) placedChanges() *StreamOf[T] {
	if s.moved.to != nil {
		return s.moved.to
	}
	topic := s.b.internal(s.b.unique(s.origin+"-regroup"), 0)
	sink, source := &topology.Sink{Topic: topic, Internal: true, Row: typeName[T]()}, &topology.Source{Internal: true,
		Topic: topic, Row: typeName[T]()}
	s.format.passChanges(s.b, sink, source)
	s.node.Next = append(s.node.Next, &topology.Node{Name: s.b.unique("to-" + topic), Place: place(), Op: sink})
	node := &topology.Node{Name: s.b.unique(topic), Place: place(), Op: source}
	s.moved.to = &StreamOf[T]{b: s.b, node: node, part: s.b.root(node, true), origin: s.origin, format: same(s.format)}
	return s.moved.to
}

// changeEncoder encodes both rows of a change: the length of the old one and 1 as uvarint, or 0 if
// there is none, and its bytes; then 1 and the new one's bytes to the end, or 0 if there is none.
// Both have their form before them.
func changeEncoder(rows *topology.Rows) func(*topology.Record, []byte) ([]byte, error) {
	encode, _ := rows.OpenWire()
	var old []byte
	return func(r *topology.Record, dst []byte) (_ []byte, err error) {
		if r.Old == nil {
			dst = append(dst, 0)
		} else {
			if old, err = encode(r.Old, old[:0]); err != nil {
				return dst, err
			}
			dst = append(binary.AppendUvarint(dst, uint64(len(old))+1), old...)
		}
		if r.Value == nil {
			return append(dst, 0), nil
		}
		return encode(r.Value, append(dst, 1))
	}
}

func changeDecoder(rows *topology.Rows) func(*topology.Record, []byte, []byte) error {
	_, old := rows.OpenWire()
	_, row := rows.OpenWire()
	return func(r *topology.Record, _, b []byte) (err error) {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) { // one more byte follows the old row, so n itself must fit
			return fmt.Errorf("dsl: change of a table of %d bytes is cut", len(b))
		}
		b = b[w:]
		if n > 0 {
			if r.Old, err = old(b[:n-1]); err != nil {
				return err
			}
			b = b[n-1:]
		}
		switch {
		case len(b) > 0 && b[0] == 1:
			r.Value, err = row(b[1:])
			return err
		case len(b) == 1 && b[0] == 0:
			return nil
		}
		return fmt.Errorf("dsl: change of a table without its new row")
	}
}

// checkTable notes what an aggregation over a table cannot be.
func checkTable(b *Builder, agg *topology.Aggregate) {
	for _, k := range agg.Windows.Kinds() {
		if k.Form() != windows.FormUnbounded {
			b.wrong(place(),
				"Aggregate: windows %s over a table: its rows are in no window: group with windows.Unbounded() and "+
					"read Changes", k)
		}
	}
	if err := agg.Program.CheckUndo(); err != nil {
		b.wrong(place(), "Aggregate: %w", err)
	}
}
