package aggregates_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
)

// apart adds rows to several states and merges these in any order.
func (l *lab) apart(r *rand.Rand, rows []reading) *held {
	l.t.Helper()
	parts := make([]*held, 1+r.IntN(4))
	for i := range parts {
		parts[i] = l.empty()
	}
	for _, row := range rows {
		l.add(parts[r.IntN(len(parts))], row)
	}
	all := l.empty()
	for _, i := range r.Perm(len(parts)) {
		l.merge(all, parts[i])
		l.reload(all)
	}
	return all
}

// A line is a line wherever it is: near 0 or so far off that only the last bits change, and at any
// scale that floats have.
func TestCorrelationOfALineIsOne(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	l := newLab(t, merges)
	for _, offset := range []float64{0, 1, -98_000, 1e8, 1e11, 1_764_547_200_000, -1e15, 1 << 52} {
		for _, scale := range []float64{1, -1, 0x1p-1074, -0x1p-1020, 0x1p-300, 0x1p450, -0x1p900, 0x1p960} {
			for _, n := range []int{2, 3, 60, 1000} {
				var rows []reading
				for _, i := range r.Perm(n) {
					rows = append(rows, reading{x: (offset + float64(i)) * scale, y: 1 - float64(i)/1024,
						n: int64(offset) + int64(i), u: math.MaxUint64 - 3*uint64(i)})
				}
				want := math.Copysign(1, -scale)
				for _, h := range []*held{l.add(l.empty(), rows...), l.apart(r, rows)} {
					got := l.results(h)
					require.InDelta(t, want, got.Correlation, 1e-13, "%d rows, offset %v, scale %v", n, offset, scale)
					require.InDelta(t, -1, got.CorrelationInts, 1e-13, "%d rows, offset %v", n, offset)
					require.InEpsilon(t, float64(n)*float64(n+1)/12, got.VarianceInt, 1e-12, "%d rows, offset %v", n,
						offset)
				}
			}
		}
	}
}

// A price that rises by the same step each second, and prices beside each other: neither is a
// straight line in floats to the last bit.
func TestCorrelationOfPrices(t *testing.T) {
	l := newLab(t, plain)
	h, book := l.empty(), l.empty()
	for i := range 60 {
		l.add(h, reading{x: float64(1764547200000 + 1000*i), y: 1.1 + 0.00001*float64(i), n: 1764547200000000000 +
			1e9*int64(i), u: uint64(i)})
		bid := 98000.1 + 0.1*float64(i%7)
		l.add(book, reading{x: bid, y: -bid})
	}
	require.InDelta(t, 1, l.results(h).Correlation, 1e-10)
	require.InDelta(t, 1, l.results(h).CorrelationInts, 1e-13)
	require.InDelta(t, -1, l.results(book).Correlation, 1e-13)
}

func TestConstantColumnHasNoCorrelation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, needs := range []aggregates.Needs{merges, {Merge: true, Undo: true}} {
		l := newLab(t, needs)
		for _, constant := range []float64{0, 0.1, -1.0 / 3, 98000.1, 1e15 + 0.3, 1e300, math.MaxFloat64,
			math.SmallestNonzeroFloat64} {
			var rows []reading
			for range 20 {
				rows = append(rows, reading{x: constant, y: r.NormFloat64(), n: math.MinInt64, u: r.Uint64()})
			}
			got := l.results(l.apart(r, rows))
			require.True(t, math.IsNaN(got.Correlation), "%v: %v", constant, got.Correlation)
			require.True(t, math.IsNaN(got.CorrelationInts))
			require.Zero(t, got.Variance)
			require.Zero(t, got.StdDev)
			require.Zero(t, got.VarianceInt)
		}
	}
}

// Random columns of any offset, spread and scale, alone and mixed: moments are right to twelve
// digits, and means of integers to the last.
func TestMomentsAreRight(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	l := newLab(t, merges)
	for range 300 {
		column := func() func() float64 {
			offset, spread := math.Ldexp(r.NormFloat64(), r.IntN(1900)-1000), math.Ldexp(1, -r.IntN(60))
			mixed := r.IntN(3) == 0
			return func() float64 {
				if mixed {
					return math.Ldexp(r.NormFloat64(), r.IntN(2000)-1000)
				}
				return offset * (1 + spread*r.NormFloat64())
			}
		}
		x, y, by := column(), column(), r.IntN(63)
		var rows []reading
		for range r.IntN(40) {
			rows = append(rows, reading{x: x(), y: y(), n: int64(r.Uint64()) >> by, u: r.Uint64() >> by})
		}
		want, h := exactly(rows), l.add(l.empty(), rows...)
		if r.IntN(2) == 0 {
			h = l.apart(r, rows)
		}
		got := l.results(h)
		requireWithin(t, 1e-12, want.Correlation, got.Correlation, "correlation of %v", rows)
		requireWithin(t, 1e-12, want.CorrelationInts, got.CorrelationInts, "correlation of integers of %v", rows)
		requireClose(t, want.Variance, got.Variance, "variance of %v", rows)
		requireClose(t, want.Population, got.Population, "population variance of %v", rows)
		requireClose(t, want.StdDev, got.StdDev, "standard deviation of %v", rows)
		requireClose(t, want.VarianceInt, got.VarianceInt, "variance of integers of %v", rows)
		require.Equal(t, near(want.AvgInt, got.AvgInt), got.AvgInt, "mean of integers of %v", rows)
		require.Equal(t, near(want.AvgUint, got.AvgUint), got.AvgUint, "mean of unsigned integers of %v", rows)
	}
}

// requireClose is within 1e-12 of want.
func requireClose(t *testing.T, want, got float64, format string, args ...any) {
	t.Helper()
	requireWithin(t, 1e-12*math.Max(math.Abs(want), 1e-300), want, got, format, args...)
}

func requireWithin(t *testing.T, by, want, got float64, format string, args ...any) {
	t.Helper()
	if want != got && !(math.IsNaN(want) && math.IsNaN(got)) && !(math.Abs(want-got) <= by) {
		require.Failf(t, "too far off", "%v, want %v: "+format, append([]any{got, want}, args...)...)
	}
}

// Whatever bits the columns have, a correlation is from -1 to 1, or none.
func TestCorrelationIsWithinOne(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	l := newLab(t, merges)
	for range 2000 {
		var rows []reading
		for range 2 + r.IntN(6) {
			x := math.Float64frombits(r.Uint64())
			rows = append(rows, reading{x: x, y: x * float64(r.IntN(3)), n: int64(r.Uint64()), u: r.Uint64()})
		}
		got := l.results(l.apart(r, rows))
		for _, c := range []float64{got.Correlation, got.CorrelationInts} {
			require.False(t, c > 1 || c < -1, "%v of %v", c, rows)
		}
	}
}

// Sums of nanoseconds since 1970 and of durations are beyond 64 bits after a few rows: of either
// sign, and of the largest numbers.
func TestMeansOfIntegersDoNotWrap(t *testing.T) {
	type event struct {
		at   int64
		took time.Duration
		u    uint64
		n    *int64
	}
	const instant, long = int64(1764547200000000000), time.Duration(math.MinInt64)
	rows := func(g aggregates.Rows[event]) [4]float64 {
		return [...]float64{aggregates.Avg(g, func(e *event) int64 { return e.at }),
			aggregates.Avg(g, func(e *event) time.Duration { return e.took }),
			aggregates.Avg(g, func(e *event) uint64 { return e.u }),
			aggregates.Avg(g, func(e *event) *int64 { return e.n })}
	}
	for _, needs := range []aggregates.Needs{plain, merges, undoes, {Merge: true, Undo: true}} {
		p, err := aggregates.Record(func(r *aggregates.Recorder[event]) { rows(groupOf[event]{r}) }, needs)
		require.NoError(t, err)
		s, cells, at := aggregates.NewState(p), make([]aggregates.Cell, p.Cells()), instant
		for range 1000 {
			require.NoError(t, p.Eval(cells, &event{at, long, math.MaxUint64, &at}))
			require.NoError(t, p.Add(s, cells, aggregates.At{}))
		}
		n := int64(1000)
		if needs.Merge {
			other := aggregates.NewState(p)
			require.NoError(t, p.Merge(other, s))
			require.NoError(t, p.Merge(s, other))
			n *= 2
		}
		if needs.Undo {
			for ; n > 7; n-- {
				require.NoError(t, p.Undo(s, cells, aggregates.At{}))
			}
		}
		r := aggregates.NewReader(p)
		r.Reset(s)
		require.Equal(t, [...]float64{float64(instant), float64(long), math.MaxUint64, float64(instant)},
			rows(groupOf[event]{r}), "%+v", needs)
	}
}
