//go:build cgo

package tables_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/windows"
)

type benchTick struct {
	Pair string  `ashi:"pair,key"`
	Bid  float64 `ashi:"bid"`
}

type benchBar struct {
	Pair                   string `ashi:"pair,key"`
	Start                  int64
	Open, High, Low, Close float64
	Count                  int64
}

// benchTable is bars of 100 keys, 1,000 minutes each, as bench/reads has them: JSON in RocksDB, in
// files.
func benchTable(b *testing.B) *tables.Reader[string, benchBar] {
	d := dsl.New("bench")
	ticks := dsl.Stream[benchTick](d, "ticks")
	ref := dsl.Aggregate(dsl.GroupByKey[string](ticks), windows.Minutes(1),
		func(g dsl.Group[string, benchTick]) benchBar {
			bid := func(t *benchTick) float64 { return t.Bid }
			return benchBar{g.Key(), g.WindowStart().UnixMilli(), aggregates.EarliestByOffset(g, bid),
				aggregates.Max(g, bid), aggregates.Min(g, bid), aggregates.LatestByOffset(g, bid), aggregates.Count(g)}
		}).Final().Size(time.Minute)
	_, err := d.Build()
	require.NoError(b, err)
	require.NoError(b, ref.Err)
	store, err := rocksdb.Open(b.TempDir(), tables64())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	m := tables.NewMirror(ref.Table, store, 0, slog.New(slog.DiscardHandler))
	_, err = m.Positions()
	require.NoError(b, err)
	records := make([]task.Record, 100)
	for minute := range 1000 {
		for k := range records {
			at := int64(minute) * 60_000
			records[k] = task.Record{Key: binary.BigEndian.AppendUint64(fmt.Appendf(nil, "PAIR%03d", k), uint64(at)),
				Value: fmt.Appendf(nil, `{"Start":%d,"Open":%g,"High":%g,"Low":%g,"Close":%g,"Count":20}`, at, 12.375,
					99.625, 1.25, 12.5)}
		}
		require.NoError(b, m.Apply(0, records, int64(minute)))
	}
	require.NoError(b, store.Flush())
	return tables.NewReader(ref, store, m, func() error { return nil })
}

// BenchmarkGetAt reads rows in no order that a cache would like.
func BenchmarkGetAt(b *testing.B) {
	table := benchTable(b)
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprintf("PAIR%03d", i)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		at := time.UnixMilli(int64(n*7919%1000) * 60_000)
		row, ok, err := table.GetAt(b.Context(), keys[n*31%100], at)
		if err != nil || !ok || row.Start != at.UnixMilli() {
			b.Fatal(row, ok, err)
		}
	}
}

// BenchmarkRange1000 reads 1,000 bars of a key.
func BenchmarkRange1000(b *testing.B) {
	table := benchTable(b)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		rows := 0
		for row, err := range table.Range(b.Context(), fmt.Sprintf("PAIR%03d", n*31%100), time.UnixMilli(0),
			time.UnixMilli(1000*60_000)) {
			if err != nil || row.Count != 20 {
				b.Fatal(row, err)
			}
			rows++
		}
		if rows != 1000 {
			b.Fatal(rows)
		}
	}
}
