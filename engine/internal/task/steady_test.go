package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// summary has a result of every aggregate whose state has a fixed size: all that keep numbers,
// times and bools. Not among them are those of strings and decimals, and those that keep a set, a
// list or a sketch (CountDistinct, Collect, TopK, the forms of N values, Histogram, Attr, Quantile,
// SumDecimal, Custom): their states grow with the values that they see.
type summary struct {
	Pair                                                       string `ashi:"pair,key"`
	Count, CountOf, Whole                                      int64
	Sum, SumMaybe, Avg                                         float64
	SumList                                                    int64
	Single                                                     float32
	Natural                                                    uint64
	Small                                                      int32
	Number                                                     int
	Rising                                                     bool
	Min, Max                                                   float64
	Oldest, Newest                                             time.Time
	Earliest, Latest, First, Last                              float64
	TimeOfMin, TimeOfMax                                       time.Time
	VarianceSample, VarianceAll, DeviationSample, DeviationAll float64
	Weighted, Correlation                                      float64
	EarliestNull, LatestNull                                   *float64 // never nil: see pointers
}

// pointers is how many results of a summary are pointers. What they point to is the reader's to
// keep, so it is allocated for each row.
const pointers = 2

func summarise(g dsl.Group[string, tick]) summary {
	bid := func(r *tick) float64 { return r.Bid }
	ask := func(r *tick) float64 { return r.Ask }
	at := func(r *tick) time.Time { return r.At }
	nullable := func(r *tick) *float64 { return &r.Bid }
	natural := func(r *tick) uint64 { return uint64(r.At.UnixMilli()) }
	small := func(r *tick) int32 { return int32(r.At.Second()) }
	return summary{Pair: g.Key(),
		Count: aggregates.Count(g), CountOf: aggregates.CountOf(g, maybeBid),
		Whole: aggregates.Sum(g, func(r *tick) int64 { return int64(r.Bid * 16) }), Sum: aggregates.Sum(g, bid),
		SumMaybe: aggregates.Avg(g, maybeBid), Avg: aggregates.Avg(g, bid), SumList: aggregates.SumList(g,
			func(*tick) []int64 { return steps }),
		Single: aggregates.Max(g, func(r *tick) float32 { return float32(r.Bid) }), Natural: aggregates.Max(g, natural),
		Small: aggregates.Max(g, small), Number: aggregates.Max(g, func(r *tick) int { return int(r.Bid * 1000) }),
		Rising: aggregates.LatestByOffset(g, func(r *tick) bool { return r.Bid > 1.5 }),
		Min:    aggregates.Min(g, bid), Max: aggregates.Max(g, bid), Oldest: aggregates.Min(g, at),
		Newest: aggregates.Max(g, at), Earliest: aggregates.EarliestByOffset(g, bid),
		Latest: aggregates.LatestByOffset(g, bid), First: aggregates.FirstByTime(g, bid), Last: aggregates.LastByTime(g,
			bid),
		TimeOfMin: aggregates.TimeOfMin(g, bid), TimeOfMax: aggregates.TimeOfMax(g, bid),
		VarianceSample: aggregates.VarianceSample(g, bid), VarianceAll: aggregates.VariancePopulation(g, bid),
		DeviationSample: aggregates.StdDevSample(g, bid), DeviationAll: aggregates.StdDevPopulation(g, bid),
		Weighted: aggregates.WeightedMean(g, bid, ask), Correlation: aggregates.Correlation(g, bid, ask),
		EarliestNull: aggregates.EarliestByOffsetWithNulls(g, nullable),
		LatestNull:   aggregates.LatestByOffsetWithNulls(g, nullable)}
}

var steps = []int64{1, 2, 3}

// maybeBid is null for some ticks.
func maybeBid(r *tick) *float64 {
	if r.Bid > 1.9 {
		return nil
	}
	return &r.Bid
}

// steady is a stream that goes on for ever in the same way: 1,000 keys with a record each in a
// batch, and a commit every 20 batches.
type steady struct {
	name    string
	spec    windows.Spec
	step    time.Duration // of event time between two batches
	pause   time.Duration // after commitEvery batches
	changes bool          // put out, beside finals
	warm    int           // batches until all memory that is used again is there
}

const commitEvery = 20

func steadyStreams(t testing.TB) []steady {
	newYork, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	return []steady{
		{name: "tumbling", spec: windows.Minutes(1), step: time.Second, warm: 300},
		{name: "hopping_sliced", spec: windows.Hopping(time.Hour, time.Minute), step: 6 * time.Second, warm: 2000},
		{name: "hopping_merged", spec: windows.Hopping(5*time.Minute, time.Minute), step: 6 * time.Second, warm: 300},
		{name: "hopping_changes", spec: windows.Hopping(5*time.Minute, time.Minute), step: 6 * time.Second,
			changes: true, warm: 300},
		{name: "calendar", spec: windows.Days(newYork, 17*time.Hour), step: 10 * time.Minute, warm: 600},
		{name: "unbounded", spec: windows.Unbounded(), step: time.Second, changes: true, warm: 100},
		{name: "sliding", spec: windows.Sliding(10 * time.Second), step: time.Second, warm: 60},
		{name: "session", spec: windows.Session(30 * time.Second), step: time.Second, pause: time.Minute, warm: 300},
		{name: "session_changes", spec: windows.Session(30 * time.Second), step: time.Second, pause: time.Minute,
			changes: true, warm: 300},
	}
}

func (s *steady) plan(t testing.TB) *topology.Plan {
	b := dsl.New("steady")
	ticks := dsl.Stream[tick](b, "ticks").Codec(codecs.Fixed[tick]())
	rows := dsl.Aggregate(dsl.GroupByKey[string](ticks), s.spec, summarise).Codec(codecs.Fixed[summary]())
	if s.changes {
		rows.Changes()
	}
	if s.name != "unbounded" {
		rows.Final()
	}
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

// steadyFeed processes a steady stream.
type steadyFeed struct {
	t       testing.TB
	task    *task.Task
	out     *discard
	batches []task.Batch // used again and again, later each time
	span    int64        // ms that they cover
	next    int
}

func (s *steady) open(t testing.TB, plan *topology.Plan) *steadyFeed {
	f := &steadyFeed{t: t, batches: tickBatches(10 * commitEvery)}
	f.task, f.out = benchTask(t, plan)
	for i := range f.batches {
		at := int64(i)*s.step.Milliseconds() + int64(i/commitEvery)*s.pause.Milliseconds() - int64(i)*1000
		shiftBatches(f.batches[i:i+1], at)
	}
	n := int64(len(f.batches))
	f.span = n*s.step.Milliseconds() + n/commitEvery*s.pause.Milliseconds()
	f.process(s.warm)
	return f
}

// process feeds n batches of 1,000 records.
func (f *steadyFeed) process(n int) {
	for range n {
		if f.next == len(f.batches) {
			f.next = 0
			shiftBatches(f.batches, f.span)
		}
		err := f.task.Process(f.t.Context(), &f.batches[f.next], func() {})
		if f.next++; err == nil && f.next%commitEvery == 0 {
			err = f.task.Commit(f.t.Context())
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// One record of a steady stream, with all that it leads to: commits, and windows that close.
func BenchmarkSteady(b *testing.B) {
	for _, s := range steadyStreams(b) {
		b.Run(s.name, func(b *testing.B) { s.bench(b, s.plan(b)) })
	}
}

func (s *steady) bench(b *testing.B, plan *topology.Plan) {
	f := s.open(b, plan)
	before := *f.out
	b.ReportAllocs()
	b.ResetTimer()
	f.process((b.N + 999) / 1000)
	b.StopTimer()
	b.ReportMetric(float64(f.out.results-before.results)/float64(b.N), "rows/op")
	b.ReportMetric(float64(f.out.outputs-before.outputs)/float64(b.N), "outputs/op")
}

// The same stream, 10 records a minute and key, and seven aggregates, in tumbling windows of a
// minute and in hopping ones of 60 by 1: both put out a row a minute and key, so the difference is
// what hopping costs.
func BenchmarkHopping(b *testing.B) {
	for _, s := range []steady{
		{name: "tumbling", spec: windows.Minutes(1), step: 6 * time.Second, warm: 2000},
		{name: "60_by_1", spec: windows.Hopping(time.Hour, time.Minute), step: 6 * time.Second, warm: 2000},
	} {
		b.Run(s.name, func(b *testing.B) { s.bench(b, sevenPlan(b, s.spec)) })
	}
}

// No kind of windows allocates for a record, nor for a row that is put out or logged; only for what
// the row's own pointers point to.
func TestSteadyAllocations(t *testing.T) {
	const runs = 150 // batches
	for _, s := range steadyStreams(t) {
		t.Run(s.name, func(t *testing.T) {
			f := s.open(t, s.plan(t))
			rows := 0
			allocs := testing.AllocsPerRun(1, func() {
				before := f.out.results
				f.process(runs)
				rows = f.out.results - before
			})
			require.Positive(t, rows, "rows put out")
			require.Less(t, (allocs-float64(pointers*rows))/float64(runs*1000+rows), 0.01,
				"allocations per record or row, %d rows", rows)
		})
	}
}
