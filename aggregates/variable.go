package aggregates

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// addVariable adds a string or decimal. f holds whether there is a value (for an average: the count), part the value.
func (o *op) addVariable(f []byte, part *[]byte, c *Cell) {
	switch o.code {
	case opSum:
		addDecimal(part, c.Decimal)
		f[0] = 1
		return
	case opAvg:
		addDecimal(part, c.Decimal)
		addInt(f, 1)
		return
	}
	if f[0] != 0 && !o.replaces(*part, c) {
		return
	}
	f[0] = 1
	if o.kind == kindText {
		*part = append((*part)[:0], c.Text...)
	} else {
		*part = c.Decimal.Append((*part)[:0], 'G')
	}
}

// replaces says whether c takes the place of the value in part.
func (o *op) replaces(part []byte, c *Cell) bool {
	switch o.code {
	case opEarliest:
		return false
	case opLatest:
		return true
	}
	var cmp int
	if o.kind == kindText {
		cmp = -strings.Compare(string(part), c.Text) // does not copy part
	} else {
		cmp = c.Decimal.Cmp(parseDecimal(part))
	}
	return o.code == opMin && cmp < 0 || o.code == opMax && cmp > 0
}

func addDecimal(part *[]byte, d *apd.Decimal) {
	sum := parseDecimal(*part)
	// Both are finite and the exponents bounded, so that what Add can report is rounding.
	if _, err := decimals.Add(sum, sum, d); err != nil {
		panic("aggregates: sum of decimals: " + err.Error())
	}
	*part = sum.Append((*part)[:0], 'G')
}

// Merge adds later to earlier. Every row of later must come after every row of earlier in the order of processing, which is
// what Earliest and Latest go by.
func (p *Program[T]) Merge(earlier, later State) {
	for i := range p.ops {
		o := &p.ops[i]
		e, l := earlier.Fixed[o.off:], later.Fixed[o.off:]
		bits := uint64(0)
		if o.code != opCount && o.kind.variable() {
			o.mergeVariable(e, l, &earlier.Vars[o.part], later.Vars[o.part])
			continue
		}
		bits = binary.LittleEndian.Uint64(l)
		switch o.code {
		case opCount:
			addInt(e, bits)
		case opSum:
			o.sum(e, bits)
		case opAvg:
			o.sum(e, bits)
			addInt(e[8:], binary.LittleEndian.Uint64(l[8:]))
		default:
			if l[8] != 0 {
				o.add(e, bits)
			}
		}
	}
}

func (o *op) mergeVariable(e, l []byte, earlier *[]byte, later []byte) {
	switch {
	case o.code == opAvg:
		if len(later) > 0 {
			addDecimal(earlier, parseDecimal(later))
			addInt(e, binary.LittleEndian.Uint64(l))
		}
	case l[0] == 0:
	case o.kind == kindText:
		o.addVariable(e, earlier, &Cell{Text: string(later)})
	default:
		o.addVariable(e, earlier, &Cell{Decimal: parseDecimal(later)})
	}
}

// average is what an Avg has in s: 0 where nothing was counted, as in ksqlDB.
func (o *op) average(s State) float64 {
	f := s.Fixed[o.off:]
	if o.kind == kindDecimal {
		n := binary.LittleEndian.Uint64(f)
		if n == 0 {
			return 0
		}
		var q apd.Decimal
		if _, err := decimals.Quo(&q, parseDecimal(s.Vars[o.part]), apd.New(int64(n), 0)); err != nil {
			return math.NaN()
		}
		mean, err := q.Float64()
		if err != nil {
			return math.NaN()
		}
		return mean
	}
	n := binary.LittleEndian.Uint64(f[8:])
	if n == 0 {
		return 0
	}
	bits := binary.LittleEndian.Uint64(f)
	switch o.kind {
	case kindFloat:
		return math.Float64frombits(bits) / float64(n)
	case kindUint:
		return float64(bits) / float64(n)
	default:
		return float64(int64(bits)) / float64(n)
	}
}
