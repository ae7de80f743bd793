package storetest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ashi-stream/ashi/stores"
)

func readRules() []rule {
	return []rule{
		{"get appends to dst", "Get appends the value of key to dst and says whether there is one", checkGetAppends},
		{"empty value", "a value may be empty, and is then there", checkEmptyValue},
		{"value is a copy", "the value that Get returns is the caller's", checkValueIsCopy},
		{"large value", "a value of 10 MB comes back as it was written", checkLargeValue},
	}
}

func writeRules() []rule {
	return []rule{
		{"last operation counts", "Write applies the batch in its order", checkBatchOrder},
		{"delete", "Delete removes the key, whether it is there or not", checkDelete},
		{"delete range", "DeleteRange removes the keys with from <= key < to that are in the store", checkDeleteRange},
		{"delete range in a batch", "DeleteRange removes what is earlier in its batch and nothing that is later",
			checkDeleteRangeOrder},
		{"bytes are the caller's", "byte slices that are passed in belong to the caller again when the call returns",
			checkBytesAreCopied},
		{"batch is not changed", "Write does not change the batch", checkBatchUnchanged},
		{"empty batch", "an empty batch changes nothing", checkEmptyBatch},
	}
}

func checkGetAppends(s stores.Store) error {
	if err := put(s, "k", "value"); err != nil {
		return err
	}
	got, ok, err := s.Get([]byte("before "), []byte("k"))
	if err != nil || !ok || string(got) != "before value" {
		return fmt.Errorf("Get(%q, k) = %q, %v, %v", "before ", got, ok, err)
	}
	got, ok, err = s.Get([]byte("before "), []byte("none"))
	if err != nil || ok || string(got) != "before " {
		return fmt.Errorf("Get(%q, none) = %q, %v, %v; want dst as it was", "before ", got, ok, err)
	}
	return first(wantNone(s, "kk"), wantNone(s, "j"), wantNone(s, "k\x00"))
}

func checkEmptyValue(s stores.Store) error {
	return first(
		put(s, "e", "", "f", "x"),
		wantValue(s, "e", ""),
		wantScan(s, nil, nil, "e", "", "f", "x"),
		s.Flush(),
		wantValue(s, "e", ""),
		wantScan(s, nil, nil, "e", "", "f", "x"),
	)
}

func checkValueIsCopy(s stores.Store) error {
	if err := put(s, "k", "value"); err != nil {
		return err
	}
	got, _, err := s.Get(nil, []byte("k"))
	if err != nil {
		return err
	}
	clear(got)
	return wantValue(s, "k", "value")
}

func checkLargeValue(s stores.Store) error {
	large := bytes.Repeat([]byte("0123456789"), 1_000_000)
	large[len(large)-1] = 'e'
	return first(
		put(s, "a", "1", "large", string(large), "z", "2"),
		wantValue(s, "large", string(large)),
		s.Flush(),
		wantValue(s, "large", string(large)),
		wantScan(s, []byte("b"), nil, "large", string(large), "z", "2"),
	)
}

func checkBatchOrder(s stores.Store) error {
	return first(
		put(s, "a", "1", "a", "2"),
		wantValue(s, "a", "2"),
		s.Write(batchOf(func(b *stores.Batch) {
			b.Delete([]byte("a"))
			b.Put([]byte("a"), []byte("3"))
			b.Put([]byte("b"), []byte("4"))
			b.Delete([]byte("b"))
		})),
		wantScan(s, nil, nil, "a", "3"),
	)
}

func checkDelete(s stores.Store) error {
	return first(
		put(s, "a", "1", "b", "2"),
		s.Write(batchOf(func(b *stores.Batch) {
			b.Delete([]byte("a"))
			b.Delete([]byte("none"))
		})),
		wantNone(s, "a"),
		wantScan(s, nil, nil, "b", "2"),
	)
}

func checkDeleteRange(s stores.Store) error {
	remove := func(from, to string) error {
		return s.Write(batchOf(func(b *stores.Batch) { b.DeleteRange([]byte(from), []byte(to)) }))
	}
	return first(
		put(s, "a", "1", "b", "2", "b\x00", "3", "c", "4", "d", "5", "\xff", "6"),
		s.Flush(),
		remove("b", "c"),
		wantScan(s, nil, nil, "a", "1", "c", "4", "d", "5", "\xff", "6"),
		wantNone(s, "b"), wantNone(s, "b\x00"), wantValue(s, "c", "4"),
		remove("d", "d"), remove("d", "a"), remove("x", ""),
		wantScan(s, nil, nil, "a", "1", "c", "4", "d", "5", "\xff", "6"),
		put(s, "b", "new"),
		wantValue(s, "b", "new"),
		remove("", "c"),
		wantScan(s, nil, nil, "c", "4", "d", "5", "\xff", "6"),
		remove("c", "\xff\x00"),
		wantScan(s, nil, nil),
	)
}

func checkDeleteRangeOrder(s stores.Store) error {
	return first(
		put(s, "b0", "old", "c", "old"),
		s.Write(batchOf(func(b *stores.Batch) {
			b.Put([]byte("b1"), []byte("earlier"))
			b.DeleteRange([]byte("b"), []byte("c"))
			b.DeleteRange([]byte("z"), []byte("a")) // holds no key, and must not spoil the batch
			b.Put([]byte("b2"), []byte("later"))
		})),
		wantScan(s, nil, nil, "b2", "later", "c", "old"),
	)
}

func checkBytesAreCopied(s stores.Store) error {
	key, value := []byte("key"), []byte("value")
	b := &stores.Batch{}
	b.Put(key, value)
	clear(key)
	clear(value)
	if err := s.Write(b); err != nil {
		return err
	}
	clear(b.Data())
	if err := wantScan(s, nil, nil, "key", "value"); err != nil {
		return fmt.Errorf("after the batch's bytes were used again: %w", err)
	}
	from, to := []byte("k"), []byte("l")
	scan := s.Scan(from, to)
	from[0], to[0] = 'x', 'z'
	n := 0
	for _, err := range scan {
		if err != nil {
			return err
		}
		n++
	}
	if n != 1 {
		return errors.New("a Scan reads its bounds after the call has returned")
	}
	return nil
}

func checkBatchUnchanged(s stores.Store) error {
	b := batchOf(func(b *stores.Batch) {
		b.Put([]byte("a"), []byte("1"))
		b.Delete([]byte("b"))
		b.DeleteRange([]byte("c"), []byte("d"))
	})
	before := bytes.Clone(b.Data())
	if err := first(s.Write(b), put(s, "b", "2"), s.Write(b)); err != nil {
		return err
	}
	if !bytes.Equal(before, b.Data()) {
		return fmt.Errorf("the batch was %x and is %x", before, b.Data())
	}
	return wantScan(s, nil, nil, "a", "1")
}

func checkEmptyBatch(s stores.Store) error {
	var empty, reset stores.Batch
	reset.Put([]byte("x"), nil)
	reset.Reset()
	return first(put(s, "a", "1"), s.Write(&empty), s.Write(&reset), wantScan(s, nil, nil, "a", "1"))
}
