package tables_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/storetest"
	"github.com/ashi-stream/ashi/topology"
)

// randomRecords have first rows, duplicates, contradictions, tombstones, rows that come again after
// one, and keys that do not fit.
func randomRecords(r *rand.Rand, n int, windows bool) []task.Record {
	records := make([]task.Record, n)
	for i := range records {
		key := fmt.Appendf(nil, "k%d", r.IntN(5))
		if windows {
			key = windowed(string(key), int64(max(0, i/10-r.IntN(4)))*60_000)
		}
		records[i] = put(key, fmt.Sprint(r.IntN(2)))
		switch r.IntN(12) {
		case 0:
			records[i] = gone(key)
		case 1:
			records[i] = put([]byte("short"), "")
		}
	}
	return records
}

// What a mirror makes of a log is the same row by row, in batches and gathered, whatever the bound,
// over starts in between; so are its counters.
func TestGatherIsApply(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		table := finals(t)
		if seed%3 == 0 {
			table = &topology.Table{Topic: "limits", File: "main"}
		}
		records := randomRecords(r, 300, table.Windows != nil)
		want := mirror(t, table, memory.New())
		for i := range records {
			want.batches(records[i : i+1])
		}
		store, err := storetest.NewFaulty(memory.New())
		require.NoError(t, err)
		var duplicates, contradictions int64
		for from := 0; from < len(records); {
			m := mirror(t, table, store)
			at, err := m.Positions()
			require.NoError(t, err)
			require.EqualValues(t, from, at[0])
			bound := 1 + r.IntN(4000)
			for end := min(from+1+r.IntN(200), len(records)); from < end; {
				n := min(1+r.IntN(9), end-from)
				if r.IntN(30) == 0 { // it was ready, and is not any more
					require.NoError(t, m.Finish())
					require.NoError(t, m.Apply(0, records[from:from+n], int64(from+n)))
				} else {
					_, err := m.Gather(0, records[from:from+n], int64(from+n), bound)
					require.NoError(t, err)
				}
				from += n
			}
			require.NoError(t, m.Finish())
			duplicates, contradictions = duplicates+m.Duplicates.Load(), contradictions+m.Contradictions.Load()
		}
		require.Equal(t, want.rows(), mirror(t, table, store).rows(), "seed %d", seed)
		require.Equal(t, want.Duplicates.Load(), duplicates, "seed %d", seed)
		require.Equal(t, want.Contradictions.Load(), contradictions, "seed %d", seed)
		if table.AppendOnly {
			require.Positive(t, duplicates*contradictions, "seed %d: nothing to find", seed)
		}
	}
}

// A table that is rebuilt does not pile up what is past its retention.
func TestGatherSweeps(t *testing.T) {
	const keys, minutes, bound = 10, 3000, 64 << 10
	store, err := storetest.NewFaulty(memory.New())
	require.NoError(t, err)
	m := keeping(t, store, time.Hour)
	var records []task.Record
	for minute := range int64(minutes) {
		for k := range keys {
			records = append(records, bar(fmt.Sprint(k), minute))
		}
	}
	most := 0
	for i := 0; i < len(records); i += 1000 {
		written, err := m.Gather(0, records[i:i+1000], int64(i+1000), bound)
		require.NoError(t, err)
		if written {
			most = max(most, len(m.rows()))
		}
	}
	require.NoError(t, m.Finish())
	require.Less(t, most, 4000, "an hour of ten keys is 600 rows, and what is gathered at a time a thousand or two")
}
