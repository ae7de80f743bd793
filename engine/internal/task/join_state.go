package task

import (
	"bytes"
	"context"
	"fmt"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// clock is the stream time that both sides share.
func (j *join) clock() (string, windows.Time) { return j.name, j.streamTime }

func (j *join) tick(context.Context) (bool, error) { return false, nil }

func (j *join) sawRecords() {}

// flush has nothing to do: results are put out at once.
func (j *join) flush(context.Context) error { return nil }

// log writes the rows that came since the last commit, a block a bucket, and which rows of any
// block have been matched.
func (j *join) log(ctx context.Context) error {
	for _, s := range j.sides {
		if err := s.thinOut(ctx); err != nil {
			return fmt.Errorf("task: join %s: %w", j.name, err)
		}
		for part, b := range s.unlogged {
			if b.gone {
				continue
			}
			b.sequence, b.part = j.task.progress.Sequence+1, uint32(part)
			if cap(b.data) > b.size+b.size/4 {
				s.bytes -= cap(b.data)
				b.data = append(make([]byte, 0, b.size), b.data...)
				s.bytes += cap(b.data)
			}
			s.logRow(ctx, b, s.op, b.data) // not written any more: no need of a copy
			s.unsaved = append(s.unsaved, b)
			if len(b.bits) > 0 && !b.marked {
				b.marked = true
				s.marked = append(s.marked, b)
			}
		}
		s.logMarks(ctx)
		clear(s.unlogged)
		s.unlogged = s.unlogged[:0]
		for _, bucket := range s.buckets {
			bucket.last = nil
		}
	}
	return nil
}

func (s *joinSide) logMarks(ctx context.Context) {
	for _, b := range s.marked {
		b.marked = false
		if b.gone {
			continue
		}
		s.logRow(ctx, b, s.op+marksOp, s.join.task.keep(b.bits))
		b.marksLogged = true
		if !b.marksUnsaved {
			b.marksUnsaved = true
			s.unsavedMarks = append(s.unsavedMarks, b)
		}
	}
	clear(s.marked)
	s.marked = s.marked[:0]
}

func (s *joinSide) logRow(ctx context.Context, b *block, op uint16, row []byte) {
	t := s.join.task
	s.join.key = b.appendKey(s.join.key[:0], op)
	t.produce(ctx, Output{Topic: t.cfg.Changelog, Partition: t.cfg.Partition, Key: t.keep(s.join.key), Value: row,
		Timestamp: t.logTime()})
	t.unsaved += len(s.join.key) + len(row)
}

// save adds blocks and marks that have changed.
func (j *join) save() error {
	for _, s := range j.sides {
		for _, b := range s.unsaved {
			if b.gone {
				continue
			}
			j.key = b.appendKey(j.key[:0], s.op)
			j.task.pending.Put(j.key, b.data)
			b.saved = true
			s.bucket(b.start).stored = true
			if err := j.task.writePending(pendingBytes); err != nil {
				return err
			}
		}
		for _, b := range s.unsavedMarks {
			b.marksUnsaved = false
			if b.gone {
				continue
			}
			j.key = b.appendKey(j.key[:0], s.op+marksOp)
			j.task.pending.Put(j.key, b.bits)
			if err := j.task.writePending(pendingBytes); err != nil {
				return err
			}
		}
		clear(s.unsaved)
		clear(s.unsavedMarks)
		s.unsaved, s.unsavedMarks = s.unsaved[:0], s.unsavedMarks[:0]
	}
	return nil
}

func (j *join) memory() int {
	const queueBytes = 32
	n := j.groups.bytes
	for _, s := range j.sides {
		n += s.bytes + entrySize*cap(s.waiting) + queueBytes*cap(s.queues)
	}
	return n
}

// evict drops the data of blocks that are in the store, oldest first. Entries stay, 24 bytes a row
// with what blocks know of them, so that a record reads only blocks with rows that match.
func (j *join) evict(enough func() bool) {
	for _, s := range j.sides {
		for _, bucket := range s.buckets {
			for _, slot := range bucket.blocks {
				if enough() {
					return
				}
				if b := s.blocks[slot]; b.saved && b.data != nil {
					s.forget(b)
				}
			}
		}
	}
}

// open takes over blocks and marks.
func (j *join) open(streamTime windows.Time) error {
	j.streamTime = streamTime
	for _, s := range j.sides {
		if err := s.openBlocks(); err != nil {
			return fmt.Errorf("task: join %s: rows in the store: %w", j.name, err)
		}
		if j.asOf && s.port == rightSide {
			for group := range s.queues {
				s.supersede(uint32(group))
			}
		}
	}
	return nil
}

func (s *joinSide) openBlocks() error {
	known := map[string]*block{}
	if err := s.scan(s.op, func(e stores.Entry, b *block) error {
		known[string(e.Key[3:])] = b
		return s.openBlock(b, e.Value)
	}); err != nil {
		return err
	}
	return s.scan(s.op+marksOp, func(e stores.Entry, marks *block) error {
		b := known[string(e.Key[3:])]
		if b == nil || len(e.Value) > (len(b.ats)+7)/8 {
			return errMarks
		}
		b.bits = bytes.Clone(e.Value)
		b.marksLogged = true
		s.bytes += cap(b.bits)
		return nil
	})
}

// scan visits the blocks of an operator in the store in order of (bucket, commit, part): of a time,
// in order of arrival.
func (s *joinSide) scan(op uint16, visit func(stores.Entry, *block) error) error {
	from, to := stores.OperatorBounds(op)
	for e, err := range s.join.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return err
		}
		b, err := parseBlockKey(e.Key)
		if err == nil {
			err = visit(e, b)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", err, ErrDamaged)
		}
	}
	return nil
}

func (s *joinSide) openBlock(b *block, data []byte) error {
	j := s.join
	bucket := s.bucket(b.start)
	bucket.stored = true
	slot := s.addBlock(bucket, b)
	before := b.heldBytes()
	err := b.parse(bytes.Clone(data), s.width, func(at windows.Time, key []byte) {
		group, _ := j.groups.intern(key)
		e := entry{time: at, block: slot, index: uint32(len(b.groups))}
		b.groups = append(b.groups, group)
		s.enqueue(group, e)
		if s.waits && at >= j.streamTime-s.open {
			s.push(e)
		}
	})
	if err != nil {
		return err
	}
	b.saved = true
	s.bytes += b.heldBytes() - before + cap(b.data)
	if limit := j.task.cfg.Memory; limit > 0 && j.task.Memory() > limit {
		s.forget(b)
	}
	return nil
}
