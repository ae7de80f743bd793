package task

import (
	"context"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/windows"
)

// hop is hopping windows whose final rows are put together from slices: a record is added to one
// slice, whatever the overlap, and a window's rows are merged when it closes. The slices are
// tumbling windows of gcd(size, advance), in the size's buckets.
//
// A slice is in several windows, which close one after the other. A record that comes late for the
// oldest of them is still in the others, so slices change until the newest window that has them is
// closed; what was put out is never looked at again.
type hop struct {
	windows.Kind
	finals []runner
	next   windows.Time // start of the oldest window that has not been put out
	objs   int          // of a row
	sums   *sums        // nil: none
	spare  []*bucket    // for merged rows
}

// newHop makes s, of hopping windows, one of slices.
func newHop(s *size, slice windows.Kind, objs int) {
	s.hop = &hop{Kind: s.Kind, finals: s.finals, objs: objs}
	s.Kind, s.finals = slice, nil
}

// after is the start of the oldest window that is not closed at a stream time.
func (h *hop) after(streamTime, grace windows.Time) windows.Time {
	size, advance := windows.Time(h.Size().Milliseconds()), windows.Time(h.Advance().Milliseconds())
	if streamTime < size+grace {
		return 0
	}
	return ((streamTime-size-grace)/advance + 1) * advance
}

// closes is when something of a bucket that starts at start is to be put out next.
func (s *size) nextClose(start, grace windows.Time) windows.Time {
	if s.hop == nil {
		return s.Closes(start, grace)
	}
	return s.hop.Closes(max(s.hop.next, s.hop.First(start)), grace)
}

// closes is when a bucket that starts at start takes no more records.
func (s *size) closes(start, grace windows.Time) windows.Time {
	if s.hop == nil {
		return s.Closes(start, grace)
	}
	return s.hop.Closes(s.hop.Start(start), grace)
}

// addToSlice adds the record to its slice, unless all windows that have it are closed, and returns
// how many are.
func (w *windowed) addToSlice(ctx context.Context, s *size, group uint32, at windows.Time) (late int, err error) {
	oldest, newest, advance := s.hop.First(at), s.hop.Start(at), windows.Time(s.hop.Advance().Milliseconds())
	for start := oldest; start <= newest && s.hop.Closes(start, w.grace) <= w.streamTime; start += advance {
		w.task.drops.drop(Late, w.name, w.task.offset, nil)
		late++
	}
	b := s.last
	if b == nil || at < b.start || at >= b.end {
		if b = w.bucketAt(s, s.Start(at)); b == nil {
			return late, nil
		}
		s.last = b
	}
	if h := s.hop; h.sums != nil && b.start < h.sums.upTo {
		h.dropSums() // they have an older state of the slice
	}
	return late, w.add(ctx, s, b, group, at, int((newest-oldest)/advance)+1-late)
}

// closeHops puts out the windows that stream time has closed, oldest first, and frees the slices
// that no open window has. Windows without a slice are passed over, however many there are.
func (w *windowed) closeHops(ctx context.Context, s *size) error {
	h := s.hop
	for len(s.open) > 0 {
		start := max(h.next, h.First(s.open[0].start))
		if h.Closes(start, w.grace) > w.streamTime {
			break
		}
		if err := w.putOutHop(ctx, s, start); err != nil {
			return err
		}
		h.next = start + windows.Time(h.Advance().Milliseconds())
		n := 0
		for ; n < len(s.open) && h.Start(s.open[n].start) < h.next; n++ {
			if err := w.closeBucket(ctx, s, s.open[n]); err != nil {
				return err
			}
			s.last = nil
		}
		s.open = slices.Delete(s.open, 0, n)
	}
	h.next = max(h.next, h.after(w.streamTime, w.grace))
	return nil
}

// putOutHop merges the slices of one window and puts its rows out in order of their keys.
func (w *windowed) putOutHop(ctx context.Context, s *size, start windows.Time) error {
	m, err := w.mergeWindow(s, start)
	if err != nil {
		return err
	}
	defer s.hop.give(m)
	for _, i := range w.byKey(m) {
		if err := w.emitFinal(ctx, s.hop.finals, m, i); err != nil {
			return err
		}
	}
	return nil
}

// mergeSlices adds the slices of [from, to) to m.
func (w *windowed) mergeSlices(s *size, m *bucket, from, to windows.Time) error {
	for _, b := range s.open {
		if b.start < from {
			continue
		}
		if b.start >= to {
			break
		}
		if err := w.loadAll(s, b); err != nil {
			return err
		}
		if err := w.mergeAll(m, b); err != nil {
			return err
		}
	}
	return nil
}

// mergeAll adds all rows of b to m.
func (w *windowed) mergeAll(m, b *bucket) error {
	for i, group := range b.groups {
		if err := w.merge(m, b, int32(i), group); err != nil {
			return err
		}
	}
	w.count(m)
	return nil
}

// merge adds row i of b to m.
func (w *windowed) merge(m, b *bucket, i int32, group uint32) error {
	j := m.row(group)
	if j < 0 {
		j = m.add(group, len(w.groups.entries), w.stride, w.vars)
	}
	m.saw(j, w.stride, b.newest(i, w.stride))
	state := m.state(j, w.stride, w.vars)
	before := held(state)
	w.task.pulse.move(w.place)
	err := w.program.Merge(state, b.state(i, w.stride, w.vars))
	m.held += held(state) - before
	if err != nil {
		return fmt.Errorf("task: aggregate %s: merging rows of group %q: %w", w.name, w.key0(b, i), err)
	}
	return nil
}

// loadAll brings all rows of a bucket into memory.
func (w *windowed) loadAll(s *size, b *bucket) error {
	if !b.absent {
		return nil
	}
	err := w.stored(s, b, func(key, row []byte) error {
		group, _ := w.groups.intern(key)
		if b.row(group) >= 0 {
			return nil // memory has it newer
		}
		i := b.add(group, len(w.groups.entries), w.stride, w.vars)
		w.groups.entries[group].rows++
		b.flags[i] = flagLogged
		return w.loadRow(b, i, row) // slices are never put out themselves
	})
	b.absent = err != nil
	return err
}
