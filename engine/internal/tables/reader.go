package tables

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Reader reads rows of a table. Rows are the caller's to keep. All methods may be called
// concurrently, also while the table is written: an iteration sees the table as it was when it
// began.
type Reader[K, R any] struct {
	ref    topology.TableOf[K, R]
	store  stores.Store
	mirror *Mirror
	ready  func() error
	tail   int // bytes of times in a key of the store
}

// NewReader reads the rows of ref in store, which mirror fills: rows past their retention are
// hidden; nil hides none. Every read asks ready first, and returns its error.
func NewReader[K, R any](ref topology.TableOf[K, R], store stores.Store, mirror *Mirror,
	ready func() error) *Reader[K, R] {
	return &Reader[K, R]{ref: ref, store: store, mirror: mirror, ready: ready, tail: tailOf(ref.Table)}
}

// Errors of wrong use.
var (
	errWindowed   = errors.New("the table has windows: use GetAt or Range")
	errUnwindowed = errors.New("the table has no windows: use Get")
	errSessions   = errors.New("sessions and sliding windows begin anywhere: use Range")
)

// Get is the row of key in a table without windows. False: there is none.
func (t *Reader[K, R]) Get(ctx context.Context, key K) (row R, ok bool, err error) {
	if t.ref.Table.Windows != nil {
		return row, false, t.wrap("get", errWindowed)
	}
	return t.get(ctx, key, func(k []byte) []byte { return stores.AppendTableKey(nil, k) })
}

// GetAt is the row of key in the window that holds at. False: there is none.
func (t *Reader[K, R]) GetAt(ctx context.Context, key K, at time.Time) (row R, ok bool, err error) {
	w := t.ref.Table.Windows
	if w == nil {
		return row, false, t.wrap("get at", errUnwindowed)
	}
	if windows.At(at) < 0 { // no window holds it
		_, err := t.open(ctx, key)
		return row, false, t.wrap("get", err)
	}
	if w.Form() == windows.FormSession || w.Form() == windows.FormSliding {
		return row, false, t.wrap("get at", errSessions)
	}
	start := w.Start(windows.At(at))
	return t.get(ctx, key, func(k []byte) []byte { return stores.AppendTableWindowKey(nil, k, int64(start)) })
}

func (t *Reader[K, R]) get(ctx context.Context, key K, storeKey func([]byte) []byte) (row R, ok bool, err error) {
	k, err := t.open(ctx, key)
	if err != nil {
		return row, false, t.wrap("get", err)
	}
	at := storeKey(k)
	value, ok, err := t.store.Get(nil, at)
	if err != nil || !ok || t.hidden(at, t.oldest()) {
		return row, false, t.wrap("get", err)
	}
	err = t.ref.Decode(k, value, &row)
	return row, err == nil, t.wrap("get", err)
}

// Range yields the rows of key whose windows start in [from, to), by ascending start.
func (t *Reader[K, R]) Range(ctx context.Context, key K, from, to time.Time) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		k, err := t.open(ctx, key)
		if err == nil && t.ref.Table.Windows == nil {
			err = errUnwindowed
		}
		if err != nil {
			var none R
			yield(none, t.wrap("range", err))
			return
		}
		lower, upper := stores.TableTimeBounds(k, notBefore(from), notBefore(to))
		t.scan(ctx, lower, upper, nil, yield)
	}
}

// Between yields the rows of all keys whose windows start in [from, to), in order of (key, start).
// It goes through the whole table, as rows are ordered by key first, but makes rows only of those
// in the range.
func (t *Reader[K, R]) Between(ctx context.Context, from, to time.Time) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		if t.ref.Table.Windows == nil {
			var none R
			yield(none, t.wrap("between", errUnwindowed))
			return
		}
		first, end := notBefore(from), notBefore(to)
		lower, upper := stores.TableBounds()
		t.scan(ctx, lower, upper, func(start int64) bool { return first <= start && start < end }, yield)
	}
}

// Prefix yields the rows whose key begins with the bytes of prefix, in order of (key, start).
func (t *Reader[K, R]) Prefix(ctx context.Context, prefix []byte) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		lower, upper := stores.TablePrefixBounds(prefix)
		t.scan(ctx, lower, upper, nil, yield)
	}
}

// All yields every row, in order of (key, start); keys in the order of their bytes.
func (t *Reader[K, R]) All(ctx context.Context) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		lower, upper := stores.TableBounds()
		t.scan(ctx, lower, upper, nil, yield)
	}
}

// ToList is all rows, in the order of All.
func (t *Reader[K, R]) ToList(ctx context.Context) ([]R, error) {
	var rows []R
	for r, err := range t.All(ctx) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// notBefore is the first millisecond that is not before t.
func notBefore(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

// open makes sure that the table can be read, and encodes key.
func (t *Reader[K, R]) open(ctx context.Context, key K) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := t.ready(); err != nil {
		return nil, err
	}
	return t.ref.Key(nil, key)
}

// scan yields rows between two keys of the store, of windows that start when wanted says; nil: all.
// The store's iterator is one state of the table, and is closed when the loop is left.
func (t *Reader[K, R]) scan(ctx context.Context, from, to []byte, wanted func(start int64) bool,
	yield func(R, error) bool) {
	var none R
	if err := t.ready(); err != nil {
		yield(none, t.wrap("scan", err))
		return
	}
	begun, oldest := false, int64(noTime)
	for e, err := range t.store.Scan(from, to) {
		if !begun { // not before the iterator is there: see Mirror.Oldest
			begun, oldest = true, t.oldest()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && (t.hidden(e.Key, oldest) || wanted != nil && !t.wants(e.Key, wanted)) {
			continue
		}
		var row R
		if err == nil {
			row, err = t.decode(e)
		}
		if err != nil {
			yield(none, t.wrap("scan", err))
			return
		}
		if !yield(row, nil) {
			return
		}
	}
}

// decode makes a row from a copy of the entry's bytes, which the row may keep views of.
func (t *Reader[K, R]) decode(e stores.Entry) (row R, err error) {
	own := make([]byte, 0, len(e.Key)+len(e.Value))
	if t.tail == 0 {
		own, err = stores.ParseTableKey(own, e.Key)
	} else {
		own, _, err = stores.ParseTableWindowKey(own, e.Key) // of sessions too: only the key is wanted
	}
	if err == nil {
		n := len(own)
		own = append(own, e.Value...)
		err = t.ref.Decode(own[:n:n], own[n:], &row)
	}
	return row, err
}

func (t *Reader[K, R]) oldest() int64 {
	if t.mirror == nil {
		return noTime
	}
	return t.mirror.Oldest()
}

// hidden says that a row is past its retention.
func (t *Reader[K, R]) hidden(key []byte, oldest int64) bool {
	if oldest == noTime {
		return false
	}
	_, at, ok := stores.TableRowTimes(key, t.tail)
	return ok && at <= oldest
}

// wants says that the window of a row starts when wanted says. A key that is none goes on, so that
// decode says what is wrong with it.
func (t *Reader[K, R]) wants(key []byte, wanted func(start int64) bool) bool {
	start, _, ok := stores.TableRowTimes(key, t.tail)
	return !ok || wanted(start)
}

func (t *Reader[K, R]) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("tables: %s in %s: %w", what, t.ref.Table.Topic, err)
}
