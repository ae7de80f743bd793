package engine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// patience bounds waits for what comes. A test that passes never waits so long, on a machine that
// stands still for seconds either.
const patience = 3 * time.Minute

type Rate struct {
	Pair string    `ashi:"pair,key" json:"pair"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp"`
}

type Bar struct {
	Pair                   string `ashi:"pair,key"`
	Start                  time.Time
	Open, High, Low, Close float64
	Ticks                  int64
}

// pipeline is the plan that the tests of this package run: bars of 1 and 5 minutes.
type pipeline struct {
	plan  *topology.Plan
	rates *dsl.StreamOf[Rate]
	final *dsl.OutputOf[string, Bar]
}

// Its output topics bear the application's name.
func newPipeline(t testing.TB, app, topic string, peeks ...func(*Rate) error) *pipeline {
	return newPipelineOf(t, app, topic, func(_ *dsl.Builder, seen *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] {
		for _, peek := range peeks {
			seen = seen.Peek(peek)
		}
		return seen
	})
}

// newPipelineOf makes bars of what above makes of the rates.
func newPipelineOf(t testing.TB, app, topic string,
	above func(*dsl.Builder, *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate]) *pipeline {
	b := dsl.New(app)
	rates := dsl.Stream[Rate](b, topic)
	seen := above(b, rates)
	bars := dsl.Aggregate(dsl.GroupByKey[string](seen), windows.Minutes(1, 5), barOf)
	p := &pipeline{rates: rates, final: bars.Final().Named(func(k windows.Kind) string { return app + "-" + k.Name() })}
	bars.Changes().Named(func(k windows.Kind) string { return app + "-" + k.Name() + "-raw" })
	var err error
	p.plan, err = b.Build()
	require.NoError(t, err)
	return p
}

func barOf(g dsl.Group[string, Rate]) Bar {
	bid := func(r *Rate) float64 { return r.Bid }
	return Bar{Pair: g.Key(), Start: g.WindowStart(), Open: aggregates.EarliestByOffset(g, bid),
		High: aggregates.Max(g, bid), Low: aggregates.Min(g, bid), Close: aggregates.LatestByOffset(g, bid),
		Ticks: aggregates.Count(g)}
}

// randomRates is n rates from start on, a few keys, disorder beyond the grace now and then.
func randomRates(r *rand.Rand, start time.Time, n int, step time.Duration) []Rate {
	rates := make([]Rate, n)
	for i := range rates {
		at := start.UTC().Add(time.Duration(i) * step)
		if r.IntN(10) == 0 {
			at = at.Add(-time.Duration(r.Int64N(int64(10 * time.Second))))
		}
		rates[i] = Rate{Pair: fmt.Sprintf("P%02d", r.IntN(12)), Bid: float64(r.IntN(1000)) / 8,
			At: at.Truncate(time.Millisecond)}
	}
	return rates
}

// endRates close every window that rates opened, in each of n partitions. Their own windows stay
// open.
func endRates(rates []Rate, n int32) []Rate {
	last := slices.MaxFunc(rates, func(a, b Rate) int { return a.At.Compare(b.At) }).At
	var end []Rate
	for i, missing := 0, n; missing > 0; i++ {
		pair := fmt.Sprintf("end%d", i)
		if p := murmur.Partition([]byte(pair), n); !slices.ContainsFunc(end,
			func(r Rate) bool { return murmur.Partition([]byte(r.Pair), n) == p }) {
			end = append(end, Rate{Pair: pair, Bid: 1, At: last.Add(20 * time.Minute)})
			missing--
		}
	}
	return end
}

// oracle is the finals of one size, partition by partition in the order in which they must be in
// the topic: a slow program over the rates as they were written.
func oracle(rates []Rate, partitions int32, size time.Duration) [][]Bar {
	const grace = windows.DefaultGrace
	all := make([][]Bar, partitions)
	for p := range partitions {
		open := map[string]*Bar{}
		now := time.Time{}
		for _, r := range rates {
			if murmur.Partition([]byte(r.Pair), partitions) != p {
				continue
			}
			if r.At.After(now) {
				now = r.At
			}
			start := r.At.Truncate(size)
			if !start.Add(size + grace).After(now) {
				continue
			}
			id := fmt.Sprint(r.Pair, start)
			b := open[id]
			if b == nil {
				b = &Bar{Pair: r.Pair, Start: start, Open: r.Bid, High: r.Bid, Low: r.Bid}
				open[id] = b
			}
			b.High, b.Low, b.Close = max(b.High, r.Bid), min(b.Low, r.Bid), r.Bid
			b.Ticks++
		}
		for _, b := range open {
			if !b.Start.Add(size + grace).After(now) {
				all[p] = append(all[p], *b)
			}
		}
		slices.SortFunc(all[p], func(a, b Bar) int {
			return cmp.Or(a.Start.Compare(b.Start),
				cmp.Compare(a.Pair, b.Pair))
		})
	}
	return all
}

// committed is the records of a topic that those who read committed see, partition by partition.
func committed(t testing.TB, cfg kafka.Config, topic string) [][]task.Record {
	t.Helper()
	admin, err := kafka.NewAdmin(cfg)
	require.NoError(t, err)
	defer admin.Close()
	ends := settledEnds(t, admin, topic)
	from := map[int32]int64{}
	for p := range ends {
		from[p] = kafka.Oldest
	}
	all := make([][]task.Record, len(ends))
	require.NoError(t, kafka.Follow(context.Background(), cfg, kafka.FollowConfig{Topic: topic, From: from, Until: ends,
		Apply: func(p int32, records []task.Record, _ int64) error {
			all[p] = append(all[p], records...)
			return nil
		}}))
	return all
}

// settledEnds is where what is committed ends. Brokers write the markers of a transaction after
// they have told its end: it waits for them, and no longer than ten seconds, as a transaction may
// be open for good.
func settledEnds(t testing.TB, admin *kafka.Admin, topic string) map[int32]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		written, err := admin.Ends(context.Background(), topic, false)
		require.NoError(t, err)
		ends, err := admin.Ends(context.Background(), topic, true)
		require.NoError(t, err)
		if maps.Equal(written, ends) {
			return ends
		}
		select {
		case <-ctx.Done():
			return ends
		case <-tick.C:
		}
	}
}

// requireFinals compares the committed finals of one size with the oracle's: the same rows in the
// same order, each once.
func requireFinals(t testing.TB, cfg kafka.Config, p *pipeline, rates []Rate, partitions int32, size time.Duration) {
	t.Helper()
	ref := p.final.Stream(size)
	want := oracle(rates, partitions, size)
	for i, records := range committed(t, cfg, ref.Topic) {
		var got []Bar
		for _, r := range records {
			var b Bar
			require.NoError(t, ref.Decode(r.Key[:len(r.Key)-8], r.Value, &b))
			got = append(got, b)
		}
		require.Equal(t, len(want[i]), len(got), "rows of %s, partition %d", ref.Topic, i)
		for j := range got {
			require.Equal(t, want[i][j], got[j], "row %d of %s, partition %d", j, ref.Topic, i)
		}
	}
}

// write puts rates into the topic in their order, and waits until the broker has them.
func write(t testing.TB, cfg kafka.Config, p *pipeline, rates []Rate) {
	t.Helper()
	producer, err := kafka.NewProducer(context.Background(), cfg, kafka.ProducerConfig{})
	require.NoError(t, err)
	defer func() { require.NoError(t, producer.Close()) }()
	ref := p.rates.StreamRef()
	for i := range rates {
		key, err := ref.Key(nil, &rates[i])
		require.NoError(t, err)
		value, err := ref.Encode(nil, &rates[i])
		require.NoError(t, err)
		producer.Produce(context.Background(), &task.Output{Topic: ref.Topic, Partition: task.OnKey, Key: key,
			Value: value, Timestamp: windows.At(rates[i].At)})
	}
	require.NoError(t, producer.Commit(context.Background()))
}

// running is an engine at work.
type running struct {
	*engine.Engine
	cancel context.CancelFunc
	done   chan error
}

func start(t testing.TB, plan *topology.Plan, cfg engine.Config) *running {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	e, err := engine.New(plan, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Engine: e, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- e.Run(ctx) }()
	return r
}

// stop ends the engine and returns what Run returned.
func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

// awaitRows returns when the finals of the largest size are all in the table of e, which is when
// all others are written too.
func awaitRows(t testing.TB, e *engine.Engine, p *pipeline, rates []Rate, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, e.WaitReady(ctx))
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		want := 0
		for _, bars := range oracle(rates, partitions, size) {
			want += len(bars)
		}
		table, err := engine.Table(e, p.final.Size(size))
		require.NoError(t, err)
		tick := time.NewTicker(20 * time.Millisecond)
		for got := -1; got < want; {
			select {
			case <-ctx.Done():
				t.Fatalf("%d rows of %v in the table after %v, want %d", got, size, patience, want)
			case <-tick.C:
			}
			rows, err := table.ToList(ctx)
			if errors.Is(err, engine.ErrNotReady) {
				continue // a broker that is stopped, or slow under the race detector, takes readiness away
			}
			require.NoError(t, err)
			got = len(rows)
		}
		tick.Stop()
	}
}
