package task

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// A table that is new in the plan, or has another name, is over a topic that the task has read
// already. It is filled from the oldest records of that topic up to the task's position, before the
// task goes on there. Nothing of that goes further down: those below know these rows, or begin with
// what comes. The commit record says which tables are being filled, so a fill that is cut short
// begins again: the same records make the same rows.

// filled is the topics of tables that are made of nothing but the rows of one.
func (t *Task) filled() map[string]*topology.Source {
	topics := map[string]*topology.Source{}
	var walk func(source *topology.Source, nodes []*topology.Node)
	walk = func(source *topology.Source, nodes []*topology.Node) {
		for _, n := range nodes {
			switch n.Op.(type) {
			case *topology.Materialize:
				topics[n.Name] = source
				walk(source, n.Next)
			case *topology.TableStep:
				walk(source, n.Next)
			}
		}
	}
	for i, source := range t.cfg.Sub.Sources() {
		if source.Table {
			walk(source, t.cfg.Sub.Roots[i].Next)
		}
	}
	return topics
}

// toFill notes that a new table is to be filled, if its topic has been read.
func (t *Task) toFill(name string, source *topology.Source) error {
	p := &t.progress
	position := p.Inputs[source.Topic]
	if position <= 0 {
		return nil
	}
	oldest := int64(0)
	if t.cfg.Past != nil {
		var err error
		if oldest, _, err = t.cfg.Past.Bounds(source.Topic); err != nil {
			return err
		}
	}
	if t.cfg.Past == nil || source.Internal && oldest > 0 {
		return fmt.Errorf(
			"%w: %s: table %q is new, and its rows have gone through internal topic %s, from which they are deleted "+
				"when they have been read\n"+
				"  Give the table the name that it had (As), and it keeps its rows; or give the application another "+
				"name", ErrForeign, t.where(), name, source.Topic)
	}
	if p.Filling == nil {
		p.Filling = map[string]int64{}
	}
	p.Filling[name] = position
	t.cfg.Log.Info("table is new in the plan: it is filled from its topic", "partition", t.cfg.Partition, "table", name,
		"topic", source.Topic, "until", position)
	return nil
}

// filler takes a row of a topic over; a nil Value deletes it.
type filler func(r *topology.Record, offset int64) error

// fillers are those of the tables that are filled below a node.
func (t *Task) fillers(nodes []*topology.Node) (all []filler) {
	for _, n := range nodes {
		switch o := n.Op.(type) {
		case *topology.Materialize:
			below := t.fillers(n.Next)
			x, until := t.made[n].(*table), t.progress.Filling[n.Name]
			if until == 0 && len(below) == 0 {
				continue
			}
			all = append(all, func(r *topology.Record, offset int64) error {
				if offset < until {
					if newest, err := x.take(r, true); err != nil || !newest {
						return err
					}
				}
				return fillAll(below, r, offset)
			})
		case *topology.TableStep:
			below := t.fillers(n.Next)
			if len(below) == 0 {
				continue
			}
			call := o.Open()
			all = append(all, func(r *topology.Record, offset int64) error {
				made := *r
				made.Value, _ = rowGuarded(call, r.Value) // where it fails there is no row, as was counted when it came
				return fillAll(below, &made, offset)
			})
		}
	}
	return all
}

func fillAll(all []filler, r *topology.Record, offset int64) error {
	for _, fill := range all {
		if err := fill(r, offset); err != nil {
			return err
		}
	}
	return nil
}

// fillCommit is how many records are read between two commits of a fill.
const fillCommit = 20_000

// Fill fills the tables that are new in the plan, and then the steps that need the rows of tables
// (feed.go). It is to be called before the task gets its first batch, and may take as long as to
// read their topics. Where there are none it does nothing.
func (t *Task) Fill(ctx context.Context) error {
	if len(t.progress.Filling) == 0 {
		return nil
	}
	if t.adopting {
		if err := t.Commit(ctx); err != nil {
			return err
		}
	}
	t.begin(ctx)
	if err := t.fillTables(ctx); err != nil {
		return err
	}
	if err := t.feedSteps(ctx); err != nil {
		return err
	}
	t.progress.Filling, t.changed = nil, true
	return t.Commit(ctx)
}

func (t *Task) fillTables(ctx context.Context) error {
	for i, in := range t.inputs {
		all := t.fillers(t.cfg.Sub.Roots[i].Next)
		if len(all) == 0 {
			continue
		}
		until := int64(0)
		for name, source := range t.filled() {
			if source.Topic == in.topic {
				until = max(until, t.progress.Filling[name])
			}
		}
		in.limit = math.MaxInt64
		if t.cfg.Ahead > 0 && !in.ours {
			in.limit = windows.At(t.cfg.Now().Add(t.cfg.Ahead))
		}
		n := 0
		err := t.cfg.Past.Read(ctx, in.topic, until, func(records []Record) error {
			defer t.pulse.move(rest) // the next records are a broker's to bring
			for j := range records {
				if err := in.fillFrom(&records[j], all); err != nil {
					return err
				}
			}
			if n += len(records); n < fillCommit {
				return nil
			}
			n, t.changed = 0, true
			return t.Commit(ctx)
		})
		if err != nil {
			return fmt.Errorf("task: %s: filling tables from topic %s: %w", t.where(), in.topic, err)
		}
	}
	for name := range t.filled() {
		delete(t.progress.Filling, name)
	}
	t.changed = true
	return t.Commit(ctx)
}

// fillFrom takes a record over as it was taken over when it came: what was dropped then is passed
// over, without being counted again.
func (in *input) fillFrom(r *Record, all []filler) error {
	in.record = topology.Record{Key: r.Key, Group: r.Key, Time: r.Timestamp}
	if r.Value != nil || in.deletions {
		err := in.decodeGuarded(r)
		if errors.Is(err, topology.ErrForm) {
			return in.task.unreadable(err)
		}
		if err != nil {
			return nil
		}
	}
	if at := in.record.Time; at < 0 || at > in.limit {
		return nil
	}
	return fillAll(all, &in.record, r.Offset)
}
