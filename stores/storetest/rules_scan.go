package storetest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/stores"
)

func scanRules() []rule {
	return []rule{
		{"scan order", "Scan yields entries in the order of bytes.Compare", checkScanOrder},
		{"scan bounds", "Scan yields the entries with from <= key < to; a nil bound is open", checkScanBounds},
		{"scan sees one moment", "Scan yields the entries as they were when the range loop began", checkScanMoment},
		{"scan may be left", "a range loop over a Scan may be left early", checkScanLeft},
		{"scan body may call", "the body of a Scan may call the store", checkScanBody},
		{"scan entries", "an entry's bytes are valid until the next step", checkScanEntries},
	}
}

func checkScanOrder(s stores.Store) error {
	keys := []string{
		"\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "A", "a", "a\x00", "a\x00b", "aa", "b", "\x7f", "\x80",
		"\xfe\xff", "\xff", "\xff\x00", "\xff\xff",
	}
	shuffled := slices.Clone(keys)
	slices.SortFunc(shuffled, func(a, b string) int { return bytes.Compare([]byte(b), []byte(a)) })
	var pairs []string
	for _, key := range keys {
		pairs = append(pairs, key, "v"+key)
	}
	for i, key := range shuffled {
		if err := put(s, key, "v"+key); err != nil {
			return err
		}
		if i == len(shuffled)/2 { // so that a store with files has to merge two sources
			if err := s.Flush(); err != nil {
				return err
			}
		}
	}
	return wantScan(s, nil, nil, pairs...)
}

func checkScanBounds(s stores.Store) error {
	if err := put(s, "a", "1", "b", "2", "c", "3", "\xff\xff", "4"); err != nil {
		return err
	}
	b := func(key string) []byte { return []byte(key) }
	return first(
		wantScan(s, nil, nil, "a", "1", "b", "2", "c", "3", "\xff\xff", "4"),
		wantScan(s, b("b"), nil, "b", "2", "c", "3", "\xff\xff", "4"),
		wantScan(s, nil, b("b"), "a", "1"),
		wantScan(s, b("a"), b("c"), "a", "1", "b", "2"),
		wantScan(s, b("aa"), b("bb"), "b", "2"),
		wantScan(s, b("b"), b("b\x00"), "b", "2"),
		wantScan(s, b("b"), b("b")),
		wantScan(s, b("c"), b("a")),
		wantScan(s, b("d"), b("e")),
		wantScan(s, nil, b("")),
		wantScan(s, b(""), b("")),
		wantScan(s, b(""), b("b"), "a", "1"),
		wantScan(s, b("\xff\xff\xff"), nil),
	)
}

func checkScanMoment(s stores.Store) error {
	if err := put(s, "a", "1", "c", "1", "d", "1"); err != nil {
		return err
	}
	scan := s.Scan(nil, nil)
	if err := put(s, "b", "1"); err != nil { // before the loop: seen
		return err
	}
	seen := ""
	for entry, err := range scan {
		if err != nil {
			return err
		}
		if seen += string(entry.Key) + string(entry.Value) + " "; seen != "a1 " {
			continue
		}
		if err := s.Write(batchOf(func(b *stores.Batch) {
			b.Put([]byte("aa"), []byte("2"))
			b.Put([]byte("c"), []byte("2"))
			b.DeleteRange([]byte("d"), []byte("e"))
			b.Put([]byte("e"), []byte("2"))
		})); err != nil {
			return err
		}
		if err := s.Flush(); err != nil {
			return err
		}
	}
	if seen != "a1 b1 c1 d1 " {
		return fmt.Errorf("a loop that wrote to the store saw %q, want %q", seen, "a1 b1 c1 d1 ")
	}
	again := ""
	for entry, err := range scan {
		if err != nil {
			return err
		}
		again += string(entry.Key) + string(entry.Value) + " "
	}
	if again != "a1 aa2 b1 c2 e2 " {
		return fmt.Errorf("a second loop over the same Scan saw %q, want %q", again, "a1 aa2 b1 c2 e2 ")
	}
	return nil
}

func checkScanLeft(s stores.Store) error {
	if err := put(s, "a", "1", "b", "2", "c", "3"); err != nil {
		return err
	}
	for range 1000 { // enough to run out of what a loop might leave open
		for _, err := range s.Scan(nil, nil) {
			if err != nil {
				return err
			}
			break
		}
	}
	return first(put(s, "d", "4"), wantScan(s, []byte("c"), nil, "c", "3", "d", "4"), s.Close())
}

func checkScanBody(s stores.Store) error {
	if err := put(s, "a", "1", "b", "2"); err != nil {
		return err
	}
	steps := 0
	for entry, err := range s.Scan(nil, nil) {
		if err != nil {
			return err
		}
		steps++
		err = first(
			wantValue(s, string(entry.Key), string(entry.Value)),
			put(s, "new"+string(entry.Key), "3"),
			wantScan(s, []byte("a"), []byte("c"), "a", "1", "b", "2"),
			s.Flush(),
		)
		if err != nil {
			return fmt.Errorf("in the body of a Scan: %w", err)
		}
	}
	if steps != 2 {
		return fmt.Errorf("%d steps, want 2", steps)
	}
	return wantScan(s, []byte("n"), nil, "newa", "3", "newb", "3")
}

func checkScanEntries(s stores.Store) error {
	const n = 500
	b := &stores.Batch{}
	for i := range n {
		b.Put(fmt.Appendf(nil, "k%03d", i), bytes.Repeat([]byte{byte(i)}, i))
	}
	if err := s.Write(b); err != nil {
		return err
	}
	i := 0
	for entry, err := range s.Scan(nil, nil) {
		if err != nil {
			return err
		}
		// A write between the step and the reading must not move the entry.
		if err := put(s, string(entry.Key), "other"); err != nil {
			return err
		}
		key, value := fmt.Sprintf("k%03d", i), bytes.Repeat([]byte{byte(i)}, i)
		if string(entry.Key) != key || !bytes.Equal(entry.Value, value) {
			return fmt.Errorf("entry %d is %q, %s after a write; want %q, %s", i, entry.Key, brief(entry.Value), key,
				brief(value))
		}
		i++
	}
	if i != n {
		return fmt.Errorf("%d entries, want %d", i, n)
	}
	return nil
}
