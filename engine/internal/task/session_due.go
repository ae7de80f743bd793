package task

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// dueIndex says when sessions close whose group is not in memory. The store has, beside the row of
// each group at start 0, an empty row at the time when the first session of that row closes: the
// same operator, and any such time is later than 0. Both change together, with a checkpoint, so the
// row of a group that is not in memory has its entry. An entry whose group is in memory says
// nothing.
//
// The index is the store's alone: the changelog has the rows. Restoring rows leaves the index
// behind, so it is made anew then.
type dueIndex struct {
	some  bool     // the store may have rows of groups that are not in memory
	ahead []dueKey // read ahead, ascending: closing a few sessions each second must not cost an iterator each time
	from  []byte   // where to read on; nil: nowhere
}

type dueKey struct {
	at  windows.Time
	key []byte
}

// readAhead is how many entries are read at a time.
const readAhead = 1024

// indexedKey is there if the index is that of the rows.
var indexedKey = stores.MetaKey("indexed")

// bytes is what the entries read ahead take, roughly.
func (d *dueIndex) bytes() int {
	const each = 64
	return each * len(d.ahead)
}

// restart lets the index be read from a time on, because the store has entries that were not there
// when it was read ahead.
func (d *dueIndex) restart(op uint16, at windows.Time) {
	d.some, d.ahead, d.from = true, nil, stores.AppendRowKey(nil, op, int64(max(at, 1)), nil)
}

// nextDue is when a session closes next, or earlier; the end of time if there is none.
func (w *windowed) nextDue(s *size) (windows.Time, error) {
	x := s.sessions
	at := windows.Time(math.MaxInt64)
	if len(x.due) > 0 {
		at = x.due[0].at
	}
	if len(x.index.ahead) == 0 && x.index.from != nil {
		if err := w.readDue(s); err != nil {
			return 0, err
		}
	}
	if len(x.index.ahead) > 0 {
		at = min(at, x.index.ahead[0].at)
	}
	return at, nil
}

// readDue reads the index on.
func (w *windowed) readDue(s *size) error {
	d := &s.sessions.index
	from := d.from
	d.from = nil
	_, to := stores.OperatorBounds(s.op)
	for e, err := range w.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return fmt.Errorf("task: aggregate %s: reading when sessions close: %w", w.name, err)
		}
		if len(d.ahead) == readAhead {
			d.from = bytes.Clone(e.Key)
			break
		}
		_, at, key, err := stores.ParseRowKey(e.Key)
		if err != nil {
			return fmt.Errorf("task: aggregate %s: %w: %w", w.name, err, stores.ErrCorrupt)
		}
		d.ahead = append(d.ahead, dueKey{windows.Time(at), bytes.Clone(key)})
	}
	return nil
}

// loadDue brings the groups into memory that the index has at a time.
func (w *windowed) loadDue(s *size, at windows.Time) error {
	x := s.sessions
	for {
		if _, err := w.nextDue(s); err != nil { // reads on
			return err
		}
		if len(x.index.ahead) == 0 || x.index.ahead[0].at > at {
			return nil
		}
		key := x.index.ahead[0].key
		x.index.ahead = x.index.ahead[1:]
		n, fresh := w.groups.intern(key)
		g, err := w.sessionGroup(s, n)
		if err != nil {
			return err
		}
		if x.tidy(w, n); fresh && len(g.list) == 0 {
			w.groups.release(n, 0) // it is gone since the index was read
		}
	}
}

// sessionsCloseBy says whether a session would be closed at a stream time. What is due too early in
// memory is put to its place, and of what is due in the store comes into memory what has one time.
func (w *windowed) sessionsCloseBy(s *size, now windows.Time) (bool, error) {
	x := s.sessions
	for {
		at, err := w.nextDue(s)
		if err != nil || at > now {
			return false, err
		}
		if err := w.loadDue(s, at); err != nil {
			return false, err
		}
		for len(x.due) > 0 && x.due[0].at <= at {
			n := x.due.pop().group
			g := x.groups[n]
			if g == nil || g.due == 0 || g.due > at {
				continue // an entry that a later one has replaced
			}
			if g.due = 0; len(g.list) == 0 {
				continue
			}
			x.schedule(w, n, g, g.list[0].End)
			if g.due <= at {
				return true, nil
			}
		}
	}
}

// reindex makes the index say when the first session of a group closes that is about to be saved.
func (w *windowed) reindex(s *size, n uint32, g *sessionGroup) {
	at := s.sessions.closes(g.list[0].End, w.grace)
	if g.indexed == at {
		return
	}
	w.unindex(s, n, g)
	g.indexed = at
	w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, int64(at), w.groups.entries[n].key)
	w.task.pending.Put(w.wkey, nil)
}

// unindex takes a group out of the index.
func (w *windowed) unindex(s *size, n uint32, g *sessionGroup) {
	if g.indexed == 0 {
		return
	}
	w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, int64(g.indexed), w.groups.entries[n].key)
	w.task.pending.Delete(w.wkey)
	g.indexed = 0
}

// openSessions finds out when sessions in the store close, and leaves them there.
func (w *windowed) openSessions(s *size) error {
	from, to := stores.OperatorBounds(s.op)
	_, some, err := w.firstStart(from, to)
	if err != nil || !some {
		return err
	}
	_, indexed, err := w.task.cfg.Store.Get(nil, indexedKey)
	if err != nil {
		return fmt.Errorf("task: aggregate %s: looking for the index of sessions: %w", w.name, err)
	}
	if !indexed {
		if err := w.indexSessions(s); err != nil {
			return err
		}
	}
	x := s.sessions
	x.closed = w.streamTime
	x.index.restart(s.op, 1)
	at, err := w.nextDue(s)
	w.nextClose = min(w.nextClose, at)
	return err
}

// indexSessions makes the index anew, from the rows.
func (w *windowed) indexSessions(s *size) error {
	t := w.task
	from, end := stores.RowBounds(s.op, 0)
	_, to := stores.OperatorBounds(s.op)
	t.pending.DeleteRange(end, to)
	for from != nil {
		next, err := w.indexSome(s, from, end)
		if err != nil {
			return err
		}
		if err := t.writePending(0); err != nil {
			return err
		}
		from = next
	}
	return nil
}

// indexSome does so for the rows from a key on, until they are enough for one write, and returns
// the key to go on from.
func (w *windowed) indexSome(s *size, from, end []byte) (next []byte, err error) {
	t := w.task
	for e, err := range t.cfg.Store.Scan(from, end) {
		if err != nil {
			return nil, fmt.Errorf("task: aggregate %s: reading sessions: %w", w.name, err)
		}
		if t.pending.Size() >= pendingBytes {
			return bytes.Clone(e.Key), nil
		}
		_, _, key, err := stores.ParseRowKey(e.Key)
		if err != nil || len(e.Value) < sessionBounds {
			return nil, fmt.Errorf("task: aggregate %s: %x in the store is no row of sessions: %w", w.name, e.Key,
				ErrDamaged)
		}
		end := windows.Time(binary.BigEndian.Uint64(e.Value[8:]))
		if end < 0 || end > w.streamTime {
			return nil, fmt.Errorf("task: aggregate %s: a session in the store ends at %d: %w", w.name, end, ErrDamaged)
		}
		w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, int64(s.sessions.closes(end, w.grace)), key)
		t.pending.Put(w.wkey, nil)
	}
	return nil, nil
}

// evictSessions drops groups from memory until enough says so. All are in the store, and in its
// index.
func (w *windowed) evictSessions(s *size, enough func() bool) {
	x := s.sessions
	for _, one := range x.spare {
		x.forget(one)
	}
	x.spare, x.closing, x.due = nil, nil, nil
	left, all := 0, true
	for n, g := range x.groups {
		if g == nil {
			continue
		}
		if enough() {
			x.due.push(due{g.due, uint32(n)})
			left = n + 1
			continue
		}
		all = false
		for _, one := range g.list {
			x.forget(one)
		}
		x.drop(w, uint32(n))
		w.groups.release(uint32(n), 0)
	}
	x.groups = append([]*sessionGroup(nil), x.groups[:left]...)
	if !all {
		x.index.restart(s.op, x.closed+1)
	}
}
