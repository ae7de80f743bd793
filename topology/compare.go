package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

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
	Why     []string // of a Changed one: what of it has changed, a line each
}

// Compare says what has become of each operator: of those that are planned in their order, then of
// the recorded ones that are Gone. Order means nothing. Rows of one that is Kept have the forms
// that they had, and behind them that of the plan if it is a new one.
func Compare(recorded, planned []Operator) []Difference {
	var all []Difference
	for _, is := range planned {
		i := slices.IndexFunc(recorded, func(was Operator) bool { return was.Name == is.Name })
		if i < 0 {
			is.Rows = recordable(is.Rows)
			all = append(all, Difference{Change: New, Is: is})
			continue
		}
		d := Difference{Was: recorded[i], Is: is}
		if d.Was.Kind == is.Kind && d.Was.Layout > is.Layout {
			d.Change = Newer
		} else if d.Why = d.changes(); len(d.Why) > 0 {
			d.Change = Changed
		} else if is.Kind != InternalTopic { // a row in a topic says itself what its form is
			d.Is.Rows = d.remember()
		}
		d.Is.Rows = recordable(d.Is.Rows)
		all = append(all, d)
	}
	for _, was := range recorded {
		if !slices.ContainsFunc(planned, func(is Operator) bool { return is.Name == was.Name }) {
			all = append(all, Difference{Change: Gone, Was: was})
		}
	}
	return all
}

// changes is all that keeps the rows of Was from being those of Is.
func (d *Difference) changes() []string {
	was, is := d.Was, d.Is
	if was.Kind != is.Kind {
		return []string{fmt.Sprintf("kind: was %s, is %s", was.Kind, is.Kind)}
	}
	var why []string
	if was.Layout != is.Layout {
		why = append(why, fmt.Sprintf("layout of its rows: was %d, is %d", was.Layout, is.Layout))
	}
	for _, p := range is.Meaning {
		i := slices.IndexFunc(was.Meaning, func(w Part) bool { return w.Name == p.Name })
		if i < 0 {
			i, was.Meaning = len(was.Meaning), append(slices.Clip(was.Meaning), Part{Name: p.Name})
		}
		why = append(why, p.changed(was.Meaning[i])...)
	}
	for _, w := range was.Meaning {
		if !slices.ContainsFunc(is.Meaning, func(p Part) bool { return w.Name == p.Name }) {
			why = append(why, Part{Name: w.Name}.changed(w)...)
		}
	}
	if len(why) == 0 && was.Numbers.Count != is.Numbers.Count {
		why = append(why, fmt.Sprintf("numbers in row keys: was %d, is %d", was.Numbers.Count, is.Numbers.Count))
	}
	return append(why, d.unreadable()...)
}

// changed says how p differs from what it was.
func (p Part) changed(was Part) []string {
	if p.Text == was.Text {
		return nil
	}
	if !p.List {
		return []string{fmt.Sprintf("%s: was %s, is %s", p.Name, cmp.Or(was.Text, "none"), cmp.Or(p.Text, "none"))}
	}
	have, had := strings.Split(p.Text, ","), strings.Split(was.Text, ",")
	added, gone := without(have, had), without(had, have)
	switch {
	case len(added)+len(gone) == 0:
		return []string{fmt.Sprintf("%s: in another order: was %s, is %s", p.Name, was.Text, p.Text)}
	case len(gone) == 0:
		return []string{fmt.Sprintf("%s: new %s", p.Name, strings.Join(added, ", "))}
	case len(added) == 0:
		return []string{fmt.Sprintf("%s: gone %s", p.Name, strings.Join(gone, ", "))}
	}
	return []string{fmt.Sprintf("%s: new %s; gone %s", p.Name, strings.Join(added, ", "), strings.Join(gone, ", "))}
}

// without is a multiset without another.
func without(all, others []string) (left []string) {
	others = slices.Clone(others)
	for _, s := range all {
		if i := slices.Index(others, s); i >= 0 {
			others = slices.Delete(others, i, i+1)
		} else if s != "" {
			left = append(left, s)
		}
	}
	return left
}

// unreadable says of which forms there may be rows that cannot be read.
func (d *Difference) unreadable() (why []string) {
	for _, is := range d.Is.Rows {
		for _, form := range d.Was.formsOf(is.Of) {
			if form == is.rows.Form {
				continue
			}
			if _, err := is.rows.From(form); err != nil {
				for _, line := range strings.Split(err.Error(), "; ") {
					if len(d.Is.Rows) > 1 {
						line = is.Of + " " + line
					}
					if !slices.Contains(why, line) {
						why = append(why, line)
					}
				}
			}
		}
	}
	return why
}

func (o *Operator) formsOf(of string) []string {
	for _, f := range o.Rows {
		if f.Of == of {
			return f.Forms
		}
	}
	return nil
}

// remember is the forms that rows of Is may have from now on.
func (d *Difference) remember() []Forms {
	all := slices.Clone(d.Is.Rows)
	for i := range all {
		f := &all[i]
		had := slices.Clone(d.Was.formsOf(f.Of))
		if !slices.Contains(had, f.Forms[0]) {
			had = append(had, f.Forms[0])
		}
		f.Forms = had
	}
	return all
}

// recordable is forms without what the plan knows of them.
func recordable(planned []Forms) []Forms {
	all := slices.Clone(planned)
	for i := range all {
		all[i].rows = nil
	}
	return all
}

// String is a line for the operator, and one for each thing that has changed.
func (d Difference) String() string {
	switch d.Change {
	case New:
		return fmt.Sprintf("%s: new", d.Is)
	case Gone:
		return fmt.Sprintf("%s: gone", d.Was)
	case Newer:
		return fmt.Sprintf("%s: its rows have layout %d, this version of ashi knows %d", d.Is, d.Was.Layout,
			d.Is.Layout)
	case Changed:
		return fmt.Sprintf("%s\n      %s", d.Is, strings.Join(d.Why, "\n      "))
	}
	return fmt.Sprintf("%s: kept", d.Is)
}

// Linked says that a sub-topology reads internal topics or writes them: what waits in them is of
// others too.
func (p *Plan) Linked(s *SubTopology) bool {
	for _, t := range p.Internal {
		if slices.Contains(s.Topics(), t.Topic) || slices.ContainsFunc(s.Sinks(),
			func(k *Sink) bool { return k.Topic == t.Topic }) {
			return true
		}
	}
	return false
}
