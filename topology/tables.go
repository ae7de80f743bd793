package topology

import (
	"fmt"
	"io"

	"github.com/ashi-stream/ashi/windows"
)

// Materialize keeps the last row of each key of a table, hands records on with the row before as Old, and answers joins. A deletion of
// what is not there goes no further.
type Materialize struct {
	ID   uint16 // as of an Aggregate
	Rows Rows
	// History is how far back a table keeps the rows that were in force, on its own stream time; 0: only the last, whatever its
	// event time ([T7], [VT1]). With a history only what is the newest of its key by event time is handed on [TT3]; what is older than
	// the history is dropped and counted as late.
	History windows.Time
	// Ordered says that records have a version ahead of their row (Numbered), and that one with a lower version than the last of its key is
	// dropped in silence: it was overtaken on another way.
	Ordered bool
}

// TableStep keeps some rows of a table, or turns them into others: it is applied to Old and Value both, so that a row which was in
// the result and is not any more is deleted [A3].
type TableStep struct {
	Kind string // table filter, table map
	Row  string
	// Open returns the step for one of the two: nil says that the row is not in the result. What it returns is good until its next
	// call. It is user code, and must give the same for the same row: a row for which it fails is not in the result.
	Open func() func(row any) (any, error)
}

// Numbered is the row of a record that comes to an Ordered Materialize: results of one left row come from several tasks.
type Numbered struct {
	Version uint64
	Row     any // nil: deleted
}

// Regroup hands a change of a table on as changes of groups: the old row is taken from its group and the new one added to its own, in
// that order; one record where both are of one group [A1]. Records have the group's key, and Old and Value as a table's have.
type Regroup struct {
	Row string
	// OpenKey returns what appends the group key of a row to dst; nil: the row is in no group [A2]. User code.
	OpenKey func() func(row any, dst []byte) ([]byte, error)
}

// Subscribe hands a change of a table on as orders to the tasks that have the rows of its foreign key: see ForeignJoin.
type Subscribe struct {
	ID   uint16 // of the counter that numbers orders
	Keep bool   // of the join
	// OpenKey returns what appends the foreign key of a row to dst; nil: it has none [FK3]. User code.
	OpenKey func() func(row any, dst []byte) ([]byte, error)
}

// Suppress holds changes of a table back: of each key only the last one goes on, Every after the first that was held, on the stream
// time of the records that come here [P3]; or sooner where more than MaxRows keys wait: then the oldest go.
type Suppress struct {
	ID      uint16
	Rows    Rows
	Every   windows.Time
	MaxRows int // 0: no bound but the memory of the task
}

func (*Materialize) kind() string { return "table" }
func (*Regroup) kind() string     { return "regroup" }
func (s *TableStep) kind() string { return s.Kind }
func (*Subscribe) kind() string   { return "subscribe" }
func (*Suppress) kind() string    { return "suppress" }

func (m *Materialize) stateID() uint16 { return m.ID }
func (s *Subscribe) stateID() uint16   { return s.ID }
func (s *Suppress) stateID() uint16    { return s.ID }

func (m *Materialize) setID(id uint16) { m.ID = id }
func (s *Subscribe) setID(id uint16)   { s.ID = id }
func (s *Suppress) setID(id uint16)    { s.ID = id }

func (m *Materialize) fingerprint(w io.Writer, name string) {
	fmt.Fprintf(w, "table %d %q %s %s history %d ordered %v\n", m.ID, name, m.Rows.Codec, m.Rows.Row, m.History, m.Ordered)
}

func (s *Subscribe) fingerprint(w io.Writer, name string) {
	fmt.Fprintf(w, "subscribe %d %q keep %v\n", s.ID, name, s.Keep)
}

func (s *Suppress) fingerprint(w io.Writer, name string) {
	fmt.Fprintf(w, "suppress %d %q %s %s every %d rows %d\n", s.ID, name, s.Rows.Codec, s.Rows.Row, s.Every, s.MaxRows)
}
