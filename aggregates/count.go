package aggregates

import "encoding/binary"

// Count is the number of rows in the group and window, as COUNT(*) of ksqlDB.
func Count[T any](g Rows[T]) int64 {
	r := g.Recorder()
	return count(r, r.call(op{code: opCount}))
}

// CountOf is the number of rows whose column is not null, as COUNT(x) of ksqlDB.
func CountOf[T any, V Value](g Rows[T], column func(*T) V) int64 {
	r := g.Recorder()
	kindFor[T, V](r, "CountOf")
	return count(r, r.call(op{code: opCountOf}, columnOf(r, column)))
}

// count reads a Count. It may be negative after an Undo of what was never added, as in ksqlDB [U1].
func count[T any](r *Recorder[T], o *op) int64 {
	if o == nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(r.state.Fixed[o.off:]))
}
