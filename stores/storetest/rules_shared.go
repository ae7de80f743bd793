package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ashi-stream/ashi/stores"
)

func sharedRules() []rule {
	return []rule{
		{"write is atomic", "a Write is seen whole or not at all, by Scans and by Gets in any goroutine",
			checkAtomicWrite},
		{"a long scan",
			"Scan yields the entries as they were when the range loop began, however much is written until it ends",
			checkLongScan},
		{"write is seen", "what a Write wrote is seen by every call that starts after it has returned",
			checkWriteIsSeen},
		{"many writers", "Writes of several goroutines lose nothing", checkManyWriters},
	}
}

func closeRules() []rule {
	return []rule{
		{"closed", "every call on a closed store returns ErrClosed", checkClosed},
		{"close during a scan", "a Scan that is under way ends with ErrClosed or delays Close", checkCloseDuringScan},
		{"close during calls", "a store may be closed while it is used: calls work or return ErrClosed",
			checkCloseDuringCalls},
	}
}

// checkAtomicWrite has a writer that sets all keys to one number, and readers that must never see
// two numbers at once, nor a smaller one than before.
func checkAtomicWrite(s stores.Store) error {
	const keys, readers, scans, writes = 20, 3, 200, 300 // both go on until the other has had its share
	write := func(round int) error {
		b := &stores.Batch{}
		b.DeleteRange([]byte("k"), []byte("l"))
		for k := range keys {
			b.Put(fmt.Appendf(nil, "k%02d", k), fmt.Appendf(nil, "%08d", round))
		}
		return s.Write(b)
	}
	if err := write(0); err != nil {
		return err
	}
	var reading, written atomic.Int64
	reading.Store(readers)
	errs := make([]error, readers+1)
	var running sync.WaitGroup
	for reader := range readers {
		running.Go(func() {
			defer reading.Add(-1)
			last := ""
			for i := 0; (i < scans || written.Load() < writes) && errs[reader] == nil; i++ {
				last, errs[reader] = oneNumber(s, keys, last)
			}
		})
	}
	for round := 1; reading.Load() > 0 && errs[readers] == nil; round++ {
		errs[readers] = write(round)
		written.Add(1)
		if round%200 == 0 {
			errs[readers] = first(errs[readers], s.Flush())
		}
	}
	written.Store(writes) // or readers would wait for a writer that has failed
	running.Wait()
	return errors.Join(errs...)
}

// checkLongScan has a writer that replaces, deletes and flushes while a Scan waits for it between
// two steps, many times over. Other Scans come and go meanwhile: what they leave behind must not be
// the long one's.
func checkLongScan(s stores.Store) error {
	const keys, rounds = 300, 30
	write := func(round int) error {
		b := &stores.Batch{}
		b.DeleteRange([]byte("k"), []byte("l"))
		for k := range keys {
			if k%rounds != round || round == 0 { // a key is missing in some rounds
				b.Put(fmt.Appendf(nil, "k%03d", k), fmt.Appendf(nil, "%04d", round))
			}
		}
		return first(s.Write(b), s.Flush())
	}
	if err := write(0); err != nil {
		return err
	}
	next, written := make(chan int), make(chan error)
	defer close(next)
	go func() {
		for round := range next {
			written <- write(round)
		}
	}()
	i := 0
	for entry, err := range s.Scan([]byte("k"), []byte("l")) {
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("k%03d", i); string(entry.Key) != want || string(entry.Value) != "0000" {
			return fmt.Errorf("entry %d is %s of Write %s, want %s of Write 0000", i, entry.Key, entry.Value, want)
		}
		if i++; i%(keys/rounds) == 0 {
			next <- i / (keys / rounds)
			if err := <-written; err != nil {
				return err
			}
			for _, err := range s.Scan(nil, nil) {
				if err != nil {
					return err
				}
				break
			}
		}
	}
	if i != keys {
		return fmt.Errorf("a Scan of %d keys ends after %d", keys, i)
	}
	return nil
}

// oneNumber scans the keys and returns the one number they must all hold.
func oneNumber(s stores.Store, keys int, last string) (string, error) {
	entries, err := collect(s, []byte("k"), []byte("l"))
	if err != nil {
		return "", err
	}
	if len(entries) != keys {
		return "", fmt.Errorf("a Scan sees %d of %d keys that every Write replaces", len(entries), keys)
	}
	number := string(entries[0].Value)
	for _, entry := range entries {
		if string(entry.Value) != number {
			return "", fmt.Errorf("a Scan sees %s of Write %s beside %s of Write %s", entries[0].Key, number, entry.Key,
				entry.Value)
		}
	}
	if number < last {
		return "", fmt.Errorf("a Scan sees Write %s after an earlier one saw %s", number, last)
	}
	value, ok, err := s.Get(nil, entries[0].Key)
	if err != nil || !ok || string(value) < number {
		return "", fmt.Errorf("Get = %q, %v, %v after a Scan saw Write %s", value, ok, err, number)
	}
	return string(value), nil
}

func checkWriteIsSeen(s stores.Store) error {
	for i := range 200 {
		value := fmt.Sprint(i)
		if err := put(s, "k", value); err != nil {
			return err
		}
		seen := make(chan error)
		go func() { seen <- first(wantValue(s, "k", value), wantScan(s, nil, nil, "k", value)) }()
		if err := <-seen; err != nil {
			return fmt.Errorf("in another goroutine: %w", err)
		}
	}
	return nil
}

func checkManyWriters(s stores.Store) error {
	const writers, each = 4, 100
	errs := make([]error, writers)
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range each {
				errs[w] = first(errs[w], put(s, fmt.Sprintf("w%d-%03d", w, i), "v"))
			}
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	entries, err := collect(s, nil, nil)
	if err != nil {
		return err
	}
	if len(entries) != writers*each {
		return fmt.Errorf("%d of %d entries", len(entries), writers*each)
	}
	return nil
}

func checkClosed(s stores.Store) error {
	if err := put(s, "a", "1"); err != nil {
		return err
	}
	scan := s.Scan(nil, nil)
	if err := s.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	wantClosed := func(call string, err error) error {
		if !errors.Is(err, stores.ErrClosed) {
			return fmt.Errorf("%s after Close returns %v", call, err)
		}
		return nil
	}
	dst, ok, err := s.Get([]byte("dst"), []byte("a"))
	if ok || string(dst) != "dst" {
		return fmt.Errorf("Get after Close returns %q, %v", dst, ok)
	}
	steps := 0
	var scanErr error
	for _, scanErr = range scan {
		steps++
	}
	if steps != 1 {
		return fmt.Errorf("a Scan after Close has %d steps, want one, with the error", steps)
	}
	return first(
		wantClosed("Get", err),
		wantClosed("Scan", scanErr),
		wantClosed("Write", put(s, "a", "2")),
		wantClosed("Write of an empty batch", s.Write(&stores.Batch{})),
		wantClosed("Flush", s.Flush()),
		wantClosed("Close", s.Close()),
	)
}

func checkCloseDuringScan(s stores.Store) error {
	const n = 1000
	b := &stores.Batch{}
	for i := range n {
		b.Put(fmt.Appendf(nil, "k%03d", i), fmt.Appendf(nil, "v%03d", i))
	}
	if err := first(s.Write(b), s.Flush()); err != nil {
		return err
	}
	closed := make(chan error, 1)
	i := 0
	var end error
	for entry, err := range s.Scan(nil, nil) {
		if err != nil {
			end = err
			break
		}
		if i == 10 {
			go func() { closed <- s.Close() }()
		}
		if want := fmt.Sprintf("v%03d", i); string(entry.Value) != want {
			return fmt.Errorf("entry %d is %s, want %s, while Close runs", i, brief(entry.Value), want)
		}
		if i >= 10 { // whether this is before or after Close began, it must neither hang nor lie
			if value, ok, err := s.Get(nil, entry.Key); !errors.Is(err, stores.ErrClosed) && (err != nil || !ok) {
				return fmt.Errorf("Get in the body while Close runs = %q, %v, %v", value, ok, err)
			}
		}
		i++
	}
	if err := <-closed; err != nil {
		return fmt.Errorf("Close during a Scan: %w", err)
	}
	if !errors.Is(end, stores.ErrClosed) && (end != nil || i != n) {
		return fmt.Errorf("the Scan ended after %d of %d entries with %v", i, n, end)
	}
	return nil
}

func checkCloseDuringCalls(s stores.Store) error {
	if err := put(s, "a", "1", "b", "2"); err != nil {
		return err
	}
	calls := []func() error{
		func() error { return wantValue(s, "a", "1") },
		func() error { return put(s, "c", "3") },
		func() error { return wantScan(s, []byte("a"), []byte("c"), "a", "1", "b", "2") },
		func() error { return s.Flush() },
	}
	errs := make([]error, len(calls))
	var begun, running sync.WaitGroup
	begun.Add(len(calls))
	for i, call := range calls {
		running.Go(func() {
			err := call()
			begun.Done()
			for err == nil {
				err = call()
			}
			errs[i] = err
		})
	}
	begun.Wait()
	if err := s.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	running.Wait()
	for i, err := range errs {
		if !errors.Is(err, stores.ErrClosed) {
			return fmt.Errorf("call %d while Close ran: %w", i, err)
		}
	}
	return nil
}
