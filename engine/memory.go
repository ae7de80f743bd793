package engine

import (
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
)

// share is what one task may take of Config.Memory. What is not given out, three eighths, is for
// batches on their way from the broker, for what is encoded and sent, and for memory that the
// collector has not yet found free.
type share struct {
	rows     int // rows and groups in memory
	producer int // results and changed rows that wait for the broker
	store    rocksdb.Options
}

const (
	leastWriteBuffer = 256 << 10 // below it a store makes files all the time
	mostWriteBuffer  = 16 << 20
	leastBlockCache  = 1 << 20
	mostBlockCache   = 64 << 20
	leastRestore     = 1 << 20
	mostRestore      = 64 << 20
)

// restore is how much a task fetches ahead, and gathers before it is written, while it is restored
// and there are no rows in memory. Growing it may take as much again, and what was before is
// garbage for a while.
func (s share) restore() int { return min(max(s.rows/4, leastRestore), mostRestore) }

// bound gives an open store its share of write buffers. Its block cache stays as large as it was
// when the store was opened.
func (s share) bound(store stores.Store) error {
	if b, ok := store.(interface{ SetWriteBuffer(size int64) error }); ok {
		return b.SetWriteBuffer(s.store.WriteBuffer)
	}
	return nil
}

// shareOf divides Memory by the sub-topologies, and by the partitions that this process has of
// each. A standby counts like a task: it may be one the next moment, with the store as it is.
func (e *Engine) shareOf(s *subState) share {
	m := e.cfg.Memory / int(max(s.owned.Load()+s.copies.Load(), 1)) / len(e.subs)
	return share{rows: m / 8 * 3, producer: m / 16, store: rocksdb.Options{
		WriteBuffer: int64(min(max(m/64*3, leastWriteBuffer), mostWriteBuffer)), // there are two of it
		BlockCache:  int64(min(max(m/32*3, leastBlockCache), mostBlockCache)),
		Compression: true,
	}}
}

// fetchBytes is what may have been fetched and not processed.
func (e *Engine) fetchBytes() int { return e.cfg.Memory / 32 }
