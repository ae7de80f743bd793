package task

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// close puts out and frees every window that stream time has closed: size by size, in order of
// (start, key), each row once (FIN-2). It costs what the closed windows hold; open ones are not
// looked at.
func (w *windowed) close(ctx context.Context) error {
	w.nextClose = math.MaxInt64
	for _, s := range w.sizes {
		if s.sessions != nil {
			if err := w.closeSessions(ctx, s); err != nil {
				return err
			}
			continue
		}
		if s.sliding != nil {
			if err := w.closeSliding(ctx, s); err != nil {
				return err
			}
			continue
		}
		if s.hop != nil {
			if err := w.closeHops(ctx, s); err != nil {
				return err
			}
		}
		n := 0
		for n < len(s.open) && s.open[n].closes <= w.streamTime {
			if err := w.closeBucket(ctx, s, s.open[n]); err != nil {
				return err
			}
			n++
		}
		if n > 0 {
			s.open = slices.Delete(s.open, 0, n)
			s.last = nil
		}
		if len(s.open) > 0 {
			w.nextClose = min(w.nextClose, s.nextClose(s.open[0].start, w.grace))
		}
	}
	return nil
}

// closeBucket puts the rows out, in memory and in the store, in order of their keys, and deletes
// them everywhere.
func (w *windowed) closeBucket(ctx context.Context, s *size, b *bucket) error {
	rows := w.inOrder(b)
	if b.absent || s.finals != nil || s.changes != nil {
		rows = w.byKey(b) // slices have tombstones only, which need no order
	}
	i := 0
	upTo := func(key []byte) error { // puts out the rows in memory before key, all if it is nil
		for ; i < len(rows) && (key == nil || bytes.Compare(w.key0(b, rows[i]), key) < 0); i++ {
			if err := w.closeRow(ctx, s, b, rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if b.absent {
		err := w.stored(s, b, func(key, row []byte) error {
			if err := upTo(key); err != nil {
				return err
			}
			if i < len(rows) && bytes.Equal(w.key0(b, rows[i]), key) {
				return nil // memory has it newer
			}
			return w.closeStored(ctx, s, b, key, row)
		})
		if err != nil {
			return err
		}
	}
	if err := upTo(nil); err != nil {
		return err
	}
	if b.stored {
		from, to := stores.RowBounds(s.op, int64(b.start))
		w.task.pending.DeleteRange(from, to)
	}
	w.free(s, b)
	return nil
}

// key0 is the group key of row i.
func (w *windowed) key0(b *bucket, i int32) []byte { return w.groups.entries[b.groups[i]].key }

// inOrder is the rows of b in memory as they were made. The slice is good until the next call of
// this or byKey.
func (w *windowed) inOrder(b *bucket) []int32 {
	w.order = w.order[:0]
	for i := range b.groups {
		w.order = append(w.order, int32(i))
	}
	return w.order
}

// byKey is the rows of b in memory by ascending group key. The slice is good until the next call.
func (w *windowed) byKey(b *bucket) []int32 {
	rows := w.inOrder(b)
	slices.SortFunc(rows, func(i, j int32) int { return bytes.Compare(w.key0(b, i), w.key0(b, j)) })
	return rows
}

// closeRow puts a row in memory out, and takes it out of the changelog if it is there.
func (w *windowed) closeRow(ctx context.Context, s *size, b *bucket, i int32) error {
	// What has changed since the last commit is a change still: who follows the changes must end
	// with the row that is final.
	if s.changes != nil && b.flags[i]&flagDirty != 0 && !w.task.cfg.EveryUpdate {
		if err := w.emitChange(ctx, s, b, i); err != nil {
			return err
		}
	}
	if s.finals != nil {
		if err := w.emitFinal(ctx, s.finals, b, i); err != nil {
			return err
		}
	}
	if b.flags[i]&flagLogged != 0 {
		w.bury(ctx, s, b, w.key0(b, i))
	}
	return nil
}

// closeStored does the same for a row that is in the store only.
func (w *windowed) closeStored(ctx context.Context, s *size, b *bucket, key, row []byte) error {
	w.task.pulse.move(w.place)
	state := aggregates.NewState(w.program)
	if len(row) < rowHeader {
		return fmt.Errorf("task: aggregate %s: row of %d bytes in the store: %w", w.name, len(row), stores.ErrCorrupt)
	}
	if err := w.program.Load(state, row[rowHeader:]); err != nil {
		return fmt.Errorf("task: aggregate %s: row in the store: %w: %w", w.name, err, stores.ErrCorrupt)
	}
	newest := windows.Time(binary.BigEndian.Uint64(row))
	if s.finals != nil {
		if err := w.emitRow(ctx, s.finals, key, b, state, newest); err != nil {
			return err
		}
	}
	w.bury(ctx, s, b, key)
	return nil
}

// bury writes a tombstone to the changelog.
func (w *windowed) bury(ctx context.Context, s *size, b *bucket, group []byte) {
	w.row = stores.AppendRowKey(w.row[:0], s.op, int64(b.start), group)
	t := w.task
	t.produce(ctx, Output{Topic: t.cfg.Changelog, Partition: t.cfg.Partition, Key: t.keep(w.row),
		Timestamp: t.logTime()})
}

// stored calls visit for each row of a window in the store, by ascending group key.
func (w *windowed) stored(s *size, b *bucket, visit func(key, row []byte) error) error {
	from, to := stores.RowBounds(s.op, int64(b.start))
	for e, err := range w.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return fmt.Errorf("task: aggregate %s: reading rows: %w", w.name, err)
		}
		_, _, key, err := stores.ParseRowKey(e.Key)
		if err != nil {
			return fmt.Errorf("task: aggregate %s: %w: %w", w.name, err, stores.ErrCorrupt)
		}
		if err := visit(key, e.Value); err != nil {
			return err
		}
	}
	return nil
}

// free forgets a bucket's rows and keeps its space for the next one, unless memory is short: while
// a window closes slowly, the next one has grown already.
func (w *windowed) free(s *size, b *bucket) {
	w.forget(b)
	w.count(b)
	const spares = 2 // as many as close at once in a steady stream
	if limit := w.task.cfg.Memory; len(s.spare) < spares && (limit == 0 || w.task.Memory() <= limit/2) {
		s.spare = append(s.spare, b)
		return
	}
	w.taken -= b.taken
}

// forget drops a bucket's rows from memory.
func (w *windowed) forget(b *bucket) {
	for _, g := range b.groups {
		w.groups.release(g, 1)
	}
	b.forget()
}
