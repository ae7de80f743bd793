//go:build cgo

package rocksdb

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/linxGnu/grocksdb"

	"github.com/ashi-stream/ashi/stores"
)

// Store is a stores.Store in a directory. Open makes one.
type Store struct {
	dir string

	// use is held for reading by every call that touches the database, by a Scan for its whole
	// loop. Close takes it for writing and keeps it. Calls take it with TryRLock: it fails only
	// once Close has asked for it, and a body of a Scan that called RLock then would wait for
	// Close, which waits for the Scan.
	use sync.RWMutex
	// closed tells Scans that are under way to end.
	closed atomic.Bool

	options Options // as it was opened; of files that Load makes
	buffer  atomic.Int64

	db    *grocksdb.DB
	read  *grocksdb.ReadOptions
	write *grocksdb.WriteOptions
	flush *grocksdb.FlushOptions

	// logs is where RocksDB writes its own log for a store that is only read; empty: in dir. Such a
	// store refuses writes.
	logs string
}

var _ stores.Store = (*Store)(nil)

// Open opens the store in dir, and makes both if they are not there. Errors name dir and what to
// do; among them are stores.ErrLocked when the store is open already and stores.ErrCorrupt when it
// is damaged beyond use.
func Open(dir string, o Options) (*Store, error) {
	if err := errors.Join(o.Validate(), checkHandles()); err != nil {
		return nil, err
	}
	if err := prepare(dir); err != nil {
		return nil, fmt.Errorf("rocksdb: open %s: %w", dir, err)
	}
	o = o.withDefaults()
	opts := databaseOptions(o)
	defer opts.Destroy()
	db, err := grocksdb.OpenDb(opts, dir)
	if err != nil {
		return nil, fmt.Errorf("rocksdb: open %s: %w", dir, translateOpen(err))
	}
	// Not before: until here another process could be at it.
	if err := removeLoads(dir); err != nil {
		db.Close()
		return nil, fmt.Errorf("rocksdb: open %s: %w", dir, err)
	}
	s := &Store{
		dir:     dir,
		options: o,
		db:      db,
		read:    grocksdb.NewDefaultReadOptions(),
		write:   grocksdb.NewDefaultWriteOptions(),
		flush:   grocksdb.NewDefaultFlushOptions(),
	}
	s.buffer.Store(o.WriteBuffer)
	s.write.DisableWAL(true)
	s.flush.SetWait(true)
	return s, nil
}

// errReadOnly is returned by writes to a store of OpenReadOnly.
var errReadOnly = errors.New("it was opened to be read only")

// OpenReadOnly opens the store in dir without changing any file, while another process writes it or
// none does. It shows the state that was on disk when it was opened: what waits in the other's
// memory is missing, all of each Write or nothing. Write and Flush fail.
func OpenReadOnly(dir string) (*Store, error) {
	if err := checkStore(dir); err != nil {
		return nil, fmt.Errorf("rocksdb: open %s: %w", dir, err)
	}
	logs, err := os.MkdirTemp("", "ashi-rocksdb-log-")
	if err != nil {
		return nil, fmt.Errorf("rocksdb: open %s: %w", dir, err)
	}
	opts := databaseOptions(Options{}.withDefaults())
	defer opts.Destroy()
	opts.SetCreateIfMissing(false)
	opts.SetDbLogDir(logs)
	db, err := grocksdb.OpenDbForReadOnly(opts, dir, false)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("rocksdb: open %s: %w", dir, translateOpen(err)), os.RemoveAll(logs))
	}
	return &Store{dir: dir, db: db, read: grocksdb.NewDefaultReadOptions(), write: grocksdb.NewDefaultWriteOptions(),
		flush: grocksdb.NewDefaultFlushOptions(), logs: logs}, nil
}

// Get implements stores.Store.
func (s *Store) Get(dst, key []byte) (value []byte, ok bool, err error) {
	if !s.use.TryRLock() {
		return dst, false, stores.ErrClosed
	}
	defer s.use.RUnlock()
	if value, ok, err = s.get(dst, key); err != nil {
		return dst, false, s.failed("get", err)
	}
	return value, ok, nil
}

// Write implements stores.Store. A batch crosses into C as one, however long it is.
func (s *Store) Write(b *stores.Batch) error {
	if !s.use.TryRLock() {
		return stores.ErrClosed
	}
	defer s.use.RUnlock()
	if b.Len() == 0 {
		return nil
	}
	if s.logs != "" {
		return s.failed("write", errReadOnly)
	}
	batch := grocksdb.WriteBatchFrom(b.Data())
	defer batch.Destroy()
	if err := s.db.Write(s.write, batch); err != nil {
		return s.failed("write", err)
	}
	return nil
}

// Scan implements stores.Store. Close waits for a Scan that is under way, which ends with ErrClosed
// at its next step. RocksDB reads ahead by itself, from 8 KiB up to 256 KiB, once a Scan turns out
// to be long.
func (s *Store) Scan(from, to []byte) iter.Seq2[stores.Entry, error] {
	from, to = bytes.Clone(from), bytes.Clone(to)
	return func(yield func(stores.Entry, error) bool) {
		if !s.use.TryRLock() {
			yield(stores.Entry{}, stores.ErrClosed)
			return
		}
		defer s.use.RUnlock()
		// RocksDB takes an empty upper bound for none, and asserts the order of bounds.
		if to != nil && bytes.Compare(from, to) >= 0 {
			return
		}
		if err := s.scan(from, to, yield); err != nil {
			yield(stores.Entry{}, err)
		}
	}
}

// Flush implements stores.Store: it makes a file of what is in memory.
func (s *Store) Flush() error {
	if !s.use.TryRLock() {
		return stores.ErrClosed
	}
	defer s.use.RUnlock()
	if s.logs != "" {
		return s.failed("flush", errReadOnly)
	}
	if err := s.db.Flush(s.flush); err != nil {
		return s.failed("flush", err)
	}
	return nil
}

// SetWriteBuffer changes Options.WriteBuffer of an open store, also for what is being filled. It
// costs a small file when the size is another than before.
func (s *Store) SetWriteBuffer(size int64) error {
	if !s.use.TryRLock() {
		return stores.ErrClosed
	}
	defer s.use.RUnlock()
	o := Options{WriteBuffer: size}
	if err := o.Validate(); err != nil {
		return err
	}
	size = o.withDefaults().WriteBuffer
	if s.logs != "" {
		return s.failed("set the write buffer", errReadOnly)
	}
	if s.buffer.Swap(size) == size {
		return nil
	}
	// Memory for it comes in blocks, an eighth of it when a store is opened: RocksDB aborts the
	// process where one is larger than all.
	block := min(size/8, 1<<20) &^ (4<<10 - 1)
	if err := s.db.SetOptions([]string{"write_buffer_size", "arena_block_size"},
		[]string{strconv.FormatInt(size, 10), strconv.FormatInt(block, 10)}); err != nil {
		return s.failed("set the write buffer", err)
	}
	return nil
}

// Statistics reads rough figures from memory; it does not touch the disk.
func (s *Store) Statistics() (Statistics, error) {
	if !s.use.TryRLock() {
		return Statistics{}, stores.ErrClosed
	}
	defer s.use.RUnlock()
	var st Statistics
	for property, figure := range map[string]*uint64{
		"rocksdb.total-sst-files-size":    &st.DiskBytes,
		"rocksdb.cur-size-all-mem-tables": &st.MemtableBytes,
		"rocksdb.estimate-num-keys":       &st.Keys,
	} {
		var ok bool
		if *figure, ok = s.db.GetIntProperty(property); !ok {
			return Statistics{}, fmt.Errorf("rocksdb: statistics of %s: no figure for %s", s.dir, property)
		}
	}
	return st, nil
}

// Close implements stores.Store. It waits for calls and Scans that are under way.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return stores.ErrClosed
	}
	s.use.Lock() // for good: this is what makes later calls fail
	var err error
	if s.logs == "" {
		err = s.db.Flush(s.flush)
	}
	s.db.Close()
	if s.logs != "" {
		err = os.RemoveAll(s.logs)
	}
	s.read.Destroy()
	s.write.Destroy()
	s.flush.Destroy()
	if err != nil {
		return s.failed("close", err)
	}
	return nil
}

// scan yields the entries and returns the error that ended it, which has not been yielded.
func (s *Store) scan(from, to []byte, yield func(stores.Entry, error) bool) error {
	opts := grocksdb.NewDefaultReadOptions()
	defer opts.Destroy()
	if to != nil {
		// RocksDB keeps the address of the bound as long as the iterator lives.
		var pin runtime.Pinner
		pin.Pin(&to[0])
		defer pin.Unpin()
		opts.SetIterateUpperBound(to)
	}
	it := s.db.NewIterator(opts)
	defer it.Close()
	it.Seek(from)
	piece := rows{it: it}
	for {
		if s.closed.Load() {
			return stores.ErrClosed
		}
		entry, ok := piece.next()
		if !ok {
			break
		}
		if !yield(entry, nil) {
			return nil
		}
	}
	if err := it.Err(); err != nil {
		return s.failed("scan", err)
	}
	return nil
}

func (s *Store) failed(action string, err error) error {
	return fmt.Errorf("rocksdb: %s %s: %w", action, s.dir, translate(err))
}

// translate puts the errors that a caller can act on in front of RocksDB's words, which are all
// that its C interface gives.
func translate(err error) error {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "Corruption: "):
		return fmt.Errorf("%w: %w", stores.ErrCorrupt, err)
	case strings.Contains(text, "lock hold by current process"),
		strings.Contains(text, "While lock file") && strings.Contains(text, "temporarily unavailable"):
		return fmt.Errorf("%w: stop the other user or name another directory: %w", stores.ErrLocked, err)
	case strings.Contains(text, "No space left on device"), strings.Contains(text, "Disk quota exceeded"):
		return fmt.Errorf("the disk is full: make space, or name another directory: %w", err)
	case strings.Contains(text, "Permission denied"), strings.Contains(text, "Read-only file system"):
		return fmt.Errorf("cannot write to the directory: check its permissions: %w", err)
	}
	return err
}

// translateOpen knows in addition that a file which is missing while a store is opened is one that
// the store names.
func translateOpen(err error) error {
	translated := translate(err)
	switch {
	case errors.Is(translated, stores.ErrCorrupt), errors.Is(translated, stores.ErrLocked):
		return translated
	case strings.Contains(err.Error(), "No such file or directory"):
		return fmt.Errorf("%w: %w", stores.ErrCorrupt, err)
	}
	return translated
}
