package dsl

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Span is how far apart in event time two rows may be that are joined. See Within and Back.
type Span struct{ before, after, grace time.Duration }

// Within is a span in which a left row at t is joined with right rows from t-before to t+after,
// both inclusive. Both are whole milliseconds, 0 or more. Grace is 3 s unless Grace says otherwise.
func Within(before, after time.Duration) Span { return Span{before, after, windows.DefaultGrace} }

// Back is Within(before, 0): right rows at or before the left one. An as-of join takes only the
// last of them.
func Back(before time.Duration) Span { return Within(before, 0) }

// Grace is s with another grace: how much older than the newest row another may be when it comes,
// and still be joined with all that it matches. Whole milliseconds, 0 or more.
func (s Span) Grace(d time.Duration) Span {
	s.grace = d
	return s
}

// validate returns what is wrong with s.
func (s Span) validate(asOf bool) error {
	for _, d := range []time.Duration{s.before, s.after, s.grace} {
		if d < 0 || d%time.Millisecond != 0 {
			return fmt.Errorf("before %v, after %v, grace %v: whole milliseconds, 0 or more", s.before, s.after,
				s.grace)
		}
	}
	if asOf && s.after != 0 {
		return fmt.Errorf("after %v: an as-of join takes right rows at or before the left one: use Back", s.after)
	}
	return nil
}

// Join joins the rows of two streams that have the same key and event times within span: join is
// called once for each pair, as soon as the second row of it comes (semantics.md, Joins of
// streams). The result has the join key as its key and the later event time of both; f makes its
// rows, which are dropped and counted where it fails. Rows without a key are dropped and counted.
//
// Rows of both streams go through internal topics where their key is not that of their topic any
// more (see PartitionBy). A stream may be joined with itself. The result can be grouped by the join
// key where it is: GroupByKey.
//
// State is kept under the name of the join, that of both topics with -join unless As says
// otherwise.
func Join[L, R, O any](left *StreamOf[L], right *StreamOf[R], span Span, f func(*L, *R) (O, error)) *StreamOf[O] {
	return joinStreams("Join", left, right, span, topology.StreamJoin{}, f)
}

// LeftJoin is Join where a left row that nothing has matched goes out alone, once, when its span
// and grace are over: f then gets a nil right row, and the result has the left row's event time. A
// left row without a key goes out alone at once.
func LeftJoin[L, R, O any](left *StreamOf[L], right *StreamOf[R], span Span, f func(*L, *R) (O, error)) *StreamOf[O] {
	return joinStreams("LeftJoin", left, right, span, topology.StreamJoin{Keep: [2]bool{true, false}}, f)
}

// RightJoin is LeftJoin with the sides exchanged: f gets a nil left row for a right row that
// nothing has matched.
func RightJoin[L, R, O any](left *StreamOf[L], right *StreamOf[R], span Span, f func(*L, *R) (O, error)) *StreamOf[O] {
	return joinStreams("RightJoin", left, right, span, topology.StreamJoin{Keep: [2]bool{false, true}}, f)
}

// OuterJoin is LeftJoin and RightJoin in one: rows of either side go out alone where nothing has
// matched them.
func OuterJoin[L, R, O any](left *StreamOf[L], right *StreamOf[R], span Span, f func(*L, *R) (O, error)) *StreamOf[O] {
	return joinStreams("OuterJoin", left, right, span, topology.StreamJoin{Keep: [2]bool{true, true}}, f)
}

// AsOf joins each left row with the right row that was in force at its time: the last one of its
// key at or before it, if that is in span; of several at one time the one that came last. A trade
// with the quote that it met:
//
//	dsl.AsOf(trades, quotes, dsl.Back(5*time.Second).Grace(time.Second), fill)
//
// Each left row goes out once, when stream time has come to its own and grace, and not at all if
// there is no such right row. With grace 0 that is at once; right rows that come later than a left
// one of their time or a newer one are then too late for it. At one event time right rows go first.
// The result has the left row's event time and key.
func AsOf[L, R, O any](left *StreamOf[L], right *StreamOf[R], span Span, f func(*L, *R) (O, error)) *StreamOf[O] {
	return joinStreams("AsOf", left, right, span, topology.StreamJoin{AsOf: true}, f)
}

// LeftAsOf is AsOf where a left row without a right one goes out too: f then gets a nil right row.
func LeftAsOf[L, R, O any](left *StreamOf[L], right *StreamOf[R], span Span, f func(*L, *R) (O, error)) *StreamOf[O] {
	return joinStreams("LeftAsOf", left, right, span, topology.StreamJoin{AsOf: true, Keep: [2]bool{true, false}}, f)
}

// As names the join that makes the stream. Its state is kept under the name: a plan that is changed
// keeps state only where names stay. What is made of the stream further on is named after it too,
// so As comes first. Without it two joins of the same topics have one name, which is a mistake.
func (s *StreamOf[T]) As(name string) *StreamOf[T] {
	if _, ok := s.node.Op.(*topology.StreamJoin); !ok {
		s.b.wrong(place(), "As: only the result of a join has state to be named")
		return s
	}
	s.b.named("As", name)
	s.node.Name, s.origin = name, name
	return s
}

// joinStreams adds a join; op says which.
func joinStreams[L, R, O any](what string, left *StreamOf[L], right *StreamOf[R], span Span, op topology.StreamJoin,
	f func(*L, *R) (O, error)) *StreamOf[O] {
	b, at := left.b, place()
	b.alone(what, right.b)
	b.given(what, map[string]any{"f": f})
	if err := span.validate(op.AsOf); err != nil {
		b.wrong(at, "%s: %w", what, err)
	}
	b.sameKeys(what, left.form, right.form)
	left, right = left.placed(), right.placed()
	op.Row, op.Open = typeName[O](), openJoin(f)
	op.Before, op.After, op.Grace = windows.Time(span.before.Milliseconds()), windows.Time(span.after.Milliseconds()),
		windows.Time(span.grace.Milliseconds())
	origin := left.origin + "-" + right.origin
	n := &topology.Node{Name: origin + "-join", Place: at, Op: &op}
	left.format.keepIn(b, n.Name, &op.Sides[0])
	right.format.keepIn(b, n.Name, &op.Sides[1])
	if op.AsOf && left.part.whole() != right.part.whole() {
		b.first(right.part)
	}
	b.feed(left.node, n, 0)
	b.feed(right.node, n, 1)
	unite(left.part, right.part)
	return &StreamOf[O]{b: b, node: n, part: left.part, origin: origin, form: cmp.Or(left.form, right.form),
		format: madeRows[O]()}
}

// sameKeys notes that keys of two sides could never be equal. A side that is not known may be
// anything.
func (b *Builder) sameKeys(what, left, right string) {
	if left != "" && right != "" && left != right {
		b.wrong(place(),
			"%s: keys of the left side are %s, those of the right %s: rows would never match; give one side the key "+
				"of the other with PartitionBy", what, left, right)
	}
}

// first lets the sources of a part go before others at one event time.
func (b *Builder) first(p *part) {
	for _, s := range b.sources {
		if source := s.node.Op.(*topology.Source); s.part.whole() == p.whole() {
			source.First = true
		}
	}
}
