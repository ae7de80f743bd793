package task_test

import (
	"encoding/binary"
	"fmt"
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

// recorder is a store that notes what is written to it.
type recorder struct {
	stores.Store
	writes [][]string
}

func (r *recorder) Write(b *stores.Batch) error {
	var ops []string
	for op := range b.Ops() {
		switch _, start, group, err := stores.ParseRowKey(op.Key); {
		case err != nil:
			ops = append(ops, string(op.Key[1:]))
		case op.Kind == stores.OpPut:
			ops = append(ops, fmt.Sprintf("put %s/%d", group, start))
		default:
			ops = append(ops, fmt.Sprintf("%x to %x", op.Key[3:], op.To[3:]))
		}
	}
	r.writes = append(r.writes, ops)
	return r.Store.Write(b)
}

// A checkpoint writes the rows that changed since the last one, sorted by key, with the commit
// record and the position that they stand for; windows that were opened and closed in between never
// reach the store.
func TestCheckpointWritesWhatChanged(t *testing.T) {
	store := &recorder{Store: memory.New()}
	d := quotes(t, enginetest.Options{Start: time.UnixMilli(0), CheckpointEvery: time.Second, KeepStores: true,
		Store: func(string, int32) (stores.Store, error) { return store, nil }}, pairOfQuote, high)
	store.writes = nil
	step := func(records ...enginetest.Record) {
		d.AddRaw("quotes", records...)
	}
	const minute = 60_000
	step(quoteOf(t, "b", 1, 0), quoteOf(t, "a", 1, 0))
	step(quoteOf(t, "c", 1, 0))
	require.Empty(t, store.writes, "no checkpoint is due")
	d.Advance(time.Second)
	step(quoteOf(t, "b", 2, 1))
	step(quoteOf(t, "a", 2, minute), quoteOf(t, "a", 2, 5*minute), quoteOf(t, "a", 2, 10*minute))
	d.Advance(time.Second)
	step(quoteOf(t, "c", 2, 10*minute), quoteOf(t, "a", 2, 10*minute))
	d.Advance(time.Second)
	step(quoteOf(t, "c", 3, 10*minute))
	require.Equal(t, [][]string{
		{"put a/0", "put b/0", "put c/0", "commit", "position"},
		{"0000000000000000 to 0000000000000001", "put a/600000", "put c/600000", "commit", "position"},
		{"put c/600000", "commit", "position"},
	}, store.writes)
	at, ok, err := task.NewRestorer(store, task.LogID{}).Position()
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, len(d.Partition("quotes--quotes-changelog", 0)), at, "the end of the changelog")
}

// Groups that have no row take no memory: neither late ones nor those whose windows are closed.
func TestGroupsWithoutRowsTakeNoMemory(t *testing.T) {
	tk := openTask(t, sevenPlan(t, windows.Minutes(1)), memory.New(), &discard{})
	value := tickBatches(1)[0].Records[0].Value
	process := func(first, n int, shift byte) {
		v := append([]byte(nil), value...)
		v[18] += shift // of the 8 bytes of time at 16: 2^40 ms a step
		records := make([]task.Record, n)
		for i := range records {
			records[i] = task.Record{Key: fmt.Appendf(nil, "K%06d", first+i), Value: v, Offset: int64(first + i)}
		}
		require.NoError(t, tk.Process(t.Context(), &task.Batch{Topic: "ticks", Records: records,
			Next: int64(first + n)}, func() {}))
	}
	process(0, 1, 1)
	before := tk.Memory()
	process(1, 1000, 0)
	require.Equal(t, before, tk.Memory(), "1,000 groups that are late")
	process(0, 1000, 1)
	full := tk.Memory()
	require.Greater(t, full, before+1000*56)
	process(0, 1, 2)
	require.Less(t, tk.Memory(), full-900*56, "a window later; the space of its rows is kept for the next")
}

// The bound of memory holds after each batch, as far as a window's first rows leave room.
func TestMemoryIsBounded(t *testing.T) {
	cfg := taskConfig(sevenPlan(t, windows.Minutes(1, 60)), memory.New(), &discard{})
	cfg.Memory = 600_000
	bounded, err := task.New(cfg)
	require.NoError(t, err)
	free := openTask(t, sevenPlan(t, windows.Minutes(1, 60)), memory.New(), &discard{})
	batches := tickBatches(10)
	for i := range batches {
		for j := range batches[i].Records {
			batches[i].Records[j].Key = fmt.Appendf(nil, "K%d", i*1000+j)
		}
		require.NoError(t, bounded.Process(t.Context(), &batches[i], func() {}))
		require.NoError(t, free.Process(t.Context(), &batches[i], func() {}))
		require.LessOrEqual(t, bounded.Memory(), cfg.Memory)
	}
	require.Greater(t, free.Memory(), 3*cfg.Memory)
}

// Rows of 50,000 open windows are dropped from memory; a square of that would take minutes.
func TestEvictionOfManyWindows(t *testing.T) {
	cfg := taskConfig(sevenPlan(t, windows.Tumbling(time.Second).Grace(24*time.Hour)), memory.New(), &discard{})
	cfg.Memory = 1
	tk, err := task.New(cfg)
	require.NoError(t, err)
	records := make([]task.Record, 50_000)
	value := tickBatches(1)[0].Records[0].Value
	for i := range records {
		v := append([]byte(nil), value...)
		binary.BigEndian.PutUint64(v[16:], uint64(i)*1000)
		records[i] = task.Record{Key: []byte("K"), Value: v, Offset: int64(i)}
	}
	require.NoError(t, tk.Process(t.Context(), &task.Batch{Topic: "ticks", Records: records, Next: 50_000}, func() {}))
	require.Less(t, tk.Memory(), 50_000)
}

// Strings count as memory: here rows of a few bytes hold a megabyte each.
func TestMemoryOfStrings(t *testing.T) {
	b := dsl.New("strings")
	dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[entry](b, "in")), windows.Minutes(1), tallyOf).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	cfg := taskConfig(plan, memory.New(), &discard{})
	cfg.Memory = 5 << 20
	tk, err := task.New(cfg)
	require.NoError(t, err)
	text := strings.Repeat("x", 1<<20)
	for i := range 12 {
		key := fmt.Appendf(nil, "K%d", i)
		value, err := codecs.JSON[entry]().Encode(nil, &entry{K: string(key), Text: &text})
		require.NoError(t, err)
		next := int64(i + 1)
		require.NoError(t, tk.Process(t.Context(),
			&task.Batch{Topic: "in", Records: []task.Record{{Key: key, Value: value, Offset: next - 1}}, Next: next},
			func() {}))
		require.LessOrEqual(t, tk.Memory(), cfg.Memory)
		if i == 0 {
			require.Greater(t, tk.Memory(), 1<<20)
		}
	}
}

// A stream of windows takes as much memory after many of them as after a few.
func TestMemoryIsGivenBack(t *testing.T) {
	tk := openTask(t, sevenPlan(t, windows.Minutes(1)), memory.New(), &discard{})
	batches := tickBatches(200) // more than three windows
	after := map[int]int{}
	for i := range batches {
		require.NoError(t, tk.Process(t.Context(), &batches[i], func() {}))
		after[i] = tk.Memory()
	}
	require.InDelta(t, after[119], after[199], 0.1*float64(after[119]),
		"as much as a minute and more before: the space of closed windows is used again")
}
