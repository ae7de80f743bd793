package aggregates

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// TopK is the k largest of the column's values that are not null, the largest first, in the order
// of Max; k is at least 1 (semantics.md [U14]).
func TopK[T any, V Ordered](g Rows[T], k int, column func(*T) V) []V {
	return ranked[T, V](g, "TopK", &rankings{title: "topk", k: k}, column)
}

// TopKDistinct is the k largest different values of those that are not null, the largest first
// (semantics.md [U15]).
func TopKDistinct[T any, V Ordered](g Rows[T], k int, column func(*T) V) []V {
	return ranked[T, V](g, "TopKDistinct", &rankings{title: "topkdistinct", k: k, distinct: true}, column)
}

// Ranked is a value of one column with that of another in the same row.
type Ranked[V, W any] struct {
	By    V
	Value W
}

// TopKBy is the k rows with the largest values of by that are not null, the largest first, of equal
// ones the row processed first: TOPK with an extra column in ksqlDB. Each is given by its value of
// by and its value of column, which may be null.
func TopKBy[T any, V Ordered, W Value](g Rows[T], k int, by func(*T) V, column func(*T) W) []Ranked[V, W] {
	r := g.Recorder()
	op := &rankings{title: "topkby", k: k, extra: &layout{kind: kindFor[T, W](r, "TopKBy"), nulls: true}}
	op.seq = r.program.needs.Merge
	items := rank[T, V](r, "TopKBy", op, columnOf(r, by), columnOf(r, column))
	list := make([]Ranked[V, W], len(items))
	for i, it := range items {
		list[i] = Ranked[V, W]{By: valueOf[V](it.datum), Value: valueOf[W](it.extra)}
	}
	return list
}

func ranked[T, V any](g Rows[T], name string, k *rankings, column func(*T) V) []V {
	r := g.Recorder()
	items := rank[T, V](r, name, k, columnOf(r, column))
	list := make([]V, len(items))
	for i, it := range items {
		list[i] = valueOf[V](it.datum)
	}
	return list
}

func rank[T, V any](r *Recorder[T], name string, k *rankings, columns ...input[T]) []rankedItem {
	if k.k < 1 {
		r.fail("%s: %d values, want at least 1", name, k.k)
	}
	k.kind = kindFor[T, V](r, name)
	if o, _ := keep(r, name, k, k.layout, columns...).(*ranking); o != nil {
		return o.items
	}
	return nil
}

// rankings is the accumulators that keep the largest values.
type rankings struct {
	layout
	noUndo
	cols     []int
	title    string
	k        int
	distinct bool
	extra    *layout // of the second column, if there is one
}

// ranking is their state, the largest first.
type ranking struct {
	op    *rankings
	items []rankedItem
}

type rankedItem struct {
	item
	extra datum
}

func (k *rankings) String() string {
	s := fmt.Sprintf("%s(%d) %v", k.title, k.k, k.layout)
	if k.extra != nil {
		s += " " + k.extra.String()
	}
	return s
}

func (k *rankings) columns(cols []int) { k.cols = cols }
func (k *rankings) empty() Object      { return &ranking{op: k} }

func (k *rankings) load(b []byte) (Object, error) {
	o, c := &ranking{op: k}, cursor{b: b}
	for range c.uvarint() {
		it := rankedItem{item: item{datum: k.read(&c)}}
		if k.seq {
			it.seq = c.varint()
		}
		if k.extra != nil {
			it.extra = k.extra.read(&c)
		}
		if c.bad {
			break
		}
		o.items = append(o.items, it)
	}
	return o, c.done()
}

func (k *rankings) add(o Object, cells []Cell, at At) {
	r, c := o.(*ranking), &cells[k.cols[0]]
	place, ok := r.place(item{k.kind.view(c), at.Seq})
	if !ok {
		return
	}
	it := rankedItem{item: item{k.kind.datum(c), at.Seq}}
	if k.extra != nil {
		it.extra = k.extra.kind.datum(&cells[k.cols[1]])
	}
	r.insert(place, it)
}

// place is where it belongs; false: nowhere, as it is too small or there already.
func (r *ranking) place(it item) (int, bool) {
	k := r.op
	if n := len(r.items); n == k.k && k.order(it, r.items[n-1].item) >= 0 {
		return 0, false
	}
	place, found := slices.BinarySearchFunc(r.items, it, func(in rankedItem, it item) int {
		if order := k.order(in.item, it); order != 0 || k.distinct {
			return order
		}
		return -1 // behind all that are equal
	})
	return place, !found
}

// order sorts the larger value first, and of equal ones the one processed first, as far as that is
// known.
func (k *rankings) order(a, b item) int {
	if order := k.kind.compare(b.datum, a.datum); order != 0 || k.distinct {
		return order
	}
	if !k.seq {
		return 0
	}
	return bySeq(a, b)
}

func (r *ranking) insert(place int, it rankedItem) {
	if len(r.items) == r.op.k {
		r.items = r.items[:len(r.items)-1]
	}
	r.items = slices.Insert(r.items, place, it)
}

func (k *rankings) merge(dst, src Object) {
	d := dst.(*ranking)
	for _, it := range src.(*ranking).items {
		if place, ok := d.place(it.item); ok {
			d.insert(place, it)
		}
	}
}

// Append writes a count, then each value, with its sequence number and its extra column where there
// are.
func (r *ranking) Append(dst []byte) []byte {
	if len(r.items) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.items)))
	for _, it := range r.items {
		dst = r.op.append(dst, it.datum)
		if r.op.seq {
			dst = binary.AppendVarint(dst, it.seq)
		}
		if r.op.extra != nil {
			dst = r.op.extra.append(dst, it.extra)
		}
	}
	return dst
}

func (r *ranking) Bytes() int {
	n := 56 + (itemBytes+32)*cap(r.items)
	for i := range r.items {
		n += len(r.items[i].text) + len(r.items[i].extra.text)
	}
	return n
}
