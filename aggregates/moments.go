package aggregates

// VarianceSample is the sample variance of the column's values that are not null: M2/(n-1), 0 for
// fewer than two. ksqlDB calls this STDDEV_SAMP (semantics.md [U10], [U12]). A NaN or an infinity
// among the values makes it NaN.
func VarianceSample[T any, V Numeric](g Rows[T], column func(*T) V) float64 {
	return spread(g, "VarianceSample", 1, false, column)
}

// StdDevSample is the square root of VarianceSample, as ksqlDB's STDDEV_SAMPLE. It is right also
// where the variance is beyond what a float64 holds.
func StdDevSample[T any, V Numeric](g Rows[T], column func(*T) V) float64 {
	return spread(g, "StdDevSample", 1, true, column)
}

// VariancePopulation is the variance of the column's values that are not null: M2/n, 0 where there
// are none.
func VariancePopulation[T any, V Numeric](g Rows[T], column func(*T) V) float64 {
	return spread(g, "VariancePopulation", 0, false, column)
}

// StdDevPopulation is the square root of VariancePopulation, as StdDevSample is that of
// VarianceSample.
func StdDevPopulation[T any, V Numeric](g Rows[T], column func(*T) V) float64 {
	return spread(g, "StdDevPopulation", 0, true, column)
}

// Correlation is Pearson's coefficient of two columns, from -1 to 1, over the rows where neither is
// null. It is NaN for fewer than two rows, where a column is constant, as in ksqlDB [U13], and
// where a NaN or an infinity is among the values; JSON knows no NaN, so a result that goes there
// has to be checked. Unlike ksqlDB's it does not depend on the offset or the unit of a column: a
// straight line is 1 or -1 within rounding.
func Correlation[T any, X, Y Numeric](g Rows[T], x func(*T) X, y func(*T) Y) float64 {
	r := g.Recorder()
	kinds := [2]kind{kindFor[T, X](r, "Correlation"), kindFor[T, Y](r, "Correlation")}
	if r.program.needs.Undo {
		s := exactly(r, "Correlation", opCorrelation, kinds, columnOf(r, x), columnOf(r, y))
		return s.correlation()
	}
	o := r.call(op{code: opCorrelation, kind: kinds[0], kind2: kinds[1]}, columnOf(r, x), columnOf(r, y))
	if o == nil {
		return 0
	}
	var c comoments
	c.read(r.state.Fixed[o.off:])
	return c.correlation()
}

// WeightedMean is the sum of value times weight by the sum of weights, over the rows where neither
// is null; 0 where the weights add up to 0. With price and size it is the volume-weighted average
// price. Each product is a float64, also of integers: one that is too large is infinite.
func WeightedMean[T any, V, W Numeric](g Rows[T], value func(*T) V, weight func(*T) W) float64 {
	r := g.Recorder()
	kinds := [2]kind{kindFor[T, V](r, "WeightedMean"), kindFor[T, W](r, "WeightedMean")}
	if r.program.needs.Undo {
		s := exactly(r, "WeightedMean", opWeighted, kinds, columnOf(r, value), columnOf(r, weight))
		return s.weighted()
	}
	o := r.call(op{code: opWeighted, kind: kinds[0], kind2: kinds[1]}, columnOf(r, value), columnOf(r, weight))
	if o == nil {
		return 0
	}
	f := r.state.Fixed[o.off:]
	if weights := floatAt(f[8:]); weights != 0 {
		return floatAt(f) / weights
	}
	return 0
}

func spread[T, V any](g Rows[T], name string, less int64, root bool, column func(*T) V) float64 {
	r := g.Recorder()
	k := kindFor[T, V](r, name)
	if r.program.needs.Undo {
		s := exactly(r, name, opMoments, [2]kind{k}, columnOf(r, column))
		return s.spread(less, root)
	}
	o := r.call(op{code: opMoments, kind: k}, columnOf(r, column))
	if o == nil {
		return 0
	}
	n, m := readMoments(r.state.Fixed[o.off:])
	return m.spread(n, less, root)
}

// Weighted: the sums of value times weight and of weight.
const weightedSize = 16

func (o *op) weigh(f []byte, cells []Cell) {
	if cells[o.second].Null {
		return
	}
	w := o.kind2.float(cells[o.second].Bits)
	addFloat(f, o.kind.float(cells[o.col].Bits)*w)
	addFloat(f[8:], w)
}

func mergeWeighted(dst, src []byte) {
	addFloat(dst, floatAt(src))
	addFloat(dst[8:], floatAt(src[8:]))
}
