package task

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Progress is the commit record: how far a task is. It is the last record of every transaction in the changelog, under
// ProgressKey, and stands in the store beside the rows that it belongs to.
type Progress struct {
	Sequence    uint64                  // of commits, from 1
	Rows        uint64                  // that were aggregated: numbers their order
	Inputs      map[string]int64        // topic to the offset to read next; of topics too that are not read any more
	StreamTimes map[string]windows.Time // operator to its stream time
	// Operators are those with state that the rows are of. Removing are numbers of operators that are gone: their rows are not read any more, and
	// some may be left. Next is the lowest number that none ever had.
	Operators []topology.Operator
	Removing  []topology.Numbers
	Next      uint32
	// Filling are new tables that are not filled yet, each with the position in its topic that it is filled up to (fill.go); nil: none.
	Filling map[string]int64
}

// ProgressKey is the key of the commit record, in changelog and store.
var ProgressKey = stores.MetaKey("commit")

// positionKey is the key under which a store holds the changelog offset to read next, and since when it is known that nothing before it was
// missed (Restorer.Since).
var positionKey = stores.MetaKey("position")

// appendPosition appends what stands under positionKey.
func appendPosition(dst []byte, offset int64, since time.Time) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, uint64(offset)), uint64(since.UnixMilli()))
}

// progressVersion is the first byte of an encoded Progress, its layout. Layouts of rows have versions of their own (layout).
const progressVersion = 3

// Append appends p as it is stored: version, sequence, rows, the next number, operators, numbers that are removed, inputs and stream times, with
// uvarint lengths and counts, and tables that are filled, the last three in the order of their names.
func (p *Progress) Append(dst []byte) []byte {
	dst = append(dst, progressVersion)
	dst = binary.AppendUvarint(dst, p.Sequence)
	dst = binary.AppendUvarint(dst, p.Rows)
	dst = binary.AppendUvarint(dst, uint64(p.Next))
	dst = binary.AppendUvarint(dst, uint64(len(p.Operators)))
	for _, o := range p.Operators {
		dst = appendOperator(dst, &o)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Removing)))
	for _, n := range p.Removing {
		dst = appendRange(dst, n)
	}
	dst = appendNumbers(dst, p.Inputs)
	return appendNumbers(appendNumbers(dst, p.StreamTimes), p.Filling)
}

// errProgress says that a commit record is not one.
var errProgress = errors.New("task: commit record is damaged")

// ParseProgress reads what Append wrote. An error that wraps ErrNewer says that a newer version of ashi has written it.
func ParseProgress(b []byte) (*Progress, error) {
	switch {
	case len(b) == 0 || b[0] < progressVersion:
		return nil, errProgress
	case b[0] > progressVersion:
		return nil, fmt.Errorf("%w: its commit record has layout %d, this version knows %d", ErrNewer, b[0], progressVersion)
	}
	d := decoder{b: b[1:]}
	p := &Progress{Sequence: d.uvarint(), Rows: d.uvarint()}
	p.parseOperators(&d)
	p.Inputs = numbers[int64](&d)
	p.StreamTimes = numbers[windows.Time](&d)
	if p.Filling = numbers[int64](&d); len(p.Filling) == 0 {
		p.Filling = nil
	}
	if d.bad || len(d.b) != 0 {
		return nil, errProgress
	}
	return p, nil
}

func (p *Progress) parseOperators(d *decoder) {
	next := d.uvarint()
	d.bad = d.bad || next > topNumber
	p.Next = uint32(next)
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		p.Operators = append(p.Operators, d.operator())
	}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		p.Removing = append(p.Removing, d.numbers())
	}
}

// Commit ends the transaction under way, if anything was processed since the last one. Order:
//
//  1. the results, most of which Run has produced already; changed rows as provisional results;
//  2. changed rows to the changelog, and last the commit record;
//  3. the end of the transaction;
//  4. release of the batches that it covers.
//
// A checkpoint may follow. After an error the task is of no more use: close it and open it anew.
func (t *Task) Commit(ctx context.Context) error {
	if t.broken != nil {
		return t.broken
	}
	if !t.changed && !t.adopting && len(t.progress.Removing) == 0 {
		return nil
	}
	began := t.cfg.Now()
	t.begin(ctx)
	for _, o := range t.operators {
		if err := o.flush(ctx); err != nil {
			return err
		}
	}
	for _, o := range t.operators {
		if err := o.log(ctx); err != nil {
			return err
		}
	}
	if !t.adopting {
		if err := t.remove(ctx); err != nil {
			return err
		}
	}
	t.positions()
	t.progress.Sequence++
	var offset int64
	t.produce(ctx, Output{Topic: t.cfg.Changelog, Partition: t.cfg.Partition, Key: ProgressKey, Value: t.keep(t.encodeProgress()),
		Timestamp: t.logTime(), Offset: &offset})
	if t.broken != nil {
		return t.broken
	}
	if t.cfg.Sound != nil {
		if err := t.cfg.Sound(ctx); err != nil {
			t.broken = fmt.Errorf("task %s: %w", t.name(), err)
			return t.broken
		}
	}
	if err := t.cfg.Producer.Commit(ctx); err != nil {
		return fmt.Errorf("task: commit %d of %s/%d: %w", t.progress.Sequence, t.cfg.Sub.Name, t.cfg.Partition, err)
	}
	t.position = offset + 1
	t.adopting, t.changed, t.produced, t.lastCommit, t.since = false, false, 0, t.cfg.Now(), began
	for _, release := range t.releases {
		release()
	}
	clear(t.releases)
	t.releases = t.releases[:0]
	t.committed(began)
	return t.maybeCheckpoint()
}

func (t *Task) encodeProgress() []byte {
	for _, o := range t.operators {
		if name, at := o.clock(); name != "" {
			t.progress.StreamTimes[name] = at
		}
	}
	t.scratch = t.progress.Append(t.scratch[:0])
	return t.scratch
}

// flush puts changed rows out.
func (w *windowed) flush(ctx context.Context) error {
	for _, s := range w.sizes {
		if s.changes == nil {
			continue
		}
		if s.sessions != nil {
			if err := w.flushSessions(ctx, s); err != nil {
				return err
			}
		}
		if s.sliding != nil {
			if err := w.flushSliding(ctx, s); err != nil {
				return err
			}
		}
		if w.task.cfg.EveryUpdate {
			continue
		}
		for _, b := range s.open {
			for _, i := range b.dirty {
				if err := w.emitChange(ctx, s, b, i); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// log writes changed rows to the changelog.
func (w *windowed) log(ctx context.Context) error {
	t := w.task
	for _, s := range w.sizes {
		if s.sessions != nil {
			if err := w.logSessions(ctx, s); err != nil {
				return err
			}
		}
		if s.sliding != nil {
			if err := w.logSliding(ctx, s); err != nil {
				return err
			}
		}
		for _, b := range s.open {
			for _, i := range b.dirty {
				b.flags[i] = b.flags[i]&^flagDirty | flagLogged
				w.wkey = stores.AppendRowKey(w.wkey[:0], s.op, int64(b.start), w.key0(b, i))
				var err error
				if w.row, err = w.appendRow(w.row[:0], b, i); err != nil {
					return err
				}
				if b.perRow > 0 {
					b.measure(i, b.state(i, w.stride, w.vars))
					w.count(b)
				}
				t.log(ctx, w.wkey, w.row)
			}
			b.dirty = b.dirty[:0]
		}
	}
	return nil
}

// log writes a row to the changelog; a nil row is a tombstone. Both are copied.
func (t *Task) log(ctx context.Context, key, row []byte) {
	t.produce(ctx, Output{Topic: t.cfg.Changelog, Partition: t.cfg.Partition, Key: t.keep(key), Value: t.keep(row), Timestamp: t.logTime()})
	t.unsaved += len(key) + len(row)
}

// clock is the operator's stream time.
func (w *windowed) clock() (string, windows.Time) { return w.name, w.streamTime }
