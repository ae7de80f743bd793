package aggregates

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// datum is a value as objects keep it. Data are comparable: floats by their bits with one NaN,
// decimals by how they print, as Java compares for equality.
type datum struct {
	bits uint64
	text string // strings, and decimals as they print
	null bool
}

// datum is the value in c, which may be reused.
func (k kind) datum(c *Cell) datum {
	switch {
	case c.Null:
		return datum{null: true}
	case k == kindDecimal:
		return datum{text: c.Decimal.String()}
	case k == kindText:
		return datum{text: strings.Clone(c.Text)}
	case k == kindFloat && math.Float64frombits(c.Bits) != math.Float64frombits(c.Bits):
		return datum{bits: math.Float64bits(math.NaN())}
	}
	return datum{bits: c.Bits}
}

// compare orders data that are not null, as Min and Max do.
func (k kind) compare(a, b datum) int {
	switch k {
	case kindText:
		return strings.Compare(a.text, b.text)
	case kindDecimal:
		return parseDecimal([]byte(a.text)).Cmp(parseDecimal([]byte(b.text)))
	}
	return cmp.Compare(k.order(a.bits), k.order(b.bits))
}

// valueOf is the V that d stands for: the zero V for null.
func valueOf[V any](d datum) (v V) {
	if d.null {
		return v
	}
	return value[V](d.bits, []byte(d.text))
}

// layout is how the data of an accumulator are encoded.
type layout struct {
	kind  kind
	nulls bool // there may be nulls among them
	seq   bool // each has its sequence number
}

func (l layout) String() string {
	s := l.kind.String()
	if l.nulls {
		s += " nulls"
	}
	if l.seq {
		s += " seq"
	}
	return s
}

// append appends d: text with its length plus 1 before it, 0 for null; else 8 bytes little-endian,
// after a byte that is 1 for null if there are nulls.
func (l layout) append(dst []byte, d datum) []byte {
	if l.kind.variable() {
		if d.null {
			return append(dst, 0)
		}
		dst = binary.AppendUvarint(dst, uint64(len(d.text))+1)
		return append(dst, d.text...)
	}
	if l.nulls {
		if d.null {
			return append(dst, 1)
		}
		dst = append(dst, 0)
	}
	return binary.LittleEndian.AppendUint64(dst, d.bits)
}

// read reads what append wrote.
func (l layout) read(c *cursor) datum {
	if l.kind.variable() {
		n := c.uvarint()
		if n == 0 {
			return datum{null: true}
		}
		return datum{text: string(c.take(n - 1))}
	}
	if l.nulls && c.byte() == 1 {
		return datum{null: true}
	}
	return datum{bits: c.uint64()}
}

// item is a datum in a list or set, with its place in the order of processing if that is kept.
type item struct {
	datum
	seq int64
}

// itemBytes is what an item takes beside its text.
const itemBytes = 40

// appendItems appends a count, then each item, with the distance of its sequence number from the
// one before.
func (l layout) appendItems(dst []byte, items []item) []byte {
	if len(items) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(items)))
	seq := int64(0)
	for _, it := range items {
		dst = l.append(dst, it.datum)
		if l.seq {
			dst = binary.AppendVarint(dst, it.seq-seq)
			seq = it.seq
		}
	}
	return dst
}

// readItems reads what appendItems wrote.
func (l layout) readItems(c *cursor) (items []item) {
	n := c.uvarint()
	items = make([]item, 0, min(n, uint64(len(c.b)))) // an item takes a byte at least
	seq := int64(0)
	for range n {
		it := item{datum: l.read(c)}
		if l.seq {
			seq += c.varint()
			it.seq = seq
		}
		if c.bad {
			return nil
		}
		items = append(items, it)
	}
	return items
}

func bytesOf(items []item) int {
	n := 24 + itemBytes*cap(items)
	for i := range items {
		n += len(items[i].text)
	}
	return n
}

// values is the Vs of items, not nil: an empty list is no null.
func values[V any](items []item) []V {
	list := make([]V, len(items))
	for i := range items {
		list[i] = valueOf[V](items[i].datum)
	}
	return list
}

// cursor reads from b; once bad is set all that it returns is zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	taken := c.b[:n]
	c.b = c.b[n:]
	return taken
}

func (c *cursor) uvarint() uint64 {
	n, w := binary.Uvarint(c.b)
	if w <= 0 || c.bad {
		c.bad = true
		return 0
	}
	c.b = c.b[w:]
	return n
}

func (c *cursor) varint() int64 {
	n, w := binary.Varint(c.b)
	if w <= 0 || c.bad {
		c.bad = true
		return 0
	}
	c.b = c.b[w:]
	return n
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// done is an error if anything was wrong, or is left.
func (c *cursor) done() error {
	if c.bad || len(c.b) != 0 {
		return fmt.Errorf("object does not end where it should (%d bytes left)", len(c.b))
	}
	return nil
}
