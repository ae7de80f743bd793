package engine

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/topology"
)

// Topics may have any name that Kafka allows: none of them meets a file of the state directory
// itself.
func TestTopicsNamedLikeFilesOfTheStateDirectory(t *testing.T) {
	d, err := openState(t.TempDir(), "app")
	require.NoError(t, err)
	for _, name := range []string{manifestName, ".writable"} {
		task, err := d.open(name, 0, rocksdb.Options{}, slog.New(slog.DiscardHandler))
		require.NoError(t, err, name)
		require.NoError(t, task.Close())
		table, err := d.openTable(&topology.Table{Topic: name, Folder: name, File: "main"}, rocksdb.Options{},
			slog.New(slog.DiscardHandler))
		require.NoError(t, err, name)
		require.NoError(t, table.Close())
		require.NoError(t, d.probe())
	}
	again, err := openState(d.path, "app")
	require.NoError(t, err)
	require.NoError(t, again.probe())
}
