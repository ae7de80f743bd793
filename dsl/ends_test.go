package dsl_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type mark struct {
	ID string `ashi:"id,key"`
	N  int64  `ashi:"n"`
}

type marks struct {
	ID string `ashi:"id,key"`
	N  int64  `ashi:"n"`
}

// Records at both ends of time, with no bound ahead of the clock: every kind of windows and every
// join comes to an end, those beyond the last time are dropped and counted, and each record that is
// left is in its windows or late for them.
func TestBothEndsOfTime(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	kinds := map[string]windows.Spec{
		"tumbling": windows.Minutes(1), "hopping": windows.Hopping(time.Minute, 7*time.Second),
		"session": windows.Session(30 * time.Second), "sliding": windows.Sliding(10 * time.Second),
		"day": windows.Days(time.UTC, 0), "month": windows.Months(time.UTC, 0), "all": windows.Unbounded(),
	}
	for name, spec := range kinds {
		for _, finals := range []bool{true, false} {
			if name == "all" && finals {
				continue
			}
			t.Run(fmt.Sprint(name, finals), func(t *testing.T) {
				b := dsl.New("app")
				s := dsl.Stream[mark](b, "s")
				agg := dsl.Aggregate(dsl.GroupBy(s, func(m *mark) string { return m.ID }), spec,
					func(g dsl.Group[string, mark]) marks {
						return marks{ID: g.Key(), N: aggregates.Count(g)}
					})
				if finals {
					agg.Final()
				} else {
					agg.Changes()
				}
				plan, err := b.Build()
				require.NoError(t, err)
				d := enginetest.New(t, plan)
				var negative, beyond int64
				times := []windows.Time{math.MaxInt64, math.MinInt64, -1, 0, 1, windows.Last, windows.Last + 1,
					math.MaxInt64 - 1}
				for i := range 200 {
					at := edge(r)
					if i < len(times) {
						at = times[i]
					}
					switch {
					case at < 0:
						negative++
					case at > windows.Last:
						beyond++
					}
					d.AddRaw("s", enginetest.Record{Key: []byte(fmt.Sprint(r.IntN(3))), Value: []byte(`{}`),
						Timestamp: at})
					if i%50 == 0 {
						d.Crash()
					}
				}
				require.Equal(t, negative, d.Dropped("negative_time"))
				require.Equal(t, beyond, d.Dropped("ahead_of_clock"))
				require.Zero(t, d.Dropped("failed"))
			})
		}
	}
	joins := map[string]func(l, r *dsl.StreamOf[mark], span dsl.Span,
		f func(*mark, *mark) (mark, error)) *dsl.StreamOf[mark]{
		"inner": dsl.Join[mark, mark, mark], "outer": dsl.OuterJoin[mark, mark, mark],
		"as-of": dsl.AsOf[mark, mark, mark],
	}
	for name, join := range joins {
		t.Run(name, func(t *testing.T) {
			b := dsl.New("app")
			span := dsl.Within(time.Second, time.Second)
			if name == "as-of" {
				span = dsl.Back(time.Second)
			}
			join(dsl.Stream[mark](b, "left"), dsl.Stream[mark](b, "right"), span,
				func(l, r *mark) (mark, error) { return mark{N: 1}, nil }).To("out")
			plan, err := b.Build()
			require.NoError(t, err)
			d := enginetest.New(t, plan)
			for range 100 {
				topic := [...]string{"left", "right"}[r.IntN(2)]
				d.AddRaw(topic, enginetest.Record{Key: []byte("a"), Value: []byte(`{}`), Timestamp: edge(r)})
			}
			require.NotZero(t, d.Dropped("ahead_of_clock"))
		})
	}
}

// edge is a time near one of the ends.
func edge(r *rand.Rand) windows.Time {
	off := windows.Time(r.Int64N(1 << r.IntN(40)))
	switch r.IntN(6) {
	case 0:
		return math.MaxInt64 - off
	case 1:
		return math.MinInt64 + off
	case 2:
		return windows.Last - off
	case 3:
		return windows.Last + off
	case 4:
		return -off
	}
	return off
}

// A zone that is loaded again picks the windows that the plan has; two zones of one name are two
// plans, and the second one's start says so.
func TestZonesInPlans(t *testing.T) {
	plan := func(l *time.Location) (*topology.Plan, error) {
		b := dsl.New("app")
		days := windows.Days(l, 17*time.Hour)
		final := dsl.Aggregate(dsl.GroupBy(dsl.Stream[mark](b, "s"), func(m *mark) string { return m.ID }), days,
			func(g dsl.Group[string, mark]) marks {
				return marks{ID: g.Key(), N: aggregates.Count(g)}
			}).Final()
		plan, err := b.Build()
		if err == nil && l.String() == "America/New_York" {
			again, err := time.LoadLocation("America/New_York")
			require.NoError(t, err)
			require.NoError(t, final.Of(windows.Days(again, 17*time.Hour)).Err)
		}
		return plan, err
	}
	ny, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	_, err = plan(ny)
	require.NoError(t, err)

	west, err := plan(time.FixedZone("desk", -5*3600))
	require.NoError(t, err)
	d := enginetest.New(t, west)
	d.AddRaw("s", enginetest.Record{Key: []byte("a"), Value: []byte(`{}`), Timestamp: 1764547200000})
	d.Commit()
	east, err := plan(time.FixedZone("desk", 3*3600))
	require.NoError(t, err)
	err = d.TryRestart(east)
	require.ErrorContains(t, err, "desk(-05:00)")
	require.ErrorContains(t, err, "desk(+03:00)")
	require.NotContains(t, err.Error(), "damaged")

	_, err = plan(time.FixedZone("Local", 0)) // as time.Local is named without TZ
	require.ErrorContains(t, err, "time.Local is another zone on each machine")
}
