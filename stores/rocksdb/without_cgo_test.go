//go:build !cgo

package rocksdb_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
)

func TestWithoutCgoSaysSo(t *testing.T) {
	dir := t.TempDir()
	s, err := rocksdb.Open(dir, rocksdb.Options{})
	require.Nil(t, s)
	require.ErrorIs(t, err, stores.ErrUnavailable)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "CGO_ENABLED=1")
	_, err = rocksdb.OpenReadOnly(dir)
	require.ErrorIs(t, err, stores.ErrUnavailable)
	require.ErrorIs(t, rocksdb.Destroy(dir), stores.ErrUnavailable)
}
