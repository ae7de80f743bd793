package task_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/windows"
)

// tableWork is plans over tables "ticks", which batches go to, and "others", which has a row for
// each key.
var tableWork = []struct {
	name  string
	batch string
	plan  func(b *dsl.Builder)
}{
	{"lookup", "asks", func(b *dsl.Builder) {
		dsl.JoinTable(dsl.Stream[tick](b, "asks").Codec(codecs.Fixed[tick]()), others(b),
			spreadOf).Filter(none).To("out")
	}},
	{"lookup versioned", "asks", func(b *dsl.Builder) {
		t := others(b).Versioned(time.Hour)
		dsl.JoinTable(dsl.Stream[tick](b, "asks").Codec(codecs.Fixed[tick]()), t, spreadOf).Filter(none).To("out")
	}},
	{"update", "ticks", func(b *dsl.Builder) { ticksTable(b).Filter(none).To("out") }},
	{"update versioned", "ticks", func(b *dsl.Builder) {
		ticksTable(b).Versioned(5 * time.Second).Filter(none).To(
			"out")
	}},
	{"join", "ticks", func(b *dsl.Builder) {
		dsl.JoinTables(ticksTable(b), others(b),
			spreadOf).Filter(none).To("out")
	}},
	{"group", "ticks", func(b *dsl.Builder) {
		groups := dsl.GroupTable(ticksTable(b), func(r *tick) string { return r.Pair }).AssumeCopartitioned()
		dsl.Aggregate(groups, windows.Unbounded(), func(g dsl.Group[string, tick]) candle {
			return candle{Pair: g.Key(), Ticks: aggregates.Count(g),
				Sum: aggregates.Sum(g, func(r *tick) float64 { return r.Bid })}
		}).Changes()
	}},
}

func ticksTable(b *dsl.Builder) *dsl.TableOf[string, tick] {
	return dsl.Table[string, tick](b, "ticks").Codec(codecs.Fixed[tick]())
}

func others(b *dsl.Builder) *dsl.TableOf[string, tick] {
	return dsl.Table[string, tick](b, "others").Codec(codecs.Fixed[tick]())
}

func spreadOf(l, r *tick) (tick, error) {
	return tick{Pair: l.Pair, Bid: l.Bid, Ask: r.Ask, At: l.At}, nil
}

func none(r *tick) (bool, error) { return r.Bid < 0, nil }

// tableTask is a task with others filled, and batches for it.
func tableTask(t testing.TB, plan func(b *dsl.Builder), batch string) (*task.Task, []task.Batch) {
	b := dsl.New("bench")
	plan(b)
	built, err := b.Build()
	require.NoError(t, err)
	tk, _ := benchTask(t, built)
	batches := tickBatches(64)
	for i := range batches {
		batches[i].Topic = batch
	}
	fill := tickBatches(1)[0]
	for _, fill.Topic = range []string{"others", batch} {
		if tk.Wants(fill.Topic) {
			require.NoError(t, tk.Process(t.Context(), &fill, func() {}))
		}
	}
	return tk, batches
}

// A record that looks a row of a table up, and a change of one of 1,000 rows, with what follows
// from it.
func BenchmarkTable(b *testing.B) {
	for _, w := range tableWork {
		b.Run(w.name, func(b *testing.B) {
			tk, batches := tableTask(b, w.plan, w.batch)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += 1000 {
				k := i / 1000 % len(batches)
				if k == 0 && i > 0 {
					shiftBatches(batches, 64_000)
				}
				if err := tk.Process(context.Background(), &batches[k], func() {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Neither costs an allocation.
func TestNoAllocationPerChange(t *testing.T) {
	for _, w := range tableWork {
		t.Run(w.name, func(t *testing.T) {
			tk, batches := tableTask(t, w.plan, w.batch)
			n := 0
			process := func() {
				if n == len(batches) {
					n = 0
					shiftBatches(batches, 64_000)
				}
				if err := tk.Process(t.Context(), &batches[n], func() {}); err != nil {
					t.Fatal(err)
				}
				n++
			}
			for range 100 {
				process()
			}
			require.Less(t, testing.AllocsPerRun(50, process), 5.0, "a batch of 1,000")
		})
	}
}
