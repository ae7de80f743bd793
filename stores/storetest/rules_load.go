package storetest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ashi-stream/ashi/stores"
)

// loadRules are those of stores.Loader; stores that are none keep them by having no Load.
func loadRules() []rule {
	return []rule{
		{"load", "Load is a Write of what the run has in the end", checkLoad},
		{"load over writes", "a Load and a Write of one key: the later one counts", checkLoadOrder},
		{"a long load", "a run of many rows is there as a whole, and a Scan that had begun does not see it",
			checkLongLoad},
		{"load closed", "every call on a closed store returns ErrClosed", checkLoadClosed},
	}
}

func checkLoad(s stores.Store) error {
	l, ok := s.(stores.Loader)
	if !ok {
		return nil
	}
	key, value := []byte("k1"), []byte("first")
	var r stores.Run
	r.Put([]byte("k3"), []byte("3"))
	r.Put(key, value)
	copy(value, "XXXXX")
	copy(key, "k2")
	r.Delete(key)
	r.Put([]byte("k4"), nil)
	r.Put([]byte("k3"), []byte("last"))
	if err := first(put(s, "k2", "old", "k9", "kept"), l.Load(&r), wantScan(s, nil, nil, "k1", "first", "k3", "last",
		"k4", "", "k9", "kept")); err != nil {
		return err
	}
	r.Reset()
	if err := l.Load(&r); err != nil {
		return fmt.Errorf("an empty run: %w", err)
	}
	r.Delete([]byte("k3"))
	return first(l.Load(&r), wantNone(s, "k3"), wantScan(s, nil, nil, "k1", "first", "k4", "", "k9", "kept"))
}

func checkLoadOrder(s stores.Store) error {
	l, ok := s.(stores.Loader)
	if !ok {
		return nil
	}
	var r stores.Run
	r.Put([]byte("a"), []byte("loaded"))
	r.Put([]byte("b"), []byte("loaded"))
	r.Put([]byte("c"), []byte("loaded"))
	return first(put(s, "a", "before", "z", "before"), l.Load(&r), put(s, "b", "after"),
		wantScan(s, nil, nil, "a", "loaded", "b", "after", "c", "loaded", "z", "before"),
		l.Load(&r), wantScan(s, nil, nil, "a", "loaded", "b", "loaded", "c", "loaded", "z", "before"),
		s.Write(batchOf(func(b *stores.Batch) { b.DeleteRange([]byte("a"), []byte("c")) })),
		wantScan(s, nil, nil, "c", "loaded", "z", "before"), s.Flush(), wantScan(s, nil, nil, "c", "loaded", "z",
			"before"))
}

func checkLongLoad(s stores.Store) error {
	l, ok := s.(stores.Loader)
	if !ok {
		return nil
	}
	const rows = 20_000
	value := bytes.Repeat([]byte("v"), 100)
	var r stores.Run
	for i := range rows {
		r.Put(fmt.Appendf(nil, "k%06d", i*7919%rows), value)
	}
	if err := put(s, "a", "1", "b", "2"); err != nil {
		return err
	}
	seen := 0
	for _, err := range s.Scan(nil, nil) {
		if err == nil && seen == 0 {
			err = l.Load(&r)
		}
		if err != nil {
			return err
		}
		seen++
	}
	if seen != 2 {
		return fmt.Errorf("the Scan that had begun sees %d rows, want 2", seen)
	}
	got, err := collect(s, []byte("k"), nil)
	if err != nil || len(got) != rows || string(got[rows-1].Key) != fmt.Sprintf("k%06d", rows-1) ||
		!bytes.Equal(got[rows/2].Value, value) {
		return fmt.Errorf("%d rows of %d: %w", len(got), rows, err)
	}
	return nil
}

func checkLoadClosed(s stores.Store) error {
	l, ok := s.(stores.Loader)
	if !ok {
		return nil
	}
	var r stores.Run
	r.Put([]byte("a"), nil)
	if err := s.Close(); err != nil {
		return err
	}
	if err := l.Load(&r); !errors.Is(err, stores.ErrClosed) {
		return fmt.Errorf("Load of a closed store: %w", err)
	}
	return nil
}
