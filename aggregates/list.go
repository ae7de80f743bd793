package aggregates

import (
	"fmt"
	"slices"
)

// EarliestByOffsetN is the column's first n values that are not null, in the order of processing;
// empty where there are none. n is at least 1 (semantics.md [U35]).
func EarliestByOffsetN[T any, V Value](g Rows[T], n int, column func(*T) V) []V {
	return listed[T, V, V](g, "EarliestByOffsetN", &lists{title: "earliest", n: n}, column)
}

// LatestByOffsetN is the column's last n values that are not null, in the order of processing, the
// oldest of them first; empty where there are none. n is at least 1 (semantics.md [U32]; merged
// states keep the last n, where ksqlDB keeps the first [U33]).
func LatestByOffsetN[T any, V Value](g Rows[T], n int, column func(*T) V) []V {
	return listed[T, V, V](g, "LatestByOffsetN", &lists{title: "latest", n: n, last: true}, column)
}

// EarliestByOffsetNWithNulls is the column's values in the n rows that were processed first, nil
// for null.
func EarliestByOffsetNWithNulls[T any, V Scalar](g Rows[T], n int, column func(*T) *V) []*V {
	return listed[T, *V, *V](g, "EarliestByOffsetNWithNulls", &lists{title: "earliest", n: n,
		layout: layout{nulls: true}}, column)
}

// LatestByOffsetNWithNulls is the column's values in the n rows that were processed last, the
// oldest first, nil for null.
func LatestByOffsetNWithNulls[T any, V Scalar](g Rows[T], n int, column func(*T) *V) []*V {
	return listed[T, *V, *V](g, "LatestByOffsetNWithNulls", &lists{title: "latest", n: n, last: true,
		layout: layout{nulls: true}}, column)
}

// CollectList is all of the column's values in the order of processing, nulls too, up to limit;
// what comes after is ignored. A limit of Unlimited is none: then nothing bounds the row but its
// window. Undo takes out the last equal value, if there is one (semantics.md [U16]). The whole list
// is written at each commit that changed it.
func CollectList[T any, V Value](g Rows[T], limit int, column func(*T) V) []V {
	return listed[T, V, V](g, "CollectList", &lists{title: "collectlist", n: limit, undoes: true,
		layout: layout{nulls: true}}, column)
}

// Unlimited is no limit, for CollectList and CollectSet.
const Unlimited = -1

func listed[T, C, V any](g Rows[T], name string, k *lists, column func(*T) C) []V {
	r := g.Recorder()
	if k.n < 1 && !(k.undoes && k.n == Unlimited) {
		r.fail("%s: %d values, want at least 1", name, k.n)
	}
	k.kind, k.seq = kindFor[T, C](r, name), r.program.needs.Merge
	o := keep(r, name, k, k.layout, columnOf(r, column))
	l, _ := o.(*list) // o is nil while the calls are recorded: there is no state yet
	if l == nil {
		return []V{}
	}
	return values[V](l.items[l.op.from(l):])
}

// lists is the accumulators that keep values in their order.
type lists struct {
	layout
	col    int
	title  string
	n      int // Unlimited: all
	last   bool
	undoes bool
}

// list is their state, by ascending sequence number. If the last n are wanted there may be up to n
// more, which come first: they are cut off all at once.
type list struct {
	op    *lists
	items []item
}

func (k *lists) String() string {
	if k.n == Unlimited {
		return k.title + " " + k.layout.String()
	}
	return fmt.Sprintf("%s(%d) %v", k.title, k.n, k.layout)
}

func (k *lists) columns(cols []int) { k.col = cols[0] }
func (k *lists) canUndo() bool      { return k.undoes }
func (k *lists) empty() Object      { return &list{op: k} }

func (k *lists) load(b []byte) (Object, error) {
	c := cursor{b: b}
	return &list{op: k, items: k.readItems(&c)}, c.done()
}

func (k *lists) add(o Object, cells []Cell, at At) {
	l := o.(*list)
	if !k.last && k.n != Unlimited && len(l.items) >= k.n {
		return
	}
	if k.last && len(l.items) >= 2*k.n {
		k.cut(l)
	}
	l.items = append(l.items, item{k.kind.datum(&cells[k.col]), at.Seq})
}

// from is the place of the first item that counts.
func (k *lists) from(l *list) int {
	if k.last {
		return max(0, len(l.items)-k.n)
	}
	return 0
}

// cut drops what is more than n.
func (k *lists) cut(l *list) {
	switch {
	case k.last:
		from := k.from(l)
		l.items = l.items[:copy(l.items, l.items[from:])]
	case k.n != Unlimited && len(l.items) > k.n:
		l.items = l.items[:k.n]
	}
	clear(l.items[len(l.items):cap(l.items)]) // let go of texts
}

func (k *lists) merge(dst, src Object) {
	d, s := dst.(*list), src.(*list)
	d.items = append(d.items[k.from(d):], s.items[k.from(s):]...)
	sortBySeq(d.items)
	k.cut(d)
}

// sortBySeq costs little where later states are merged into earlier ones.
func sortBySeq(items []item) {
	if !slices.IsSortedFunc(items, bySeq) {
		slices.SortStableFunc(items, bySeq)
	}
}

func bySeq(a, b item) int {
	switch {
	case a.seq < b.seq:
		return -1
	case a.seq > b.seq:
		return 1
	}
	return 0
}

func (k *lists) undo(o Object, cells []Cell) {
	l, d := o.(*list), k.kind.datum(&cells[k.col])
	for i := len(l.items) - 1; i >= 0; i-- {
		if l.items[i].datum == d {
			l.items = slices.Delete(l.items, i, i+1)
			return
		}
	}
}

func (l *list) Append(dst []byte) []byte { return l.op.appendItems(dst, l.items[l.op.from(l):]) }
func (l *list) Bytes() int               { return 32 + bytesOf(l.items) }
