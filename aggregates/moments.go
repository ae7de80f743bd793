package aggregates

import (
	"encoding/binary"
	"math"
)

// VarianceSample is the sample variance of the column's values that are not null: M2/(n-1), 0 for fewer than two. ksqlDB calls this
// STDDEV_SAMP (semantics.md [U10], [U12]).
func VarianceSample[T any, V Numeric](g Rows[T], column func(*T) V) float64 {
	return spread(g, "VarianceSample", 1, column)
}

// StdDevSample is the square root of VarianceSample, as ksqlDB's STDDEV_SAMPLE.
func StdDevSample[T any, V Numeric](g Rows[T], column func(*T) V) float64 {
	return math.Sqrt(spread(g, "StdDevSample", 1, column))
}

// VariancePopulation is the variance of the column's values that are not null: M2/n, 0 where there are none.
func VariancePopulation[T any, V Numeric](g Rows[T], column func(*T) V) float64 {
	return spread(g, "VariancePopulation", 0, column)
}

// StdDevPopulation is the square root of VariancePopulation.
func StdDevPopulation[T any, V Numeric](g Rows[T], column func(*T) V) float64 {
	return math.Sqrt(spread(g, "StdDevPopulation", 0, column))
}

// Correlation is Pearson's coefficient of two columns, over the rows where neither is null. It is NaN for fewer than two rows
// and where a column is constant, as in ksqlDB [U13]; JSON knows no NaN, so a result that goes there has to be checked.
func Correlation[T any, X, Y Numeric](g Rows[T], x func(*T) X, y func(*T) Y) float64 {
	r := g.Recorder()
	o := r.call(op{code: opCorrelation, kind: kindFor[T, X](r, "Correlation"), kind2: kindFor[T, Y](r, "Correlation")},
		columnOf(r, x), columnOf(r, y))
	if o == nil {
		return 0
	}
	return correlation(r.state.Fixed[o.off:])
}

// WeightedMean is the sum of value times weight by the sum of weights, over the rows where neither is null; 0 where the weights add up
// to 0. With price and size it is the volume-weighted average price.
func WeightedMean[T any, V, W Numeric](g Rows[T], value func(*T) V, weight func(*T) W) float64 {
	r := g.Recorder()
	o := r.call(op{code: opWeighted, kind: kindFor[T, V](r, "WeightedMean"), kind2: kindFor[T, W](r, "WeightedMean")},
		columnOf(r, value), columnOf(r, weight))
	if o == nil {
		return 0
	}
	f := r.state.Fixed[o.off:]
	if weights := floatAt(f[8:]); weights != 0 {
		return floatAt(f) / weights
	}
	return 0
}

func spread[T, V any](g Rows[T], name string, less float64, column func(*T) V) float64 {
	r := g.Recorder()
	o := r.call(op{code: opMoments, kind: kindFor[T, V](r, name)}, columnOf(r, column))
	if o == nil {
		return 0
	}
	f := r.state.Fixed[o.off:]
	n := float64(int64(binary.LittleEndian.Uint64(f)))
	if n <= less {
		return 0
	}
	return max(0, floatAt(f[16:])) / (n - less) // undo may leave less than nothing to rounding
}

// Moments: n (an integer), the sum, and M2, the sum of squared distances from the mean. The formulas are Youngs and Cramer's,
// one pass without cancellation.
const momentsSize = 24

func addMoment(f []byte, x float64) {
	addInt(f, 1)
	addFloat(f[8:], x)
	if n := float64(int64(binary.LittleEndian.Uint64(f))); n > 1 {
		d := x*n - floatAt(f[8:])
		addFloat(f[16:], d*d/(n*(n-1)))
	}
}

// undoMoment is the exact inverse of addMoment, but for rounding.
func undoMoment(f []byte, x float64) {
	n := float64(int64(binary.LittleEndian.Uint64(f)))
	if d := x*n - floatAt(f[8:]); n > 1 {
		addFloat(f[16:], -d*d/(n*(n-1)))
	}
	addInt(f, ^uint64(0))
	addFloat(f[8:], -x)
	if n == 1 {
		clear(f[8:24]) // nothing is left: no remains of rounding either
	}
}

func mergeMoments(dst, src []byte) {
	a, b := float64(int64(binary.LittleEndian.Uint64(dst))), float64(int64(binary.LittleEndian.Uint64(src)))
	if a > 0 && b > 0 {
		d := floatAt(dst[8:])/a - floatAt(src[8:])/b
		addFloat(dst[16:], floatAt(src[16:])+a*b*d*d/(a+b))
	} else {
		addFloat(dst[16:], floatAt(src[16:]))
	}
	addInt(dst, binary.LittleEndian.Uint64(src))
	addFloat(dst[8:], floatAt(src[8:]))
}

// Correlation: n and the sums of x, y, x², y² and xy, all floats.
const correlationSize = 48

func (o *op) correlate(f []byte, cells []Cell, sign float64) {
	if cells[o.second].Null {
		return
	}
	x, y := o.kind.float(cells[o.col].Bits), o.kind2.float(cells[o.second].Bits)
	addFloat(f, sign)
	for i, v := range [...]float64{x, y, x * x, y * y, x * y} {
		addFloat(f[8*(i+1):], sign*v)
	}
}

func correlation(f []byte) float64 {
	n, x, y, xx, yy, xy := floatAt(f), floatAt(f[8:]), floatAt(f[16:]), floatAt(f[24:]), floatAt(f[32:]), floatAt(f[40:])
	if n <= 1 {
		return math.NaN()
	}
	return (n*xy - x*y) / math.Sqrt((n*xx-x*x)*(n*yy-y*y))
}

// Weighted: the sums of value times weight and of weight.
const weightedSize = 16

func (o *op) weigh(f []byte, cells []Cell, sign float64) {
	if cells[o.second].Null {
		return
	}
	w := sign * o.kind2.float(cells[o.second].Bits)
	addFloat(f, o.kind.float(cells[o.col].Bits)*w)
	addFloat(f[8:], w)
}

// addAll adds the floats in size bytes of src to those of dst.
func addAll(dst, src []byte, size int) {
	for i := 0; i < size; i += 8 {
		addFloat(dst[i:], floatAt(src[i:]))
	}
}
