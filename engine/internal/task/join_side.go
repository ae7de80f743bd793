package task

import (
	"context"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// joinSide is the rows of one side of a join. Of each key there is a queue of entries in order of
// time; the rows themselves lie in blocks, and these in buckets of event time. What has closed goes
// a bucket at a time, without a look at other rows.
type joinSide struct {
	join *join
	port int
	op   uint16 // in the keys of blocks; that of marks is marksOp more

	keeps bool // rows that nothing matches go out alone
	waits bool // rows wait for stream time to close them
	marks bool // it is kept which rows are matched
	// A row at t matches those of the other side from t-back to t+ahead, is open until stream time
	// is past t+open, and late if stream time is past t+late when it comes.
	back, ahead, open, late windows.Time
	width                   windows.Time // of buckets

	encode func(row any, dst []byte) ([]byte, error)
	decode func(b []byte) (any, error)

	queues  []queue // by number of the group; shorter than there are groups, perhaps
	waiting []entry // a heap, see less
	buckets []*joinBucket
	blocks  []*block // by number in entries; nil: free
	free    []uint32
	spare   []*block // gone: their ats and groups are used again
	made    uint64   // blocks so far
	latest  *block   // that was made for writing

	unlogged, unsaved, marked, unsavedMarks, thin []*block // those gone are passed over

	loaded      []*block // read back from the store, oldest first
	loadedBytes int
	bytes       int // of queues and blocks
}

// joinBucket is the blocks with times from start on.
type joinBucket struct {
	start  windows.Time
	blocks []uint32
	last   *block // that rows are added to; nil: none
	stored bool   // the store has blocks of it, or will
}

const (
	marksOp        = 2
	bucketsPerSpan = 16
	leastWidth     = 100 // ms
)

// put keeps a row.
func (s *joinSide) put(group uint32, at windows.Time, row []byte, matched bool) {
	key := s.join.groups.entries[group].key
	b, slot := s.writable(at, len(key)+len(row))
	before := b.heldBytes() + cap(b.data)
	e := entry{time: at, block: slot, index: b.add(at, group, key, row)}
	if matched && s.marks {
		b.match(e.index)
	}
	s.bytes += b.heldBytes() + cap(b.data) - before
	s.enqueue(group, e)
	if s.waits && !matched {
		s.push(e)
	}
}

// enqueue adds an entry to the queue of its group.
func (s *joinSide) enqueue(group uint32, e entry) {
	for int(group) >= len(s.queues) {
		s.queues = append(s.queues, queue{})
	}
	s.bytes += s.queues[group].insert(e)
	s.join.groups.entries[group].rows++
}

// writable is a block that takes a row of a time.
func (s *joinSide) writable(at windows.Time, size int) (b *block, slot uint32) {
	bucket := s.bucket(at)
	if b := bucket.last; b != nil && b.size+size <= blockBytes {
		return b, bucket.blocks[len(bucket.blocks)-1]
	}
	b = &block{start: bucket.start}
	if bucket == s.buckets[len(s.buckets)-1] { // blocks of rows in order are of a size
		if last := s.latest; last != nil {
			b.data = make([]byte, 0, min(last.size+last.size/8, blockBytes))
		}
		s.latest = b
	}
	if n := len(s.spare) - 1; n >= 0 {
		b.ats, b.groups = s.spare[n].ats[:0], s.spare[n].groups[:0]
		s.spare[n].ats, s.spare[n].groups, s.spare[n] = nil, nil, nil
		s.spare = s.spare[:n]
	}
	slot = s.addBlock(bucket, b)
	bucket.last = b
	s.unlogged = append(s.unlogged, b)
	return b, slot
}

// bucket is the one for a time, made if need be. There are few: those of the open span.
func (s *joinSide) bucket(at windows.Time) *joinBucket {
	start := at - at%s.width
	i := len(s.buckets)
	for i > 0 && s.buckets[i-1].start >= start {
		if i--; s.buckets[i].start == start {
			return s.buckets[i]
		}
	}
	b := &joinBucket{start: start}
	s.buckets = slices.Insert(s.buckets, i, b)
	return b
}

func (s *joinSide) addBlock(bucket *joinBucket, b *block) (slot uint32) {
	s.made++
	b.number = s.made
	if n := len(s.free) - 1; n >= 0 {
		slot, s.free = s.free[n], s.free[:n]
		s.blocks[slot] = b
	} else {
		slot = uint32(len(s.blocks))
		s.blocks = append(s.blocks, b)
	}
	bucket.blocks = append(bucket.blocks, slot)
	s.bytes += b.heldBytes() + cap(b.data)
	return slot
}

// mark notes that a row is matched.
func (s *joinSide) mark(e entry) {
	b := s.blocks[e.block]
	before := cap(b.bits)
	if b.match(e.index) && !b.marked && b.sequence != 0 {
		b.marked = true
		s.marked = append(s.marked, b)
	}
	s.bytes += cap(b.bits) - before
}

// load is a kept row, decoded: good until the next one of this side.
func (s *joinSide) load(e entry) (any, error) {
	b := s.blocks[e.block]
	if b.data == nil {
		if err := s.readBack(b); err != nil {
			return nil, fmt.Errorf("task: join %s: %w", s.join.name, err)
		}
	}
	s.join.task.pulse.move(s.join.place)
	row, err := s.decode(b.row(e.index))
	if err != nil {
		return nil, fmt.Errorf("task: join %s: row in the state: %w: %w", s.join.name, err, stores.ErrCorrupt)
	}
	return row, nil
}

// leastLoaded is how many bytes of blocks that were read back stay in memory at least, however low
// its bound.
const leastLoaded = 1 << 20

// readBack reads a block that is only in the store. Those that were read before it go again when
// there are too many.
func (s *joinSide) readBack(b *block) error {
	t := s.join.task
	s.join.key = b.appendKey(s.join.key[:0], s.op)
	data, ok, err := t.cfg.Store.Get(nil, s.join.key)
	switch {
	case err != nil:
		return fmt.Errorf("reading rows: %w", err)
	case !ok || len(data) != b.size:
		return fmt.Errorf("block of %d bytes is %d bytes in the store: %w", b.size, len(data), stores.ErrCorrupt)
	}
	b.data, b.loaded = data, true
	s.loaded = append(s.loaded, b)
	s.loadedBytes += b.size
	s.bytes += cap(b.data)
	for s.loadedBytes > max(leastLoaded, t.cfg.Memory/4) && len(s.loaded) > 1 {
		s.forget(s.loaded[0])
	}
	return nil
}

// forget drops a block's data from memory; the store has it.
func (s *joinSide) forget(b *block) {
	s.bytes -= cap(b.data)
	b.data = nil
	if b.loaded {
		b.loaded = false
		s.loadedBytes -= b.size
		s.loaded = slices.DeleteFunc(s.loaded, func(o *block) bool { return o == b })
	}
}

// expire frees the buckets of which every row has closed.
func (s *joinSide) expire(ctx context.Context) {
	n := 0
	for n < len(s.buckets) && s.buckets[n].start < s.join.streamTime-s.open-s.width+1 {
		s.expireBucket(ctx, s.buckets[n])
		n++
	}
	s.buckets = slices.Delete(s.buckets, 0, n)
}

func (s *joinSide) expireBucket(ctx context.Context, bucket *joinBucket) {
	last := bucket.start + (s.width - 1)
	for _, slot := range bucket.blocks {
		for _, group := range s.blocks[slot].groups {
			if popped, shrunk := s.queues[group].popThrough(last); popped > 0 {
				s.bytes -= shrunk
				s.join.groups.release(group, popped)
			}
		}
		s.drop(ctx, slot)
	}
	if bucket.stored {
		for _, op := range []uint16{s.op, s.op + marksOp} {
			from, to := stores.RowBounds(op, int64(bucket.start))
			s.join.task.pending.DeleteRange(from, to)
		}
	}
}

// drop forgets a block, and takes it out of the changelog if it is there.
func (s *joinSide) drop(ctx context.Context, slot uint32) {
	b := s.blocks[slot]
	if b.sequence != 0 {
		s.bury(ctx, b, s.op)
	}
	if b.marksLogged {
		s.bury(ctx, b, s.op+marksOp)
	}
	s.forget(b)
	s.bytes -= b.heldBytes()
	b.gone = true
	if len(s.spare) < bucketsPerSpan {
		s.spare = append(s.spare, b)
	}
	s.blocks[slot] = nil
	s.free = append(s.free, slot)
}

// bury writes a tombstone to the changelog.
func (s *joinSide) bury(ctx context.Context, b *block, op uint16) {
	t := s.join.task
	s.join.key = b.appendKey(s.join.key[:0], op)
	t.produce(ctx, Output{Topic: t.cfg.Changelog, Partition: t.cfg.Partition, Key: t.keep(s.join.key),
		Timestamp: t.logTime()})
}
