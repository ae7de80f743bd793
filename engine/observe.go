package engine

import (
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
)

// opened tells of an opening that is over.
func (w *worker) opened(began time.Time, err error) {
	w.trace.opened(began, w.from, err)
	if w.from.began.IsZero() {
		return
	}
	m := &w.state.meters
	m.restore.Observe(w.from.took.Seconds())
	m.restoredRecords.Add(float64(w.from.rows))
	m.restoredBytes.Add(float64(w.from.bytes))
}

// Committed is [task.Meter]'s.
func (w *worker) Committed(began time.Time, produced []task.Produced) {
	took := time.Since(began)
	w.pauses += took
	w.state.meters.commit.Observe(took.Seconds())
	records := 0
	for _, p := range produced {
		w.state.meters.produced(p.Topic, p.Records, p.Bytes)
		records += p.Records
	}
	w.view.memory.Store(int64(w.task.Memory()))
	w.trace.committed(began, w.task.Progress().Sequence, records)
}

// Checkpointed is [task.Meter]'s.
func (w *worker) Checkpointed(began time.Time, bytes int) {
	took := time.Since(began)
	w.pauses += took
	w.state.meters.checkpoint.Observe(took.Seconds())
	w.state.meters.checkpointBytes.Add(float64(bytes))
	w.size()
	w.trace.checkpointed(began, bytes)
}

// size lets others see how large the store is.
func (w *worker) size() {
	rows, bytes := sizeOf(w.store)
	w.view.rows.Store(rows)
	w.view.bytes.Store(bytes)
}

// sizeOf is a store's own rough figures, unknown where it has none.
func sizeOf(store stores.Store) (rows, bytes int64) {
	switch s := store.(type) {
	case interface {
		Statistics() (rocksdb.Statistics, error)
	}:
		if figures, err := s.Statistics(); err == nil {
			return int64(figures.Keys), int64(figures.DiskBytes + figures.MemtableBytes)
		}
	case interface{ Len() int }:
		return int64(s.Len()), unknown
	}
	return unknown, unknown
}
