package aggregates_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
)

// What plans need of states: nothing but adding, merging, undoing.
var plain, merges, undoes = aggregates.Needs{}, aggregates.Needs{Merge: true}, aggregates.Needs{Undo: true}

// table is a program on rows, with which states are built by hand.
type table[R any] struct {
	t       testing.TB
	project func(rows) R
	program *aggregates.Program[quote]
	cells   []aggregates.Cell
}

func over[R any](t testing.TB, needs aggregates.Needs, project func(rows) R) table[R] {
	t.Helper()
	p, err := aggregates.Record(func(r *aggregates.Recorder[quote]) { project(group{r}) }, needs)
	require.NoError(t, err)
	return table[R]{t, project, p, make([]aggregates.Cell, p.Cells())}
}

func (b table[R]) add(s aggregates.State, q quote, at aggregates.At) error {
	b.t.Helper()
	require.NoError(b.t, b.program.Eval(b.cells, &q))
	return b.program.Add(s, b.cells, at)
}

func (b table[R]) undo(s aggregates.State, q quote) {
	b.t.Helper()
	require.NoError(b.t, b.program.Eval(b.cells, &q))
	require.NoError(b.t, b.program.Undo(s, b.cells, aggregates.At{}))
}

// of is a state of rows; the time and sequence number of each is its place, from from on.
func (b table[R]) of(from int64, qs ...quote) aggregates.State {
	b.t.Helper()
	s := aggregates.NewState(b.program)
	for i, q := range qs {
		require.NoError(b.t, b.add(s, q, aggregates.At{Time: from + int64(i), Seq: from + int64(i)}))
	}
	return s
}

func (b table[R]) merged(states ...aggregates.State) aggregates.State {
	b.t.Helper()
	s := aggregates.NewState(b.program)
	for _, src := range states {
		require.NoError(b.t, b.program.Merge(s, src))
	}
	return s
}

func (b table[R]) result(s aggregates.State) R {
	b.t.Helper()
	r := aggregates.NewReader(b.program)
	r.Reset(s)
	out := b.project(group{r})
	require.NoError(b.t, r.Done())
	return out
}

func floats(vs ...float64) (qs []quote) {
	for _, v := range vs {
		qs = append(qs, quote{f: v})
	}
	return qs
}

// nullable is rows whose pf and ps are null for a NaN.
func nullable(vs ...float64) (qs []quote) {
	for _, v := range vs {
		var q quote
		if v == v {
			text := fmt.Sprint(v)
			q.pf, q.ps = &v, &text
		}
		qs = append(qs, q)
	}
	return qs
}

var null = math.NaN()

func TestResultsOfKsqlDB(t *testing.T) {
	correlation := func(g rows) float64 { return aggregates.Correlation(g, f, n) }
	for _, c := range []struct {
		rule string
		got  any
		want any
	}{
		{"[U10] variance", over(t, plain, func(g rows) float64 { return aggregates.VarianceSample(g, f) }), 2.5},
		{"STDDEV_SAMPLE", over(t, plain, func(g rows) float64 { return aggregates.StdDevSample(g, f) }),
			math.Sqrt(2.5)},
		{"population", over(t, plain, func(g rows) float64 { return aggregates.VariancePopulation(g, f) }), 2.0},
		{"population's root", over(t, plain, func(g rows) float64 { return aggregates.StdDevPopulation(g, f) }),
			math.Sqrt(2)},
		{"[U14]", over(t, plain, func(g rows) []float64 { return aggregates.TopK(g, 3, f) }), []float64{5, 4, 3}},
		{"[U32]", over(t, plain, func(g rows) []float64 { return aggregates.LatestByOffsetN(g, 2, f) }),
			[]float64{4, 5}},
		{"[U35]", over(t, plain, func(g rows) []float64 { return aggregates.EarliestByOffsetN(g, 2, f) }),
			[]float64{1, 2}},
		{"[U16]", over(t, plain, func(g rows) []float64 { return aggregates.CollectList(g, 3, f) }),
			[]float64{1, 2, 3}},
		{"median", over(t, plain, func(g rows) bool {
			q := aggregates.Quantile(g, 0.5, f)
			return q > 2.96 &&
				q < 3.04
		}), true},
	} {
		switch b := c.got.(type) {
		case table[float64]:
			require.InDelta(t, c.want, b.result(b.of(0, floats(1, 2, 3, 4, 5)...)), 1e-12, c.rule)
			require.Zero(t, b.result(aggregates.NewState(b.program)), "%s: of nothing", c.rule)
		case table[[]float64]:
			require.Equal(t, c.want, b.result(b.of(0, floats(1, 2, 3, 4, 5)...)), c.rule)
			require.Equal(t, []float64{}, b.result(aggregates.NewState(b.program)), "%s: of nothing, empty and not nil",
				c.rule)
		case table[bool]:
			require.Equal(t, c.want, b.result(b.of(0, floats(1, 2, 3, 4, 5)...)), c.rule)
		}
	}
	b := over(t, plain, correlation)
	require.True(t, math.IsNaN(b.result(b.of(0, quote{f: 1, n: 1}))), "[U13] one row")
	require.True(t, math.IsNaN(b.result(b.of(0, quote{f: 1, n: 1}, quote{f: 1, n: 2}))), "[U13] a constant column")
	require.Equal(t, -1.0, b.result(b.of(0, quote{f: 1, n: -1}, quote{f: 2, n: -2}, quote{f: 3, n: -3})))
	w := over(t, plain, func(g rows) float64 { return aggregates.WeightedMean(g, f, n) })
	require.Equal(t, 1.75, w.result(w.of(0, quote{f: 1, n: 1}, quote{f: 2, n: 3})))
	require.Zero(t, w.result(w.of(0, quote{f: 1, n: 1}, quote{f: 2, n: -1})), "weights that add up to nothing")
}

func TestNulls(t *testing.T) {
	qs := nullable(null, 2, 1, 2, null)
	b := over(t, plain, func(g rows) string {
		return show(aggregates.CountOf(g, pf), aggregates.EarliestByOffset(g, pf),
			aggregates.EarliestByOffsetWithNulls(g, pf), aggregates.LatestByOffset(g, pf),
			aggregates.LatestByOffsetWithNulls(g, pf), aggregates.Attr(g, pf), aggregates.CountDistinct(g, pf),
			aggregates.CountDistinctApprox(g, pf), aggregates.Histogram(g, ps)) +
			each(aggregates.EarliestByOffsetN(g, 2, pf)) + each(aggregates.EarliestByOffsetNWithNulls(g, 2, pf)) +
			each(aggregates.LatestByOffsetNWithNulls(g, 2, pf)) + each(aggregates.CollectList(g, 9, pf)) +
			each(aggregates.CollectSet(g, 9, pf)) + each(aggregates.TopK(g, 2, pf)) + each(aggregates.TopKDistinct(g, 2,
			pf))
	})
	require.Equal(t, "3|2|nil|2|nil|nil|2|2|map[1:1 2:2 null:2]|"+"[2|1|]"+"[nil|2|]"+"[2|nil|]"+"[nil|2|1|2|nil|]"+
		"[nil|2|1|]"+"[2|2|]"+"[2|1|]", b.result(b.of(0, qs...)))
}

func TestAttrIsTheOneValue(t *testing.T) {
	b := over(t, undoes, func(g rows) *float64 { return aggregates.Attr(g, pf) })
	s := b.of(0, nullable(1, 1)...)
	require.Equal(t, 1.0, *b.result(s))
	require.NoError(t, b.add(s, nullable(2)[0], aggregates.At{}))
	require.Nil(t, b.result(s), "two values")
	b.undo(s, nullable(1)[0])
	b.undo(s, nullable(1)[0])
	require.Equal(t, 2.0, *b.result(s), "the other was undone")
	b.undo(s, nullable(7)[0])
	require.Equal(t, 2.0, *b.result(s), "undo of what was never there")
}

// ksqlDB merges [1,2,3] and [4,5,6] to the oldest three, and gets [2,3,7] with the next row [U33].
func TestLatestOfMergedSessions(t *testing.T) {
	b := over(t, merges, func(g rows) []float64 { return aggregates.LatestByOffsetN(g, 3, f) })
	one, two := b.of(1, floats(1, 2, 3)...), b.of(4, floats(4, 5, 6)...)
	for _, s := range []aggregates.State{b.merged(one, two), b.merged(two, one)} {
		require.Equal(t, []float64{4, 5, 6}, b.result(s))
		require.NoError(t, b.add(s, quote{f: 7}, aggregates.At{Seq: 7}))
		require.Equal(t, []float64{5, 6, 7}, b.result(s))
	}
}

// What is earliest goes by sequence numbers also when they are older than a restart [U31], and
// times do not matter to it.
func TestOrderOfProcessingAndOfTime(t *testing.T) {
	b := over(t, merges, func(g rows) []float64 {
		return asFloats(aggregates.EarliestByOffset(g, f), aggregates.LatestByOffset(g, f),
			aggregates.FirstByTime(g, f), aggregates.LastByTime(g, f))
	})
	a, c := aggregates.NewState(b.program), aggregates.NewState(b.program)
	require.NoError(t, b.add(a, quote{f: 1}, aggregates.At{Time: 50, Seq: 10}))
	require.NoError(t, b.add(c, quote{f: 2}, aggregates.At{Time: 20, Seq: 11}))
	require.NoError(t, b.add(a, quote{f: 3}, aggregates.At{Time: 20, Seq: 12}))
	require.NoError(t, b.add(c, quote{f: 4}, aggregates.At{Time: 50, Seq: 13}))
	require.Equal(t, asFloats(1, 4, 2, 4), b.result(b.merged(a, c)))
	require.Equal(t, asFloats(1, 4, 2, 4), b.result(b.merged(c, a)))
}

func TestTimesOfHighAndLow(t *testing.T) {
	b := over(t, merges, func(g rows) [2]time.Time {
		return [...]time.Time{aggregates.TimeOfMax(g, f), aggregates.TimeOfMin(g, f)}
	})
	require.Equal(t, [2]time.Time{}, b.result(aggregates.NewState(b.program)))
	s := b.of(1000, floats(5, 9, 5, 9, 5)...)
	require.NoError(t, b.add(s, quote{f: 5}, aggregates.At{Time: 999, Seq: 2000}))
	require.Equal(t, [...]time.Time{time.UnixMilli(1001).UTC(), time.UnixMilli(999).UTC()}, b.result(s),
		"the earliest of equal ones, in time")
}

func TestLimits(t *testing.T) {
	b := over(t, undoes, func(g rows) map[string]int64 { return aggregates.Histogram(g, s) })
	s := aggregates.NewState(b.program)
	for i := range 1100 {
		require.NoError(t, b.add(s, quote{s: fmt.Sprint(i)}, aggregates.At{}))
	}
	require.NoError(t, b.add(s, quote{s: "7"}, aggregates.At{}))
	h := b.result(s)
	require.Len(t, h, 1000, "[U18]")
	require.Equal(t, int64(2), h["7"], "known keys still count")
	b.undo(s, quote{s: "1050"})
	b.undo(s, quote{s: "7"})
	b.undo(s, quote{s: "8"})
	require.Equal(t, int64(1), b.result(s)["7"])
	require.NotContains(t, b.result(s), "8")

	l := over(t, merges, func(g rows) string {
		return each(aggregates.CollectList(g, 3, f)) + each(aggregates.CollectSet(g, 2, f))
	})
	late, early := l.of(10, floats(4, 5, 6, 7)...), l.of(1, floats(1, 1)...)
	require.Equal(t, "[1|1|4|][1|4|]", l.result(l.merged(late, early)),
		"the first by processing, whatever the order of merging")
}

// What is cut off must not stay in memory: lists of the latest are bounded, as rows of quiet
// windows live long.
func TestLatestIsBounded(t *testing.T) {
	b := over(t, plain, func(g rows) []string { return aggregates.LatestByOffsetN(g, 10, s) })
	state := aggregates.NewState(b.program)
	for range 10_000 {
		require.NoError(t, b.add(state, quote{s: "a text of thirty-two characters!"}, aggregates.At{}))
	}
	require.Len(t, b.result(state), 10)
	require.Less(t, state.Bytes(), 5_000)
}

func TestTopKByKeepsTheEarlierOfEqualOnes(t *testing.T) {
	b := over(t, merges, func(g rows) []aggregates.Ranked[float64, int32] { return aggregates.TopKBy(g, 2, f, n) })
	one, two := b.of(1, quote{f: 5, n: 1}, quote{f: 3, n: 2}), b.of(3, quote{f: 5, n: 3}, quote{f: 5, n: 4})
	want := []aggregates.Ranked[float64, int32]{{By: 5, Value: 1}, {By: 5, Value: 3}}
	require.Equal(t, want, b.result(b.merged(two, one)))
	require.Equal(t, want, b.result(b.merged(one, two)))
}

func TestSketchesAreCloseEnough(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	b := over(t, merges, func(g rows) []float64 {
		return append(aggregates.Quantiles(g, asFloats(0.01, 0.5, 0.99), f),
			float64(aggregates.CountDistinctApprox(g, f)))
	})
	s := aggregates.NewState(b.program)
	const many = 100_000
	for _, i := range r.Perm(many) {
		require.NoError(t, b.add(s, quote{f: float64(i + 1)}, aggregates.At{}))
	}
	got := b.result(s)
	for i, want := range asFloats(0.01*many, 0.5*many, 0.99*many) {
		require.InEpsilon(t, want, got[i], 0.0101)
	}
	require.InEpsilon(t, many, got[3], 0.04, "five standard errors")
	stored, err := b.program.Append(nil, s)
	require.NoError(t, err)
	require.Less(t, len(stored), 20_000)
	require.Less(t, s.Bytes(), 60_000)
}

func TestSumDecimalRefusesOverflow(t *testing.T) {
	b := over(t, undoes, func(g rows) string {
		return show(aggregates.Count(g), aggregates.SumDecimal(g, 5, 2, d), aggregates.Sum(g, f),
			aggregates.CollectList(g, 9, s))
	})
	row := func(coefficient int64, exponent int32) quote {
		return quote{d: *apd.New(coefficient, exponent), f: 1, s: fmt.Sprint(coefficient)}
	}
	state := b.of(0, row(99000, -2), row(1005, -3))
	require.Equal(t, "2|991.01|2|[99000 1005]|", b.result(state), "rounded half up to the scale")
	require.ErrorIs(t, b.add(state, row(900, -2), aggregates.At{}), aggregates.ErrOverflow, "1000.01 has six digits")
	require.Equal(t, "2|991.01|2|[99000 1005]|", b.result(state), "nothing counts a row that is refused")
	require.NoError(t, b.add(state, row(898, -2), aggregates.At{}))
	b.undo(state, row(-1, 0))
	require.Equal(t, "2|1000.99|2|[99000 1005 898]|", b.result(state), "undo does not look at the bound")
	require.ErrorIs(t, b.add(state, row(1, 200), aggregates.At{}), aggregates.ErrOverflow)
}

func TestWrongCalls(t *testing.T) {
	for want, project := range map[string]func(rows){
		"EarliestByOffsetN: 0 values, want at least 1": func(g rows) {
			aggregates.EarliestByOffsetN(g, 0,
				f)
		},
		"LatestByOffsetN: -1 values, want at least 1": func(g rows) {
			aggregates.LatestByOffsetN(g,
				aggregates.Unlimited, f)
		},
		"CollectList: -2 values, want at least 1": func(g rows) { aggregates.CollectList(g, -2, f) },
		"CollectSet: limit of 0, want at least 1": func(g rows) { aggregates.CollectSet(g, 0, f) },
		"TopK: 0 values, want at least 1":         func(g rows) { aggregates.TopK(g, 0, f) },
		"Quantile: 1.5 is not from 0 to 1":        func(g rows) { aggregates.Quantile(g, 1.5, f) },
		"Quantiles: NaN is not from 0 to 1": func(g rows) {
			aggregates.Quantiles(g,
				asFloats(math.NaN()), f)
		},
		"SumDecimal: DECIMAL(39, 2): want a precision of 1 to 38": func(g rows) { aggregates.SumDecimal(g, 39, 2, d) },
		`Custom "moody": no Merge, which windows of this kind`: func(
			g rows) {
			m := moody
			m.Merge = nil
			aggregates.Custom(g, m, n)
		},
		`Custom "": no Name`: func(g rows) { m := moody; m.Name = ""; aggregates.Custom(g, m, n) },
		`Custom "moody": Add, Encode, Decode and Result are`: func(
			g rows) {
			m := moody
			m.Decode = nil
			aggregates.Custom(g, m, n)
		},
	} {
		_, err := aggregates.Record(func(r *aggregates.Recorder[quote]) { project(group{r}) }, merges)
		require.ErrorContains(t, err, want)
	}
	swapped := over(t, plain, func(g rows) []float64 { return aggregates.EarliestByOffsetN(g, 2, f) })
	r := aggregates.NewReader(swapped.program)
	r.Reset(aggregates.NewState(swapped.program))
	aggregates.LatestByOffsetN(group{r}, 2, f)
	require.ErrorIs(t, r.Done(), aggregates.ErrUnstable)
	require.Panics(t, func() { _ = swapped.program.Merge(swapped.of(0), swapped.of(0)) }, "not recorded for merging")
}
