package dsl

import (
	"fmt"

	"github.com/ashi-stream/ashi/topology"
)

// step adds a stateless step below s. open makes the step for one task.
func step[T, U any](s *StreamOf[T], kind string, open func() func(*topology.Record,
	[]*topology.Record) ([]*topology.Record, error)) *StreamOf[U] {
	n := &topology.Node{Name: s.b.unique(s.node.Name + "-" + kind), Place: place(), Op: &topology.Step{Kind: kind,
		Row: typeName[U](), Open: open}}
	s.node.Next = append(s.node.Next, n)
	below := &StreamOf[U]{b: s.b, node: n, part: s.part, origin: s.origin, form: s.form, format: madeRows[U]()}
	if s.moved != nil {
		below.moved = &moved[U]{}
	}
	return below
}

// same is below, of which the rows are some of s.
func (s *StreamOf[T]) same(below *StreamOf[T]) *StreamOf[T] {
	below.keyed, below.format = s.keyed, same(s.format)
	return below
}

// Filter keeps the rows for which keep is true. A row for which it fails is dropped and counted.
// Rows that are not kept do not advance the stream time of windows below (semantics.md [T3]).
func (s *StreamOf[T]) Filter(keep func(*T) (bool, error)) *StreamOf[T] {
	s.b.given("Filter", map[string]any{"keep": keep})
	return s.same(step[T, T](s, "filter", func() func(*topology.Record, []*topology.Record) ([]*topology.Record,
		error) {
		return func(r *topology.Record, out []*topology.Record) ([]*topology.Record, error) {
			ok, err := keep(r.Value.(*T))
			if ok && err == nil {
				out = append(out, r)
			}
			return out, err
		}
	}))
}

// Peek calls see with each row and hands it on. A row for which it fails is dropped and counted.
func (s *StreamOf[T]) Peek(see func(*T) error) *StreamOf[T] {
	s.b.given("Peek", map[string]any{"see": see})
	return s.same(step[T, T](s, "peek", func() func(*topology.Record, []*topology.Record) ([]*topology.Record, error) {
		return func(r *topology.Record, out []*topology.Record) ([]*topology.Record, error) {
			return append(out, r), see(r.Value.(*T))
		}
	}))
}

// Split divides the stream: each row goes to the branch of the first condition that holds for it,
// and where none holds to the last branch, of which there is one more than conditions. A row for
// which a condition fails is dropped and counted.
func (s *StreamOf[T]) Split(conditions ...func(*T) (bool, error)) []*StreamOf[T] {
	for i, holds := range conditions {
		s.b.given("Split", map[string]any{fmt.Sprintf("condition %d", i+1): holds})
	}
	which := func(r *topology.Record) (int, error) {
		for i, holds := range conditions {
			if ok, err := holds(r.Value.(*T)); ok || err != nil {
				return i, err
			}
		}
		return len(conditions), nil
	}
	n := &topology.Node{Name: s.b.unique(s.node.Name + "-split"), Place: place(),
		Op: &topology.Split{Row: typeName[T](), Open: func() func(*topology.Record) (int, error) { return which }}}
	s.node.Next = append(s.node.Next, n)
	split := *s
	split.node = n
	branches := make([]*StreamOf[T], len(conditions)+1)
	for i := range branches {
		branches[i] = (&split).same(step[T, T](&split, "branch", func() func(*topology.Record,
			[]*topology.Record) ([]*topology.Record, error) {
			return func(r *topology.Record, out []*topology.Record) ([]*topology.Record, error) {
				return append(out, r), nil
			}
		}))
	}
	return branches
}

// Map turns each row into one of another type; key and event time stay. A row for which f fails is
// dropped and counted.
func Map[T, U any](s *StreamOf[T], f func(*T) (U, error)) *StreamOf[U] {
	s.b.given("Map", map[string]any{"f": f})
	return step[T, U](s, "map", func() func(*topology.Record, []*topology.Record) ([]*topology.Record, error) {
		var row U
		var mapped topology.Record
		return func(r *topology.Record, out []*topology.Record) (_ []*topology.Record, err error) {
			if row, err = f(r.Value.(*T)); err != nil {
				return out, err
			}
			mapped = *r
			mapped.Value = &row
			return append(out, &mapped), nil
		}
	})
}

// FlatMap turns each row into any number of rows of another type, handed on in their order; key and
// event time stay. If f fails none of them is handed on, and the row is dropped and counted.
func FlatMap[T, U any](s *StreamOf[T], f func(*T) ([]U, error)) *StreamOf[U] {
	s.b.given("FlatMap", map[string]any{"f": f})
	return step[T, U](s, "flatmap", func() func(*topology.Record, []*topology.Record) ([]*topology.Record, error) {
		var flat []topology.Record
		return func(r *topology.Record, out []*topology.Record) ([]*topology.Record, error) {
			rows, err := f(r.Value.(*T))
			if err != nil {
				return out, err
			}
			flat = append(flat[:0], make([]topology.Record, len(rows))...)
			for i := range rows {
				flat[i] = *r
				flat[i].Value = &rows[i]
				out = append(out, &flat[i])
			}
			return out, nil
		}
	})
}
