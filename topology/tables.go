package topology

import (
	"github.com/ashi-stream/ashi/windows"
)

// Materialize keeps the last row of each key of a table, hands records on with the row before as
// Old, and answers joins. A deletion of what is not there goes no further.
type Materialize struct {
	Rows Rows
	// History is how far back a table keeps the rows that were in force, on its own stream time; 0:
	// only the last, whatever its event time ([T7], [VT1]). With a history only what is the newest
	// of its key by event time is handed on [TT3]; what is older than the history is dropped and
	// counted as late.
	History windows.Time
}

// TableStep keeps some rows of a table, or turns them into others: it is applied to Old and Value
// both, so that a row which was in the result and is not any more is deleted [A3].
type TableStep struct {
	Kind string // table filter, table map
	Row  string
	// Open returns the step for one of the two: nil says that the row is not in the result. What it
	// returns is good until its next call. It is user code, and must give the same for the same
	// row: a row for which it fails is not in the result.
	Open func() func(row any) (any, error)
}

// Regroup hands a change of a table on as changes of groups: the old row is taken from its group
// and the new one added to its own, in that order; one record where both are of one group [A1].
// Records have the group's key, and Old and Value as a table's have.
type Regroup struct {
	Row string
	// OpenKey returns what appends the group key of a row to dst; nil: the row is in no group [A2].
	// User code.
	OpenKey func() func(row any, dst []byte) ([]byte, error)
}

// Suppress holds changes of a table back: of each key only the last one goes on, Every after the
// first that was held, on the stream time of the records that come here [P3]; or sooner where more
// than MaxRows keys wait: then the oldest go. They go in the order of (event time of the first,
// key), with the first one's Old and the last one's event time.
type Suppress struct {
	Rows    Rows
	Every   windows.Time // 0: only MaxRows lets them go
	MaxRows int          // 0: no bound; the keys that wait are in memory, their rows as far as there is room
}

func (*Materialize) kind() string { return "table" }
func (*Regroup) kind() string     { return "regroup" }
func (s *TableStep) kind() string { return s.Kind }
func (*Suppress) kind() string    { return "suppress" }
