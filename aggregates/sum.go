package aggregates

import (
	"encoding/binary"
	"math"

	"github.com/cockroachdb/apd/v3"
)

// Sum is the sum of the column's values that are not null; 0 where there are none, as in ksqlDB. Integers wrap around at the
// size of V, also as in ksqlDB. Sums of decimals keep 38 digits and round half up; see SumDecimal for a bound.
func Sum[T any, V Summable](g Rows[T], column func(*T) V) V {
	r := g.Recorder()
	return summed[T, V](r, r.call(op{code: opSum, kind: kindFor[T, V](r, "Sum")}, columnOf(r, column)))
}

// SumList is the sum of all elements of the column's lists, as SUM of an ARRAY in ksqlDB; elements that are null are skipped.
// It is otherwise as Sum.
func SumList[T any, V Summable](g Rows[T], column func(*T) []V) V {
	r := g.Recorder()
	k := kindFor[T, V](r, "SumList")
	return summed[T, V](r, r.call(op{code: opSum, kind: k}, sumOfList(r, k, column)))
}

// Avg is the mean of the column's values that are not null; 0 where there are none, as in ksqlDB. Integers are summed in 64
// bits whatever the size of V (ksqlDB's AVG of an INT wraps at 32 bits).
func Avg[T any, V Summable](g Rows[T], column func(*T) V) float64 {
	r := g.Recorder()
	o := r.call(op{code: opAvg, kind: kindFor[T, V](r, "Avg")}, columnOf(r, column))
	if o == nil {
		return 0
	}
	return o.average(r.state)
}

func summed[T, V any](r *Recorder[T], o *op) (v V) {
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
	return input[T]{id: closureID(f), made: func(c *Cell, x int64, _ bool) { madeUp[V](c, x, false) }, any: func(row *T, c *Cell) {
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
			case k == kindDecimal && one.Decimal.Form != apd.Finite:
				decimal.Set(one.Decimal) // Eval reports it
			case k == kindDecimal && decimal.Form == apd.Finite:
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

func (o *op) sum(f []byte, bits uint64) {
	if o.kind == kindFloat {
		addFloat(f, math.Float64frombits(bits))
		return
	}
	addInt(f, bits) // wraps, as ksqlDB's SUM does
}

// addDecimal adds d, counted n times, to the Sum or Avg in f and part; with n = -1 it takes d out.
func (o *op) addDecimal(f []byte, part *[]byte, d *apd.Decimal, n int64) {
	sum := parseDecimal(*part)
	if n < 0 {
		var minus apd.Decimal
		d = minus.Neg(d)
	}
	mustAdd(sum, d)
	*part = sum.Append((*part)[:0], 'G')
	if o.code == opAvg {
		addInt(f, uint64(n))
	} else {
		f[0] = 1
	}
}

// unsum takes a value out of a Sum or Avg.
func (o *op) unsum(s *State, c *Cell) {
	f := s.Fixed[o.off:]
	switch o.kind {
	case kindDecimal:
		o.addDecimal(f, &s.Vars[o.part], c.Decimal, -1)
		return
	case kindFloat:
		o.sum(f, math.Float64bits(-math.Float64frombits(c.Bits)))
	default:
		addInt(f, -c.Bits)
	}
	if o.code == opAvg {
		addInt(f[8:], ^uint64(0))
	}
}

func (o *op) mergeSum(dst, src *State) {
	to, from := dst.Fixed[o.off:], src.Fixed[o.off:]
	if o.kind != kindDecimal {
		o.sum(to, binary.LittleEndian.Uint64(from))
		if o.code == opAvg {
			addInt(to[8:], binary.LittleEndian.Uint64(from[8:]))
		}
		return
	}
	if part := src.Vars[o.part]; len(part) > 0 {
		n := int64(1)
		if o.code == opAvg {
			n = int64(binary.LittleEndian.Uint64(from))
			addInt(to, uint64(n)-1) // and addDecimal counts 1
		}
		o.addDecimal(to, &dst.Vars[o.part], parseDecimal(part), 1)
	}
}

// average is what an Avg has in s: 0 where nothing was counted, as in ksqlDB.
func (o *op) average(s State) float64 {
	f := s.Fixed[o.off:]
	if o.kind == kindDecimal {
		return decimalMean(parseDecimal(s.Vars[o.part]), int64(binary.LittleEndian.Uint64(f)))
	}
	n := int64(binary.LittleEndian.Uint64(f[8:]))
	if n == 0 {
		return 0
	}
	return o.kind.float(binary.LittleEndian.Uint64(f)) / float64(n)
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
