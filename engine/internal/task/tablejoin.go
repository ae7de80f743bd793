package task

import (
	"context"
	"fmt"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// lookup is a topology.TableLookup at work.
type lookup struct {
	task   *Task
	name   string
	place  uint64
	op     *topology.TableLookup
	join   func(left, right any) (any, error)
	next   []runner
	table  *table
	decode func([]byte) (any, error)
	out    topology.Record
}

func newLookup(t *Task, name string, o *topology.TableLookup, next []runner) *lookup {
	return &lookup{task: t, name: name, place: t.pulse.add(name, ""), op: o, join: o.Open(), next: next}
}

func (l *lookup) link() (err error) {
	if l.table, err = l.task.table(l.op.Table); err != nil {
		return err
	}
	l.decode = l.task.decoder(l.op.Table.Name, "rows", &l.op.Table.Op.(*topology.Materialize).Rows)
	return nil
}

// process joins a record with the row of its key [ST1], or with none [ST2].
func (l *lookup) process(ctx context.Context, r *topology.Record) (err error) {
	if r.Key == nil && !l.op.Keep {
		l.task.unfit(NullKey, l.name, nil)
		return nil
	}
	var row any
	l.task.pulse.move(l.place)
	switch {
	case r.Key == nil:
	case l.op.AsOf:
		row, err = l.table.findAsOf(r.Key, r.Time, l.decode)
	default:
		row, _, err = l.table.find(r.Key, l.decode)
	}
	if err != nil || row == nil && !l.op.Keep {
		return err
	}
	l.out = *r
	if l.out.Value, err = l.task.joined(l.place, l.name, l.join, r.Value, row); err != nil {
		return l.task.failed(l.name, err)
	}
	return forward(ctx, l.next, &l.out)
}

// tableJoin is a topology.TableJoin at work. It keeps nothing: its results are made from the rows
// of its sides when one of them changes. What was put out before is made again, with the row that
// was replaced.
type tableJoin struct {
	task  *Task
	name  string
	place uint64
	op    *topology.TableJoin
	join  [2]func(left, right any) (any, error) // of what was, of what is: each has a result of its own
	next  []runner
	sides [2]tableSide
	out   topology.Record
}

// tableSide is one of the two tables.
type tableSide struct {
	table  *table
	decode func([]byte) (any, error)
	told   uint64 // changes of the table
}

func newTableJoin(t *Task, name string, o *topology.TableJoin, next []runner) *tableJoin {
	j := &tableJoin{task: t, name: name, place: t.pulse.add(name, ""), op: o, next: next}
	j.join[0], j.join[1] = o.Open(), o.Open()
	return j
}

func (j *tableJoin) link() (err error) {
	for i, n := range j.op.Sides {
		s := &j.sides[i]
		if s.table, err = j.task.table(n); err != nil {
			return err
		}
		s.decode = j.task.decoder(n.Name, "rows", &n.Op.(*topology.Materialize).Rows)
	}
	return nil
}

// process is not called: records come by way of an input.
func (j *tableJoin) process(context.Context, *topology.Record) error {
	return fmt.Errorf("task: table join %s: a record that came by way of no input", j.name)
}

func (j *tableJoin) from(side int) runner {
	return port(func(ctx context.Context, r *topology.Record) error { return j.changed(ctx, side, r) })
}

// changed hands on how the result changes with a row of one side ([TT1], [TT2]).
func (j *tableJoin) changed(ctx context.Context, side int, r *topology.Record) error {
	j.task.pulse.move(j.place)
	j.sides[side].told = j.sides[side].table.changes
	s := &j.sides[1-side]
	other, at, err := s.table.findTold(r.Key, s.told, s.decode)
	if err != nil {
		return err
	}
	if other == nil {
		at = windows.Min
	}
	old, _ := j.result(0, side, r.Old, other) // where it fails it failed before, and no row was put out
	row, err := j.result(1, side, r.Value, other)
	if err != nil {
		if err := j.task.failed(j.name, err); err != nil {
			return err
		}
	}
	if old == nil && row == nil {
		return nil
	}
	j.out = *r
	j.out.Time = max(r.Time, at)
	j.out.Old, j.out.Value = old, row
	return forward(ctx, j.next, &j.out)
}

// result is the joined row, nil if there is none.
func (j *tableJoin) result(which, side int, row, other any) (any, error) {
	left, right := row, other
	if side == 1 {
		left, right = other, row
	}
	if left == nil && (right == nil || !j.op.Keep[1]) || right == nil && !j.op.Keep[0] {
		return nil, nil
	}
	joined, err := j.task.joined(j.place, j.name, j.join[which], left, right)
	if err != nil {
		return nil, err
	}
	return joined, nil
}
