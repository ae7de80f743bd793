package topology

// ForeignJoin joins the rows of a table with those of another one that a key in them names, the
// foreign key (semantics.md [FK1] to [FK5]). It stands with the left table, and talks to
// Subscriptions, which stand with the right one: it orders the row of a foreign key, and has the
// answer, and another one whenever that row changes, until it orders no more. A left row keeps the
// right row that it has, so that its own changes need no order as long as they leave the foreign
// key as it is.
//
// Input 0 is the changes of Left, input 1 the answers. What it hands on is a table's records, keyed
// as Left's, with Old.
type ForeignJoin struct {
	Row    string
	Left   *Node // its Op is a *Materialize of the same sub-topology
	Keep   bool  // left rows without a partner are in the result
	Right  Rows  // of answers
	Result Rows  // of what was put out for a left row that waits for the answer to another foreign key
	Orders string
	// OpenKey returns what appends the foreign key of a left row to dst; nil: it has none [FK3].
	// User code.
	OpenKey func() func(row any, dst []byte) ([]byte, error)
	// Open returns the joiner: right may be nil. Its result is good until its next call. User code,
	// which must give the same for the same rows.
	Open func() func(left, right any) (any, error)
}

// Subscriptions answers the orders of a ForeignJoin with rows of a table, which it has by the key
// of that table. Input 0 is the changes of Right, input 1 the orders. Answers go to the partition
// that the order came from.
type Subscriptions struct {
	Right   *Node // its Op is a *Materialize of the same sub-topology
	Answers string
}

// Raw is the row of an internal topic between two operators, which alone know its bytes.
type Raw []byte

// OpenRaw is Source.Open of a topic of Raw rows.
func OpenRaw() func(r *Record, key, value []byte) error {
	row := new(Raw)
	return func(r *Record, _, value []byte) error {
		*row = value
		r.Value = row
		return nil
	}
}

func (*ForeignJoin) kind() string   { return "foreign join" }
func (*Subscriptions) kind() string { return "subscriptions" }
