package aggregates

import (
	"encoding/hex"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
)

type price float64

type tick struct {
	bid    float64
	named  price
	n      int32
	u      uint64
	name   string
	at     time.Time
	size   apd.Decimal
	maybe  *float64
	maybeS *string
	ok     bool
}

type results struct {
	count                  int64
	open, high, low, close float64
	sum, avg               float64
	named                  price
	nSum                   int32
	nAvg                   float64
	uMin, uMax             uint64
	first, last            string
	least, most            string
	atMin, atMax           time.Time
	size, sizeMax          apd.Decimal
	sizeAvg                float64
	maybeMax, maybeSum     *float64
	maybeLast              *string
	ok                     bool
}

type rows struct{ r *Recorder[tick] }

func (g rows) Recorder() *Recorder[tick] { return g.r }

func project(r *Recorder[tick]) results {
	g := rows{r}
	bid := func(t *tick) float64 { return t.bid }
	name := func(t *tick) string { return t.name }
	at := func(t *tick) time.Time { return t.at }
	size := func(t *tick) apd.Decimal { return t.size }
	maybe := func(t *tick) *float64 { return t.maybe }
	u := func(t *tick) uint64 { return t.u }
	n := func(t *tick) int32 { return t.n }
	return results{
		count: Count(g), open: EarliestByOffset(g, bid), high: Max(g, bid), low: Min(g, bid),
		close: LatestByOffset(g, bid), sum: Sum(g, bid), avg: Avg(g, bid),
		named: Max(g, func(t *tick) price { return t.named }), nSum: Sum(g, n), nAvg: Avg(g, n), uMin: Min(g, u),
		uMax: Max(g, u), first: EarliestByOffset(g, name), last: LatestByOffset(g, name), least: Min(g, name),
		most: Max(g, name), atMin: Min(g, at), atMax: Max(g, at), size: Sum(g, size), sizeMax: Max(g, size),
		sizeAvg: Avg(g, size), maybeMax: Max(g, maybe), maybeSum: Sum(g, maybe),
		maybeLast: LatestByOffset(g, func(t *tick) *string { return t.maybeS }),
		ok:        LatestByOffset(g, func(t *tick) bool { return t.ok }),
	}
}

func recorded(t testing.TB) *Program[tick] {
	p, err := Record(func(r *Recorder[tick]) { project(r) }, Needs{Merge: true})
	require.NoError(t, err)
	return p
}

func add(t testing.TB, p *Program[tick], s State, ticks ...tick) {
	cells := make([]Cell, p.Cells())
	for i := range ticks {
		require.NoError(t, p.Eval(cells, &ticks[i]))
		require.NoError(t, p.Add(s, cells, At{}))
	}
}

func stored(t testing.TB, p Aggregator, s State) string {
	b, err := p.Append(nil, s)
	require.NoError(t, err)
	return hex.EncodeToString(b)
}

func read(t testing.TB, p *Program[tick], s State) results {
	r := NewReader(p)
	r.Reset(s)
	out := project(r)
	require.NoError(t, r.Done())
	return out
}

func dec(s string) apd.Decimal {
	d, _, err := apd.NewFromString(s)
	if err != nil {
		panic(err)
	}
	return *d
}

func TestResults(t *testing.T) {
	p := recorded(t)
	s := NewState(p)
	empty := read(t, p, s)
	require.Equal(t, results{maybeSum: nil}, func() results { e := empty; e.maybeSum = nil; return e }(),
		"nothing seen: zero values")
	require.Equal(t, 0.0, *empty.maybeSum, "SUM of nothing is 0, not null")

	two, text := 2.0, "x"
	day := time.Date(2014, 5, 1, 0, 0, 0, 0, time.UTC)
	add(t, p, s,
		tick{bid: 3, named: 1, n: math.MaxInt32, u: 5, name: "m", at: day, size: dec("1.10"), maybe: nil, maybeS: &text,
			ok: true},
		tick{bid: 9, named: 7, n: 1, u: math.MaxUint64, name: "b", at: day.Add(-time.Hour), size: dec("2.20"),
			maybe: &two},
		tick{bid: 1, named: 3, n: 0, u: 6, name: "z", at: day.Add(time.Hour), size: dec("-0.30"), maybe: nil, ok: true},
		tick{bid: 4, named: 3, n: 0, u: 6, name: "c", at: day, size: dec("0.00"), maybe: nil, ok: false})
	got := read(t, p, s)
	require.Equal(t, "3.00", got.size.String(), "sums keep the scale")
	require.Equal(t, "2.20", got.sizeMax.String())
	got.size, got.sizeMax = apd.Decimal{}, apd.Decimal{}
	require.Equal(t, results{count: 4, open: 3, high: 9, low: 1, close: 4, sum: 17, avg: 4.25, named: 7,
		nSum: math.MinInt32, nAvg: (math.MaxInt32 + 1.0) / 4, uMin: 5, uMax: math.MaxUint64, first: "m", last: "c",
		least: "b", most: "z", atMin: day.Add(-time.Hour), atMax: day.Add(time.Hour), sizeAvg: 0.75, maybeMax: &two,
		maybeSum: &two, maybeLast: &text}, got)
}

func TestFloatOrderIsJavas(t *testing.T) {
	order := []float64{math.Inf(-1), -1, math.Copysign(0, -1), 0, math.SmallestNonzeroFloat64, 1, math.Inf(1),
		math.NaN()}
	for i := range order {
		for j := range order {
			a, b := kindFloat.order(math.Float64bits(order[i])), kindFloat.order(math.Float64bits(order[j]))
			require.Equal(t, i < j, a < b, "%v < %v", order[i], order[j])
		}
	}
}

func TestLayoutIsPinned(t *testing.T) {
	p, err := Record(func(r *Recorder[tick]) {
		g := rows{r}
		bid := func(t *tick) float64 { return t.bid }
		Count(g)
		Sum(g, bid)
		Max(g, bid)
		Avg(g, func(t *tick) int32 { return t.n })
		LatestByOffset(g, func(t *tick) string { return t.name })
		Sum(g, func(t *tick) apd.Decimal { return t.size })
	}, Needs{})
	require.NoError(t, err)
	require.Equal(t, "avg int,count,latest text,max float,sum decimal,sum float", p.Signature())
	s := NewState(p)
	add(t, p, s, tick{bid: 1.5, n: -2, name: "né", size: dec("1.50")}, tick{bid: 1, n: 1, name: "ab", size: dec("10")})
	require.Equal(t, "ffffffffffffffffffffffffffffffff0200000000000000"+"0200000000000000"+"01"+"000000000000f83f01"+
		"01"+
		"0000000000000440"+"026162"+"0531312e3530", stored(t, p, s))
}

func TestUnstableProjection(t *testing.T) {
	bid := func(t *tick) float64 { return t.bid }
	n := 0
	_, err := Record(func(r *Recorder[tick]) {
		if n++; n == 1 {
			Max(rows{r}, bid)
		}
		Count(rows{r})
	}, Needs{})
	require.ErrorIs(t, err, ErrUnstable)
	require.ErrorContains(t, err, `first "max float,count", then "count"`)

	p, err := Record(func(r *Recorder[tick]) { Max(rows{r}, bid); Count(rows{r}) }, Needs{})
	require.NoError(t, err)
	r := NewReader(p)
	for _, calls := range []func(){
		func() { Max(rows{r}, bid) },
		func() { Count(rows{r}); Max(rows{r}, bid) },
		func() { Max(rows{r}, bid); Count(rows{r}); Count(rows{r}) },
		func() { Max(rows{r}, func(t *tick) string { return t.name }); Count(rows{r}) },
	} {
		r.Reset(NewState(p))
		calls()
		require.ErrorIs(t, r.Done(), ErrUnstable)
	}
	_, err = Record(func(*Recorder[tick]) {}, Needs{})
	require.ErrorContains(t, err, "calls no aggregate")
}

func TestEvalErrors(t *testing.T) {
	p := recorded(t)
	require.ErrorContains(t, p.Eval(make([]Cell, p.Cells()), &tick{size: apd.Decimal{Form: apd.NaN}}), "not a number")
	require.ErrorContains(t, p.Eval(make([]Cell, p.Cells()), &tick{size: *apd.New(1, -10001)}), "exponent -10001")
	require.ErrorContains(t, p.Eval(make([]Cell, p.Cells()), tick{}), "row is")
}

func TestColumnsAreShared(t *testing.T) {
	p := recorded(t)
	require.Equal(t, 10, p.Cells(), "one evaluation per function, however many aggregates use it")
}

func sevenAggregates(t testing.TB) (*Program[tick], State, []Cell) {
	p, err := Record(func(r *Recorder[tick]) {
		g := rows{r}
		bid := func(t *tick) float64 { return t.bid }
		EarliestByOffset(g, bid)
		Max(g, bid)
		Min(g, bid)
		LatestByOffset(g, bid)
		Sum(g, bid)
		Avg(g, bid)
		Count(g)
	}, Needs{})
	require.NoError(t, err)
	return p, NewState(p), make([]Cell, p.Cells())
}

func TestNoAllocation(t *testing.T) {
	p, s, cells := sevenAggregates(t)
	tk := tick{bid: 1.5}
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = p.Eval(cells, &tk); _ = p.Add(s, cells, At{}) }))
	q, err := Record(func(r *Recorder[tick]) { LatestByOffset(rows{r}, func(t *tick) string { return t.name }) },
		Needs{})
	require.NoError(t, err)
	s, cells = NewState(q), make([]Cell, q.Cells())
	tk.name = "EUR/USD"
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = q.Eval(cells, &tk); _ = q.Add(s, cells, At{}) }))
}

// Seven aggregates of one record.
func BenchmarkAdd(b *testing.B) {
	p, s, cells := sevenAggregates(b)
	tk := tick{bid: 1.5}
	b.ReportAllocs()
	for b.Loop() {
		tk.bid++
		if err := p.Eval(cells, &tk); err != nil {
			b.Fatal(err)
		}
		if err := p.Add(s, cells, At{}); err != nil {
			b.Fatal(err)
		}
	}
}
