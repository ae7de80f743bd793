package storetest

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broken is a store that breaks the contract where a hook is set.
type broken struct {
	*memory.Store
	get   func(s stores.Store, dst, key []byte) ([]byte, bool, error)
	write func(s stores.Store, b *stores.Batch) error
	scan  func(s stores.Store, from, to []byte) iter.Seq2[stores.Entry, error]
	close func(s stores.Store) error
}

func (b *broken) Get(dst, key []byte) ([]byte, bool, error) {
	if b.get != nil {
		return b.get(b.Store, dst, key)
	}
	return b.Store.Get(dst, key)
}

func (b *broken) Write(batch *stores.Batch) error {
	if b.write != nil {
		return b.write(b.Store, batch)
	}
	return b.Store.Write(batch)
}

func (b *broken) Scan(from, to []byte) iter.Seq2[stores.Entry, error] {
	if b.scan != nil {
		return b.scan(b.Store, from, to)
	}
	return b.Store.Scan(from, to)
}

func (b *broken) Close() error {
	if b.close != nil {
		return b.close(b.Store)
	}
	return b.Store.Close()
}

// TestRulesFindBrokenStores breaks one sentence of the contract at a time and expects the rule for
// it to say so.
func TestRulesFindBrokenStores(t *testing.T) {
	for _, c := range []struct {
		rule  string
		store broken
	}{
		{"get appends to dst", broken{get: func(s stores.Store, _, key []byte) ([]byte, bool, error) {
			return s.Get(nil, key)
		}}},
		{"empty value", broken{get: func(s stores.Store, dst, key []byte) ([]byte, bool, error) {
			value, ok, err := s.Get(dst, key)
			return value, ok && len(value) > len(dst), err
		}}},
		{"last operation counts", broken{write: reversed}},
		{"delete range in a batch", broken{write: rangesFirst}},
		{"write is atomic", broken{write: oneByOne}},
		{"batch is not changed", broken{write: func(s stores.Store, b *stores.Batch) error {
			err := s.Write(b)
			b.Reset()
			return err
		}}},
		{"scan bounds", broken{scan: emptyIsOpen}},
		{"bytes are the caller's", broken{scan: func(s stores.Store, from, to []byte) iter.Seq2[stores.Entry, error] {
			return func(yield func(stores.Entry, error) bool) { s.Scan(from, to)(yield) }
		}}},
		{"scan sees one moment", broken{scan: seekEachStep}},
		{"a long scan", broken{scan: seekEachStep}},
		{"scan order", broken{scan: backwards}},
		{"closed", broken{close: func(s stores.Store) error {
			if err := s.Close(); !errors.Is(err, stores.ErrClosed) {
				return err
			}
			return nil
		}}},
		{"random operations", broken{write: reversed}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			rules := rules()
			i := slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })
			require.GreaterOrEqual(t, i, 0, "no such rule")
			c.store.Store = memory.New()
			require.Error(t, rules[i].check(&c.store))
		})
	}
}

func reversed(s stores.Store, b *stores.Batch) error {
	ops := slices.Collect(b.Ops())
	slices.Reverse(ops)
	return s.Write(batchOfOps(ops))
}

func rangesFirst(s stores.Store, b *stores.Batch) error {
	ops := slices.Collect(b.Ops())
	slices.SortStableFunc(ops, func(a, b stores.Op) int { return int(b.Kind) - int(a.Kind) })
	return s.Write(batchOfOps(ops))
}

func oneByOne(s stores.Store, b *stores.Batch) error {
	for op := range b.Ops() {
		if err := s.Write(batchOfOps([]stores.Op{op})); err != nil {
			return err
		}
	}
	return nil
}

func batchOfOps(ops []stores.Op) *stores.Batch {
	b := &stores.Batch{}
	for _, op := range ops {
		switch op.Kind {
		case stores.OpPut:
			b.Put(op.Key, op.Value)
		case stores.OpDelete:
			b.Delete(op.Key)
		case stores.OpDeleteRange:
			b.DeleteRange(op.Key, op.To)
		}
	}
	return b
}

func emptyIsOpen(s stores.Store, from, to []byte) iter.Seq2[stores.Entry, error] {
	if len(to) == 0 {
		to = nil
	}
	return s.Scan(from, to)
}

// seekEachStep looks for each next entry in the store as it is by then.
func seekEachStep(s stores.Store, from, to []byte) iter.Seq2[stores.Entry, error] {
	return func(yield func(stores.Entry, error) bool) {
		for next := bytes.Clone(from); ; {
			var found *stores.Entry
			for entry, err := range s.Scan(next, to) {
				if err != nil {
					yield(entry, err)
					return
				}
				found = &entry
				break
			}
			if found == nil || !yield(*found, nil) {
				return
			}
			next = append(bytes.Clone(found.Key), 0)
		}
	}
}

func backwards(s stores.Store, from, to []byte) iter.Seq2[stores.Entry, error] {
	return func(yield func(stores.Entry, error) bool) {
		entries, err := collect(s, from, to)
		slices.Reverse(entries)
		for _, entry := range entries {
			if !yield(entry, nil) {
				return
			}
		}
		if err != nil {
			yield(stores.Entry{}, err)
		}
	}
}

func TestFaultyIsAStore(t *testing.T) {
	Run(t, func(t *testing.T) stores.Store { return newFaulty(t, memory.New()) })
}

func TestFaultyFailsTheNthCall(t *testing.T) {
	boom := errors.New("boom")
	f := newFaulty(t, memory.New())
	require.NoError(t, put(f, "a", "1"))
	f.Fail(CallWrite, 2, boom)
	f.Fail(CallGet, 1, boom)
	f.Fail(CallScan, 1, boom)
	f.Fail(CallFlush, 1, boom)
	f.Fail(CallClose, 1, boom)

	require.NoError(t, put(f, "b", "2"))
	require.ErrorIs(t, put(f, "c", "3"), boom)
	require.NoError(t, put(f, "d", "4"))
	require.Equal(t, 4, f.Calls(CallWrite))

	dst, ok, err := f.Get([]byte("dst"), []byte("a"))
	require.ErrorIs(t, err, boom)
	require.False(t, ok)
	require.Equal(t, "dst", string(dst))
	require.NoError(t, wantValue(f, "a", "1"))

	_, err = collect(f, nil, nil)
	require.ErrorIs(t, err, boom)
	require.NoError(t, wantScan(f, nil, nil, "a", "1", "b", "2", "d", "4"))

	require.ErrorIs(t, f.Flush(), boom)
	require.Equal(t, 3, f.Unflushed())
	require.NoError(t, f.Flush())
	require.Zero(t, f.Unflushed())

	require.ErrorIs(t, f.Close(), boom)
	require.ErrorIs(t, f.Flush(), stores.ErrClosed)
}

func TestFaultyCrashKeepsAPrefix(t *testing.T) {
	for keep, want := range [][]string{
		{"a", "1", "b", "1"},
		{"a", "2", "b", "1"},
		{"a", "2"},
		{"a", "2", "c", "3"},
		{"a", "2", "c", "3"}, // more than there is
	} {
		inner := memory.New()
		require.NoError(t, put(inner, "a", "1")) // there before
		f := newFaulty(t, inner)
		require.NoError(t, put(f, "b", "1"))
		require.NoError(t, f.Flush())
		require.NoError(t, put(f, "a", "2"))
		require.NoError(t, f.Write(batchOf(func(b *stores.Batch) { b.DeleteRange([]byte("b"), []byte("c")) })))
		require.NoError(t, put(f, "c", "3"))
		after, err := f.Crash(keep)
		require.NoError(t, err)
		require.ErrorIs(t, put(f, "x", "x"), stores.ErrClosed)
		require.NoError(t, wantScan(after, nil, nil, want...), "keep %d", keep)
	}
}

func newFaulty(t *testing.T, inner stores.Store) *Faulty {
	t.Helper()
	f, err := NewFaulty(inner)
	require.NoError(t, err)
	return f
}
