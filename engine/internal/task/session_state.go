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
			one.changed = false
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

// saveSessions adds the rows of changed groups to the checkpoint, and forgets groups without sessions.
func (w *windowed) saveSessions(s *size) error {
	x := s.sessions
	slices.SortFunc(x.unsaved, func(a, b uint32) int { return bytes.Compare(w.groups.entries[a].key, w.groups.entries[b].key) })
	for _, n := range x.unsaved {
		g := x.groups[n]
		g.flags &^= flagUnsaved
		w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, 0, w.groups.entries[n].key)
		if len(g.list) > 0 {
			if err := w.sessionRow(g); err != nil {
				return err
			}
			w.task.pending.Put(w.wkey, w.row)
			continue
		}
		w.task.pending.Delete(w.wkey)
		x.groups[n] = nil
		w.groups.release(n, 1)
	}
	x.unsaved = x.unsaved[:0]
	return nil
}

// sessionRow puts the row of a group into w.row: for each session start and end, 8 bytes each, then the length of its state as a
// uvarint, and the state.
func (w *windowed) sessionRow(g *sessionGroup) (err error) {
	w.row = w.row[:0]
	for _, one := range g.list {
		w.row = binary.BigEndian.AppendUint64(w.row, uint64(one.Start))
		w.row = binary.BigEndian.AppendUint64(w.row, uint64(one.End))
		if w.task.scratch, err = w.program.Append(w.task.scratch[:0], one.state); err != nil {
			return err
		}
		w.row = binary.AppendUvarint(w.row, uint64(len(w.task.scratch)))
		w.row = append(w.row, w.task.scratch...)
	}
	return nil
}

// loadSessions brings all rows into memory when the task is opened.
func (w *windowed) loadSessions(s *size) error {
	from, to := stores.OperatorBounds(s.op)
	for e, err := range w.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return fmt.Errorf("task: aggregate %s: loading sessions: %w", w.name, err)
		}
		_, _, key, err := stores.ParseRowKey(e.Key)
		if err == nil {
			err = w.loadSessionRow(s.sessions, key, e.Value, s.changes != nil)
		}
		if err != nil {
			return fmt.Errorf("task: aggregate %s: sessions in the store: %w: %w", w.name, err, ErrDamaged)
		}
	}
	return nil
}

func (w *windowed) loadSessionRow(x *sessions, key, row []byte, shown bool) error {
	n, _ := w.groups.intern(key)
	g := x.group(w, n)
	g.flags = flagLogged
	if len(row) == 0 {
		return errors.New("a row without sessions")
	}
	after := windows.Time(0)
	for d := (decoder{b: row}); len(d.b) > 0; {
		one := x.take(w.program)
		bounds := d.take(16)
		state := d.take(d.uvarint())
		if d.bad {
			return fmt.Errorf("row of %d bytes is cut short", len(row))
		}
		one.Start, one.End = windows.Time(binary.BigEndian.Uint64(bounds)), windows.Time(binary.BigEndian.Uint64(bounds[8:]))
		if one.Start < after || one.End < one.Start || one.End > w.streamTime {
			return fmt.Errorf("a session from %d to %d", one.Start, one.End)
		}
		after = one.End + 1
		err := w.program.Load(one.state, state)
		if err != nil {
			return err
		}
		if shown {
			_, one.shown, err = w.makeRow(w.groups.entries[n].key, one.Window, one.state)
			if err != nil {
				return err
			}
		}
		g.list = append(g.list, one)
	}
	if len(g.list) > 0 {
		x.schedule(w, n, g, g.list[0].End)
	}
	return nil
}
