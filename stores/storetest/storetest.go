package storetest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ashi-stream/ashi/stores"
)

// rule is one sentence of the contract and the program that finds it broken. A check returns what
// it saw instead of what the rule says; it may leave the store open, closed, or full of data.
type rule struct {
	name  string
	says  string
	check func(s stores.Store) error
}

// Run checks stores that open makes against every rule of stores.Store. Each call of open makes an
// empty store of its own.
func Run(t *testing.T, open func(t *testing.T) stores.Store) {
	t.Helper()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			s := open(t)
			defer s.Close() // many rules close it themselves: the error says nothing
			if err := r.check(s); err != nil {
				t.Fatalf("broken rule: %s\nseen: %v", r.says, err)
			}
		})
	}
}

func rules() []rule {
	all := append(readRules(), writeRules()...)
	all = append(all, loadRules()...)
	all = append(all, scanRules()...)
	all = append(all, sharedRules()...)
	all = append(all, closeRules()...)
	return append(all, randomRule())
}

// batchOf builds a batch in one expression.
func batchOf(build func(b *stores.Batch)) *stores.Batch {
	b := &stores.Batch{}
	build(b)
	return b
}

// put writes pairs of key and value as one batch.
func put(s stores.Store, pairs ...string) error {
	b := &stores.Batch{}
	for i := 0; i < len(pairs); i += 2 {
		b.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return s.Write(b)
}

// wantValue compares what Get says of a key.
func wantValue(s stores.Store, key, want string) error {
	value, ok, err := s.Get(nil, []byte(key))
	switch {
	case err != nil:
		return fmt.Errorf("Get(%q): %w", key, err)
	case !ok:
		return fmt.Errorf("Get(%q) finds nothing, want %s", key, brief([]byte(want)))
	case string(value) != want:
		return fmt.Errorf("Get(%q) = %s, want %s", key, brief(value), brief([]byte(want)))
	}
	return nil
}

// wantNone fails if key has a value.
func wantNone(s stores.Store, key string) error {
	value, ok, err := s.Get(nil, []byte(key))
	if err != nil {
		return fmt.Errorf("Get(%q): %w", key, err)
	}
	if ok {
		return fmt.Errorf("Get(%q) = %s, want nothing", key, brief(value))
	}
	return nil
}

// wantScan compares the pairs of key and value that a Scan yields.
func wantScan(s stores.Store, from, to []byte, pairs ...string) error {
	got, err := collect(s, from, to)
	if err != nil {
		return fmt.Errorf("Scan(%q, %q): %w", from, to, err)
	}
	want := make([]stores.Entry, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		want = append(want, stores.Entry{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	if err := sameEntries(got, want); err != nil {
		return fmt.Errorf("Scan(%q, %q): %w", from, to, err)
	}
	return nil
}

// collect copies the entries of a Scan.
func collect(s stores.Store, from, to []byte) ([]stores.Entry, error) {
	var entries []stores.Entry
	for entry, err := range s.Scan(from, to) {
		if err != nil {
			return entries, err
		}
		entries = append(entries, stores.Entry{Key: bytes.Clone(entry.Key), Value: bytes.Clone(entry.Value)})
	}
	return entries, nil
}

func sameEntries(got, want []stores.Entry) error {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Errorf("ends after %d entries, without %q", i, want[i].Key)
		case i >= len(want):
			return fmt.Errorf("entry %d is %q, want the end", i, got[i].Key)
		case !bytes.Equal(got[i].Key, want[i].Key):
			return fmt.Errorf("entry %d is %q, want %q", i, got[i].Key, want[i].Key)
		case !bytes.Equal(got[i].Value, want[i].Value):
			return fmt.Errorf("entry %d, %q, is %s, want %s", i, got[i].Key, brief(got[i].Value), brief(want[i].Value))
		}
	}
	return nil
}

// brief quotes a value, the long ones cut.
func brief(value []byte) string {
	if len(value) > 40 {
		return fmt.Sprintf("%q... (%d bytes)", value[:40], len(value))
	}
	return fmt.Sprintf("%q", value)
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
