//go:build cgo

package rocksdb_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
)

func TestOpenSaysWhatIsWrongWithTheDirectory(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	foreign := filepath.Join(base, "foreign")
	require.NoError(t, os.Mkdir(foreign, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "notes.txt"), nil, 0o644))
	unmarked := filepath.Join(base, "unmarked")
	require.NoError(t, os.Mkdir(unmarked, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(unmarked, "CURRENT"), nil, 0o644))

	for dir, want := range map[string]string{
		file:                         "it is a file; name a directory",
		filepath.Join(file, "below"): "cannot make the directory",
		foreign:                      `"notes.txt" in it is not a file of a store`,
		unmarked:                     "another program made it",
		"/proc/ashi-store":           "cannot make the directory", // nobody can write there, not even root
	} {
		_, err := rocksdb.Open(dir, small)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "rocksdb: open "+dir+": ")
	}
	require.FileExists(t, filepath.Join(foreign, "notes.txt"))
}

func TestOpenWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere; /proc stands in for it in the test above")
	}
	dir := t.TempDir()
	require.NoError(t, open(t, dir, small).Close())
	require.NoError(t, os.Chmod(dir, 0o555))
	_, err := rocksdb.Open(dir, small)
	require.ErrorContains(t, err, "check its permissions")
	require.ErrorContains(t, err, dir)
}

func TestOpenRefusesOptions(t *testing.T) {
	_, err := rocksdb.Open(t.TempDir(), rocksdb.Options{BlockCache: -1, WriteBuffer: 64})
	require.ErrorContains(t, err, "BlockCache is -1 bytes")
	require.ErrorContains(t, err, "WriteBuffer is 64 bytes")
}

func TestOpenWithMissingFilesIsCorrupt(t *testing.T) {
	for _, pattern := range []string{"CURRENT", "MANIFEST-*", "*.sst"} {
		dir := filled(t)
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			require.NoError(t, os.Remove(file))
		}
		_, err = rocksdb.Open(dir, small)
		require.ErrorIs(t, err, stores.ErrCorrupt, pattern)
		require.ErrorContains(t, err, dir)

		require.NoError(t, rocksdb.Destroy(dir), "a damaged store can be destroyed")
		require.NoDirExists(t, dir)
	}
}

func TestVanishedDirectoryIsAnError(t *testing.T) {
	dir := filled(t)
	s := open(t, dir, small)
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, s.Write(batchOf("new", "row")))
	err := s.Flush()
	require.ErrorContains(t, err, "rocksdb: flush "+dir)
	require.Error(t, s.Close(), "what was written is lost, and Close must not hide it")
	require.ErrorIs(t, s.Close(), stores.ErrClosed)
}

func TestDestroy(t *testing.T) {
	base := t.TempDir()
	require.NoError(t, rocksdb.Destroy(filepath.Join(base, "missing")))

	empty := filepath.Join(base, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))
	require.NoError(t, rocksdb.Destroy(empty))
	require.NoDirExists(t, empty)

	dir := filled(t)
	s := open(t, dir, small)
	require.ErrorIs(t, rocksdb.Destroy(dir), stores.ErrLocked)
	_, ok, err := s.Get(nil, []byte("key 0001"))
	require.NoError(t, err)
	require.True(t, ok, "a refused Destroy removes nothing")
	require.NoError(t, s.Close())

	require.NoError(t, rocksdb.Destroy(dir))
	require.NoDirExists(t, dir)
	require.DirExists(t, filepath.Dir(dir))
}

func TestDestroyRemovesNothingThatIsNotOurs(t *testing.T) {
	unmarked := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(unmarked, "LOG"), nil, 0o644))
	require.ErrorContains(t, rocksdb.Destroy(unmarked), "another program made it")
	require.FileExists(t, filepath.Join(unmarked, "LOG"))

	mixed := filled(t)
	before, err := os.ReadDir(mixed)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(mixed, "backup"), 0o755))
	require.ErrorContains(t, rocksdb.Destroy(mixed), `"backup" in it is not a file of a store`)
	after, err := os.ReadDir(mixed)
	require.NoError(t, err)
	require.Len(t, after, len(before)+1)

	require.Error(t, rocksdb.Destroy(filepath.Join(mixed, "CURRENT")), "a file is no store")
}

func TestDestroyDoesNotFollowLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("kept"), 0o644))
	dir := filled(t)
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "999999.sst")))
	require.NoError(t, rocksdb.Destroy(dir))
	require.NoDirExists(t, dir)
	content, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "kept", string(content))
}

// A write buffer that is made smaller is small at once, and one that is made larger takes more.
func TestSetWriteBuffer(t *testing.T) {
	const size = 4 << 20
	s, err := rocksdb.Open(t.TempDir(), rocksdb.Options{WriteBuffer: 2 * size})
	require.NoError(t, err)
	fill := func(from int) uint64 {
		for i := range 64 {
			var b stores.Batch
			b.Put(fmt.Appendf(nil, "%d", from+i), make([]byte, size/64))
			require.NoError(t, s.Write(&b))
		}
		st, err := s.Statistics()
		require.NoError(t, err)
		return st.MemtableBytes
	}
	require.Greater(t, fill(0), uint64(size))
	require.Error(t, s.SetWriteBuffer(1))
	require.NoError(t, s.SetWriteBuffer(256<<10))
	require.Less(t, fill(100), uint64(1<<20), "two of it, and what RocksDB adds")
	require.NoError(t, s.SetWriteBuffer(2*size))
	require.NoError(t, s.Flush())
	require.Greater(t, fill(200), uint64(size))
	for i := range 9 {
		require.NoError(t, s.SetWriteBuffer(64<<10+rand.Int64N(1<<(16+i%9))))
		fill(rand.IntN(300))
	}
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.SetWriteBuffer(size), stores.ErrClosed)
}

func TestStatistics(t *testing.T) {
	s := open(t, t.TempDir(), rocksdb.Options{})
	b := &stores.Batch{}
	for i := range 1000 {
		b.Put(fmt.Appendf(nil, "key %04d", i), randomBytes(40))
	}
	require.NoError(t, s.Write(b))
	st, err := s.Statistics()
	require.NoError(t, err)
	require.Greater(t, st.MemtableBytes, uint64(40_000))
	require.Equal(t, uint64(1000), st.Keys)
	require.NoError(t, s.Flush())
	st, err = s.Statistics()
	require.NoError(t, err)
	require.Greater(t, st.DiskBytes, uint64(40_000))
	require.NoError(t, s.Close())
	_, err = s.Statistics()
	require.ErrorIs(t, err, stores.ErrClosed)
}

// TestCallsFreeCMemory does with large values what would fill hundreds of megabytes if a call kept
// what it is given.
func TestCallsFreeCMemory(t *testing.T) {
	const valueSize, most = 16 << 10, 64 << 20
	dir := t.TempDir()
	s := open(t, dir, small)
	value := randomBytes(valueSize)
	b := &stores.Batch{}
	for i := range 100 {
		b.Put(fmt.Appendf(nil, "key %04d", i), value)
	}
	require.NoError(t, s.Write(b))
	require.NoError(t, s.Flush())
	var dst []byte
	round := func(n int) {
		for i := range n {
			var err error
			dst, _, err = s.Get(dst[:0], fmt.Appendf(nil, "key %04d", i%100))
			require.NoError(t, err)
			if i%10 == 0 {
				for _, err := range s.Scan(nil, []byte("key 0050")) {
					require.NoError(t, err)
					break
				}
			}
			if i%1000 == 0 {
				require.NoError(t, s.Write(b))
			}
		}
	}
	round(1000)
	before := residentBytes(t)
	round(20_000)
	require.NoError(t, s.Close())
	for range 30 {
		s := open(t, dir, small)
		_, _, err := s.Get(nil, []byte("key 0001"))
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
	grown := residentBytes(t) - before
	require.Less(t, grown, most, "the process has grown by %d MB", grown>>20)
}

func residentBytes(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("this system does not tell the size of a process")
	}
	var size, resident int
	_, err = fmt.Sscan(string(text), &size, &resident)
	require.NoError(t, err)
	return resident * os.Getpagesize()
}

// filled is the directory of a closed store with data files.
func filled(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, small)
	for i := range 3 {
		require.NoError(t, s.Write(batchOf(fmt.Sprintf("key %04d", i), strings.Repeat("v", 100))))
		require.NoError(t, s.Flush())
	}
	require.NoError(t, s.Close())
	return dir
}

func batchOf(key, value string) *stores.Batch {
	b := &stores.Batch{}
	b.Put([]byte(key), []byte(value))
	return b
}

func randomBytes(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	data := make([]byte, n)
	r.Read(data)
	return data
}

// A load that was broken off leaves a file, which the next Open removes, and which is no reason to
// refuse the directory.
func TestOpenRemovesBrokenLoads(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, open(t, dir, small).Close())
	left := filepath.Join(dir, "load-123.dbtmp")
	require.NoError(t, os.WriteFile(left, []byte("a part"), 0o600))
	s := open(t, dir, small)
	require.NoFileExists(t, left)
	var r stores.Run
	r.Put([]byte("k"), []byte("v"))
	require.NoError(t, s.Load(&r))
	require.NoError(t, s.Close())
	left2, err := filepath.Glob(filepath.Join(dir, "*.dbtmp"))
	require.NoError(t, err)
	require.Empty(t, left2, "a load moves its file")
	require.NoError(t, rocksdb.Destroy(dir))
}
