package topology

import (
	"github.com/ashi-stream/ashi/windows"
)

// Input is one of the inputs of an operator that has several: it stands below what feeds it.
type Input struct {
	To   *Node // the operator
	Port int   // from 0; of a join 0 is the left side, 1 the right
}

// Merge hands on what comes from any of its inputs.
type Merge struct{ Inputs int }

// Split hands each record on to one of its Next.
type Split struct {
	Row string
	// Open returns what says which; len(Next) or more: to none. User code.
	Open func() func(r *Record) (int, error)
}

// StreamJoin joins the rows of two streams that have the same key and event times not too far apart
// (semantics.md [J1] to [J10]).
type StreamJoin struct {
	Row string // type of the results
	// A left row at t matches the right ones from t-Before to t+After, both inclusive. Rows that
	// come up to Grace later than a newer one still count.
	Before, After, Grace windows.Time
	// Keep says of each side whether its rows go out alone when their time is over and nothing has
	// matched: left, right.
	Keep [2]bool
	// AsOf: of the right rows only the last one at or before a left row matches it, of those at one
	// time the one that came last; After is
	// 0. Each left row goes out once, when Grace is over.
	AsOf  bool
	Sides [2]Rows
	// Open returns the joiner: one of its arguments may be nil. User code.
	Open func() func(left, right any) (any, error)
}

// TableLookup joins each record of a stream with the row that a table has for its key (semantics.md
// [ST1] to [ST3]).
type TableLookup struct {
	Row   string
	Table *Node // its Op is a *Materialize of the same sub-topology
	Keep  bool  // records without a row in the table go on
	AsOf  bool  // the row that was in force at the record's event time; the table keeps History
	// Open returns the joiner: right is nil where the table has no row. User code.
	Open func() func(left, right any) (any, error)
}

// BroadcastLookup joins each record with a row of a table that every process mirrors, by any key.
type BroadcastLookup struct {
	Row   string
	Table *Table
	Keep  bool
	// OpenKey returns what appends to dst the key, in the table, of a record's row. User code.
	OpenKey func() func(r *Record, dst []byte) ([]byte, error)
	// OpenRow returns the decoder of the table's rows, and OpenJoin the joiner. User code.
	OpenRow  func() func(key, value []byte) (any, error)
	OpenJoin func() func(left, right any) (any, error)
}

// TableJoin joins two tables by their keys (semantics.md [TT1] to [TT3]). Its records are a table's
// again, with Old.
type TableJoin struct {
	Row   string
	Sides [2]*Node // their Ops are *Materialize of the same sub-topology
	Keep  [2]bool  // rows of a side that have no partner are in the result: left, right
	// Open returns the joiner: one of its arguments may be nil. Its result is good until its next
	// call. User code.
	Open func() func(left, right any) (any, error)
}

func (*Input) kind() string           { return "input" }
func (*Merge) kind() string           { return "merge" }
func (*Split) kind() string           { return "split" }
func (*StreamJoin) kind() string      { return "join" }
func (*TableLookup) kind() string     { return "lookup" }
func (*BroadcastLookup) kind() string { return "broadcast" }
func (*TableJoin) kind() string       { return "table join" }

// Form is the join as ksqlDB names it: inner, left, right or outer; or as-of.
func (j *StreamJoin) Form() string {
	if j.AsOf {
		return "as-of " + form(j.Keep)
	}
	return form(j.Keep)
}

// Form is the join as ksqlDB names it.
func (j *TableJoin) Form() string { return form(j.Keep) }

func form(keep [2]bool) string {
	return map[[2]bool]string{{false, false}: "inner", {true, false}: "left", {false, true}: "right",
		{true, true}: "outer"}[keep]
}
