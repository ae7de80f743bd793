package tables

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
)

// past is what a mirror knows of the age of a table's rows. It belongs to the mirror's goroutine,
// except newest.
//
// A row of a window is as old as its start, that of a session as its end. It is kept while that is
// later than the newest such time of the table, of any partition, less the retention. Readers hide
// what is older at once; the store loses it in sweeps, which go through the keys a few at a time,
// after writes.
//
// The store's own means do not fit. A compaction filter takes rows from under iterators that are
// open, so reads would have no stable state, and calls into Go for every row of every compaction. A
// time to live goes by the clock, not by event time. Files cannot be dropped whole, as rows are
// ordered by key first. Deletions in order of keys are what RocksDB merges away with the rows
// themselves.
type past struct {
	retention int64 // milliseconds; 0: all rows are kept
	tail      int   // bytes of times in a key
	newest    atomic.Int64
	pending   int64 // newest, with the batch that is being made

	// what is not newer than this is gone from the store, but for what the sweep under way has yet
	// to reach
	swept  int64
	cursor []byte // where the sweep goes on; nil: none is under way
}

const (
	noTime = math.MinInt64
	// sweeps is how many there are in the time of a retention: the store is at most so much of it
	// larger than what can be read.
	sweeps = 8
	// sweepRows are looked at after each Apply, so that writing is not held up.
	sweepRows = 2000
	// skipAfter young rows of a key the sweep seeks the next key: a seek costs as much as some
	// steps.
	skipAfter = 8
)

var newestKey = stores.MetaKey("newest")

func newPast(t *topology.Table, retention time.Duration) *past {
	p := &past{swept: noTime, pending: noTime, tail: tailOf(t)}
	p.newest.Store(noTime)
	if t.Windows != nil {
		p.retention = retention.Milliseconds()
	}
	return p
}

// tailOf is how many bytes of a key of the store are times.
func tailOf(t *topology.Table) int {
	if t.Windows == nil {
		return 0
	}
	return t.Windows.KeyBytes()
}

// Newest is the newest time of a row, in milliseconds: a window's start, a session's end. False: no
// row with a time has come yet. It may be called from any goroutine.
func (m *Mirror) Newest() (at int64, ok bool) {
	at = m.past.newest.Load()
	return at, at != noTime
}

// Oldest is a time, in milliseconds: rows that are not newer are past their retention. It may be
// called from any goroutine. Call it after the rows that it is for were found: it never goes back,
// and the store loses a row only when Oldest has gone past it.
func (m *Mirror) Oldest() int64 {
	newest := m.past.newest.Load()
	if m.past.retention == 0 || newest == noTime {
		return noTime
	}
	return newest - m.past.retention
}

func (m *Mirror) loadNewest() error {
	m.past.newest.Store(noTime)
	m.past.pending, m.past.swept, m.past.cursor = noTime, noTime, nil
	value, ok, err := m.store.Get(nil, newestKey)
	if err == nil && ok && len(value) != 8 {
		err = stores.ErrCorrupt
	}
	if err != nil {
		return fmt.Errorf("tables: newest time of %s: %w", m.table.Topic, err)
	}
	if ok {
		m.past.pending = int64(binary.BigEndian.Uint64(value))
		m.past.newest.Store(m.past.pending)
	}
	return nil
}

// expired says whether a row is past its retention, and lets newer ones move the newest time.
func (m *Mirror) expired(key []byte) bool {
	p := m.past
	_, at, ok := stores.TableRowTimes(key, p.tail)
	if !ok {
		return false
	}
	p.pending = max(p.pending, at)
	return p.retention > 0 && at <= p.pending-p.retention
}

// putNewest adds the newest time, if it has moved.
func (m *Mirror) putNewest(to rows) int64 {
	if m.past.pending != m.past.newest.Load() {
		to.Put(newestKey, binary.BigEndian.AppendUint64(nil, uint64(m.past.pending)))
	}
	return m.past.pending
}

// sweep deletes some of what is past its retention.
func (m *Mirror) sweep() error {
	p := m.past
	if oldest := m.Oldest(); p.cursor == nil && oldest != noTime &&
		(p.swept == noTime || oldest-p.swept >= p.retention/sweeps) {
		p.swept = oldest
		p.cursor, _ = stores.TableBounds()
	}
	m.batch.Reset()
	for budget := sweepRows; p.cursor != nil && budget > 0; {
		var err error
		if budget, err = m.sweepFrom(p.cursor, budget); err != nil {
			return fmt.Errorf("tables: deleting old rows of %s: %w", m.table.Topic, err)
		}
	}
	if m.batch.Len() == 0 {
		return nil
	}
	if err := m.store.Write(&m.batch); err != nil {
		return fmt.Errorf("tables: deleting old rows of %s: %w", m.table.Topic, err)
	}
	return nil
}

// sweepFrom goes from row to row until it has come to a key with many young rows, to the end, or
// through its budget, and sets the cursor.
func (m *Mirror) sweepFrom(from []byte, budget int) (left int, err error) {
	p := m.past
	_, to := stores.TableBounds()
	young := 0
	for e, err := range m.store.Scan(from, to) {
		if err != nil {
			return 0, err
		}
		if budget == 0 {
			p.cursor = append([]byte(nil), e.Key...)
			return 0, nil
		}
		budget--
		_, at, ok := stores.TableRowTimes(e.Key, p.tail)
		switch {
		case !ok:
			return 0, stores.ErrCorrupt
		case at <= p.swept:
			m.batch.Delete(e.Key)
			young = 0
		default:
			if young++; young == skipAfter {
				p.cursor = stores.AppendAfterTableRows(nil, e.Key, p.tail)
				return budget, nil
			}
		}
	}
	p.cursor = nil
	return budget, nil
}
