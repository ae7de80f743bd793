package task

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// pointTime is the bytes of a point's time at the end of its row's key. The points of a group are
// neighbours, but for those of groups whose keys begin with its key.
const pointTime = 8

// pointKey puts the key of a point's row into w.wkey.
func (w *windowed) pointKey(s *size, n uint32, at windows.Time) []byte {
	w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, 0, w.groups.entries[n].key)
	w.wkey = binary.BigEndian.AppendUint64(w.wkey, uint64(at))
	return w.wkey
}

// parsePointKey takes the key of a point's row apart.
func parsePointKey(key []byte) (group []byte, at windows.Time, err error) {
	_, _, key, err = stores.ParseRowKey(key)
	if err == nil && len(key) < pointTime {
		err = fmt.Errorf("key of a point has %d bytes", len(key))
	}
	if err != nil {
		return nil, 0, err
	}
	n := len(key) - pointTime
	return key[:n], windows.Time(binary.BigEndian.Uint64(key[n:])), nil
}

// flushSliding puts out the windows that have changed.
func (w *windowed) flushSliding(ctx context.Context, s *size) error {
	x := s.sliding
	for _, n := range x.changed {
		if g := x.groups[n]; g != nil && g.changed {
			if err := w.putOutSlides(ctx, s, n, g); err != nil {
				return err
			}
		}
	}
	x.changed = x.changed[:0]
	return nil
}

// logSliding logs the points that have changed.
func (w *windowed) logSliding(ctx context.Context, s *size) (err error) {
	x := s.sliding
	for _, ref := range x.dirty {
		p := x.point(ref)
		if p == nil || p.flags&flagDirty == 0 {
			continue // gone, and its number or its place used again, perhaps
		}
		p.flags = p.flags&^flagDirty | flagLogged
		w.task.pulse.move(w.place)
		if w.row, err = w.program.Append(w.row[:0], p.state); err != nil {
			return fmt.Errorf("task: aggregate %s: encoding the records of group %q at %v: %w", w.name,
				w.groups.entries[ref.group].key, p.at, err)
		}
		x.measure(p)
		w.task.log(ctx, w.pointKey(s, ref.group, p.at), w.row)
	}
	x.dirty = x.dirty[:0]
	return nil
}

// point is what ref names, nil if it is gone.
func (x *sliding) point(ref pointRef) *point {
	if g := x.groups[ref.group]; g != nil {
		return g.find(ref.at)
	}
	return nil
}

// measure notes how large the objects of a point are.
func (x *sliding) measure(p *point) {
	if len(p.state.Objs) > 0 {
		x.large -= p.large
		p.large = p.state.Bytes()
		x.large += p.large
	}
}

// dropFirst lets go of the oldest point of a group.
func (w *windowed) dropFirst(ctx context.Context, s *size, n uint32, g *slidingGroup) {
	t, p := w.task, g.points[g.head]
	if p.flags&flagLogged != 0 {
		t.produce(ctx, Output{Topic: t.cfg.Changelog, Partition: t.cfg.Partition, Key: t.keep(w.pointKey(s, n, p.at)),
			Timestamp: t.logTime()})
	}
	if p.flags&flagStored != 0 {
		t.pending.Delete(w.pointKey(s, n, p.at))
	}
	s.sliding.give(p)
	g.points[g.head] = nil
	if g.head++; g.head > len(g.points)/2 {
		g.points, g.head = slices.Delete(g.points, 0, g.head), 0
	}
}

// saveSliding adds the points that have changed to the checkpoint.
func (w *windowed) saveSliding(s *size) (err error) {
	x := s.sliding
	// those that are gone: their groups may have no key any more
	x.unsaved = slices.DeleteFunc(x.unsaved, func(ref pointRef) bool {
		p := x.point(ref)
		return p == nil || p.flags&flagUnsaved == 0
	})
	slices.SortFunc(x.unsaved, func(a, b pointRef) int {
		return cmp.Or(bytes.Compare(w.groups.entries[a.group].key, w.groups.entries[b.group].key),
			cmp.Compare(a.at, b.at))
	})
	for _, ref := range x.unsaved {
		p := x.point(ref)
		w.task.pulse.move(w.place)
		if w.row, err = w.program.Append(w.row[:0], p.state); err != nil {
			return fmt.Errorf("task: aggregate %s: encoding the records of group %q at %v: %w", w.name,
				w.groups.entries[ref.group].key, p.at, err)
		}
		p.flags = p.flags&^flagUnsaved | flagStored
		w.task.pending.Put(w.pointKey(s, ref.group, p.at), w.row)
		if err := w.task.writePending(pendingBytes); err != nil {
			return err
		}
	}
	x.unsaved = x.unsaved[:0]
	return nil
}

// findPoints learns, when the task is opened, which groups have points in the store, and when they
// are due.
func (w *windowed) findPoints(s *size) error {
	x, closing := s.sliding, w.closing()
	from, to := stores.OperatorBounds(s.op)
	for e, err := range w.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return fmt.Errorf("task: aggregate %s: looking for points: %w", w.name, err)
		}
		key, at, err := parsePointKey(e.Key)
		if err != nil {
			return fmt.Errorf("task: aggregate %s: %w: %w", w.name, err, ErrDamaged)
		}
		n, _ := w.groups.intern(key)
		for int(n) >= len(x.groups) {
			x.groups = append(x.groups, nil)
		}
		if x.groups[n] == nil {
			x.groups[n] = &slidingGroup{absent: true}
			w.groups.entries[n].rows++
		}
		end := x.own(at).End
		if end < closing {
			end = x.behind(at).End
		}
		x.schedule(w, n, x.groups[n], end)
	}
	return nil
}

// loadPoints brings the points of a group into memory.
func (w *windowed) loadPoints(s *size, n uint32, g *slidingGroup) error {
	x := s.sliding
	from := bytes.Clone(w.pointKey(s, n, 0))
	to := append(bytes.Clone(w.pointKey(s, n, math.MaxInt64)), 0)
	for e, err := range w.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return fmt.Errorf("task: aggregate %s: reading points: %w", w.name, err)
		}
		if len(e.Key) != len(from) {
			continue // of a group whose key begins with this one
		}
		_, at, err := parsePointKey(e.Key)
		if err == nil {
			p := x.take(w.program)
			p.at, p.flags = at, flagLogged|flagStored
			g.points = append(g.points, p)
			before := held(p.state)
			w.task.pulse.move(w.place)
			err = w.program.Load(p.state, e.Value)
			x.held += held(p.state) - before
		}
		if err != nil {
			return fmt.Errorf("task: aggregate %s: point in the store: %w: %w", w.name, err, stores.ErrCorrupt)
		}
	}
	g.absent = false
	return w.loadShownSlides(s, n, g)
}

// loadShownSlides finds out which of the windows of a group that was just loaded have been put out
// as changes: they are as of the last commit, which put those out that passed.
func (w *windowed) loadShownSlides(s *size, n uint32, g *slidingGroup) error {
	if s.changes == nil || w.agg.Having == nil {
		return nil
	}
	x, points := s.sliding, g.live()
	defer x.reset(&x.passing)
	for i := (slides{sliding: x, points: points}); i.next(); {
		state, _, err := w.slide(x, &x.passing, points[search(points, i.Start):], i.Window)
		if err != nil {
			return err
		}
		pass, err := w.shows(s.changes, w.groups.entries[n].key, i.Window, state)
		if err != nil {
			return err
		}
		if pass {
			g.shown = append(g.shown, i.Start)
		}
	}
	return nil
}

// slidingGroupBytes is roughly what a group takes beside its points.
const slidingGroupBytes = 200

// bytes is roughly the memory that points take: objects as they were at the last commit.
func (x *sliding) bytes() int {
	return (x.inUse+len(x.spare))*(x.pointBytes+8) + x.held + x.large + 16*(cap(x.dirty)+cap(x.unsaved)) +
		16*cap(x.due) + slidingGroupBytes*len(x.groups)
}

// evict drops points from memory, group by group, until enough says so. All are in the store.
func (x *sliding) evict(enough func() bool) {
	x.forgetSpare()
	for _, g := range x.groups {
		if g == nil || g.absent {
			continue
		}
		if enough() {
			return
		}
		x.reset(&g.sums)
		for _, p := range g.live() {
			x.give(p)
		}
		x.forgetSpare()
		*g = slidingGroup{due: g.due, absent: true}
	}
}

// forgetSpare drops the points that are kept for reuse.
func (x *sliding) forgetSpare() {
	for _, p := range x.spare {
		x.held -= held(p.state)
	}
	x.spare = nil
}
