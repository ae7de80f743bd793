package task

import (
	"context"

	"github.com/ashi-stream/ashi/windows"
)

// supersede drops the right rows of a group in an as-of join that can be in force for no left row
// any more: there is a newer one at or before the earliest time that a left row may still have.
func (s *joinSide) supersede(group uint32) {
	q := &s.queues[group]
	earliest := s.join.streamTime - s.join.grace
	for len(q.entries)-q.head > 1 && q.entries[q.head+1].time <= earliest {
		e := q.entries[q.head]
		q.head++
		s.join.groups.entries[group].rows-- // there is another
		b := s.blocks[e.block]
		if b.live--; b.thin || 2*b.live >= len(b.ats) {
			continue
		}
		b.thin = true
		s.thin = append(s.thin, b)
	}
}

// thinOut writes blocks of which most rows are superseded anew, with what is left of them: each row
// that is moved stands for one that is gone, so what is kept is in proportion to what is needed.
// Rows of a key that have one time keep their order: a block is left as it is while one of its rows
// may be one of several of its key and time that count.
func (s *joinSide) thinOut(ctx context.Context) error {
	thin := s.thin
	s.thin = nil
	for _, b := range thin {
		switch {
		case b.gone:
		case b.live > 0 && b.newest > s.join.streamTime-s.join.grace:
			s.thin = append(s.thin, b)
		default:
			if err := s.move(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// move takes the rows of a block that are in queues to another block of its bucket, and drops it.
func (s *joinSide) move(ctx context.Context, b *block) error {
	bucket := s.bucket(b.start)
	slot, place := s.slotOf(bucket, b)
	if bucket.last == b {
		bucket.last = nil
	}
	if b.live > 0 && b.data == nil {
		if err := s.readBack(b); err != nil {
			return err
		}
	}
	d := decoder{b: b.data}
	for i, group := range b.groups {
		if b.live == 0 {
			break
		}
		at := b.start + windows.Time(d.uvarint())
		key := d.take(d.uvarint())
		row := d.take(d.uvarint())
		s.supersede(group)
		e := s.find(group, entry{time: at, block: slot, index: uint32(i)})
		if e == nil {
			continue
		}
		to, toSlot := s.writable(at, len(key)+len(row))
		before := to.heldBytes() + cap(to.data)
		e.block, e.index = toSlot, to.add(at, group, key, row)
		s.bytes += to.heldBytes() + cap(to.data) - before
		b.live--
	}
	bucket.blocks = append(bucket.blocks[:place], bucket.blocks[place+1:]...)
	if b.saved {
		s.join.key = b.appendKey(s.join.key[:0], s.op)
		s.join.task.pending.Delete(s.join.key)
	}
	s.drop(ctx, slot)
	return nil
}

func (s *joinSide) slotOf(bucket *joinBucket, b *block) (slot uint32, place int) {
	for i, slot := range bucket.blocks {
		if s.blocks[slot] == b {
			return slot, i
		}
	}
	panic("task: a block is not in its bucket")
}

// find is an entry in the queue of its group; nil: it is not there.
func (s *joinSide) find(group uint32, e entry) *entry {
	if int(group) >= len(s.queues) {
		return nil
	}
	q := &s.queues[group]
	for i := q.from(e.time); i < len(q.entries) && q.entries[i].time == e.time; i++ {
		if q.entries[i] == e {
			return &q.entries[i]
		}
	}
	return nil
}
