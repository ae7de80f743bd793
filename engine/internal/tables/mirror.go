// Package tables mirrors topics into stores and reads rows from them: the tables of requirement TC.
//
// A [Mirror] takes over the records of one topic, all partitions, into one store; a [Reader] gives typed, ordered access to it.
// The mirror belongs to one goroutine; readers may be used by any number at the same time.
package tables

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Mirror copies a table's topic into a store.
type Mirror struct {
	table *topology.Table
	store stores.Store
	log   *slog.Logger
	batch stores.Batch
	fresh map[string][]byte // rows in batch, of an append-only table; nil for those that it deletes
	key   []byte
	value []byte
	past  *past

	// Malformed, Duplicates and Contradictions count records that could not be taken over: keys that are no windowed keys; rows of
	// an append-only table that are there already with the same bytes; and with others. Expired counts rows that came when they were
	// past their retention already.
	Malformed, Duplicates, Contradictions, Expired atomic.Int64
}

// NewMirror copies table into store. Of a table of windows it keeps rows for retention (see Oldest); 0 keeps all. Call Positions before the
// first Apply.
func NewMirror(table *topology.Table, store stores.Store, retention time.Duration, log *slog.Logger) *Mirror {
	return &Mirror{table: table, store: store, past: newPast(table, retention), log: log.With("table", table.Topic), fresh: map[string][]byte{}}
}

const positionPrefix = "position/"

// Positions is the offset to read next of each partition that the store has seen. It takes over from the store what Apply goes on from.
func (m *Mirror) Positions() (map[int32]int64, error) {
	if err := m.loadNewest(); err != nil {
		return nil, err
	}
	at := map[int32]int64{}
	from := stores.MetaKey(positionPrefix)
	to := stores.MetaKey(strings.TrimSuffix(positionPrefix, "/") + "0") // '0' is the byte after '/'
	for e, err := range m.store.Scan(from, to) {
		if err != nil {
			return nil, fmt.Errorf("tables: positions of %s: %w", m.table.Topic, err)
		}
		var p int32
		if _, err := fmt.Sscanf(string(e.Key[len(from):]), "%d", &p); err != nil || len(e.Value) != 8 {
			return nil, fmt.Errorf("tables: positions of %s: %w", m.table.Topic, stores.ErrCorrupt)
		}
		at[p] = int64(binary.BigEndian.Uint64(e.Value))
	}
	return at, nil
}

// Apply takes over records of a partition, and that the offset to read after them is next, as one.
func (m *Mirror) Apply(partition int32, records []task.Record, next int64) error {
	m.batch.Reset()
	clear(m.fresh)
	for i := range records {
		if err := m.apply(partition, &records[i]); err != nil {
			return err
		}
	}
	m.batch.Put(stores.MetaKey(fmt.Sprintf("%s%d", positionPrefix, partition)), binary.BigEndian.AppendUint64(nil, uint64(next)))
	// Before the write: a reader that sees a row never sees beside it what it makes too old. For a moment it may see neither.
	m.past.newest.Store(m.putNewest())
	if err := m.store.Write(&m.batch); err != nil {
		return fmt.Errorf("tables: writing %s: %w", m.table.Topic, err)
	}
	return m.sweep()
}

func (m *Mirror) apply(partition int32, r *task.Record) error {
	if !m.storeKey(r.Key) {
		m.Malformed.Add(1)
		m.log.Warn("record has no key that fits the table", "partition", partition, "offset", r.Offset)
		return nil
	}
	if r.Value == nil {
		if m.table.AppendOnly {
			m.fresh[string(m.key)] = nil
		}
		m.batch.Delete(m.key)
		return nil
	}
	if m.expired(m.key) {
		m.Expired.Add(1)
		return nil
	}
	if m.table.AppendOnly {
		if known, err := m.known(partition, r); known || err != nil {
			return err
		}
		m.fresh[string(m.key)] = r.Value
	}
	m.batch.Put(m.key, r.Value)
	return nil
}

// storeKey puts the store's key for a record's into m.key; false if it is none of this table.
func (m *Mirror) storeKey(key []byte) bool {
	kind := m.table.Windows
	if key == nil || kind == nil {
		m.key = stores.AppendTableKey(m.key[:0], key)
		return key != nil
	}
	group, w, ok := kind.CutKey(key)
	if !ok {
		return false
	}
	m.key = stores.AppendTableWindowKey(m.key[:0], group, int64(w.Start))
	if kind.Form() == windows.FormSession {
		m.key = stores.AppendTableSessionKey(m.key[:0], group, int64(w.Start), int64(w.End))
	}
	return true
}

// known says whether the table has the row at m.key already: the first one counts, and one that differs is a contradiction
// that must not happen (FIN-5).
func (m *Mirror) known(partition int32, r *task.Record) (bool, error) {
	first, ok := m.fresh[string(m.key)]
	if ok && first == nil {
		return false, nil
	}
	if !ok {
		var err error
		if m.value, ok, err = m.store.Get(m.value[:0], m.key); err != nil {
			return false, fmt.Errorf("tables: reading %s: %w", m.table.Topic, err)
		}
		first = m.value
	}
	switch {
	case !ok:
		return false, nil
	case bytes.Equal(first, r.Value):
		m.Duplicates.Add(1)
	default:
		m.Contradictions.Add(1)
		m.log.Error("a second final row of a window differs from the first, which is kept", "partition", partition, "offset", r.Offset)
	}
	return true, nil
}
