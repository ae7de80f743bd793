package aggregates

import (
	"fmt"
	"slices"
)

// CollectSet is the column's different values in the order in which they were first seen, a null
// among them if there was one, up to limit; new ones after that are ignored. A limit of Unlimited
// is none (semantics.md [U17]). The whole set is written at each commit that changed it.
func CollectSet[T any, V Value](g Rows[T], limit int, column func(*T) V) []V {
	r := g.Recorder()
	if limit < 1 && limit != Unlimited {
		r.fail("CollectSet: limit of %d, want at least 1", limit)
	}
	k := &sets{limit: limit, layout: layout{kind: kindFor[T, V](r, "CollectSet"), nulls: true,
		seq: r.program.needs.Merge}}
	s, _ := keep(r, "CollectSet", k, k.layout, columnOf(r, column)).(*set)
	if s == nil {
		return []V{}
	}
	return values[V](s.items)
}

// sets is CollectSet.
type sets struct {
	layout
	noUndo
	col   int
	limit int
}

// set is its state: the values by first appearance, and where each is once there are too many to
// look through.
type set struct {
	op    *sets
	items []item
	index map[datum]int
}

// indexFrom is the number of values from which on a map finds them faster.
const indexFrom = 16

func (k *sets) String() string {
	if k.limit == Unlimited {
		return "collectset " + k.layout.String()
	}
	return fmt.Sprintf("collectset(%d) %v", k.limit, k.layout)
}

func (k *sets) columns(cols []int) { k.col = cols[0] }
func (k *sets) empty() Object      { return &set{op: k} }

func (k *sets) load(b []byte) (Object, error) {
	c := cursor{b: b}
	return &set{op: k, items: k.readItems(&c)}, c.done()
}

func (k *sets) add(o Object, cells []Cell, at At) {
	s := o.(*set)
	if k.limit != Unlimited && len(s.items) >= k.limit {
		return
	}
	// Looked up before a text is copied: most values are there already.
	if d := k.kind.view(&cells[k.col]); s.find(d) < 0 {
		s.append(item{k.kind.datum(&cells[k.col]), at.Seq})
	}
}

// view is datum without a copy of the text: good while the cell is.
func (k kind) view(c *Cell) datum {
	if k == kindText && !c.Null {
		return datum{text: c.Text}
	}
	return k.datum(c)
}

func (k *sets) merge(dst, src Object) {
	d, s := dst.(*set), src.(*set)
	for _, it := range s.items {
		if i := d.find(it.datum); i >= 0 {
			d.items[i].seq = min(d.items[i].seq, it.seq)
		} else {
			d.append(it)
		}
	}
	sortBySeq(d.items)
	if k.limit != Unlimited && len(d.items) > k.limit {
		d.items = slices.Delete(d.items, k.limit, len(d.items))
	}
	d.index = nil
}

// find is the place of v, or -1.
func (s *set) find(v datum) int {
	if len(s.items) < indexFrom {
		return slices.IndexFunc(s.items, func(it item) bool { return it.datum == v })
	}
	if s.index == nil {
		s.index = make(map[datum]int, len(s.items))
		for i, it := range s.items {
			s.index[it.datum] = i
		}
	}
	if i, ok := s.index[v]; ok {
		return i
	}
	return -1
}

func (s *set) append(it item) {
	if s.index != nil {
		s.index[it.datum] = len(s.items)
	}
	s.items = append(s.items, it)
}

func (s *set) Append(dst []byte) []byte { return s.op.appendItems(dst, s.items) }
func (s *set) Bytes() int               { return 40 + bytesOf(s.items) + 64*len(s.index) }
