package task

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// A plan that has changed takes over what the one before has left (docs/operations.md, "Changing a
// plan"). Rows have the number of their operator in their keys, and the commit record says which
// operator has which, so rows are found by the operator's name, wherever it stands in the plan. A
// number is never given twice. Where the plan has changed, one commit says so, of the commit record
// alone, before anything else is written: whatever a crash leaves behind, the numbers in the last
// record are those that count. Rows of other numbers are removed by the commits that follow.

// topNumber is the first that does not fit into row keys.
const topNumber = math.MaxUint16 + 1

// layout is the version of the layout of rows of a kind of operators. Whoever changes what is in
// keys or values of rows counts it up.
func layout(kind string) uint16 {
	switch kind {
	case "aggregate", "subscriptions", topology.ChangesTopic, topology.ChangesGap:
		return 1
	case "join", "table", "suppress", "foreign join", topology.InternalTopic:
		return 2 // rows have their form
	}
	return 0
}

// first is the first number of an operator.
func (t *Task) first(name string) uint16 {
	i := slices.IndexFunc(t.progress.Operators, func(o topology.Operator) bool { return o.Name == name })
	return t.progress.Operators[i].Numbers.First // adopt has all
}

// adopt reads the commit record in the store, and makes of it that of this plan.
func (t *Task) adopt() (err error) {
	r := NewRestorer(t.cfg.Store, t.cfg.ID)
	if t.position, _, err = r.Position(); err != nil {
		return err
	}
	last, err := r.Progress()
	if err != nil {
		return err
	}
	planned := t.cfg.Sub.Operators()
	for i := range planned {
		planned[i].Layout = layout(planned[i].Kind)
	}
	rebuild, err := t.admitLogs(last)
	if err != nil {
		return err
	}
	t.progress = Progress{Next: topology.FirstNumber, Inputs: map[string]int64{}, Topics: map[string]TopicID{},
		StreamTimes: map[string]windows.Time{}}
	if last != nil {
		t.progress = *last
	}
	differences := topology.Compare(t.progress.Operators, planned)
	if err := t.admit(differences); err != nil {
		return err
	}
	if err := t.admitGone(differences); err != nil {
		return err
	}
	if slices.ContainsFunc(differences, func(d topology.Difference) bool { return d.Change == topology.Changed }) {
		rebuild = true
		t.cfg.Log.Warn("plan has changed: state is dropped and rebuilt from the oldest records of the inputs",
			"partition", t.cfg.Partition, "changes", changes(differences))
	}
	if rebuild {
		t.progress.Inputs, t.progress.StreamTimes = map[string]int64{}, map[string]windows.Time{}
	}
	t.progress.Log, t.progress.Topics = t.cfg.ID, maps.Clone(t.progress.Topics)
	for _, topic := range t.cfg.Sub.Topics() {
		if id := t.cfg.Topics[topic]; id != (TopicID{}) {
			t.progress.Topics[topic] = id
		}
	}
	if err := t.removeStrays(); err != nil {
		return err
	}
	if err := t.assign(differences, rebuild); err != nil {
		return err
	}
	t.adopting = t.adopting && last != nil || len(t.progress.Removing) > 0 && last == nil
	return nil
}

// admit is an error where rows of an operator must not be read, and that is not to be got over by a
// rebuild.
func (t *Task) admit(differences []topology.Difference) error {
	newer := of(differences, topology.Newer)
	if len(newer) > 0 {
		return fmt.Errorf("%w: %s:%s", ErrNewer, t.where(), changes(newer))
	}
	changed := of(differences, topology.Changed)
	if len(changed) > 0 && (!t.cfg.Rebuild || t.cfg.Linked) {
		return t.foreign("these steps are not what they were:" + changes(changed))
	}
	return nil
}

// foreign is the error of state that this plan cannot read, with what can be done.
func (t *Task) foreign(why string) error {
	rebuild :=
		"set OnPlanChange to Rebuild, to drop the state of the whole sub-topology and start from the oldest records " +
			"of its inputs"
	if t.cfg.Linked {
		rebuild =
			"a rebuild (OnPlanChange) is not possible here, as records go through internal topics, where those of " +
				"before are"
	}
	return fmt.Errorf(
		"%w: %s: %s\n  Give a step that has changed another name (As), and it starts anew while the others go on; "+
			"or %s; "+
			"or give the application another name", ErrForeign, t.where(), why, rebuild)
}

func (t *Task) where() string {
	return fmt.Sprintf("sub-topology %s, partition %d, changelog %s", t.cfg.Sub.Name, t.cfg.Partition, t.cfg.Changelog)
}

func of(differences []topology.Difference, change topology.Change) (some []topology.Difference) {
	for _, d := range differences {
		if d.Change == change {
			some = append(some, d)
		}
	}
	return some
}

func changes(differences []topology.Difference) string {
	var text strings.Builder
	for _, d := range differences {
		if d.Change != topology.Kept {
			fmt.Fprintf(&text, "\n    %s", d)
		}
	}
	return text.String()
}

// removeStrays notes numbers of rows in the store that nobody has: of a commit without transactions
// that was cut short, or of a plan from before whose tombstones have gone from the log before this
// store has seen them.
func (t *Task) removeStrays() error {
	p := &t.progress
	known := slices.Clone(p.Removing)
	for _, o := range p.Operators {
		known = append(known, o.Numbers)
	}
	for at := 0; at < topNumber; {
		number, ok, err := t.numberFrom(uint16(at))
		if err != nil || !ok {
			return err
		}
		at = int(number) + 1
		i := slices.IndexFunc(known, func(n topology.Numbers) bool {
			return n.First <= number &&
				int(number) < int(n.First)+int(n.Count)
		})
		if i >= 0 {
			at = int(known[i].First) + int(known[i].Count)
			continue
		}
		t.adopting = true
		p.Removing = append(p.Removing, topology.Numbers{First: number, Count: 1})
		p.Next = max(p.Next, uint32(number)+1)
	}
	return nil
}

// numberFrom is the lowest number that rows in the store have, from one on.
func (t *Task) numberFrom(least uint16) (uint16, bool, error) {
	from, _ := stores.OperatorBounds(least)
	_, to := stores.OperatorBounds(math.MaxUint16)
	for e, err := range t.cfg.Store.Scan(from, to) {
		if err != nil {
			return 0, false, fmt.Errorf("task: %s: looking for rows: %w", t.where(), err)
		}
		if len(e.Key) < len(from) {
			return 0, false, fmt.Errorf("task: %s: a row with key %x: %w", t.where(), e.Key, ErrDamaged)
		}
		return binary.BigEndian.Uint16(e.Key[1:]), true, nil
	}
	return 0, false, nil
}

// assign gives operators their numbers, and lets those go whose rows are not read any more.
func (t *Task) assign(differences []topology.Difference, rebuild bool) error {
	p := &t.progress
	p.Operators = nil
	filled := t.filled()
	if !rebuild {
		if err := t.toFeed(differences); err != nil {
			return err
		}
	}
	for _, d := range differences {
		if err := t.countForms(d); err != nil {
			return err
		}
		if d.Change == topology.Gone && d.Was.Kind == topology.ChangesGap && !rebuild {
			p.Operators = append(p.Operators, d.Was)
			continue
		}
		drop := rebuild || d.Change != topology.Kept
		if d.Change == topology.Kept && !slices.EqualFunc(d.Was.Rows, d.Is.Rows, sameForms) {
			t.adopting = true // no row of the new form before the record that says so
		}
		if topic := filled[d.Is.Name]; d.Change == topology.New && topic != nil && !rebuild {
			if err := t.toFill(d.Is.Name, topic); err != nil {
				return err
			}
		}
		if drop {
			t.adopting = true
			delete(p.Filling, d.Was.Name)
			t.tell(d, rebuild)
			if d.Was.Numbers.Count > 0 {
				p.Removing = append(p.Removing, d.Was.Numbers)
			}
			delete(p.StreamTimes, d.Was.Name)
		}
		if d.Change == topology.Gone {
			if gap := d.Was; !rebuild && gap.Kind == topology.ChangesTopic {
				gap.Kind = topology.ChangesGap
				p.Operators = append(p.Operators, gap)
			}
			continue
		}
		is := d.Is
		is.Numbers.First = d.Was.Numbers.First
		if drop && is.Numbers.Count > 0 {
			if p.Next+uint32(is.Numbers.Count) > topNumber {
				return fmt.Errorf(
					"task: %s: its plan was changed so often that no numbers are left for row keys: give the "+
						"application another name", t.where())
			}
			is.Numbers.First = uint16(p.Next)
			p.Next += uint32(is.Numbers.Count)
		}
		p.Operators = append(p.Operators, is)
	}
	return nil
}

func sameForms(a, b topology.Forms) bool { return a.Of == b.Of && slices.Equal(a.Forms, b.Forms) }

// countForms is an error where a byte does not tell the forms of an operator's rows any more.
func (t *Task) countForms(d topology.Difference) error {
	for _, r := range d.Is.Rows {
		if len(r.Forms) > topology.MostForms {
			return fmt.Errorf(
				"task: %s: the rows of %s have had %d forms, more than a row can tell: give it another name (As)",
				t.where(), d.Is, len(r.Forms))
		}
	}
	return nil
}

// unreadable is the error of a row in an internal topic whose columns this plan cannot read.
func (t *Task) unreadable(err error) error {
	return fmt.Errorf(
		"%w: %s: %w\n  Run the program that wrote it until it has read all of the internal topic; or let columns "+
			"that have another type have another name", ErrForeign, t.where(), err)
}

// tell logs what becomes of an operator.
func (t *Task) tell(d topology.Difference, rebuild bool) {
	switch log := t.cfg.Log.With("partition", t.cfg.Partition); {
	case rebuild || t.progress.Sequence == 0:
	case d.Change == topology.New && t.progress.Filling[d.Is.Name] > 0: // that is said already
	case d.Change == topology.New:
		log.Info(
			"step is new in the plan: it counts from these positions on, and from the oldest record of topics that "+
				"are new", "step", d.Is.Name, "positions", t.progress.Inputs)
	case d.Change == topology.Gone:
		log.Info("step is gone from the plan: its state is removed", "step", d.Was.Name)
	}
}

// removeRows is how many rows a commit removes.
const removeRows = 50_000

// remove writes tombstones for rows that are not read any more, some at a time, and lets the next
// checkpoint delete them.
func (t *Task) remove(ctx context.Context) error {
	p := &t.progress
	for left := removeRows; len(p.Removing) > 0; {
		n := p.Removing[0]
		from, _ := stores.OperatorBounds(n.First)
		_, to := stores.OperatorBounds(n.First + n.Count - 1)
		from = slices.MaxFunc([][]byte{from, t.removed}, bytes.Compare)
		for e, err := range t.cfg.Store.Scan(from, to) {
			switch {
			case err != nil:
				return fmt.Errorf("task: %s: removing rows: %w", t.where(), err)
			case left == 0:
				t.removed = bytes.Clone(e.Key)
				t.pending.DeleteRange(from, t.removed)
				return nil
			}
			t.log(ctx, e.Key, nil)
			left--
		}
		t.pending.DeleteRange(from, to)
		p.Removing, t.removed = p.Removing[1:], nil
	}
	return nil
}
