package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/windows"
)

// The clock of the machine jumps. Back: records of what is now the future are dropped and counted,
// as those of a producer whose clock is fast, until the clock is right again; nothing that is open
// closes, and commits are made with what there is. Forward: nothing that has come yet closes by it,
// as stream time is that of records; where windows close by the clock, they close early, and what
// comes for them is late.
func TestClockJumps(t *testing.T) {
	for _, idle := range []time.Duration{0, time.Minute} {
		b := dsl.New("clock")
		ticks := dsl.Stream[tick](b, "ticks").Codec(codecs.Fixed[tick]())
		spec := windows.Minutes(1).Grace(0)
		if idle > 0 {
			spec = spec.CloseIdle(idle)
		}
		dsl.Aggregate(dsl.GroupByKey[string](ticks), spec, func(g dsl.Group[string, tick]) candle {
			return candle{Pair: g.Key(), Ticks: aggregates.Count(g)}
		}).Codec(codecs.Fixed[candle]()).Final()
		plan, err := b.Build()
		require.NoError(t, err)

		batches := tickBatches(30) // one second each, of 1,000 keys
		clock := time.UnixMilli(1_700_006_400_000)
		out, drops := &discard{}, &task.Drops{}
		cfg := taskConfig(plan, memory.New(), out)
		cfg.Now, cfg.Ahead, cfg.Drops, cfg.CommitEvery = func() time.Time { return clock }, time.Hour, drops,
			time.Second
		tk, err := task.New(cfg)
		require.NoError(t, err)
		feed := func(n int) {
			for range n {
				require.NoError(t, tk.Process(t.Context(), &batches[0], func() {}))
				batches = batches[1:]
				clock = clock.Add(time.Second)
			}
		}
		feed(5)
		require.Zero(t, drops.Count(task.Ahead))

		clock = clock.Add(-2 * time.Hour)
		feed(5)
		require.EqualValues(t, 5000, drops.Count(task.Ahead), "all are ahead of the clock")
		require.Zero(t, out.results)
		require.NoError(t, tk.Commit(t.Context()))
		require.EqualValues(t, batches[0].Records[0].Offset, tk.Positions()["ticks"])

		clock = clock.Add(2 * time.Hour)
		feed(5)
		require.EqualValues(t, 5000, drops.Count(task.Ahead), "the clock is right again")
		require.Zero(t, out.results, "no window is over")

		clock = clock.Add(2 * time.Hour)
		require.NoError(t, tk.Tick(t.Context()))
		if idle == 0 {
			require.Zero(t, out.results, "the clock closes nothing")
			continue
		}
		require.Equal(t, 1000, out.results, "a row of each key")
		feed(1)
		require.EqualValues(t, 1000, drops.Count(task.Late))
	}
}
