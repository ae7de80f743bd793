//go:build cgo

package tables_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
)

func init() {
	openStores["rocksdb"] = func(t *testing.T) stores.Store {
		s, err := rocksdb.Open(t.TempDir(), rocksdb.Options{WriteBuffer: 64 << 10, BlockCache: 1 << 20})
		require.NoError(t, err)
		return s
	}
}
