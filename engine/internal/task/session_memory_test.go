package task_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/windows"
)

// sessionBatch is a record for each of n groups from first on, a millisecond apart from at on.
func sessionBatch(first, n int, at int64, next *int64) *task.Batch {
	value := tickBatches(1)[0].Records[0].Value
	records := make([]task.Record, n)
	for i := range records {
		v := append([]byte(nil), value...)
		binary.BigEndian.PutUint64(v[16:], uint64(at)+uint64(i))
		records[i] = task.Record{Key: fmt.Appendf(nil, "K%07d", first+i), Value: v, Offset: *next}
		*next++
	}
	return &task.Batch{Topic: "ticks", Records: records, Next: *next}
}

// counted is a store that counts iterators.
type counted struct {
	stores.Store
	scans int
}

func (c *counted) Scan(from, to []byte) iter.Seq2[stores.Entry, error] {
	c.scans++
	return c.Store.Scan(from, to)
}

// Sessions stay within the bound of memory after each batch, with many more groups than it has room
// for: when they are opened, when they go on, when they close one by one, and when one record
// closes all. Their finals are those of a task without a bound, in the same order. Closing from the
// store costs an iterator for many sessions.
func TestSessionMemoryIsBounded(t *testing.T) {
	const groups, gap = 20_000, time.Minute
	store, bounded, free := &counted{Store: memory.New()}, &outputs{}, &outputs{}
	cfg := taskConfig(sevenPlan(t, windows.Session(gap)), store, bounded)
	cfg.Memory = 1 << 20
	small, err := task.New(cfg)
	require.NoError(t, err)
	large := openTask(t, sevenPlan(t, windows.Session(gap)), memory.New(), free)
	most, start := 0, int64(1_700_006_400_000)
	var next int64
	process := func(first, n int, at int64) {
		b := sessionBatch(first, n, at, &next)
		require.NoError(t, small.Process(t.Context(), b, func() {}))
		require.NoError(t, large.Process(t.Context(), b, func() {}))
		require.LessOrEqual(t, small.Memory(), cfg.Memory)
		most = max(most, large.Memory())
	}
	for round := range int64(2) { // the second makes half of the sessions longer
		for i := 0; i < groups/int(round+1); i += 500 {
			process(i, 500, start+round*30_000+int64(i))
		}
	}
	require.Greater(t, most, 4*cfg.Memory)
	store.scans = 0
	for at := start + 61_000; at < start+85_000; at += 1000 {
		process(groups, 1, at) // closes what the second round has not made longer
	}
	require.Less(t, store.scans, 200, "some 10,000 sessions have closed")
	process(groups, 1, start+10_000_000)
	require.NoError(t, small.Commit(t.Context()))
	require.NoError(t, large.Commit(t.Context()))
	require.Len(t, free.finals, groups+1)
	require.Equal(t, free.finals, bounded.finals)
	require.Less(t, large.Memory(), 8<<20, "what is counted goes when sessions do")
}

// outputs is a producer that keeps the finals.
type outputs struct {
	discard
	finals []string
}

func (o *outputs) Produce(_ context.Context, r *task.Output) {
	if r.Topic != "log" {
		o.finals = append(o.finals, fmt.Sprintf("%x %x", r.Key, r.Value))
	}
}

// A task that is opened on a store finds sessions there without reading them, and closes them; also
// where rows were restored from the changelog after the store's index of them was made.
func TestSessionsStayInTheStoreWhenOpened(t *testing.T) {
	for _, restored := range []bool{false, true} {
		t.Run(fmt.Sprintf("restored %v", restored), func(t *testing.T) {
			const groups = 5000
			store, out := memory.New(), &outputs{}
			plan := sevenPlan(t, windows.Session(time.Minute))
			tk := openTask(t, plan, store, out)
			var next int64
			at := int64(1_700_006_400_000)
			require.NoError(t, tk.Process(t.Context(), sessionBatch(0, groups, at, &next), func() {}))
			require.NoError(t, tk.Commit(t.Context()))
			require.NoError(t, tk.Checkpoint())
			if restored { // what one commit more would have left in the log: group 0 is gone, and another is new
				gone, row := rowOf(t, store, "K0000000")
				fresh, _ := rowOf(t, store, "N")
				require.NoError(t, task.NewRestorer(store, task.LogID{}).Apply([]task.Record{{Key: gone},
					{Key: fresh, Value: row}}, 7))
			}
			tk = openTask(t, plan, store, out)
			require.Less(t, tk.Memory(), 200_000)
			require.NoError(t, tk.Process(t.Context(), sessionBatch(groups, 1, at+10_000_000, &next), func() {}))
			require.NoError(t, tk.Commit(t.Context()))
			require.Len(t, out.finals, groups)
			require.Equal(t, restored, strings.HasPrefix(out.finals[0], "4e"),
				"the new group's session has the end of group 0's, and is the only one with it")
			require.NoError(t, tk.Checkpoint())
			left := 0
			from, to := stores.OperatorBounds(1 << 8)
			for range store.Scan(from, to) {
				left++
			}
			require.LessOrEqual(t, left, 3, "the row of the last group, and entries of the index that have passed")
		})
	}
}

// rowOf is the key and the row of a group's sessions in a store.
func rowOf(t *testing.T, store stores.Store, group string) (key, row []byte) {
	key = stores.AppendRowKey(nil, 1<<8, 0, []byte(group))
	row, _, err := store.Get(nil, key)
	require.NoError(t, err)
	return key, row
}

// The clock closes sessions that are in the store only, and moves stream time for no others: not
// for the end that a session had before it grew.
func TestClockClosesSessionsInTheStore(t *testing.T) {
	b := dsl.New("quotes")
	quotes := dsl.Stream[quote](b, "quotes").Codec(codecs.Fixed[quote]())
	dsl.Aggregate(dsl.GroupByKey[string](quotes), windows.Session(time.Minute).Grace(0).CloseIdle(time.Second),
		high).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	for _, crash := range []bool{false, true} {
		d := enginetest.NewWith(t, plan, enginetest.Options{Start: time.UnixMilli(0), Memory: 1, KeepStores: true})
		closed := func() int { return len(d.Partition(plan.Subs[0].Sinks()[0].Topic, 0)) }
		d.AddRaw("quotes", quoteOf(t, "EUR", 1, 0), quoteOf(t, "USD", 1, 0))
		d.AddRaw("quotes", quoteOf(t, "EUR", 2, 30_000), quoteOf(t, "USD", 2, 10_000))
		if crash {
			d.Crash()
		}
		d.Advance(35 * time.Second) // by the clock stream time is 65 s: both would have closed at 60
		require.Zero(t, closed())
		d.AddRaw("quotes", quoteOf(t, "GBP", 1, 3000))
		require.Zero(t, d.Dropped("late"), "stream time is 30 s")
		d.Advance(34 * time.Second) // 64 s, and GBP's closes after 63
		require.Equal(t, 1, closed())
		d.Advance(7 * time.Second)
		require.Equal(t, 2, closed(), "USD's after 70")
		d.Advance(20 * time.Second)
		require.Equal(t, 3, closed(), "EUR's after 90")
	}
}
