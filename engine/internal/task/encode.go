package task

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/ashi-stream/ashi/topology"
)

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendNumbers appends a count, then name and 8 bytes big-endian for each, in the order of names.
func appendNumbers[N ~int64](dst []byte, m map[string]N) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		dst = appendString(dst, name)
		dst = binary.BigEndian.AppendUint64(dst, uint64(m[name]))
	}
	return dst
}

// appendRange appends both as uvarints.
func appendRange(dst []byte, n topology.Numbers) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(n.First)), uint64(n.Count))
}

// decoder reads from b; once bad is set all that it returns is zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) uvarint() uint64 {
	n, w := binary.Uvarint(d.b)
	if d.take(uint64(max(w, 0))); w <= 0 {
		d.bad = true
		return 0
	}
	return n
}

// int64 reads 8 bytes big-endian.
func (d *decoder) int64() int64 {
	b := d.take(8)
	if d.bad {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

func (d *decoder) string() string { return string(d.take(d.uvarint())) }

func (d *decoder) uint16() uint16 {
	n := d.uvarint()
	d.bad = d.bad || n > math.MaxUint16
	return uint16(n)
}

// numbers reads what appendRange wrote: their end is no more than topNumber.
func (d *decoder) numbers() topology.Numbers {
	n := topology.Numbers{First: d.uint16(), Count: d.uint16()}
	d.bad = d.bad || int(n.First)+int(n.Count) > topNumber
	return n
}

func numbers[N ~int64](d *decoder) map[string]N {
	m := map[string]N{}
	for range d.uvarint() {
		name := d.string()
		n := d.take(8)
		if d.bad {
			return nil
		}
		m[name] = N(binary.BigEndian.Uint64(n))
	}
	return m
}

// appendOperator appends name, kind, layout, the parts of the meaning (name, text, 1 for a list),
// the forms of each kind of rows, and the numbers.
func appendOperator(dst []byte, o *topology.Operator) []byte {
	dst = appendString(appendString(dst, o.Name), o.Kind)
	dst = binary.AppendUvarint(dst, uint64(o.Layout))
	dst = binary.AppendUvarint(dst, uint64(len(o.Meaning)))
	for _, p := range o.Meaning {
		dst = appendFlag(appendString(appendString(dst, p.Name), p.Text), p.List)
	}
	dst = binary.AppendUvarint(dst, uint64(len(o.Rows)))
	for _, r := range o.Rows {
		dst = binary.AppendUvarint(appendString(dst, r.Of), uint64(len(r.Forms)))
		for _, form := range r.Forms {
			dst = appendString(dst, form)
		}
	}
	return appendRange(dst, o.Numbers)
}

// operator reads what appendOperator wrote.
func (d *decoder) operator() topology.Operator {
	o := topology.Operator{Name: d.string(), Kind: d.string(), Layout: d.uint16()}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		o.Meaning = append(o.Meaning, topology.Part{Name: d.string(), Text: d.string(), List: d.flag()})
	}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		r := topology.Forms{Of: d.string()}
		for n := d.uvarint(); n > 0 && !d.bad; n-- {
			r.Forms = append(r.Forms, d.string())
		}
		o.Rows = append(o.Rows, r)
	}
	o.Numbers = d.numbers()
	return o
}
