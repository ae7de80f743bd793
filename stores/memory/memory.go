package memory

import (
	"bytes"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/ashi-stream/ashi/stores"
)

type tree = btree.BTreeG[stores.Entry]

// Store is a stores.Store in memory. New makes one.
type Store struct {
	closed atomic.Bool

	guarded struct {
		sync.RWMutex
		// entries is changed and copied under the write lock (a copy marks the original too). Keys
		// and values in it never change: a Scan reads them after the lock is gone.
		entries *tree
		// doomed is scratch memory of range deletions.
		doomed []stores.Entry
	}
}

var _ stores.Store = (*Store)(nil)

// New is an empty store.
func New() *Store {
	s := &Store{}
	s.guarded.entries = btree.NewBTreeGOptions(
		func(a, b stores.Entry) bool { return bytes.Compare(a.Key, b.Key) < 0 },
		btree.Options{NoLocks: true},
	)
	return s
}

// Get implements stores.Store.
func (s *Store) Get(dst, key []byte) (value []byte, ok bool, err error) {
	s.guarded.RLock()
	defer s.guarded.RUnlock()
	if s.closed.Load() {
		return dst, false, stores.ErrClosed
	}
	entry, ok := s.guarded.entries.Get(stores.Entry{Key: key})
	if !ok {
		return dst, false, nil
	}
	return append(dst, entry.Value...), true, nil
}

// Write implements stores.Store.
func (s *Store) Write(b *stores.Batch) error {
	s.guarded.Lock()
	defer s.guarded.Unlock()
	if s.closed.Load() {
		return stores.ErrClosed
	}
	for op := range b.Ops() {
		switch op.Kind {
		case stores.OpPut:
			s.guarded.entries.Set(ownEntry(op.Key, op.Value))
		case stores.OpDelete:
			s.guarded.entries.Delete(stores.Entry{Key: op.Key})
		case stores.OpDeleteRange:
			s.deleteRangeLocked(op.Key, op.To)
		}
	}
	return nil
}

// Scan implements stores.Store. A Scan that is under way when the store is closed ends with
// ErrClosed at its next step.
func (s *Store) Scan(from, to []byte) iter.Seq2[stores.Entry, error] {
	from, to = bytes.Clone(from), bytes.Clone(to)
	return func(yield func(stores.Entry, error) bool) {
		entries, err := s.snapshot()
		if err != nil {
			yield(stores.Entry{}, err)
			return
		}
		entries.Ascend(stores.Entry{Key: from}, func(entry stores.Entry) bool {
			if to != nil && bytes.Compare(entry.Key, to) >= 0 {
				return false
			}
			if s.closed.Load() {
				yield(stores.Entry{}, stores.ErrClosed)
				return false
			}
			return yield(entry, nil)
		})
	}
}

// Len is the number of entries; 0 when the store is closed.
func (s *Store) Len() int {
	s.guarded.RLock()
	defer s.guarded.RUnlock()
	if s.closed.Load() {
		return 0
	}
	return s.guarded.entries.Len()
}

// Flush implements stores.Store. There is nothing to do.
func (s *Store) Flush() error {
	if s.closed.Load() {
		return stores.ErrClosed
	}
	return nil
}

// Close implements stores.Store and drops the entries.
func (s *Store) Close() error {
	s.guarded.Lock()
	defer s.guarded.Unlock()
	if s.closed.Swap(true) {
		return stores.ErrClosed
	}
	s.guarded.entries, s.guarded.doomed = nil, nil
	return nil
}

// snapshot is the tree as it is now; later writes do not show in it.
func (s *Store) snapshot() (*tree, error) {
	s.guarded.Lock()
	defer s.guarded.Unlock()
	if s.closed.Load() {
		return nil, stores.ErrClosed
	}
	return s.guarded.entries.Copy(), nil
}

// deleteRangeLocked collects before it deletes: a tree must not change under its own iteration.
func (s *Store) deleteRangeLocked(from, to []byte) {
	doomed := s.guarded.doomed[:0]
	s.guarded.entries.Ascend(stores.Entry{Key: from}, func(entry stores.Entry) bool {
		if bytes.Compare(entry.Key, to) >= 0 {
			return false
		}
		doomed = append(doomed, entry)
		return true
	})
	for _, entry := range doomed {
		s.guarded.entries.Delete(entry)
	}
	clear(doomed) // or the scratch memory would keep the deleted bytes alive
	s.guarded.doomed = doomed[:0]
}

// ownEntry copies a key and a value into one piece of memory.
func ownEntry(key, value []byte) stores.Entry {
	data := make([]byte, 0, len(key)+len(value))
	data = append(append(data, key...), value...)
	n := len(key)
	return stores.Entry{Key: data[:n:n], Value: data[n:]}
}
