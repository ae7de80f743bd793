package task_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type tick struct {
	Pair     string `ashi:"pair,key"`
	Bid, Ask float64
	At       time.Time `ashi:"at,timestamp"`
}

type candle struct {
	Pair                        string `ashi:"pair,key"`
	Open, High, Low, Close, Sum float64
	Mean                        float64
	Ticks                       int64
}

// discard is a producer that counts: results are the outputs that are not the changelog's.
type discard struct{ outputs, results int }

func (d *discard) Produce(_ context.Context, o *task.Output) {
	if d.outputs++; o.Topic != "log" {
		d.results++
	}
}
func (d *discard) Commit(context.Context) error { return nil }
func (d *discard) Close() error                 { return nil }

func sevenPlan(t testing.TB, w windows.Spec) *topology.Plan {
	b := dsl.New("bench")
	ticks := dsl.Stream[tick](b, "ticks").Codec(codecs.Fixed[tick]())
	positive := ticks.Filter(func(r *tick) (bool, error) { return r.Bid > 0, nil })
	candles := dsl.Aggregate(dsl.GroupByKey[string](positive), w, func(g dsl.Group[string, tick]) candle {
		bid := func(r *tick) float64 { return r.Bid }
		return candle{Pair: g.Key(), Open: aggregates.EarliestByOffset(g, bid), High: aggregates.Max(g, bid),
			Low: aggregates.Min(g, bid), Close: aggregates.LatestByOffset(g, bid), Sum: aggregates.Sum(g, bid),
			Mean: aggregates.Avg(g, bid), Ticks: aggregates.Count(g)}
	}).Codec(codecs.Fixed[candle]())
	candles.Final()
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

func benchTask(t testing.TB, plan *topology.Plan) (*task.Task, *discard) {
	p := &discard{}
	return openTask(t, plan, memory.New(), p), p
}

// taskConfig is for partition 0 of a topic with one partition; nothing happens by time or size.
func taskConfig(plan *topology.Plan, store stores.Store, p task.Producer) task.Config {
	sinks := map[string]int32{}
	for _, s := range plan.Subs[0].Sinks() {
		sinks[s.Topic] = 2
	}
	return task.Config{Sub: plan.Subs[0], Partitions: 1, Sinks: sinks, Changelog: "log", PartitionOf: murmur.Partition,
		Store: store, Producer: p, Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Drops: &task.Drops{}, CommitEvery: math.MaxInt64, CommitBytes: math.MaxInt, CheckpointEvery: math.MaxInt64,
		CheckpointBytes: math.MaxInt}
}

// ownConfig is taskConfig for a store that is of the plan's changelog.
func ownConfig(plan *topology.Plan, store stores.Store, p task.Producer) task.Config {
	cfg := taskConfig(plan, store, p)
	cfg.ID = ownerOf(plan)
	return cfg
}

// ownerOf is the log of partition 0 of a plan's first sub-topology, as far as a driver knows it.
func ownerOf(plan *topology.Plan) task.LogID {
	return task.LogID{Application: plan.Name, Sub: plan.Subs[0].Name}
}

func openTask(t testing.TB, plan *topology.Plan, store stores.Store, p task.Producer) *task.Task {
	tk, err := task.New(taskConfig(plan, store, p))
	require.NoError(t, err)
	return tk
}

// tickBatches is batches of ticks of 1,000 keys, one a key and second.
func tickBatches(n int) []task.Batch {
	const start = 1_700_006_400_000
	batches := make([]task.Batch, n)
	for i := range batches {
		records := make([]task.Record, 1000)
		for j := range records {
			v := make([]byte, 24)
			binary.BigEndian.PutUint64(v, math.Float64bits(1+float64(j%17)/16))
			binary.BigEndian.PutUint64(v[8:], math.Float64bits(2))
			at := int64(start + i*1000 + j)
			binary.BigEndian.PutUint64(v[16:], uint64(at))
			records[j] = task.Record{Key: fmt.Appendf(nil, "K%06d", j), Value: v, Timestamp: windows.Time(at),
				Offset: int64(i*1000 + j)}
		}
		batches[i] = task.Batch{Topic: "ticks", Records: records, Next: int64((i + 1) * 1000)}
	}
	return batches
}

// One record through decoding, filter, key, windows and seven aggregates; with two commits an hour
// of event time.
func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct {
		name string
		spec windows.Spec
	}{{"1size", windows.Minutes(1)}, {"4sizes", windows.Minutes(1, 5, 15, 60)},
		{"sliding", windows.Sliding(time.Minute)}} {
		b.Run(c.name, func(b *testing.B) {
			tk, _ := benchTask(b, sevenPlan(b, c.spec))
			batches := tickBatches(600)
			b.ReportAllocs()
			b.ResetTimer()
			shift := windows.Time(0)
			for i := 0; i < b.N; i += 1000 {
				k := i / 1000 % len(batches)
				if k == 0 && i > 0 {
					shift += 600_000
					shiftBatches(batches, 600_000)
				}
				if err := tk.Process(context.Background(), &batches[k], func() {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// shiftBatches moves event times on, so that batches can be used again.
func shiftBatches(batches []task.Batch, by int64) {
	for i := range batches {
		for j := range batches[i].Records {
			v := batches[i].Records[j].Value[16:]
			binary.BigEndian.PutUint64(v, binary.BigEndian.Uint64(v)+uint64(by))
		}
	}
}
