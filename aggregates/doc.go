// Package aggregates holds the accumulators behind a projection, and the functions that a projection calls to have them.
//
// A projection is an ordinary function over a group: it calls [Count], [Sum], [Min], [Max], [Avg], [EarliestByOffset] and
// [LatestByOffset] and puts what they return into an ordinary struct. [Record] runs it once to learn which it calls; the
// result is a [Program]: the columns (the user's functions from a row to a value, each evaluated once a record) and the
// accumulators (where each keeps its state). For every record the Program evaluates the columns into [Cell]s and adds those
// to the [State] of each window the record is in; when a row is emitted the projection runs again, and each call reads its
// accumulator.
//
// So user code runs in Eval and in the projection only, and Add cannot fail half-way: a row is either added to all
// accumulators of a window or to none.
//
// # Values and nulls
//
// Columns return a number, string, bool, time.Time or apd.Decimal, or a pointer to one: a nil pointer is null. Nulls are
// skipped by all but Count, which counts rows. The result has the type of the column; where no value was seen it is nil for a
// pointer and zero otherwise. Times are kept in microseconds and come back in UTC. Decimals keep their scale.
//
// # State
//
// The state of a row is bytes in the layout that is stored and sent to the changelog, so restoring it is a copy. The layout
// is little-endian, fixed by the order of the calls in the projection, and pinned by golden tests; see [Program.Signature].
//
// A Program may be used by any number of goroutines; a State, a Recorder and a slice of Cells by one at a time.
package aggregates
