package aggregates

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/cockroachdb/apd/v3"
)

// Sum is the sum of the column's values that are not null; 0 where there are none, as in ksqlDB.
// Integers wrap around at the size of V, also as in ksqlDB. Floats are added as they come: their
// sum rounds at each row. Sums of decimals keep 38 digits and round half up; see SumDecimal for a
// bound. Over a table the sum is that of the rows in it, rounded once.
func Sum[T any, V Summable](g Rows[T], column func(*T) V) V {
	r := g.Recorder()
	return summed[T, V](r, kindFor[T, V](r, "Sum"), columnOf(r, column))
}

// SumList is the sum of all elements of the column's lists, as SUM of an ARRAY in ksqlDB; elements
// that are null are skipped. It is otherwise as Sum.
func SumList[T any, V Summable](g Rows[T], column func(*T) []V) V {
	r := g.Recorder()
	k := kindFor[T, V](r, "SumList")
	return summed[T, V](r, k, sumOfList(r, k, column))
}

// Avg is the mean of the column's values that are not null; 0 where there are none, as in ksqlDB.
// Integers, also durations, are summed in 128 bits (ksqlDB's AVG of an INT wraps at 32). The sum
// behind a mean of floats is as Sum: beyond 1.8e308 it is infinite.
func Avg[T any, V Summable](g Rows[T], column func(*T) V) float64 {
	r := g.Recorder()
	k, c := kindFor[T, V](r, "Avg"), columnOf(r, column)
	if r.program.needs.Undo {
		switch k {
		case kindFloat:
			s := exactly(r, "Avg", opAvg, [2]kind{k}, c)
			return s.mean()
		case kindDecimal:
			s := exactDecimal(r, "Avg", c)
			return s.mean()
		}
	}
	o := r.call(op{code: opAvg, kind: k}, c)
	if o == nil {
		return 0
	}
	return o.average(r.state)
}

func summed[T, V any](r *Recorder[T], k kind, column input[T]) (v V) {
	if r.program.needs.Undo {
		switch k {
		case kindFloat:
			s := exactly(r, "Sum", opSum, [2]kind{k}, column)
			if !r.reading {
				return v
			}
			return value[V](math.Float64bits(s.sum()), nil)
		case kindDecimal:
			s := exactDecimal(r, "Sum", column)
			if !r.reading {
				return v
			}
			return value[V](0, s.text())
		}
	}
	o := r.call(op{code: opSum, kind: k}, column)
	switch {
	case o == nil:
		return v
	case o.kind.variable():
		return value[V](0, r.state.Vars[o.part])
	}
	return value[V](binary.LittleEndian.Uint64(r.state.Fixed[o.off:]), nil)
}

// sumOfList is a column that adds the elements up. A list without any adds 0.
func sumOfList[T, V any](r *Recorder[T], k kind, f func(*T) []V) input[T] {
	if r.reading {
		return input[T]{}
	}
	if f == nil {
		r.fail("the function of a column is nil")
	}
	return input[T]{id: closureID(f), made: func(c *Cell, x int64, _ bool) { madeUp[V](c, x, false) },
		any: func(row *T, c *Cell) {
			var sum, one Cell
			var decimal *apd.Decimal
			if k == kindDecimal {
				decimal = new(apd.Decimal) // apart: the others need no memory
			}
			list := f(row)
			for i := range list {
				fill(&one, &list[i])
				switch {
				case one.Null:
				case k == kindDecimal && checkDecimal(one.Decimal) != nil:
					c.Decimal, c.Null = one.Decimal, false // Eval reports it
					return
				case k == kindDecimal:
					mustAdd(decimal, one.Decimal)
				case k == kindFloat:
					sum.Bits = math.Float64bits(math.Float64frombits(sum.Bits) + math.Float64frombits(one.Bits))
				default:
					sum.Bits += one.Bits
				}
			}
			c.Bits, c.Decimal, c.Null = sum.Bits, decimal, false
		}}
}

func (o *op) sum(f []byte, b uint64) {
	if o.kind == kindFloat {
		addFloat(f, math.Float64frombits(b))
		return
	}
	addInt(f, b) // wraps, as ksqlDB's SUM does
}

// avgWide counts an integer in an Avg: the sum as 128 bits in two's complement, then the count.
func (o *op) avgWide(f []byte, b uint64) {
	addWide(f, b, o.kind.above(b))
	addInt(f[16:], 1)
}

// above is the high half of an integer as 128 bits.
func (k kind) above(b uint64) uint64 {
	if k == kindUint {
		return 0
	}
	return uint64(int64(b) >> 63)
}

// addWide adds 128 bits.
func addWide(f []byte, lo, hi uint64) {
	lo, carry := bits.Add64(binary.LittleEndian.Uint64(f), lo, 0)
	binary.LittleEndian.PutUint64(f, lo)
	addInt(f[8:], hi+carry)
}

// addDecimal adds d, which has n values in it, to the Sum or Avg in f and part.
func (o *op) addDecimal(f []byte, part *[]byte, d *apd.Decimal, n uint64) {
	sum := parseDecimal(*part)
	mustAdd(sum, d)
	*part = sum.Append((*part)[:0], 'G')
	if o.code == opAvg {
		addInt(f, n)
	} else {
		f[0] = 1
	}
}

// unsum takes an integer out of a Sum or Avg.
func (o *op) unsum(f []byte, b uint64) {
	if o.code == opSum {
		addInt(f, -b)
		return
	}
	hi := ^o.kind.above(b)
	if b == 0 {
		hi++
	}
	addWide(f, -b, hi)
	addInt(f[16:], ^uint64(0))
}

func (o *op) mergeSum(dst, src *State) {
	to, from := dst.Fixed[o.off:], src.Fixed[o.off:]
	switch {
	case o.kind == kindDecimal:
		if part := src.Vars[o.part]; len(part) > 0 {
			n := uint64(0)
			if o.code == opAvg {
				n = binary.LittleEndian.Uint64(from)
			}
			o.addDecimal(to, &dst.Vars[o.part], parseDecimal(part), n)
		}
	case o.code == opSum:
		o.sum(to, binary.LittleEndian.Uint64(from))
	case o.kind == kindFloat:
		addFloat(to, floatAt(from))
		addInt(to[8:], binary.LittleEndian.Uint64(from[8:]))
	default:
		addWide(to, binary.LittleEndian.Uint64(from), binary.LittleEndian.Uint64(from[8:]))
		addInt(to[16:], binary.LittleEndian.Uint64(from[16:]))
	}
}

// average is what an Avg has in s: 0 where nothing was counted, as in ksqlDB.
func (o *op) average(s State) float64 {
	f := s.Fixed[o.off:]
	switch o.kind {
	case kindDecimal:
		return decimalMean(parseDecimal(s.Vars[o.part]), int64(binary.LittleEndian.Uint64(f)))
	case kindFloat:
		if n := int64(binary.LittleEndian.Uint64(f[8:])); n != 0 {
			return floatAt(f) / float64(n)
		}
		return 0
	}
	return wideMean(binary.LittleEndian.Uint64(f), binary.LittleEndian.Uint64(f[8:]),
		int64(binary.LittleEndian.Uint64(f[16:])))
}

// wideMean is a sum of 128 bits by n; 0 if n is 0. It is off by less than a unit in its last place.
func wideMean(lo, hi uint64, n int64) float64 {
	if n == 0 {
		return 0
	}
	sign := 1.0
	if int64(hi) < 0 {
		borrow := uint64(0)
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
		sign = -1
	}
	by := uint64(n)
	if n < 0 { // more was undone than added
		by, sign = -by, -sign
	}
	above := hi / by
	mean, rest := bits.Div64(hi%by, lo, by)
	return sign * (float64(above)*0x1p64 + (float64(mean) + float64(rest)/float64(by)))
}

func decimalMean(sum *apd.Decimal, n int64) float64 {
	if n == 0 {
		return 0
	}
	var q apd.Decimal
	if _, err := decimals.Quo(&q, sum, apd.New(n, 0)); err != nil {
		return math.NaN()
	}
	mean, err := q.Float64()
	if err != nil {
		return math.NaN()
	}
	return mean
}
