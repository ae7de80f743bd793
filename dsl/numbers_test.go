package dsl_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// sample is a measurement: where it was taken, and numbers of each kind.
type sample struct {
	ID    string `ashi:"id,key"`
	Place string
	X, Y  float64
	N     int64
	D     apd.Decimal
	At    time.Time `ashi:"at,timestamp"`
}

func sampleX(s *sample) float64     { return s.X }
func sampleY(s *sample) float64     { return s.Y }
func sampleN(s *sample) int64       { return s.N }
func sampleD(s *sample) apd.Decimal { return s.D }

type statistics struct {
	Place                                    string `ashi:"place,key"`
	Rows                                     int64
	Sum, Avg, Deviation, Correlation, Weight float64
	AvgInt, DeviationInt, AvgDecimal         float64
	SumDecimal                               apd.Decimal
}

func statisticsOf(g dsl.Group[string, sample]) statistics {
	return statistics{g.Key(), aggregates.Count(g), aggregates.Sum(g, sampleX), aggregates.Avg(g, sampleX),
		aggregates.StdDevSample(g, sampleX), aggregates.Correlation(g, sampleX, sampleY),
		aggregates.WeightedMean(g, sampleX, sampleY), aggregates.Avg(g, sampleN), aggregates.StdDevPopulation(g,
			sampleN), aggregates.Avg(g, sampleD), aggregates.Sum(g, sampleD)}
}

// grouped is an application that has a table of samples in groups by their place.
func grouped(t *testing.T) (d *enginetest.Driver, add func(...sample), rows func() map[string]string,
	plan func() *topology.Plan) {
	var samples *dsl.TableOf[string, sample]
	var groups *dsl.OutputOf[string, statistics]
	plan = func() *topology.Plan {
		b := dsl.New("lab")
		samples = dsl.Table[string, sample](b, "samples")
		groups = dsl.Aggregate(dsl.GroupTable(samples, func(s *sample) string { return s.Place }), windows.Unbounded(),
			statisticsOf).Changes()
		plan, err := b.Build()
		require.NoError(t, err)
		return plan
	}
	d = enginetest.New(t, plan())
	return d, func(s ...sample) { enginetest.Add(d, samples, s...) }, func() map[string]string {
		all := map[string]string{}
		for _, s := range enginetest.Rows(d, groups.Of(windows.Unbounded())) {
			sum := s.SumDecimal.String()
			s.SumDecimal = apd.Decimal{}
			all[s.Place] = fmt.Sprintf("%+v %s", s, sum)
		}
		return all
	}, plan
}

// Whatever numbers have been in a group, its result is, to the last bit, that of an application
// which only ever saw the rows that are in it.
func TestGroupForgetsTheNumbersThatHaveLeft(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 1e17, 1e-300,
		math.Copysign(0, -1)}
	number := func() float64 {
		if r.IntN(3) == 0 {
			return odd[r.IntN(len(odd))]
		}
		return float64(r.IntN(1000)) / 1000
	}
	decimals := []string{"1E38", "0.1", "0.20", "1E-40", "-7"}
	for range 5 {
		d, add, rows, plan := grouped(t)
		table := map[string]sample{}
		for range 40 {
			id := strconv.Itoa(r.IntN(6))
			if r.IntN(4) == 0 {
				d.AddRaw("samples", enginetest.Record{Key: []byte(id)})
				delete(table, id)
				continue
			}
			dec, _, err := apd.NewFromString(decimals[r.IntN(len(decimals))])
			require.NoError(t, err)
			table[id] = sample{id, string(rune('a' + r.IntN(2))), number(), number(), math.MaxInt64 - int64(r.IntN(3)),
				*dec, noon}
			add(table[id])
			if r.IntN(10) == 0 {
				d.Restart(plan())
			}
		}
		_, add, want, _ := grouped(t)
		for _, s := range table {
			add(s)
		}
		got, fresh := rows(), want()
		for place, row := range got {
			if fresh[place] == "" { // a group without rows keeps its row, as of none
				fresh[place] = fmt.Sprintf("%+v 0", statistics{Place: place, Correlation: math.NaN()})
			}
			require.Equal(t, fresh[place], row)
		}
	}
}

// Hopping windows merge their slices: a price that rises by the same step each second is a line in
// each window, and a mean of times is one.
func TestStatisticsOfWindows(t *testing.T) {
	b := dsl.New("lab")
	samples := dsl.Stream[sample](b, "samples")
	hopping := windows.Hopping(time.Minute, 10*time.Second)
	finals := dsl.Aggregate(dsl.GroupBy(samples, func(s *sample) string { return s.Place }), hopping,
		statisticsOf).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	for i := range 300 {
		at := noon.Add(time.Duration(i) * time.Second)
		enginetest.Add(d, samples, sample{"1", "a", float64(at.UnixMilli()), 1.1 - 0.00001*float64(i), at.UnixNano(),
			apd.Decimal{}, at})
	}
	seen := 0
	for _, s := range enginetest.Read(d, finals.StreamOf(hopping)) {
		if s.Rows < 2 {
			continue
		}
		seen++
		require.InDelta(t, -1, s.Correlation, 1e-9)
		require.InDelta(t, math.Sqrt(float64(s.Rows*s.Rows-1)/12)*1e9, s.DeviationInt, 1e-3)
		require.InEpsilon(t, float64(noon.UnixNano()), s.AvgInt, 1e-6)
	}
	require.Greater(t, seen, 20)
}

// The lines of a projection can change places: the state is kept, and the results are those of a
// program that never changed.
func TestSwappedAggregatesKeepTheirState(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	type row struct {
		Place                                   string `ashi:"place,key"`
		Rows, Kinds                             int64
		High, Low, Mean, Deviation, Correlation float64
		Last                                    string
		Decimals                                apd.Decimal
		All                                     []float64
	}
	fields := []func(*row, dsl.Group[string, sample]){
		func(o *row, g dsl.Group[string, sample]) { o.Place = g.Key() },
		func(o *row, g dsl.Group[string, sample]) { o.Rows = aggregates.Count(g) },
		func(o *row, g dsl.Group[string, sample]) { o.High = aggregates.Max(g, sampleX) },
		func(o *row, g dsl.Group[string, sample]) { o.Low = aggregates.Min(g, sampleX) },
		func(o *row, g dsl.Group[string, sample]) { o.Mean = aggregates.Avg(g, sampleN) },
		func(o *row, g dsl.Group[string, sample]) { o.Deviation = aggregates.StdDevSample(g, sampleY) },
		func(o *row, g dsl.Group[string, sample]) { o.Correlation = aggregates.Correlation(g, sampleX, sampleY) },
		func(o *row, g dsl.Group[string, sample]) {
			o.Last = aggregates.LatestByOffset(g, func(s *sample) string { return s.ID })
		},
		func(o *row, g dsl.Group[string, sample]) { o.Decimals = aggregates.Sum(g, sampleD) },
		func(o *row, g dsl.Group[string, sample]) { o.Kinds = aggregates.CountDistinct(g, sampleX) },
		func(o *row, g dsl.Group[string, sample]) { o.All = aggregates.CollectList(g, 100, sampleX) },
	}
	for _, spec := range []windows.Spec{windows.Minutes(1), windows.Hopping(time.Minute, 20*time.Second),
		windows.Session(20 * time.Second)} {
		var samples *dsl.StreamOf[sample]
		var finals *dsl.OutputOf[string, row]
		plan := func(order []int) *topology.Plan {
			b := dsl.New("lab")
			samples = dsl.Stream[sample](b, "samples")
			finals = dsl.Aggregate(dsl.GroupBy(samples, func(s *sample) string { return s.Place }), spec,
				func(g dsl.Group[string, sample]) (o row) {
					for _, i := range order {
						fields[i](&o, g)
					}
					return o
				}).Final()
			plan, err := b.Build()
			require.NoError(t, err)
			return plan
		}
		order := r.Perm(len(fields))
		changing, staying := enginetest.New(t, plan(order)), enginetest.New(t, plan(order))
		for i := range 40 {
			s := sample{strconv.Itoa(i), "a", float64(r.IntN(10)), float64(r.IntN(10)), r.Int64(),
				*apd.New(r.Int64N(100), -1), noon.Add(time.Duration(3*i+r.IntN(30)) * time.Second)}
			enginetest.Add(changing, samples, s)
			enginetest.Add(staying, samples, s)
			if i%10 == 5 {
				changing.Restart(plan(r.Perm(len(fields))))
			}
		}
		for _, d := range []*enginetest.Driver{changing, staying} {
			enginetest.Add(d, samples, sample{ID: "end", Place: "z", At: noon.Add(time.Hour)})
		}
		want, got := enginetest.Rows(staying, finals.Of(spec)), enginetest.Rows(changing, finals.Of(spec))
		require.NotEmpty(t, want)
		require.Equal(t, fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got), "%v", spec)
	}
}
