package aggregates

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/axiomhq/hyperloglog"
	"github.com/cockroachdb/apd/v3"
)

// CountDistinct is the exact number of different values that are not null. It keeps them all, and
// all are written at each commit that changed the row: about 20 bytes in memory and 8 in the log
// for a number, 50 and 2 more than its length for a string. See CountDistinctApprox for many.
// Decimals that are equal are one value, whatever their scale.
func CountDistinct[T any, V Value](g Rows[T], column func(*T) V) int64 {
	r := g.Recorder()
	k := &distincts{kind: kindFor[T, V](r, "CountDistinct")}
	d, _ := keep(r, "CountDistinct", k, layout{kind: k.kind}, columnOf(r, column)).(*distinct)
	if d == nil {
		return 0
	}
	return int64(len(d.numbers) + len(d.texts))
}

// CountDistinctApprox is roughly the number of different values that are not null: a HyperLogLog
// with 2^14 registers, as ksqlDB's COUNT_DISTINCT, so its standard error is 0.8 %, and less for a
// few thousand. It takes up to 16 KB a row, in the log too.
func CountDistinctApprox[T any, V Value](g Rows[T], column func(*T) V) int64 {
	r := g.Recorder()
	k := &approxes{kind: kindFor[T, V](r, "CountDistinctApprox")}
	a, _ := keep(r, "CountDistinctApprox", k, layout{kind: k.kind}, columnOf(r, column)).(*approx)
	if a == nil {
		return 0
	}
	return int64(a.sketch.Estimate())
}

// distincts is CountDistinct.
type distincts struct {
	noUndo
	kind kind
	col  int
}

// distinct is its state. One of the maps is used.
type distinct struct {
	op      *distincts
	numbers map[uint64]struct{}
	texts   map[string]struct{}
	length  int // of all texts
}

func (k *distincts) String() string     { return "countdistinct " + k.kind.String() }
func (k *distincts) columns(cols []int) { k.col = cols[0] }

func (k *distincts) empty() Object {
	if k.kind.variable() {
		return &distinct{op: k, texts: map[string]struct{}{}}
	}
	return &distinct{op: k, numbers: map[uint64]struct{}{}}
}

func (k *distincts) load(b []byte) (Object, error) {
	d := k.empty().(*distinct)
	l, c := layout{kind: k.kind}, cursor{b: b}
	for range c.uvarint() {
		v := l.read(&c)
		if c.bad {
			break
		}
		d.add(v)
	}
	return d, c.done()
}

func (k *distincts) add(o Object, cells []Cell, _ At) { o.(*distinct).add(k.canonical(&cells[k.col])) }

// canonical is the value in c, as a view where it can be; equal decimals become the same text.
func (k *distincts) canonical(c *Cell) datum {
	if k.kind != kindDecimal {
		return k.kind.view(c)
	}
	return datum{text: reduced(c.Decimal)}
}

func reduced(d *apd.Decimal) string {
	var r apd.Decimal
	r.Reduce(d)
	return r.String()
}

func (d *distinct) add(v datum) {
	if d.numbers != nil {
		d.numbers[v.bits] = struct{}{}
		return
	}
	if _, ok := d.texts[v.text]; !ok {
		d.texts[string([]byte(v.text))] = struct{}{}
		d.length += len(v.text)
	}
}

func (k *distincts) merge(dst, src Object) {
	d, s := dst.(*distinct), src.(*distinct)
	maps.Copy(d.numbers, s.numbers)
	for text := range s.texts {
		d.add(datum{text: text})
	}
}

// Append writes the values in their order, so that the same set is the same bytes.
func (d *distinct) Append(dst []byte) []byte {
	n := len(d.numbers) + len(d.texts)
	if n == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	l := layout{kind: d.op.kind}
	for _, bits := range slices.Sorted(maps.Keys(d.numbers)) {
		dst = l.append(dst, datum{bits: bits})
	}
	for _, text := range slices.Sorted(maps.Keys(d.texts)) {
		dst = l.append(dst, datum{text: text})
	}
	return dst
}

func (d *distinct) Bytes() int { return 200 + 20*len(d.numbers) + 40*len(d.texts) + d.length }

// approxes is CountDistinctApprox.
type approxes struct {
	noUndo
	kind kind
	col  int
}

// approx is its state.
type approx struct {
	sketch *hyperloglog.Sketch
	value  []byte // scratch
}

func (k *approxes) String() string     { return "countdistinctapprox " + k.kind.String() }
func (k *approxes) columns(cols []int) { k.col = cols[0] }
func (k *approxes) empty() Object      { return &approx{sketch: hyperloglog.New14()} }

func (k *approxes) load(b []byte) (Object, error) {
	a := &approx{sketch: new(hyperloglog.Sketch)}
	return a, a.sketch.UnmarshalBinary(b)
}

func (k *approxes) add(o Object, cells []Cell, _ At) {
	a, c := o.(*approx), &cells[k.col]
	switch k.kind {
	case kindText:
		a.value = append(a.value[:0], c.Text...)
	case kindDecimal:
		a.value = append(a.value[:0], reduced(c.Decimal)...)
	default:
		a.value = binary.LittleEndian.AppendUint64(a.value[:0], k.kind.datum(c).bits)
	}
	a.sketch.Insert(a.value)
}

func (k *approxes) merge(dst, src Object) {
	// The two have one precision, which is all that can differ.
	if err := dst.(*approx).sketch.Merge(src.(*approx).sketch); err != nil {
		panic("aggregates: merging sketches: " + err.Error())
	}
}

// Append writes the sketch in its library's format, version 2, which pins the hash function.
// Estimate sorts what was inserted since the last time: without it the bytes would depend on the
// order of a map.
func (a *approx) Append(dst []byte) []byte {
	if a.sketch.Estimate() == 0 {
		return dst
	}
	dst, err := a.sketch.AppendBinary(dst)
	if err != nil {
		panic("aggregates: encoding a sketch: " + err.Error()) // of a precision that New14 does not make
	}
	return dst
}

// Bytes takes the length that the sketch is stored at for the memory.
func (a *approx) Bytes() int {
	b, _ := a.sketch.AppendBinary(nil)
	return 256 + len(b)
}
