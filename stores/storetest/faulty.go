package storetest

import (
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
)

// Call names a method of a store.
type Call int

// The calls that can be made to fail.
const (
	CallGet Call = iota
	CallWrite
	CallScan
	CallFlush
	CallClose
)

// Faulty passes calls on to a store, fails those that it was told to, and can be crashed. It counts
// calls, so that a test can ask how often something was done.
type Faulty struct {
	inner stores.Store

	guarded struct {
		sync.Mutex
		calls  map[Call]int
		faults map[Call]map[int]error
		// durable is what a crash leaves for sure; unflushed are the Writes since, in order.
		durable   *memory.Store
		unflushed []*stores.Batch
	}
}

var _ stores.Loader = (*Faulty)(nil)

// NewFaulty wraps a store and takes over what it holds as durable.
func NewFaulty(inner stores.Store) (*Faulty, error) {
	f := &Faulty{inner: inner}
	f.guarded.calls = map[Call]int{}
	f.guarded.faults = map[Call]map[int]error{}
	f.guarded.durable = memory.New()
	b := &stores.Batch{}
	for entry, err := range inner.Scan(nil, nil) {
		if err != nil {
			return nil, fmt.Errorf("storetest: copy the store to wrap: %w", err)
		}
		b.Put(entry.Key, entry.Value)
	}
	if err := f.guarded.durable.Write(b); err != nil {
		return nil, err
	}
	return f, nil
}

// Fail makes the n-th call from now return err (1 is the next) without doing anything; later ones
// work again. A Scan fails when its range loop begins. A Close that fails still closes. Faults on
// several calls may be set.
func (f *Faulty) Fail(call Call, n int, err error) {
	f.guarded.Lock()
	defer f.guarded.Unlock()
	if f.guarded.faults[call] == nil {
		f.guarded.faults[call] = map[int]error{}
	}
	f.guarded.faults[call][f.guarded.calls[call]+n] = err
}

// Calls is how often a call was made, failed ones included.
func (f *Faulty) Calls(call Call) int {
	f.guarded.Lock()
	defer f.guarded.Unlock()
	return f.guarded.calls[call]
}

// Unflushed is the number of Writes that a crash may lose.
func (f *Faulty) Unflushed() int {
	f.guarded.Lock()
	defer f.guarded.Unlock()
	return len(f.guarded.unflushed)
}

// Crash closes the store and returns what a successor finds in its place: everything that was
// flushed, and the first keep of the Writes since (all of them if there are fewer). The successor
// is a memory store; Faulty is of no more use.
func (f *Faulty) Crash(keep int) (stores.Store, error) {
	f.guarded.Lock()
	defer f.guarded.Unlock()
	for _, b := range f.guarded.unflushed[:min(keep, len(f.guarded.unflushed))] {
		if err := f.guarded.durable.Write(b); err != nil {
			return nil, fmt.Errorf("storetest: crash: %w", err)
		}
	}
	f.guarded.unflushed = nil
	if err := f.inner.Close(); err != nil && !errors.Is(err, stores.ErrClosed) {
		return nil, fmt.Errorf("storetest: crash: %w", err)
	}
	return f.guarded.durable, nil
}

// Get implements stores.Store.
func (f *Faulty) Get(dst, key []byte) (value []byte, ok bool, err error) {
	if err := f.fault(CallGet); err != nil {
		return dst, false, err
	}
	return f.inner.Get(dst, key)
}

// Write implements stores.Store. Writes are one at a time, so that their order is known.
func (f *Faulty) Write(b *stores.Batch) error {
	f.guarded.Lock()
	defer f.guarded.Unlock()
	if err := f.faultLocked(CallWrite); err != nil {
		return err
	}
	if err := f.inner.Write(b); err != nil {
		return err
	}
	f.guarded.unflushed = append(f.guarded.unflushed, copyOf(b))
	return nil
}

// Load implements stores.Loader, whatever the store is; it counts and fails as a Write.
func (f *Faulty) Load(r *stores.Run) error {
	f.guarded.Lock()
	defer f.guarded.Unlock()
	if err := f.faultLocked(CallWrite); err != nil {
		return err
	}
	b := &stores.Batch{}
	r.Batch(b)
	if err := f.inner.Write(b); err != nil {
		return err
	}
	f.guarded.unflushed = append(f.guarded.unflushed, b)
	return f.settleLocked()
}

// Scan implements stores.Store.
func (f *Faulty) Scan(from, to []byte) iter.Seq2[stores.Entry, error] {
	inner := f.inner.Scan(from, to)
	return func(yield func(stores.Entry, error) bool) {
		if err := f.fault(CallScan); err != nil {
			yield(stores.Entry{}, err)
			return
		}
		inner(yield)
	}
}

// Flush implements stores.Store.
func (f *Faulty) Flush() error {
	f.guarded.Lock()
	defer f.guarded.Unlock()
	if err := f.faultLocked(CallFlush); err != nil {
		return err
	}
	if err := f.inner.Flush(); err != nil {
		return err
	}
	return f.settleLocked()
}

// Close implements stores.Store.
func (f *Faulty) Close() error {
	fault := f.fault(CallClose)
	// Without the lock: the bodies of Scans that Close waits for may call.
	if err := f.inner.Close(); err != nil {
		return err
	}
	f.guarded.Lock()
	defer f.guarded.Unlock()
	if fault != nil {
		return fault
	}
	return f.settleLocked()
}

func (f *Faulty) fault(call Call) error {
	f.guarded.Lock()
	defer f.guarded.Unlock()
	return f.faultLocked(call)
}

func (f *Faulty) faultLocked(call Call) error {
	f.guarded.calls[call]++
	return f.guarded.faults[call][f.guarded.calls[call]]
}

// settleLocked makes the unflushed Writes durable.
func (f *Faulty) settleLocked() error {
	for _, b := range f.guarded.unflushed {
		if err := f.guarded.durable.Write(b); err != nil {
			return err
		}
	}
	f.guarded.unflushed = nil
	return nil
}

func copyOf(b *stores.Batch) *stores.Batch {
	c := &stores.Batch{}
	for op := range b.Ops() {
		switch op.Kind {
		case stores.OpPut:
			c.Put(op.Key, op.Value)
		case stores.OpDelete:
			c.Delete(op.Key)
		case stores.OpDeleteRange:
			c.DeleteRange(op.Key, op.To)
		}
	}
	return c
}
