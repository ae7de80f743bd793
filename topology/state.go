package topology

import (
	"fmt"
	"math"
	"slices"
)

// Numbers are the numbers in the row keys of an operator with state: First and those behind it, Count in all.
type Numbers struct{ First, Count uint16 }

// Operator is an operator with state as a commit record tells of it. Two of one name are the same operator; its rows can be read if all
// but Numbers is equal.
type Operator struct {
	Name    string // of its Node; of an internal topic the topic's
	Kind    string // aggregate, join, table and so on; "internal topic" is what waits in one that the sub-topology reads
	Layout  uint16 // version of the layout of its rows, from 1
	Meaning string // all that gives its rows their meaning, for people and to be compared
	Numbers Numbers
}

// FirstNumber is the lowest number that row keys have.
const FirstNumber = 1 << 8

// stateful is an Op with state.
type stateful interface {
	Op
	// meaning and forms, one after the other, are in Operator.Meaning.
	meaning() string
	forms() string
	// numbers is how many numbers its row keys have.
	numbers() int
}

// Operators are the operators with state, and the internal topics that are read, in the order of Nodes. Layout and Numbers.First are left to
// whoever writes the rows.
func (s *SubTopology) Operators() []Operator {
	of := map[*Node]string{} // tables to the topics that they are kept from
	var all []Operator
	for n := range s.Nodes() {
		switch o := n.Op.(type) {
		case *Source:
			if o.Internal {
				all = append(all, Operator{Name: o.Topic, Kind: "internal topic", Meaning: o.Codec + " " + o.Row + o.Form})
			}
			for _, c := range n.Next {
				if o.Table {
					of[c] = ", of topic " + o.Topic
				}
			}
		case stateful:
			all = append(all, Operator{Name: n.Name, Kind: o.kind(), Meaning: o.meaning() + o.forms() + of[n], Numbers: Numbers{Count: uint16(o.numbers())}})
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

// Change is what has become of an operator with state.
type Change uint8

const (
	Kept    Change = iota // its rows can be read
	New                   // it has no rows
	Gone                  // there are rows, and no such operator any more
	Changed               // it is not what it was: its rows must not be read
	Newer                 // its rows have a layout that only newer versions of ashi know
)

// Difference is what has become of one operator.
type Difference struct {
	Change  Change
	Was, Is Operator // Was is empty of a New one, Is of one that is Gone
}

// Compare says what has become of each operator: of those that are planned in their order, then of the recorded ones that are Gone. Order
// means nothing.
func Compare(recorded, planned []Operator) []Difference {
	var all []Difference
	for _, is := range planned {
		i := slices.IndexFunc(recorded, func(was Operator) bool { return was.Name == is.Name })
		if i < 0 {
			all = append(all, Difference{Change: New, Is: is})
			continue
		}
		d := Difference{Was: recorded[i], Is: is}
		switch was := d.Was; {
		case was.Kind != is.Kind:
			d.Change = Changed
		case was.Layout > is.Layout:
			d.Change = Newer
		case was.Layout != is.Layout || was.Meaning != is.Meaning || was.Numbers.Count != is.Numbers.Count:
			d.Change = Changed
		}
		all = append(all, d)
	}
	for _, was := range recorded {
		if !slices.ContainsFunc(planned, func(is Operator) bool { return is.Name == was.Name }) {
			all = append(all, Difference{Change: Gone, Was: was})
		}
	}
	return all
}

// String is a line for each of what was and what is.
func (d Difference) String() string {
	switch d.Change {
	case New:
		return fmt.Sprintf("%s: new", d.Is)
	case Gone:
		return fmt.Sprintf("%s: gone", d.Was)
	case Newer:
		return fmt.Sprintf("%s: its rows have layout %d, this version of ashi knows %d", d.Is, d.Was.Layout, d.Is.Layout)
	case Changed:
		return fmt.Sprintf("%s\n      was %s\n      is  %s", d.Is, d.Was.text(d.Is), d.Is.text(d.Was))
	}
	return fmt.Sprintf("%s: kept", d.Is)
}

// String is kind and name.
func (o Operator) String() string { return fmt.Sprintf("%s %q", o.Kind, o.Name) }

// text is the operator's meaning, and what else differs from another.
func (o Operator) text(other Operator) string {
	text := o.Meaning
	if o.Kind != other.Kind {
		text = o.Kind + " " + text
	}
	if o.Layout != other.Layout {
		text += fmt.Sprintf(", layout %d", o.Layout)
	}
	if o.Numbers.Count != other.Numbers.Count {
		text += fmt.Sprintf(", %d in row keys", o.Numbers.Count)
	}
	return text
}

// Linked says that a sub-topology reads internal topics or writes them: what waits in them is of others too.
func (p *Plan) Linked(s *SubTopology) bool {
	for _, t := range p.Internal {
		if slices.Contains(s.Topics(), t.Topic) || slices.ContainsFunc(s.Sinks(), func(k *Sink) bool { return k.Topic == t.Topic }) {
			return true
		}
	}
	return false
}

func (a *Aggregate) meaning() string {
	return fmt.Sprintf("by %s over %v grace %d sliced %v: %s", a.Key, a.Windows.Kinds(), a.Windows.GraceTime(), a.Sliced(), a.Program.Signature())
}

func (j *StreamJoin) meaning() string {
	return fmt.Sprintf("%s before %d after %d grace %d: %s %s, %s %s", j.Form(), j.Before, j.After, j.Grace,
		j.Sides[0].Codec, j.Sides[0].Row, j.Sides[1].Codec, j.Sides[1].Row)
}

func (m *Materialize) meaning() string {
	return fmt.Sprintf("%s %s history %d", m.Rows.Codec, m.Rows.Row, m.History)
}

func (s *Suppress) meaning() string {
	return fmt.Sprintf("%s %s every %d rows %d", s.Rows.Codec, s.Rows.Row, s.Every, s.MaxRows)
}

func (j *ForeignJoin) meaning() string {
	return fmt.Sprintf("%s %s, %s %s", j.Right.Codec, j.Right.Row, j.Result.Codec, j.Result.Row)
}

func (s *Subscriptions) meaning() string { return "" }

func (a *Aggregate) forms() string {
	if a.KeyForm == "" {
		return ""
	}
	return ", keys " + a.KeyForm
}
func (j *StreamJoin) forms() string    { return j.Sides[0].Form + j.Sides[1].Form }
func (m *Materialize) forms() string   { return m.Rows.Form }
func (s *Suppress) forms() string      { return s.Rows.Form }
func (j *ForeignJoin) forms() string   { return j.Right.Form + j.Result.Form }
func (s *Subscriptions) forms() string { return "to " + s.Right.Name }

func (a *Aggregate) numbers() int     { return min(len(a.Windows.Kinds()), math.MaxUint16) }
func (j *StreamJoin) numbers() int    { return 4 } // rows of two sides, and their marks
func (m *Materialize) numbers() int   { return 2 } // rows, and when deletions end
func (s *Suppress) numbers() int      { return 1 }
func (j *ForeignJoin) numbers() int   { return 1 }
func (s *Subscriptions) numbers() int { return 1 }
