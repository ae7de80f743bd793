package aggregates

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
)

// histogramKeys is how many keys a Histogram has at most, as in ksqlDB.
const histogramKeys = 1000

// Histogram is how often each of the column's values occurs. It has at most 1000 keys: new ones
// beyond that are ignored, those that it has still count. Null counts under "null", as ksqlDB shows
// it (semantics.md [U18]).
func Histogram[T any, V ~string | *string](g Rows[T], column func(*T) V) map[string]int64 {
	r := g.Recorder()
	c := counted(r, "Histogram", &counters{title: "histogram", limit: histogramKeys, layout: layout{kind: kindText}},
		columnOf(r, column))
	h := make(map[string]int64, len(c))
	for d, n := range c {
		if d.null {
			d.text = "null"
		}
		h[d.text] += *n
	}
	return h
}

// Attr is the column's value if all rows agree on it, null being a value; else nil, or zero if V is
// no pointer (semantics.md [U19]). It counts every value, so that rows can be undone: for columns
// with few.
func Attr[T any, V Value](g Rows[T], column func(*T) V) (v V) {
	r := g.Recorder()
	c := counted(r, "Attr", &counters{title: "attr", layout: layout{kind: kindFor[T, V](r, "Attr")}},
		columnOf(r, column))
	if len(c) == 1 {
		for d := range c {
			return valueOf[V](d)
		}
	}
	return v
}

func counted[T any](r *Recorder[T], title string, k *counters, column input[T]) map[datum]*int64 {
	k.nulls = true
	if c, _ := keep(r, title, k, k.layout, column).(*counter); c != nil {
		return c.counts
	}
	return nil
}

// counters is Histogram and Attr.
type counters struct {
	layout
	col   int
	title string
	limit int // of values; 0 is none
}

// counter is their state. No count is 0.
type counter struct {
	op     *counters
	counts map[datum]*int64
	length int // of all texts
}

func (k *counters) String() string     { return k.title + " " + k.layout.String() }
func (k *counters) columns(cols []int) { k.col = cols[0] }
func (k *counters) canUndo() bool      { return true }
func (k *counters) empty() Object      { return &counter{op: k, counts: map[datum]*int64{}} }

func (k *counters) load(b []byte) (Object, error) {
	o, c := k.empty().(*counter), cursor{b: b}
	for range c.uvarint() {
		d, n := k.read(&c), c.uvarint()
		if c.bad {
			break
		}
		o.count(d, int64(n))
	}
	return o, c.done()
}

func (k *counters) add(o Object, cells []Cell, _ At) {
	c := o.(*counter)
	if n := c.counts[k.kind.view(&cells[k.col])]; n != nil {
		*n++
		return
	}
	c.count(k.kind.datum(&cells[k.col]), 1)
}

// count adds n to a value's count, unless the value is one too many.
func (c *counter) count(d datum, n int64) {
	if had := c.counts[d]; had != nil {
		*had += n
	} else if c.op.limit == 0 || len(c.counts) < c.op.limit {
		c.counts[d] = &n
		c.length += len(d.text)
	}
}

// undo counts one less of a value that is counted. A value beyond the limit is not, and is ignored.
func (k *counters) undo(o Object, cells []Cell) {
	c, d := o.(*counter), k.kind.view(&cells[k.col])
	n := c.counts[d]
	if n == nil {
		return
	}
	if *n--; *n == 0 {
		delete(c.counts, d)
		c.length -= len(d.text)
	}
}

// merge takes the values of src in their order, so that which are beyond the limit does not depend
// on chance.
func (k *counters) merge(dst, src Object) {
	s := src.(*counter)
	for _, d := range s.values() {
		dst.(*counter).count(d, *s.counts[d])
	}
}

// values is the values by their bytes, null first.
func (c *counter) values() []datum {
	return slices.SortedFunc(maps.Keys(c.counts), func(a, b datum) int {
		switch {
		case a.null:
			return -1 // there is one null
		case b.null:
			return 1
		}
		return cmp.Or(cmp.Compare(a.bits, b.bits), cmp.Compare(a.text, b.text))
	})
}

func (c *counter) Append(dst []byte) []byte {
	if len(c.counts) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.counts)))
	for _, d := range c.values() {
		dst = c.op.append(dst, d)
		dst = binary.AppendUvarint(dst, uint64(*c.counts[d]))
	}
	return dst
}

func (c *counter) Bytes() int { return 250 + 96*len(c.counts) + c.length }
