// Package aggregates holds the accumulators behind a projection, and the functions that a
// projection calls to have them.
//
// A projection is an ordinary function over a group: it calls functions such as [Count], [Sum] and
// [LatestByOffset] and puts what they return into an ordinary struct. [Record] runs it once to
// learn which it calls; the result is a [Program]: the columns (the user's functions from a row to
// a value, each evaluated once a record) and the accumulators (where each keeps its state). For
// every record the Program evaluates the columns into [Cell]s and adds those to the [State] of each
// window the record is in; when a row is emitted the projection runs again, and each call reads its
// accumulator.
//
// A row is either added to all accumulators of a window or to none. Columns run in Eval, before
// anything changes; what may fail in Add (a sum of decimals that overflows, the code of a [Custom])
// runs beside the state first, and Add returns an error with the state as it was.
//
// # Functions
//
//	function                                        nulls        of nothing  undo  state
//	Count                                           counts rows  0           yes   8 bytes
//	CountOf                                         skipped      0           yes   8
//	CountDistinct (exact)                           skipped      0                 object: all values
//	CountDistinctApprox (HyperLogLog, 2^14)         skipped      0                 object: up to 16 KB
//	Sum, SumList                                    skipped      0           yes   8; decimals 1 and text; see Undo
//	SumDecimal (with ksqlDB's bound)                skipped      0           yes   object: text
//	Avg                                             skipped      0           yes   16; integers 24; decimals 8 and text
//	Min, Max                                        skipped      nil, zero         9; text 1 and the text
//	TimeOfMin, TimeOfMax                            skipped      zero time         17; text 9 and the text
//	EarliestByOffset, LatestByOffset                skipped      nil, zero         as Min; mergeable 8 more
//	...WithNulls                                    a value      nil               as Min; mergeable 8 more
//	EarliestByOffsetN, LatestByOffsetN              skipped      []                object: n values
//	...NWithNulls                                   a value      []                object: n values
//	FirstByTime, LastByTime                         skipped      nil, zero         17; text 9 and the text; mergeable 8 more
//	VarianceSample, StdDevSample                    skipped      0 (n < 2)   yes   32
//	VariancePopulation, StdDevPopulation            skipped      0           yes   32
//	Correlation                                     pair skipped NaN (n < 2) yes   64
//	WeightedMean                                    pair skipped 0           yes   16
//	Quantile, Quantiles (DDSketch, 1 %)             skipped      0                 object: up to 32 KB
//	TopK, TopKDistinct                              skipped      []                object: k values
//	TopKBy                                          skipped      []                object: k pairs
//	CollectList (limit)                             a value      []          yes   object: all values
//	CollectSet (limit)                              one is kept  []                object: all different values
//	Histogram (1000 keys)                           "null"       {}          yes   object: keys and counts
//	Attr                                            a value      nil, zero   yes   object: values and counts
//	Custom                                          passed on    yours       yours object: yours
//
// [Aggregator.CheckUndo] says whether a projection can be over a table. What goes by the order of
// processing or by time, an extreme, a set or a sketch cannot be undone: they have forgotten what
// would come in place of the row.
//
// # Values and nulls
//
// Columns return a number, string, bool, time.Time or apd.Decimal, or a pointer to one: a nil
// pointer is null. The result has the type of the column; where no value was seen it is nil for a
// pointer and zero otherwise. Times are kept in microseconds and come back in UTC. Decimals keep
// their scale. Floats are in Java's order, -0 before +0 and NaN last, and two NaN are one value.
//
// # State
//
// Fixed-size accumulators and single texts are bytes in the layout that is stored and sent to the
// changelog, so restoring them is a copy. Sets, lists and sketches are [Object]s: decoded as long
// as they are in memory, encoded at commit. Each commit writes the whole row, so an accumulator
// without a limit costs as much as it holds each time it has changed. The layout is little-endian,
// fixed by the names of the accumulators and by what the plan [Needs], and pinned by golden tests;
// see [Program.Signature]. It does not depend on the order of the calls: a projection may be put in
// another order over states that are stored. Accumulators of one name, such as two Max of floats,
// are told apart by the order of their calls only, as functions have no names: who swaps those
// swaps their states.
//
// # Undo
//
// In plans that take rows out of groups, which is what tables do, a result is always that of the
// rows that are left, whatever has been there before: a NaN, an infinity, a sum that was too large,
// a number that took small ones along. So sums of floats and decimals, and means, moments,
// correlations and weighted means also of integers, are kept there without rounding, in objects of
// some 15 bytes for each sum of a usual column (a Correlation has five) and 600 for the widest
// floats, and results are rounded once, from the exact value. Windows have no undo: they keep the
// smaller states of the table, which round at each row.
//
// # Numbers
//
// Moments are kept about the first value, so neither offset nor unit of a column matters: a line
// correlates to 1, a constant column to NaN, for all floats and all integers. The result is off by
// some n*2^-53, with n rows, of what the columns say. Means of integers are off by one unit in the
// last place at most.
//
// # Merging
//
// States of a mergeable program can be merged in any order: each accumulator that goes by the order
// of processing keeps sequence numbers. Sums of floats depend on the order of additions in their
// last bits, there and in all windows. At their limits Histogram does not know what it has not
// counted, and merged decimals may go beyond the bound, as in ksqlDB.
//
// A Program may be used by any number of goroutines; a State, a Recorder and a slice of Cells by
// one at a time. Package aggregatetest checks that a Custom keeps the laws that windows rely on.
package aggregates
