package aggregates_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
)

// reading is a row of numbers.
type reading struct {
	x, y float64
	n    int64
	u    uint64
	d    apd.Decimal
}

func rx(r *reading) float64     { return r.x }
func ry(r *reading) float64     { return r.y }
func rn(r *reading) int64       { return r.n }
func ru(r *reading) uint64      { return r.u }
func rd(r *reading) apd.Decimal { return r.d }

// groupOf is a group of any rows.
type groupOf[T any] struct{ r *aggregates.Recorder[T] }

func (g groupOf[T]) Recorder() *aggregates.Recorder[T] { return g.r }

// numbers are the results of all that sums floats or decimals, or makes a float of integers.
type numbers struct {
	Sum, Avg, Variance, Population, StdDev, AvgInt, AvgUint, AvgDecimal float64
	Correlation, CorrelationInts, Weighted, WeightedInts                float64
	VarianceInt                                                         float64
	SumDecimal                                                          string
}

func project(g aggregates.Rows[reading]) (n numbers) {
	n.Sum, n.Avg = aggregates.Sum(g, rx), aggregates.Avg(g, rx)
	n.Variance, n.StdDev = aggregates.VarianceSample(g, rx), aggregates.StdDevSample(g, rx)
	n.Population = aggregates.VariancePopulation(g, ry)
	n.AvgInt, n.AvgUint, n.AvgDecimal = aggregates.Avg(g, rn), aggregates.Avg(g, ru), aggregates.Avg(g, rd)
	n.Correlation, n.CorrelationInts = aggregates.Correlation(g, rx, ry), aggregates.Correlation(g, rn, ru)
	n.Weighted, n.WeightedInts = aggregates.WeightedMean(g, rx, ry), aggregates.WeightedMean(g, rn, ru)
	n.VarianceInt = aggregates.VarianceSample(g, rn)
	sum := aggregates.Sum(g, rd)
	n.SumDecimal = sum.String()
	return n
}

// held is a state with the rows that are in it.
type held struct {
	state aggregates.State
	rows  []reading
}

// lab is a program over readings.
type lab struct {
	t       testing.TB
	program *aggregates.Program[reading]
	cells   []aggregates.Cell
	seq     int64
}

func newLab(t testing.TB, needs aggregates.Needs) *lab {
	p, err := aggregates.Record(func(r *aggregates.Recorder[reading]) { project(groupOf[reading]{r}) }, needs)
	require.NoError(t, err)
	return &lab{t: t, program: p, cells: make([]aggregates.Cell, p.Cells())}
}

func (l *lab) empty() *held { return &held{state: aggregates.NewState(l.program)} }

func (l *lab) add(h *held, rows ...reading) *held {
	l.t.Helper()
	for _, r := range rows {
		l.seq++
		require.NoError(l.t, l.program.Eval(l.cells, &r))
		require.NoError(l.t, l.program.Add(h.state, l.cells, aggregates.At{Seq: l.seq}))
		h.rows = append(h.rows, r)
	}
	return h
}

func (l *lab) undo(h *held, i int) {
	l.t.Helper()
	require.NoError(l.t, l.program.Eval(l.cells, &h.rows[i]))
	require.NoError(l.t, l.program.Undo(h.state, l.cells, aggregates.At{}))
	h.rows = slices.Delete(h.rows, i, i+1)
}

func (l *lab) merge(dst, src *held) {
	l.t.Helper()
	require.NoError(l.t, l.program.Merge(dst.state, src.state))
	dst.rows = append(dst.rows, src.rows...)
}

func (l *lab) stored(h *held) []byte {
	l.t.Helper()
	b, err := l.program.Append(nil, h.state)
	require.NoError(l.t, err)
	return b
}

func (l *lab) reload(h *held) {
	l.t.Helper()
	b := l.stored(h)
	h.state = aggregates.NewState(l.program)
	require.NoError(l.t, l.program.Load(h.state, b))
}

func (l *lab) results(h *held) numbers {
	l.t.Helper()
	r := aggregates.NewReader(l.program)
	r.Reset(h.state)
	n := project(groupOf[reading]{r})
	require.NoError(l.t, r.Done())
	return n
}

// wild makes rows up of ordinary values, of large and tiny ones that take them along, and of what
// is no number.
func wild(r *rand.Rand) reading {
	float := func() float64 {
		switch r.IntN(8) {
		case 0:
			odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64}
			return odd[r.IntN(len(odd))]
		case 1:
			odd := []float64{0, math.Copysign(0, -1), 1e17, -1e17, 1e16, 1, 1e-300, math.SmallestNonzeroFloat64, 1e200,
				-1e154, 0x1p-53}
			return odd[r.IntN(len(odd))]
		case 2:
			return math.Float64frombits(r.Uint64())
		}
		return float64(r.IntN(20000)) / 10000
	}
	decimals := []string{"1E38", "-1E38", "0.1", "0.2", "3.50", "1E-30", "99999999999999999999999999999999999999",
		"1E900", "0", "10000000000000001"}
	d, _, _ := apd.NewFromString(decimals[r.IntN(len(decimals))])
	return reading{x: float(), y: float(), n: int64(r.Uint64()) >> r.IntN(63), u: r.Uint64() >> r.IntN(63), d: *d}
}

// Whatever is added, undone, merged, stored and loaded, in whatever order: the results of a program
// that undoes are those of the rows that are left, rounded once.
func TestResultsAreThoseOfTheRowsThatAreLeft(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	l := newLab(t, aggregates.Needs{Merge: true, Undo: true})
	for range 60 {
		groups := []*held{l.empty(), l.empty(), l.empty()}
		for range 30 {
			h := groups[r.IntN(len(groups))]
			switch r.IntN(8) {
			case 0, 1, 2, 3:
				l.add(h, wild(r))
			case 4, 5:
				if len(h.rows) > 0 {
					l.undo(h, r.IntN(len(h.rows)))
				}
			case 6:
				l.reload(h)
			case 7:
				i := r.IntN(len(groups))
				if other := groups[i]; other != h {
					l.merge(h, other)
					groups[i] = l.empty()
				}
			}
			requireExact(t, h.rows, l.results(h))
		}
		for _, h := range groups {
			for len(h.rows) > 0 {
				l.undo(h, r.IntN(len(h.rows)))
			}
			require.Equal(t, l.stored(l.empty()), l.stored(h), "nothing of what has gone is left")
		}
	}
}

func requireExact(t *testing.T, rows []reading, got numbers) {
	t.Helper()
	want := exactly(rows)
	want.AvgInt, want.AvgUint = near(want.AvgInt, got.AvgInt), near(want.AvgUint, got.AvgUint)
	want.StdDev, want.Correlation, want.CorrelationInts = near(want.StdDev, got.StdDev),
		near(want.Correlation, got.Correlation), near(want.CorrelationInts, got.CorrelationInts)
	require.Equal(t, show(want), show(got), "of %+v", rows)
}

// near is got if that is want or next to it.
func near(want, got float64) float64 {
	if got == math.Nextafter(want, math.Inf(1)) || got == math.Nextafter(want, math.Inf(-1)) {
		return got
	}
	return want
}

// exactly is what the results of rows have to be, by fractions of integers.
func exactly(rows []reading) (n numbers) {
	var xs, ys, ns, us, ds []term
	for _, r := range rows {
		xs, ys = append(xs, ofFloat(r.x)), append(ys, ofFloat(r.y))
		ns, us = append(ns, ofRat(new(big.Rat).SetInt64(r.n))), append(us, ofRat(new(big.Rat).SetUint64(r.u)))
		d, _ := new(big.Rat).SetString(r.d.String())
		ds = append(ds, ofRat(d))
	}
	n.Sum, n.Avg = total(xs).float(), ratio(total(xs), count(xs))
	n.AvgInt, n.AvgUint, n.AvgDecimal = ratio(total(ns), count(ns)), ratio(total(us), count(us)),
		ratio(total(ds), count(ds))
	n.Variance, n.Population, n.VarianceInt = variance(xs, 1).float(), variance(ys, 0).float(), variance(ns, 1).float()
	n.StdDev = root(variance(xs, 1))
	n.Correlation, n.CorrelationInts = pearson(xs, ys), pearson(ns, us)
	n.Weighted, n.WeightedInts = ratio(total(products(xs, ys)), total(ys)), ratio(total(products(ns, us)), total(us))
	sum, context := new(apd.Decimal), apd.BaseContext.WithPrecision(2000)
	for _, r := range rows {
		_, _ = context.Add(sum, sum, &r.d)
	}
	context = apd.BaseContext.WithPrecision(38)
	context.Rounding = apd.RoundHalfUp
	_, _ = context.Round(sum, sum)
	n.SumDecimal = sum.String()
	return n
}

// term is a fraction, or, if that is nil, what is no number.
type term struct {
	rat *big.Rat
	f   float64
}

func ofRat(r *big.Rat) term { f, _ := r.Float64(); return term{r, f} }

func ofFloat(f float64) term {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return term{nil, f}
	}
	return term{new(big.Rat).SetFloat64(f), f}
}

func (a term) float() float64 { return a.f }

func count(ts []term) term { return ofRat(new(big.Rat).SetInt64(int64(len(ts)))) }

// total is NaN or infinite if one is among the terms, as floats have it: a sum of numbers that is
// too large is none.
func total(ts []term) term {
	sum, special := new(big.Rat), 0.0
	for _, a := range ts {
		if a.rat == nil {
			special += a.f
		} else {
			sum.Add(sum, a.rat)
		}
	}
	if special != 0 {
		return term{nil, special}
	}
	return ofRat(sum)
}

func products(as, bs []term) (ps []term) {
	for i, a := range as {
		if b := bs[i]; a.rat == nil || b.rat == nil {
			ps = append(ps, term{nil, a.f * b.f})
		} else {
			ps = append(ps, ofRat(new(big.Rat).Mul(a.rat, b.rat)))
		}
	}
	return ps
}

// ratio is 0 where b is.
func ratio(a, b term) float64 {
	switch {
	case b.rat != nil && b.rat.Sign() == 0:
		return 0
	case a.rat == nil || b.rat == nil:
		return a.f / b.f
	}
	return ofRat(new(big.Rat).Quo(a.rat, b.rat)).f
}

// comoment is the sum of products of the distances from both means; nil if it is no number.
func comoment(as, bs []term) *big.Rat {
	a, b, p := total(as), total(bs), total(products(as, bs))
	if a.rat == nil || b.rat == nil || p.rat == nil {
		return nil
	}
	m := new(big.Rat).Mul(a.rat, b.rat)
	m.Quo(m, count(as).rat)
	return m.Sub(p.rat, m)
}

func variance(ts []term, less int) term {
	if len(ts) <= less {
		return ofRat(new(big.Rat))
	}
	m2 := comoment(ts, ts)
	if m2 == nil {
		return term{nil, math.NaN()}
	}
	return ofRat(m2.Quo(m2, new(big.Rat).SetInt64(int64(len(ts)-less))))
}

func root(a term) float64 {
	if a.rat == nil {
		return a.f
	}
	f, _ := new(big.Float).Sqrt(new(big.Float).SetPrec(2000).SetRat(a.rat)).Float64()
	return f
}

func pearson(xs, ys []term) float64 {
	if len(xs) < 2 {
		return math.NaN()
	}
	xx, yy, xy := comoment(xs, xs), comoment(ys, ys), comoment(xs, ys)
	if xx == nil || yy == nil || xy == nil || xx.Sign() == 0 || yy.Sign() == 0 {
		return math.NaN()
	}
	square := new(big.Rat).Mul(xy, xy)
	return math.Copysign(root(ofRat(square.Quo(square, xx.Mul(xx, yy)))), float64(xy.Sign()))
}
