//go:build cgo

package rocksdb_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores/rocksdb"
)

// Nobody but owner and group gets at a store's files, whether its directory was there before or
// not.
func TestStoresAreClosedToOthers(t *testing.T) {
	base := t.TempDir()
	fresh, there := filepath.Join(base, "a", "fresh.db"), filepath.Join(base, "there.db")
	require.NoError(t, os.Mkdir(there, 0o700))
	require.NoError(t, os.Chmod(there, 0o777))
	for _, dir := range []string{fresh, there} {
		s, err := rocksdb.Open(dir, rocksdb.Options{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&^0o750, dir)
	}
	info, err := os.Stat(filepath.Dir(fresh))
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&^0o750)
}

// A core dump in a store's directory is passed over, also when the store is thrown away, and is
// left where it is.
func TestStrayFilesArePassedOver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "main.db")
	for range 2 {
		s, err := rocksdb.Open(dir, rocksdb.Options{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		require.NoError(t, os.WriteFile(filepath.Join(dir, "core.1234"), []byte("dump"), 0o600))
		require.Equal(t, []string{"core.1234"}, rocksdb.Strays(dir))
		s, err = rocksdb.Open(dir, rocksdb.Options{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		require.NoError(t, rocksdb.Destroy(dir))
		require.FileExists(t, filepath.Join(dir, "core.1234"))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "core"), 0o700))
	_, err := rocksdb.Open(dir, rocksdb.Options{})
	require.ErrorContains(t, err, "core", "a folder is somebody's")
}
