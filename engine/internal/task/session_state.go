package task

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// flushSessions puts out changes.
func (w *windowed) flushSessions(ctx context.Context, s *size) error {
	for _, n := range s.sessions.dirty {
		if err := w.putOutSessions(ctx, s, n, s.sessions.groups[n]); err != nil {
			return err
		}
	}
	return nil
}

// logSessions logs the rows of changed groups; a group without sessions is a tombstone.
func (w *windowed) logSessions(ctx context.Context, s *size) error {
	x, t := s.sessions, w.task
	for _, n := range x.dirty {
		g := x.groups[n]
		g.flags &^= flagDirty
		w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, 0, w.groups.entries[n].key)
		for _, one := range g.list {
			if one.changed = false; len(one.state.Objs) > 0 {
				one.large = one.state.Bytes() // which costs as much as the encoding of some
				x.count(one)
			}
		}
		switch {
		case len(g.list) > 0:
			if err := w.sessionRow(g); err != nil {
				return err
			}
			t.log(ctx, w.wkey, w.row)
			g.flags |= flagLogged
		case g.flags&flagLogged != 0:
			t.log(ctx, w.wkey, nil)
			g.flags &^= flagLogged
		}
	}
	x.dirty = x.dirty[:0]
	return nil
}

// saveSessions adds the rows of changed groups to the checkpoint, and forgets groups without
// sessions.
func (w *windowed) saveSessions(s *size) error {
	x := s.sessions
	slices.SortFunc(x.unsaved, func(a, b uint32) int {
		return bytes.Compare(w.groups.entries[a].key,
			w.groups.entries[b].key)
	})
	for _, n := range x.unsaved {
		g := x.groups[n]
		g.flags &^= flagUnsaved
		w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, 0, w.groups.entries[n].key)
		if len(g.list) > 0 {
			if err := w.sessionRow(g); err != nil {
				return err
			}
			w.task.pending.Put(w.wkey, w.row)
			w.reindex(s, n, g)
		} else {
			w.task.pending.Delete(w.wkey)
			w.unindex(s, n, g)
			x.drop(w, n)
			w.groups.release(n, 0)
		}
		if err := w.task.writePending(pendingBytes); err != nil {
			return err
		}
	}
	x.unsaved = x.unsaved[:0]
	w.task.pending.Put(indexedKey, nil)
	return nil
}

// sessionRow puts the row of a group into w.row: for each session start and end, 8 bytes each, then
// the length of its state as a uvarint, and the state.
func (w *windowed) sessionRow(g *sessionGroup) (err error) {
	w.row = w.row[:0]
	for _, one := range g.list {
		w.row = binary.BigEndian.AppendUint64(w.row, uint64(one.Start))
		w.row = binary.BigEndian.AppendUint64(w.row, uint64(one.End))
		w.task.pulse.move(w.place)
		if w.task.scratch, err = w.program.Append(w.task.scratch[:0], one.state); err != nil {
			return err
		}
		w.row = binary.AppendUvarint(w.row, uint64(len(w.task.scratch)))
		w.row = append(w.row, w.task.scratch...)
	}
	return nil
}

// sessionBounds is the bytes of a session's bounds in a row.
const sessionBounds = 16

// loadSessions brings the row of a group into memory, if the store has one. Sessions that are
// closed are left out: a group that had no others is gone from memory, and from the store with the
// next checkpoint.
func (w *windowed) loadSessions(s *size, n uint32) error {
	w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, 0, w.groups.entries[n].key)
	var ok bool
	var err error
	if w.row, ok, err = w.task.cfg.Store.Get(w.row[:0], w.wkey); err != nil {
		return fmt.Errorf("task: aggregate %s: reading sessions: %w", w.name, err)
	}
	if !ok {
		return nil
	}
	if err := w.loadSessionRow(s.sessions, n, w.row, s.changes != nil); err != nil {
		return fmt.Errorf("task: aggregate %s: sessions in the store: %w: %w", w.name, err, stores.ErrCorrupt)
	}
	return nil
}

// changesOf is what changed sessions of x go to.
func (w *windowed) changesOf(x *sessions) []runner {
	for _, s := range w.sizes {
		if s.sessions == x {
			return s.changes
		}
	}
	return nil
}

func (w *windowed) loadSessionRow(x *sessions, n uint32, row []byte, shown bool) error {
	g := x.groups[n]
	if len(row) == 0 {
		return errors.New("a row without sessions")
	}
	after := windows.Time(0)
	for d := (decoder{b: row}); len(d.b) > 0; {
		bounds := d.take(sessionBounds)
		state := d.take(d.uvarint())
		if d.bad {
			return fmt.Errorf("row of %d bytes is cut short", len(row))
		}
		win := windows.Window{Start: windows.Time(binary.BigEndian.Uint64(bounds)),
			End: windows.Time(binary.BigEndian.Uint64(bounds[8:]))}
		if win.Start < after || win.End < win.Start || win.End > w.streamTime {
			return fmt.Errorf("a session from %d to %d", win.Start, win.End)
		}
		after = win.End + 1
		if x.closes(win.End, w.grace) <= x.closed {
			continue
		}
		one := x.take(w.program)
		one.Window = win
		w.task.pulse.move(w.place)
		err := w.program.Load(one.state, state)
		one.large = one.state.Bytes()
		x.count(one)
		if err != nil {
			return err
		}
		if shown {
			one.shown, err = w.shows(w.changesOf(x), w.groups.entries[n].key, one.Window, one.state)
			if err != nil {
				return err
			}
		}
		g.list = append(g.list, one)
	}
	if len(g.list) > 0 {
		g.flags, g.indexed = flagLogged, x.closes(g.list[0].End, w.grace)
		x.schedule(w, n, g, g.list[0].End)
	}
	return nil
}
