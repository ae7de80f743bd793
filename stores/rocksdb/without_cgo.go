//go:build !cgo

package rocksdb

import (
	"fmt"
	"iter"

	"github.com/ashi-stream/ashi/stores"
)

// Store cannot be opened in this program, which was built without cgo.
type Store struct{}

var _ stores.Store = (*Store)(nil)

// Open returns stores.ErrUnavailable.
func Open(dir string, _ Options) (*Store, error) {
	return nil,
		fmt.Errorf("rocksdb: open %s: %w: built without cgo; set CGO_ENABLED=1 and install the RocksDB library, "+
			"or keep state in memory", dir, stores.ErrUnavailable)
}

// OpenReadOnly returns stores.ErrUnavailable.
func OpenReadOnly(dir string) (*Store, error) { return Open(dir, Options{}) }

// Destroy returns stores.ErrUnavailable.
func Destroy(dir string) error {
	return fmt.Errorf("rocksdb: destroy %s: %w: built without cgo", dir, stores.ErrUnavailable)
}

// Strays is empty.
func Strays(string) []string { return nil }

// Get returns stores.ErrUnavailable.
func (*Store) Get(dst, _ []byte) ([]byte, bool, error) { return dst, false, stores.ErrUnavailable }

// Write returns stores.ErrUnavailable.
func (*Store) Write(*stores.Batch) error { return stores.ErrUnavailable }

// Scan yields stores.ErrUnavailable.
func (*Store) Scan(_, _ []byte) iter.Seq2[stores.Entry, error] {
	return func(yield func(stores.Entry, error) bool) { yield(stores.Entry{}, stores.ErrUnavailable) }
}

// Flush returns stores.ErrUnavailable.
func (*Store) Flush() error { return stores.ErrUnavailable }

// SetWriteBuffer returns stores.ErrUnavailable.
func (*Store) SetWriteBuffer(int64) error { return stores.ErrUnavailable }

// Close returns stores.ErrUnavailable.
func (*Store) Close() error { return stores.ErrUnavailable }

// Statistics returns stores.ErrUnavailable.
func (*Store) Statistics() (Statistics, error) { return Statistics{}, stores.ErrUnavailable }
