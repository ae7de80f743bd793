package aggregates

// Count is the number of rows in the group and window, as COUNT(*) of ksqlDB.
func Count[T any](g Rows[T]) int64 {
	r := g.Recorder()
	return count(r, r.call(opCount, 0, nil))
}

// Sum is the sum of the column's values that are not null; 0 where there are none, as in ksqlDB. Integers wrap around at the
// size of V, also as in ksqlDB. Sums of decimals keep 38 digits and round half up.
func Sum[T any, V Summable](g Rows[T], column func(*T) V) V {
	return aggregate(g, opSum, "Sum", column)
}

// Avg is the mean of the column's values that are not null; 0 where there are none, as in ksqlDB. Integers are summed in 64
// bits whatever the size of V (ksqlDB's AVG of an INT wraps at 32 bits).
func Avg[T any, V Summable](g Rows[T], column func(*T) V) float64 {
	r := g.Recorder()
	o := r.call(opAvg, kindFor[T, V](r, "Avg"), func() input[T] { return columnOf(column) })
	if o == nil {
		return 0
	}
	return o.average(r.state)
}

// Min is the smallest of the column's values that are not null. Floats are in Java's order: -0 is less than +0, NaN is the
// largest. Strings compare by bytes.
func Min[T any, V Ordered](g Rows[T], column func(*T) V) V {
	return aggregate(g, opMin, "Min", column)
}

// Max is the largest of the column's values that are not null, in the order of Min.
func Max[T any, V Ordered](g Rows[T], column func(*T) V) V {
	return aggregate(g, opMax, "Max", column)
}

// EarliestByOffset is the column's first value that is not null, in the order in which rows are processed, whatever their
// event times (semantics.md [U34]).
func EarliestByOffset[T any, V Value](g Rows[T], column func(*T) V) V {
	return aggregate(g, opEarliest, "EarliestByOffset", column)
}

// LatestByOffset is the column's last value that is not null, in the order in which rows are processed, whatever their event
// times (semantics.md [U30]).
func LatestByOffset[T any, V Value](g Rows[T], column func(*T) V) V {
	return aggregate(g, opLatest, "LatestByOffset", column)
}

func aggregate[T, V any](g Rows[T], code opcode, name string, column func(*T) V) V {
	r := g.Recorder()
	return result[T, V](r, r.call(code, kindFor[T, V](r, name), func() input[T] { return columnOf(column) }))
}
