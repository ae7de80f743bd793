package stores

import (
	"errors"
	"iter"
)

// Errors that a caller can act on. Others are wrapped with what was being done.
var (
	// ErrClosed is returned by every call on a closed store, a second Close among them.
	ErrClosed = errors.New("stores: store is closed")
	// ErrCorrupt says that what is on disk cannot be trusted: throw it away and rebuild it from the
	// log.
	ErrCorrupt = errors.New("stores: store is damaged")
	// ErrLocked says that the store is already open, in this process or in another.
	ErrLocked = errors.New("stores: store is already open")
	// ErrUnavailable says that this program was built without the store (no cgo).
	ErrUnavailable = errors.New("stores: store is not part of this program")
)

// Store keeps bytes by key, ordered as bytes.Compare orders them.
//
// All methods may be called concurrently; Write is atomic and what it wrote is seen by every call
// that starts after it has returned. Write need not be durable when it returns: after a crash the
// store holds the effect of the first n Writes for some n that is at least the number of Writes
// before the last successful Flush, never a part of a Write and never a later one without an
// earlier. That is what lets a store without a write-ahead log be caught up from a changelog,
// provided that each Write carries the log position that it stands for.
//
// Keys are not empty; that is the caller's duty and is not checked. Byte slices that are passed in
// belong to the caller again when the call returns.
type Store interface {
	// Get appends the value of key to dst and says whether there is one. A value may be empty.
	// Without a value, and with an error, dst comes back as it was.
	Get(dst, key []byte) (value []byte, ok bool, err error)
	// Write applies the batch, in its order, as one. The batch is not changed. An empty batch
	// changes nothing.
	Write(b *Batch) error
	// Scan yields the entries with from <= key < to in ascending order, as they were when the range
	// loop began; a nil bound is open. An entry's bytes are valid until the next step and must not
	// be changed. An error ends the scan and is its last element. The loop's body may call the
	// store, except Close.
	Scan(from, to []byte) iter.Seq2[Entry, error]
	// Flush returns when every Write that had returned before it was called is durable.
	Flush() error
	// Close flushes and releases the store. A Scan that is under way ends with ErrClosed or delays
	// Close; it never reads freed memory. The store is released even when the flush fails and Close
	// says so.
	Close() error
}

// Entry is one key and its value.
type Entry struct {
	Key, Value []byte
}
