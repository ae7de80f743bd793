package task

import (
	"fmt"

	"github.com/ashi-stream/ashi/stores"
)

// maybeCheckpoint makes a checkpoint when one is due: by time, by the bytes of rows changed, or
// because rows take too much memory, which also drops rows. It is called right after a commit, so
// all rows are as the changelog has them.
func (t *Task) maybeCheckpoint() error {
	full := t.cfg.Memory > 0 && t.Memory() > t.cfg.Memory
	if !full && t.unsaved < t.cfg.CheckpointBytes && t.cfg.Now().Sub(t.lastCheckpoint) < t.cfg.CheckpointEvery {
		return nil
	}
	if err := t.checkpoint(); err != nil {
		return err
	}
	if full {
		t.evict()
	}
	return nil
}

// checkpoint writes the rows that have changed since the last one, the commit record and the
// changelog position that they stand for. Windows that were opened and closed in between never
// reach the store.
//
// The position is last, and may follow in a later batch than rows. If the process dies between them
// the store has some rows that are newer than its position. All of those are in the changelog after
// that position, so restoring writes them once more.
func (t *Task) checkpoint() error {
	began := t.cfg.Now()
	t.saved = 0
	defer t.pulse.move(rest)
	for i, o := range t.operators {
		t.pulse.move(t.places[i])
		if err := o.save(); err != nil {
			return err
		}
	}
	t.pulse.move(rest)
	t.pending.Put(ProgressKey, t.encodeProgress())
	// not now: others may write to the log of a task that is paused
	t.pending.Put(positionKey, (&Position{Offset: t.position, Since: t.since, Log: t.cfg.ID}).Append(nil))
	if err := t.writePending(0); err != nil {
		return err
	}
	t.unsaved, t.lastCheckpoint = 0, t.cfg.Now()
	// a store makes a file of a quiet task's few rows once in days: what else a kill would leave is
	// too old
	if t.lastCheckpoint.Sub(t.lastFlush) >= noteEvery {
		if err := t.cfg.Store.Flush(); err != nil {
			return fmt.Errorf("task: checkpoint of %s/%d: %w", t.cfg.Sub.Name, t.cfg.Partition, err)
		}
		t.lastFlush = t.lastCheckpoint
	}
	if t.cfg.Meter != nil {
		t.cfg.Meter.Checkpointed(began, t.saved)
	}
	return nil
}

// pendingBytes of a checkpoint are written at a time: as one it would take as much memory as its
// rows, twice.
const pendingBytes = 1 << 20

// writePending writes what is pending to the store if it has come to so many bytes.
func (t *Task) writePending(least int) error {
	if t.pending.Size() < least {
		return nil
	}
	from := t.pulse.move(rest)
	if err := t.cfg.Store.Write(&t.pending); err != nil {
		return fmt.Errorf("task: checkpoint of %s/%d: %w", t.cfg.Sub.Name, t.cfg.Partition, err)
	}
	t.pulse.move(from)
	t.saved += t.pending.Size()
	t.pending.Reset()
	return nil
}

// save adds the rows that have changed.
func (w *windowed) save() error {
	for _, s := range w.sizes {
		if s.sessions != nil {
			if err := w.saveSessions(s); err != nil {
				return err
			}
		}
		if s.sliding != nil {
			if err := w.saveSliding(s); err != nil {
				return err
			}
		}
		for _, b := range s.open {
			if err := w.saveBucket(s, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// saveBucket adds a bucket's changed rows to the checkpoint, by ascending key: stores take that
// several times faster.
func (w *windowed) saveBucket(s *size, b *bucket) (err error) {
	if len(b.unsaved) == 0 {
		return nil
	}
	for _, i := range w.byKey(b) {
		if b.flags[i]&flagUnsaved == 0 {
			continue
		}
		b.flags[i] &^= flagUnsaved
		w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, int64(b.start), w.key0(b, i))
		if w.row, err = w.appendRow(w.row[:0], b, i); err != nil {
			return err
		}
		w.task.pending.Put(w.wkey, w.row)
		if err := w.task.writePending(pendingBytes); err != nil {
			return err
		}
	}
	b.unsaved, b.stored = b.unsaved[:0], true
	return nil
}

// Memory is the bytes that rows and groups take.
func (t *Task) Memory() int {
	n := t.pending.Size()
	for _, o := range t.operators {
		n += o.memory()
	}
	return n
}

func (w *windowed) memory() int {
	n := w.groups.bytes + w.taken
	for _, s := range w.sizes {
		if s.sessions != nil {
			n += s.sessions.bytes()
		}
		if s.sliding != nil {
			n += s.sliding.bytes()
		}
	}
	return n
}

// evict drops rows from memory until half of the bound is free. All are in the store.
func (t *Task) evict() {
	for _, o := range t.operators {
		others := t.Memory() - o.memory()
		o.evict(func() bool { return others+o.memory() <= t.cfg.Memory/2 })
	}
}

// evict drops the oldest windows first.
func (w *windowed) evict(enough func() bool) {
	for _, s := range w.sizes {
		w.dropSpare(s)
	}
	for _, s := range w.sizes {
		if s.sessions != nil {
			w.evictSessions(s, enough)
		}
		if s.sliding != nil {
			s.sliding.evict(enough)
		}
		for _, b := range s.open {
			if enough() {
				return
			}
			w.taken -= b.taken
			w.forget(b)
			*b = bucket{start: b.start, end: b.end, closes: b.closes, stored: true, absent: true, perRow: b.perRow}
		}
	}
}

// dropSpare drops the buckets that are kept for reuse, and the sums, which have numbers of groups
// that are let go.
func (w *windowed) dropSpare(s *size) {
	spare := s.spare
	s.spare = nil
	if s.hop != nil {
		s.hop.dropSums()
		spare = append(spare, s.hop.spare...)
		s.hop.spare = nil
	}
	for _, b := range spare {
		w.taken -= b.taken
	}
}
