//go:build cgo

package tables_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
)

// BenchmarkMirror takes finals of 1,000 keys over, a minute of them at a time: ns a row, and what
// is on disk in the end. With a retention of an hour, what it costs to delete as much as comes.
func BenchmarkMirror(b *testing.B) {
	for name, retention := range map[string]time.Duration{"all": 0, "hour": time.Hour} {
		b.Run(name, func(b *testing.B) {
			store, err := rocksdb.Open(b.TempDir(), tables64())
			require.NoError(b, err)
			m := tables.NewMirror(finals(b), store, retention, slog.New(slog.DiscardHandler))
			_, err = m.Positions()
			require.NoError(b, err)
			value := make([]byte, 100)
			records := make([]task.Record, 1000)
			minute := uint64(0)
			for i := 0; b.Loop(); i++ {
				if i%len(records) == len(records)-1 {
					for k := range records {
						records[k] = task.Record{Key: binary.BigEndian.AppendUint64(fmt.Appendf(nil, "key%05d", k),
							minute*60_000), Value: value}
					}
					minute++
					require.NoError(b, m.Apply(0, records, int64(i)))
				}
			}
			b.StopTimer()
			require.NoError(b, store.Flush())
			s, err := store.Statistics()
			require.NoError(b, err)
			b.ReportMetric(float64(s.DiskBytes)/1e6, "MB-on-disk")
			rows := 0
			from, to := stores.TableBounds()
			for _, err := range store.Scan(from, to) {
				require.NoError(b, err)
				rows++
			}
			b.ReportMetric(float64(rows), "rows-left")
			require.NoError(b, store.Close())
		})
	}
}

// tables64 are the options of a table of windows with the default cache.
func tables64() rocksdb.Options {
	return rocksdb.Options{BlockCache: 32 << 20, WriteBuffer: 16 << 20, Compression: true}
}
