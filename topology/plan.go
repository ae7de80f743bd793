package topology

import (
	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/windows"
)

// Record is a record between two steps of a task. It is valid until the step that got it returns,
// and must not be changed by a step that hands it on: other branches see it too.
type Record struct {
	Key   []byte       // the Kafka key; nil is null
	Value any          // a pointer to the row
	Time  windows.Time // event time
	// Group is the part of Key that decides the partition: Key itself, or of a windowed key the
	// group's own.
	Group []byte
	// Old is of a record of a table: the row that Value replaces, nil where there was none. Value
	// is nil then where the row is deleted. Both are nil never. In a stream Old is nil.
	Old any
}

// Plan is a whole application.
type Plan struct {
	// of the application: that of its group, and what the names of its own topics and transactional
	// ids begin with (names.go)
	Name     string
	Place    string // file and line in the user's program, for messages; so in Node and Table; may be empty
	Subs     []*SubTopology
	Tables   []*Table // what is mirrored into every process
	Internal []*Internal
	Startups []Startup // what the engine does before it reads: it does not begin before all of them have gone well
	// DeadLetters is the topic of dead letters; empty: no policy sends any, and the program did not
	// name one.
	DeadLetters string
	Warnings    []string // worth a look, no mistakes
	Adjusters   []Adjuster
	Dropped     []string // steps and internal topics of plans before that may go with what they hold
}

// Adjuster is a codec that makes values fit their columns, for rows whose type is tagged relaxed.
type Adjuster struct {
	Row string // their type
	// Adjusted is how many values of each column it has changed so far.
	Adjusted func() map[string]int64
}

// Internal is a topic between two sub-topologies: rows that have another key than the topic that
// they come from. The engine creates it, and deletes from it what has been read.
type Internal struct {
	Topic string
	Place string
	// Partitions is how many it has; 0: as many as the topics that are read together with it, or if
	// there are none, as the largest topic of the sub-topologies that write it.
	Partitions int32
}

// SubTopology is the steps that run together in one task per partition of its sources. These have
// the same number of partitions (JOIN-2).
type SubTopology struct {
	Name  string  // the topic of the first source; of an internal one the name that InternalName was given
	Roots []*Node // the sources: Op is a *Source
	// DeadLetters is Plan.DeadLetters, and Dropped is Plan.Dropped.
	DeadLetters string
	Dropped     []string
}

// Node is one step and those that it feeds.
type Node struct {
	Name  string // unique in the plan; of stateful steps: unchanged when steps are added before it
	Place string
	Op    Op
	Next  []*Node // in the order in which they get each record
	// OnError is the policy for records at which the step fails. Nil: that of the source of the
	// record at work, and where that has none, Skip. Sinks of final rows have Fail of their own.
	OnError *Policy
}

// Op is what a node does: a *Source, *Step, *Aggregate, *Sink, or one of those of joins.go and
// tables.go.
type Op interface{ kind() string }

// Source reads a topic.
type Source struct {
	Topic string
	// Table says that a null value deletes the row of its key. In a stream it is dropped.
	Table bool
	// Deletions says that the decoder is also given the records that delete rows of a table, whose
	// value is nil: it sets their key.
	Deletions bool
	// First says that of records at one event time those of this topic go before those of other
	// streams, as the right side of an as-of join needs it.
	First bool
	// Internal says that the topic is one of Plan.Internal: its event times were held against the
	// clock where they came in.
	Internal bool
	Row      string // type of the rows, for people
	Codec    string
	Holds    string // of an internal topic: what it has beside rows, such as changes; empty: rows
	Rows     *Rows  // of an internal topic; nil: an operator knows its bytes
	// OnDecode is the policy for records that cannot be decoded; nil: the node's OnError.
	OnDecode *Policy
	// Open returns a decoder, which fills r.Value, and r.Old where the topic has both
	// ([Sink].Changes), and r.Time where a column has the event time, from the key and value on the
	// wire, neither of them null (but see Deletions). The row is reused for the next record.
	// r.Value stays nil where the value stands for null.
	Open func() func(r *Record, key, value []byte) error
}

// Step is a stateless step.
type Step struct {
	Kind string // filter, map, flatmap or peek
	Row  string // type of the rows that it puts out
	// Open returns the step, which appends what it puts out to out. It is user code: it may fail
	// and it may panic.
	Open func() func(r *Record, out []*Record) ([]*Record, error)
}

// Aggregate keeps one row per group and window, and puts out changed rows, final rows or both.
type Aggregate struct {
	Key     string // type of the group key, for people
	KeyForm string // how group keys are written; empty: as those of records are
	Global  bool   // one group for all records, whatever their keys: the source has one partition
	// records have another key than in their topic: only its hash says to which partition a group
	// belongs
	Rekeyed bool
	Row     string
	Windows windows.Spec
	Program aggregates.Aggregator
	// Having says which rows are put out; nil: all. A row that was put out as a change and does not
	// pass any more is deleted by a tombstone. User code.
	Having func(row any) bool
	// Changes of a table come here, from a Regroup: the row in Old is undone, then the one in Value
	// added, as one change of the result ([A1]). Windows has no bounds then, and Program has undo.
	Table bool
	Late  string // topic that late records are written to as they came; empty: they are dropped
	// OpenKey returns what appends a row's group key to dst. User code.
	OpenKey func() func(r *Record, dst []byte) ([]byte, error)
	// OpenRow returns the projection: the row for a group and window. User code. The row is reused.
	OpenRow func() func(group []byte, w windows.Window, s aggregates.State) (any, error)
	// Changes and Finals are fed with windowed keys (Kafka Streams' bytes: the group's, then the
	// start in 8 bytes big-endian), one Node for each kind of Windows, or none at all. A kind
	// without bounds has the group's key alone, and no finals: its Node there is nil.
	Changes, Finals []*Node
}

// Sink writes to a topic.
type Sink struct {
	Topic string
	Row   string
	Codec string
	// Internal says that the topic is one of Plan.Internal, and that this sink is the engine's own.
	Internal bool
	Compact  bool // create the topic compacted
	Changes  bool // values hold Old and Value both; else Old is not written, and a null is written where Value is nil
	// Key, if not nil, appends the key of a group in the form that the topic has it to dst. A
	// window stays behind it as it is; the partition is that of this key.
	Key func(dst, group []byte) ([]byte, error)
	// Open returns an encoder, which appends the value of r's row to dst.
	Open func() func(r *Record, dst []byte) ([]byte, error)
}

func (*Source) kind() string    { return "source" }
func (s *Step) kind() string    { return s.Kind }
func (*Aggregate) kind() string { return "aggregate" }
func (*Sink) kind() string      { return "sink" }

// Table is a topic that is mirrored into a store of every process (TC-1).
type Table struct {
	Topic string
	Place string
	// Folder and File name its store: Folder is the topic that it comes from, File "main" or
	// "window_15min" (TC-3).
	Folder, File string
	// Windows is the kind of a table of windows; nil for others. Keys of such a table are windowed.
	Windows *windows.Kind
	// AppendOnly keeps the first row of each key and counts further ones, as finals need (FIN-5).
	AppendOnly bool
	Row        string
	// PlainKey, if not nil, turns the keys of the topic, which are in the format Keys, into
	// ksqlDB's KAFKA format, in which they are kept and read. Only of a table without windows.
	PlainKey func(key []byte) ([]byte, error)
	Keys     string
	// Null, if not nil, says that a value of the topic stands for null, though it has bytes: it
	// deletes the row of its key.
	Null func(value []byte) bool
	// WithoutMirror is why no process mirrors it; empty: all do. Only a table that was declared may
	// have one, not one of results.
	WithoutMirror string
}

// TableOf is a Table with the types of its keys and rows: what a program asks the engine for.
type TableOf[K, R any] struct {
	Table  *Table
	Key    func(dst []byte, key K) ([]byte, error) // appends the key's bytes, without a window
	Decode func(key, value []byte, row *R) error   // key without its window
	Err    error                                   // why there is no such table: Table is nil then
}

// Ref is t.
func (t TableOf[K, R]) Ref() TableOf[K, R] { return t }

// StreamOf is a topic with the type of its rows: what a program adds to or listens to.
type StreamOf[R any] struct {
	Topic   string
	Windows *windows.Kind // nil, or the kind of windows that keys end with
	Key     func(dst []byte, row *R) ([]byte, error)
	Encode  func(dst []byte, row *R) ([]byte, error)
	Decode  func(key, value []byte, row *R) error // key without its window
	Time    func(row *R) (windows.Time, bool)     // false: the row has no event time
	Err     error                                 // why there is no such stream
}

// StreamRef is s.
func (s StreamOf[R]) StreamRef() StreamOf[R] { return s }
