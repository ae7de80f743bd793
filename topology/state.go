package topology

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/windows"
)

// Numbers are the numbers in the row keys of an operator with state: First and those behind it,
// Count in all.
type Numbers struct{ First, Count uint16 }

// FirstNumber is the lowest number that row keys have.
const FirstNumber = 1 << 8

// Operator is an operator with state as a commit record tells of it. Two of one name are the same
// operator; its rows can be read if Kind, Layout, Meaning and the count of Numbers are equal, and
// the forms of Rows can be read.
type Operator struct {
	Name string // of its Node; of an internal topic the topic's
	// aggregate, join, table and so on; "internal topic" is what waits in one that the sub-topology
	// reads
	Kind    string
	Layout  uint16 // version of the layout of its rows, from 1
	Meaning []Part // all that gives its rows their meaning, beside their columns
	Rows    []Forms
	Numbers Numbers
}

// Part is one thing that gives rows their meaning, such as grace: 3s. An empty Text is that of an
// operator without.
type Part struct {
	Name string
	Text string // for people, and to be compared
	List bool   // Text is a list, divided by commas
}

// Forms are those that rows of one kind have had in the state of an operator, oldest first: rows
// say by the place here which one is theirs.
type Forms struct {
	Of    string // what the rows are, such as left
	Forms []string
	rows  *Rows // of a planned operator
}

// InternalTopic is the Kind of an internal topic.
const InternalTopic = "internal topic"

// Kinds of internal topics of changes that are written. Their readers undo what a change replaces,
// so all rows must have gone through: one that was left out of the plan for a while has a gap.
const (
	ChangesTopic = "changes"
	ChangesGap   = "changes with a gap"
)

// MostForms is how many forms rows of one kind may have had: a byte says which one is a row's.
const MostForms = 256

// stateful is an Op with state.
type stateful interface {
	Op
	meaning() []Part
	// rows are the kinds of rows that it keeps by a Rows, with what they are.
	rows() []keptRows
	// numbers is how many numbers its row keys have.
	numbers() int
}

type keptRows struct {
	of   string
	rows *Rows
}

// Operators are the operators with state, the internal topics that are read, and those of changes
// that are written, in the order of Nodes. Layout and Numbers.First are left to whoever writes the
// rows.
func (s *SubTopology) Operators() []Operator {
	of := map[*Node]string{} // tables to the topics that they are kept from
	var all []Operator
	for n := range s.Nodes() {
		switch o := n.Op.(type) {
		case *Source:
			if o.Internal {
				all = append(all, Operator{Name: o.Topic, Kind: InternalTopic, Meaning: o.meaning(),
					Rows: formsOf(o.rows())})
			}
			for _, c := range n.Next {
				if o.Table {
					of[c] = o.Topic
				}
			}
		case *Sink:
			if o.Internal && o.Changes {
				all = append(all, Operator{Name: n.Name, Kind: ChangesTopic})
			}
		case stateful:
			meaning := o.meaning()
			if topic, ok := of[n]; ok {
				meaning = append(meaning, Part{Name: "topic", Text: topic})
			}
			all = append(all, Operator{Name: n.Name, Kind: o.kind(), Meaning: meaning, Rows: formsOf(o.rows()),
				Numbers: Numbers{Count: uint16(o.numbers())}})
		}
	}
	return all
}

// Stateful says that a step keeps rows: that the changelog holds more than positions.
func (s *SubTopology) Stateful() bool {
	for n := range s.Nodes() {
		if _, ok := n.Op.(stateful); ok {
			return true
		}
	}
	return false
}

func formsOf(kept []keptRows) []Forms {
	var all []Forms
	for _, k := range kept {
		all = append(all, Forms{Of: k.of, Forms: []string{k.rows.Form}, rows: k.rows})
	}
	return all
}

// String is kind and name.
func (o Operator) String() string { return fmt.Sprintf("%s %q", o.Kind, o.Name) }

// Described is what gives the operator's rows their meaning, for people.
func (o Operator) Described() string {
	var parts []string
	for _, p := range o.Meaning {
		if p.Text != "" {
			parts = append(parts, p.Name+" "+p.Text)
		}
	}
	for _, r := range o.Rows {
		parts = append(parts, r.Of+" "+r.Forms[len(r.Forms)-1])
	}
	return strings.Join(parts, ", ")
}

// some is a number of milliseconds for people; never is what 0 means.
func some(ms windows.Time, never string) string {
	if ms == 0 && never != "0s" {
		return never
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

func (s *Source) meaning() []Part { return []Part{{Name: "holds", Text: cmp.Or(s.Holds, "rows")}} }

func (a *Aggregate) meaning() []Part {
	var kinds []string
	for _, k := range a.Windows.Kinds() {
		kinds = append(kinds, k.String())
	}
	slices := ""
	if a.Sliced() {
		slices = "from slices"
	}
	return []Part{{Name: "key", Text: strings.TrimSpace(a.Key + " " + a.KeyForm)},
		{Name: "windows", Text: strings.Join(kinds, ",")}, {Name: "grace", Text: some(a.Windows.GraceTime(), "0s")},
		{Name: "hopping windows", Text: slices}, {Name: "aggregates", Text: a.Program.Signature(), List: true}}
}

func (j *StreamJoin) meaning() []Part {
	return []Part{{Name: "join", Text: j.Form()}, {Name: "before", Text: some(j.Before, "0s")},
		{Name: "after", Text: some(j.After, "0s")}, {Name: "grace", Text: some(j.Grace, "0s")}}
}

func (m *Materialize) meaning() []Part { return []Part{{Name: "history", Text: some(m.History, "")}} }

func (s *Suppress) meaning() []Part {
	return []Part{{Name: "every", Text: some(s.Every, "")}, {Name: "rows at most", Text: strconv.Itoa(s.MaxRows)}}
}

func (j *ForeignJoin) meaning() []Part   { return nil }
func (s *Subscriptions) meaning() []Part { return nil } // they are of keys, whatever the table is named

func (s *Source) rows() []keptRows {
	if s.Rows == nil {
		return nil
	}
	return []keptRows{{"rows", s.Rows}}
}

func (a *Aggregate) rows() []keptRows { return nil }
func (j *StreamJoin) rows() []keptRows {
	return []keptRows{{"left", &j.Sides[0]}, {"right", &j.Sides[1]}}
}
func (m *Materialize) rows() []keptRows { return []keptRows{{"rows", &m.Rows}} }
func (s *Suppress) rows() []keptRows    { return []keptRows{{"rows", &s.Rows}} }
func (j *ForeignJoin) rows() []keptRows {
	return []keptRows{{"right", &j.Right}, {"result", &j.Result}}
}
func (s *Subscriptions) rows() []keptRows { return nil }

func (a *Aggregate) numbers() int     { return min(len(a.Windows.Kinds()), math.MaxUint16) }
func (j *StreamJoin) numbers() int    { return 4 } // rows of two sides, and their marks
func (m *Materialize) numbers() int   { return 2 } // rows, and when deletions end
func (s *Suppress) numbers() int      { return 1 }
func (j *ForeignJoin) numbers() int   { return 1 }
func (s *Subscriptions) numbers() int { return 1 }
