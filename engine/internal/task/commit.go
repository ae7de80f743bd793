package task

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Progress is the commit record: how far a task is. It is the last record of every transaction in
// the changelog, under ProgressKey, and stands in the store beside the rows that it belongs to.
type Progress struct {
	Log         LogID                   // the log that it was written to
	Sequence    uint64                  // of commits, from 1
	Rows        uint64                  // that were aggregated: numbers their order
	Inputs      map[string]int64        // topic to the offset to read next; of topics too that are not read any more
	Topics      map[string]TopicID      // which topics those offsets are of; one that is not in it is not known
	StreamTimes map[string]windows.Time // operator to its stream time
	// Operators are those with state that the rows are of. Removing are numbers of operators that
	// are gone: their rows are not read any more, and some may be left. Next is the lowest number
	// that none ever had.
	Operators []topology.Operator
	Removing  []topology.Numbers
	Next      uint32
	// Filling are new tables that are not filled yet, each with the position in its topic that it
	// is filled up to (fill.go); nil: none.
	Filling map[string]int64
}

// ProgressKey is the key of the commit record, in changelog and store.
var ProgressKey = stores.MetaKey("commit")

// positionKey is the key under which a store holds its Position.
var positionKey = stores.MetaKey("position")

// Position is where a store is in its changelog.
type Position struct {
	Offset int64     // to read next
	Since  time.Time // when it is known that nothing before Offset was missed (Restorer.Since)
	Log    LogID     // the log that Offset is of
}

// positionVersion is the first byte of an encoded Position.
const positionVersion = 1

// Append appends p as it is stored: version, offset and milliseconds in 8 bytes big-endian each,
// and the log.
func (p *Position) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, positionVersion), uint64(p.Offset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Since.UnixMilli()))
	return p.Log.append(dst)
}

// ParsePosition reads what Append wrote.
func ParsePosition(b []byte) (*Position, error) {
	if len(b) == 0 || b[0] != positionVersion {
		return nil, fmt.Errorf("task: position of %d bytes: %w", len(b), ErrDamaged)
	}
	d := decoder{b: b[1:]}
	p := &Position{Offset: d.int64(), Since: time.UnixMilli(d.int64()), Log: d.logID()}
	if d.bad || len(d.b) != 0 {
		return nil, fmt.Errorf("task: position of %d bytes: %w", len(b), ErrDamaged)
	}
	return p, nil
}

// progressVersion is the first byte of an encoded Progress, its layout. Layouts of rows have
// versions of their own (layout).
const progressVersion = 3

// Append appends p as it is stored: version, log, sequence, rows, the next number, operators,
// numbers that are removed, inputs, stream times, and tables that are filled, with uvarint lengths
// and counts, the last three in the order of their names. An input is its offset in 8 bytes and the
// id of its topic in 16.
func (p *Progress) Append(dst []byte) []byte {
	dst = p.Log.append(append(dst, progressVersion))
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
	dst = binary.AppendUvarint(dst, uint64(len(p.Inputs)))
	for _, topic := range slices.Sorted(maps.Keys(p.Inputs)) {
		id := p.Topics[topic]
		dst = binary.BigEndian.AppendUint64(appendString(dst, topic), uint64(p.Inputs[topic]))
		dst = append(dst, id[:]...)
	}
	return appendNumbers(appendNumbers(dst, p.StreamTimes), p.Filling)
}

// errProgress says that a commit record is not one.
var errProgress = errors.New("task: commit record is damaged")

// ParseProgress reads what Append wrote. An error that wraps ErrNewer says that a newer version of
// ashi has written it.
func ParseProgress(b []byte) (*Progress, error) {
	switch {
	case len(b) == 0 || b[0] < progressVersion: // no release has written less
		return nil, errProgress
	case b[0] > progressVersion:
		return nil, fmt.Errorf("%w: its commit record has layout %d, this version knows %d", ErrNewer, b[0],
			progressVersion)
	}
	d := decoder{b: b[1:]}
	p := &Progress{Log: d.logID(), Sequence: d.uvarint(), Rows: d.uvarint()}
	p.parseOperators(&d)
	p.parseInputs(&d)
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

func (p *Progress) parseInputs(d *decoder) {
	p.Inputs, p.Topics = map[string]int64{}, map[string]TopicID{}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		topic := d.string()
		p.Inputs[topic] = d.int64()
		if id := d.topicID(); id != (TopicID{}) {
			p.Topics[topic] = id
		}
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
	t.pulse.none()
	defer t.pulse.move(rest)
	for i, o := range t.operators {
		t.pulse.move(t.places[i])
		if err := o.flush(ctx); err != nil {
			return err
		}
	}
	for i, o := range t.operators {
		t.pulse.move(t.places[i])
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
	t.produce(ctx, Output{Topic: t.cfg.Changelog, Partition: t.cfg.Partition, Key: ProgressKey,
		Value: t.keep(t.encodeProgress()), Timestamp: t.logTime(), Offset: &offset})
	if t.broken != nil {
		return t.broken
	}
	t.pulse.move(rest)
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
	t.produce(ctx, Output{Topic: t.cfg.Changelog, Partition: t.cfg.Partition, Key: t.keep(key), Value: t.keep(row),
		Timestamp: t.logTime()})
	t.unsaved += len(key) + len(row)
}

// clock is the operator's stream time.
func (w *windowed) clock() (string, windows.Time) { return w.name, w.streamTime }
