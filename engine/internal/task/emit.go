package task

import (
	"context"
	"encoding/binary"
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

func (w *windowed) emitRow(ctx context.Context, to []runner, group []byte, b *bucket, s aggregates.State, newest windows.Time) error {
	row, pass, err := w.makeRow(group, windows.Window{Start: b.start, End: b.end}, s)
	if err != nil || !pass {
		return err
	}
	w.out = topology.Record{Key: w.windowedKey(group, b), Group: group, Value: row, Time: newest}
	return forward(ctx, to, &w.out)
}

// emitChange puts row i out as a change, if it passes; if it did when it was last put out and does not any more, a tombstone.
func (w *windowed) emitChange(ctx context.Context, s *size, b *bucket, i int32) error {
	group := w.key0(b, i)
	row, pass, err := w.makeRow(group, windows.Window{Start: b.start, End: b.end}, b.state(i, w.stride, w.vars))
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

// loadShown finds out whether a row that was just loaded is one that has been put out as a change: it is as of the last commit,
// which put it out if it passed.
func (w *windowed) loadShown(s *size, b *bucket, i int32) error {
	if s.changes == nil {
		return nil
	}
	_, pass, err := w.makeRow(w.key0(b, i), windows.Window{Start: b.start, End: b.end}, b.state(i, w.stride, w.vars))
	if pass {
		b.flags[i] |= flagShown
	}
	return err
}

// windowedKey is good until the next call.
func (w *windowed) windowedKey(group []byte, b *bucket) []byte {
	w.wkey = append(w.wkey[:0], group...)
	if b.end != math.MaxInt64 { // a window without bounds
		w.wkey = binary.BigEndian.AppendUint64(w.wkey, uint64(b.start))
	}
	return w.wkey
}

// makeRow makes the row for a state, and says whether it passes. The row is reused.
func (w *windowed) makeRow(group []byte, win windows.Window, s aggregates.State) (row any, pass bool, err error) {
	if row, pass, err = w.projectGuarded(group, win, s); err != nil {
		err = fmt.Errorf("task: aggregate %s: row of group %q, window from %v to %v: %w", w.name, group, win.Start, win.End, err)
	}
	return row, pass, err
}

// projectGuarded runs the user's projection and condition. They see no record of the input that could be dropped in its place: if
// they fail, the plan is wrong and the task ends.
func (w *windowed) projectGuarded(group []byte, win windows.Window, s aggregates.State) (row any, pass bool, err error) {
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
