//go:build cgo

package rocksdb_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
)

// A store is read beside its owner, as it is on disk, and no file in its directory changes.
func TestOpenReadOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	owner := open(t, dir, small)
	require.NoError(t, owner.Write(batchOf("a", "1")))
	require.NoError(t, owner.Flush())
	require.NoError(t, owner.Write(batchOf("b", "2"))) // in memory only
	before := files(t, dir)

	s, err := rocksdb.OpenReadOnly(dir)
	require.NoError(t, err)
	value, ok, err := s.Get(nil, []byte("a"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "1", string(value))
	_, ok, err = s.Get(nil, []byte("b"))
	require.NoError(t, err)
	require.False(t, ok)
	require.ErrorContains(t, s.Write(batchOf("c", "3")), "read only")
	require.ErrorContains(t, s.Flush(), "read only")
	require.NoError(t, owner.Write(batchOf("a", "9")))
	n := 0
	for e, err := range s.Scan(nil, nil) {
		require.NoError(t, err)
		require.Equal(t, "a1", string(e.Key)+string(e.Value))
		n++
	}
	require.Equal(t, 1, n)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Close(), stores.ErrClosed)
	require.Equal(t, before, files(t, dir))
	require.NoError(t, owner.Close())
}

func TestOpenReadOnlyRefuses(t *testing.T) {
	base := t.TempDir()
	empty := filepath.Join(base, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))
	foreign := filepath.Join(base, "foreign")
	require.NoError(t, os.Mkdir(foreign, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "notes.txt"), nil, 0o644))
	headless := filled(t)
	require.NoError(t, os.Remove(filepath.Join(headless, "CURRENT")))
	for dir, want := range map[string]string{
		empty: "it is empty", foreign: `"notes.txt" in it is not a file of a store`,
		filepath.Join(base, "none"): "no such file", headless: "no file CURRENT",
	} {
		_, err := rocksdb.OpenReadOnly(dir)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, dir)
	}
	require.NoDirExists(t, filepath.Join(base, "none"))
	names, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, names)
}

// files are the names, sizes and times of a directory's files.
func files(t *testing.T, dir string) (all []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		all = append(all, fmt.Sprint(e.Name(), info.Size(), info.ModTime()))
	}
	return all
}
