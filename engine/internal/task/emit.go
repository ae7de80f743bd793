package task

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// emitFinal puts row i out as final, if it passes.
func (w *windowed) emitFinal(ctx context.Context, to []runner, b *bucket, i int32) error {
	return w.emitRow(ctx, to, w.key0(b, i), b, b.state(i, w.stride, w.vars), b.newest(i, w.stride))
}

func (w *windowed) emitRow(ctx context.Context, to []runner, group []byte, b *bucket, s aggregates.State,
	newest windows.Time) error {
	row, pass, err := w.makeRow(to, group, windows.Window{Start: b.start, End: b.end}, s)
	if err != nil || !pass {
		return err
	}
	w.out = topology.Record{Key: w.windowedKey(group, b), Group: group, Value: row, Time: newest}
	return forward(ctx, to, &w.out)
}

// emitChange puts row i out as a change, if it passes; if it did when it was last put out and does
// not any more, a tombstone.
func (w *windowed) emitChange(ctx context.Context, s *size, b *bucket, i int32) error {
	group := w.key0(b, i)
	row, pass, err := w.makeRow(s.changes, group, windows.Window{Start: b.start, End: b.end},
		b.state(i, w.stride, w.vars))
	if err != nil {
		return err
	}
	if !pass && b.flags[i]&flagShown == 0 {
		return nil
	}
	b.flags[i] |= flagShown
	w.out = topology.Record{Key: w.windowedKey(group, b), Group: group, Value: row, Time: b.newest(i, w.stride)}
	if !pass {
		b.flags[i] &^= flagShown
		w.out.Value = nil
	}
	return forward(ctx, s.changes, &w.out)
}

// loadShown finds out whether a row that was just loaded is one that has been put out as a change:
// it is as of the last commit, which put it out if it passed.
func (w *windowed) loadShown(s *size, b *bucket, i int32) error {
	if s.changes == nil {
		return nil
	}
	pass, err := w.shows(s.changes, w.key0(b, i), windows.Window{Start: b.start, End: b.end},
		b.state(i, w.stride, w.vars))
	if pass {
		b.flags[i] |= flagShown
	}
	return err
}

// windowedKey is good until the next call.
func (w *windowed) windowedKey(group []byte, b *bucket) []byte {
	if w.wkey == nil {
		w.wkey = make([]byte, 0, 64) // an empty group has an empty key, not none
	}
	w.wkey = append(w.wkey[:0], group...)
	if b.end != math.MaxInt64 { // a window without bounds
		w.wkey = binary.BigEndian.AppendUint64(w.wkey, uint64(b.start))
	}
	return w.wkey
}

// makeRow makes the row for a state, and says whether it passes. The row is reused. Where that
// fails the policy of the sink that the row is for takes place, and the row does not pass.
func (w *windowed) makeRow(to []runner, group []byte, win windows.Window, s aggregates.State) (row any, pass bool,
	err error) {
	row, pass, err = w.projectGuarded(group, win, s)
	if err == nil {
		return row, pass, nil
	}
	sink, policy := w.rowPolicy(to)
	for n := 0; err != nil && w.task.again(policy, n, err); n++ {
		row, pass, err = w.projectGuarded(group, win, s)
	}
	if err == nil {
		return row, pass, nil
	}
	err = w.wrap(group, win, err)
	if policy.Then == topology.Fail && !errors.As(err, new(*topology.DeadError)) {
		return nil, false, err
	}
	made := origin{topic: sink.topic, offset: -1, time: win.Start, key: group}
	before := w.task.derived
	w.task.derived = &made
	err = w.task.judge(failure{Failed, classFunction, w.name, err}, policy.Then)
	w.task.derived = before
	return nil, false, err
}

// shows says whether the row for a state passes, for who asks again: what is to be done where it
// fails has been done.
func (w *windowed) shows(to []runner, group []byte, win windows.Window, s aggregates.State) (bool, error) {
	_, pass, err := w.projectGuarded(group, win, s)
	if err == nil {
		return pass, nil
	}
	if _, policy := w.rowPolicy(to); policy.Then != topology.Fail {
		return false, nil
	}
	return false, w.wrap(group, win, err)
}

func (w *windowed) wrap(group []byte, win windows.Window, err error) error {
	return fmt.Errorf("task: aggregate %s: row of group %q, window from %v to %v: %w", w.name, group, win.Start,
		win.End, err)
}

// rowPolicy is the policy for rows that cannot be made, with the sink that they are for: that of
// the sink if it has one of its own. If not, the task ends, also for changed rows: they see no
// record of the input that could be dropped in their place.
func (w *windowed) rowPolicy(to []runner) (*sink, *topology.Policy) {
	for _, r := range to {
		if s, ok := r.(*sink); ok && w.task.policies[s.name] != nil {
			return s, w.task.policies[s.name]
		}
	}
	return nil, mustFail
}

// projectGuarded runs the user's projection and condition.
func (w *windowed) projectGuarded(group []byte, win windows.Window, s aggregates.State) (row any, pass bool,
	err error) {
	w.task.pulse.move(w.place)
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	row, err = w.project(group, win, s)
	pass = err == nil && (w.agg.Having == nil || w.agg.Having(row))
	done = true
	return row, pass, err
}
