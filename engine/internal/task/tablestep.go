package task

import (
	"bytes"
	"context"

	"github.com/ashi-stream/ashi/topology"
)

// tableStep is a topology.TableStep at work.
type tableStep struct {
	task  *Task
	name  string
	place uint64
	call  [2]func(any) (any, error) // of what was, of what is
	next  []runner
	out   topology.Record
}

func newTableStep(t *Task, name string, o *topology.TableStep, next []runner) *tableStep {
	return &tableStep{task: t, name: name, place: t.pulse.add(name, ""), call: [2]func(any) (any, error){o.Open(),
		o.Open()}, next: next}
}

func (s *tableStep) process(ctx context.Context, r *topology.Record) error {
	old, _ := s.result(0, r.Old) // where it fails it failed before, and no row was put out
	row, err := s.result(1, r.Value)
	if err != nil {
		if err := s.task.failed(s.name, err); err != nil {
			return err
		}
	}
	if old == nil && row == nil {
		return nil
	}
	s.out = *r
	s.out.Old, s.out.Value = old, row
	return forward(ctx, s.next, &s.out)
}

// result calls the user's function, again where the policy says so.
func (s *tableStep) result(which int, row any) (any, error) {
	s.task.pulse.move(s.place)
	result, err := rowGuarded(s.call[which], row)
	for n := 0; err != nil && s.task.again(s.task.policyOf(s.name), n, err); n++ {
		result, err = rowGuarded(s.call[which], row)
	}
	return result, err
}

// rowGuarded calls the user's function for a row, if there is one; if it fails there is no row. A
// panic is its error.
func rowGuarded(call func(any) (any, error), row any) (result any, err error) {
	if row == nil {
		return nil, nil
	}
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
		if err != nil {
			result = nil
		}
	}()
	result, err = call(row)
	done = true
	return result, err
}

// regroup is a topology.Regroup at work.
type regroup struct {
	task     *Task
	name     string
	place    uint64
	key      func(any, []byte) ([]byte, error)
	next     []runner
	old, now []byte
	out      topology.Record
}

func newRegroup(t *Task, name string, o *topology.Regroup, next []runner) *regroup {
	return &regroup{task: t, name: name, place: t.pulse.add(name, ""), key: o.OpenKey(), next: next, old: []byte{},
		now: []byte{}}
}

// process takes the old row out of its group first [A1]. A row whose key fails or is null is in no
// group [A2].
func (g *regroup) process(ctx context.Context, r *topology.Record) error {
	was, _ := g.keyGuarded(r.Old, &g.old) // where it fails it failed before, and the row was added nowhere
	is, err := g.keyGuarded(r.Value, &g.now)
	for n := 0; err != nil && g.task.again(g.task.policyOf(g.name), n, err); n++ {
		is, err = g.keyGuarded(r.Value, &g.now)
	}
	if err != nil {
		if err := g.task.failed(g.name, err); err != nil {
			return err
		}
	}
	g.out = *r
	if was && is && bytes.Equal(g.old, g.now) {
		g.out.Key, g.out.Group = g.now, g.now
		return forward(ctx, g.next, &g.out)
	}
	if was {
		g.out.Key, g.out.Group, g.out.Value = g.old, g.old, nil
		if err := forward(ctx, g.next, &g.out); err != nil {
			return err
		}
	}
	if !is {
		return nil
	}
	g.out = *r
	g.out.Key, g.out.Group, g.out.Old = g.now, g.now, nil
	return forward(ctx, g.next, &g.out)
}

// keyGuarded makes the group key of a row in buf; false if it is in none. A panic is an error.
func (g *regroup) keyGuarded(row any, buf *[]byte) (ok bool, err error) {
	g.task.pulse.move(g.place)
	if row == nil {
		return false, nil
	}
	done := false
	defer func() {
		if !done {
			ok, err = false, panicked(recover())
		}
	}()
	key, err := g.key(row, (*buf)[:0])
	done = true
	if err != nil || key == nil {
		return false, err
	}
	*buf = key
	return true, nil
}
