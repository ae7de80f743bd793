package storetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ashi-stream/ashi/stores"
)

// RunDurable checks what a store in a directory promises beyond Run. open opens the store in dir,
// and makes it if dir is empty; its error is part of what is checked. A store should keep little in
// memory (some hundred KiB), so that the check meets files that it makes of its own accord.
func RunDurable(t *testing.T, open func(dir string) (stores.Store, error)) {
	t.Helper()
	if dir, ok := os.LookupEnv(victimVariable); ok {
		writeUntilKilled(dir, open)
		return
	}
	t.Run("reopened", func(t *testing.T) { checkReopened(t, open) })
	t.Run("opened twice", func(t *testing.T) { checkOpenedTwice(t, open) })
	t.Run("killed", func(t *testing.T) { checkKilled(t, open) })
	t.Run("damaged", func(t *testing.T) { checkDamaged(t, open) })
}

func checkReopened(t *testing.T, open func(dir string) (stores.Store, error)) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	want := []string{}
	for round := range 4 {
		s, err := open(dir)
		if err != nil {
			t.Fatalf("open, round %d: %v", round, err)
		}
		if err := wantScan(s, nil, nil, want...); err != nil {
			t.Fatalf("broken rule: a store that was closed comes back as it was, round %d\nseen: %v", round, err)
		}
		key := fmt.Sprintf("k%d", round)
		want = append(want, key, "v")
		if round == 2 {
			want = want[2:]
		}
		err = s.Write(batchOf(func(b *stores.Batch) {
			b.Put([]byte(key), []byte("v"))
			if round == 2 {
				b.DeleteRange([]byte("k0"), []byte("k1"))
			}
		}))
		if err := first(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func checkOpenedTwice(t *testing.T, open func(dir string) (stores.Store, error)) {
	dir := t.TempDir()
	s, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := put(s, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if second, err := open(dir); !errors.Is(err, stores.ErrLocked) {
		if err == nil {
			second.Close()
		}
		t.Fatalf("broken rule: a store that is open cannot be opened again and says ErrLocked\nseen: %v", err)
	}
	if err := first(wantValue(s, "a", "1"), put(s, "b", "2"), s.Flush()); err != nil {
		t.Fatalf("the refused second open harmed the first: %v", err)
	}
}

// damages change a file of size bytes.
var damages = []struct {
	name  string
	spoil func(f *os.File, size int64) error
}{
	{"cut in half", func(f *os.File, size int64) error { return f.Truncate(size / 2) }},
	{"emptied", func(f *os.File, _ int64) error { return f.Truncate(0) }},
	{"last byte cut", func(f *os.File, size int64) error { return f.Truncate(max(size-1, 0)) }},
	{"bit flipped at the start", func(f *os.File, _ int64) error { return flip(f, 8) }},
	{"bit flipped at a third", func(f *os.File, size int64) error { return flip(f, size/3) }},
	{"bit flipped near the end", func(f *os.File, size int64) error { return flip(f, size-60) }},
	{"zeros in the middle", func(f *os.File, size int64) error {
		_, err := f.WriteAt(make([]byte, min(size/4, 4096)), size/2)
		return err
	}},
}

// checkDamaged damages each file of a closed store in each way, and accepts ErrCorrupt from any
// call, or a state that the store once had.
func checkDamaged(t *testing.T, open func(dir string) (stores.Store, error)) {
	original := t.TempDir()
	const writes, flushEvery = 90, 30
	s, err := open(original)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= writes; n++ {
		if err := s.Write(numberedWrite(n)); err != nil {
			t.Fatal(err)
		}
		if n%flushEvery == 0 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(original)
	if err != nil {
		t.Fatal(err)
	}
	corrupt := 0
	for _, file := range files {
		for _, damage := range damages {
			dir := filepath.Join(t.TempDir(), "copy")
			if err := first(os.CopyFS(dir, os.DirFS(original)), spoilFile(filepath.Join(dir, file.Name()),
				damage.spoil)); err != nil {
				t.Fatal(err)
			}
			err := readDamaged(dir, open)
			if errors.Is(err, stores.ErrCorrupt) {
				corrupt++
			} else if err != nil {
				t.Errorf("broken rule: a damaged store gives ErrCorrupt or a state it once had\n%s, %s: %v",
					file.Name(), damage.name, err)
			}
		}
	}
	if corrupt == 0 {
		t.Errorf("none of the damages of %d files was noticed: the check does not reach the data", len(files))
	}
}

// readDamaged reads everything in both ways and says what is wrong.
func readDamaged(dir string, open func(dir string) (stores.Store, error)) error {
	s, err := open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	n, err := checkNumbered(s)
	if err != nil {
		return err
	}
	for key, value := range numberedState(n) {
		if err := wantValue(s, key, value); err != nil {
			return err
		}
	}
	return first(s.Write(numberedWrite(n+1)), s.Flush())
}

func spoilFile(path string, spoil func(f *os.File, size int64) error) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	return errors.Join(spoil(f, info.Size()), f.Close())
}

// flip changes a bit of the byte at offset; a file that has no such byte stays as it is.
func flip(f *os.File, offset int64) error {
	var one [1]byte
	_, err := f.ReadAt(one[:], max(offset, 0))
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	one[0] ^= 0x10
	_, err = f.WriteAt(one[:], max(offset, 0))
	return err
}
