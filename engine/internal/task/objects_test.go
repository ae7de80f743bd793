package task_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

// objectParts are aggregates whose state is objects: the random programs take them through commits,
// checkpoints and crashes.
func objectParts() []part {
	name := func(e *event) string { return e.Name }
	maybe := func(e *event) *float64 { return e.Maybe }
	list := func(vs any) string { return fmt.Sprint(vs) }
	return []part{
		{"distinct name", func(g aggregates.Rows[event]) string { return show(aggregates.CountDistinct(g, name)) },
			func(rows []event) string {
				vs := values(rows, name)
				slices.Sort(vs)
				return show(len(slices.Compact(vs)))
			}},
		{"latest 3 big", func(g aggregates.Rows[event]) string {
			return list(aggregates.LatestByOffsetN(g, 3, func(e *event) uint64 { return e.Big }))
		}, func(rows []event) string {
			vs := values(rows, func(e *event) uint64 { return e.Big })
			return list(vs[max(0, len(vs)-3):])
		}},
		{"top 2 maybe", func(g aggregates.Rows[event]) string {
			texts := []string{}
			for _, v := range aggregates.TopK(g, 2, maybe) {
				texts = append(texts, show(v))
			}
			return list(texts)
		}, func(rows []event) string {
			vs := values(rows, maybe)
			slices.SortStableFunc(vs, func(a, b *float64) int { return cmp.Compare(*b, *a) })
			texts := []string{}
			for _, v := range vs[:min(2, len(vs))] {
				texts = append(texts, show(v))
			}
			return list(texts)
		}},
		{"histogram name", func(g aggregates.Rows[event]) string { return list(aggregates.Histogram(g, name)) },
			func(rows []event) string {
				counts := map[string]int64{}
				for _, v := range values(rows, name) {
					counts[v]++
				}
				return list(counts)
			}},
	}
}

type deal struct {
	Pair string `ashi:"pair,key"`
	Size apd.Decimal
	At   time.Time `ashi:"at,timestamp"`
}

type dealt struct {
	Pair  string `ashi:"pair,key"`
	Start time.Time
	Sum   string
	Count int64
	Sizes []string
}

// A row that an aggregate refuses is counted as failed, for each window that does not take it, and
// leaves no trace: no part of it in other aggregates, and no window that would have been its alone.
func TestRefusedRowsLeaveNoTrace(t *testing.T) {
	b := dsl.New("refused")
	trades := dsl.Stream[deal](b, "trades")
	size := func(r *deal) apd.Decimal { return r.Size }
	volumes := dsl.Aggregate(dsl.GroupByKey[string](trades), windows.Minutes(1, 5),
		func(g dsl.Group[string, deal]) dealt {
			sum := aggregates.SumDecimal(g, 4, 2, size)
			return dealt{Pair: g.Key(), Start: g.WindowStart(), Sum: sum.String(), Count: aggregates.Count(g),
				Sizes: aggregates.CollectList(g, 10, func(r *deal) string { return r.Size.String() })}
		})
	one, five := volumes.Final().Size(time.Minute), volumes.Final().Size(5*time.Minute)
	plan, err := b.Build()
	require.NoError(t, err)
	noon := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	d := enginetest.NewWith(t, plan, enginetest.Options{Start: noon.Add(24 * time.Hour)})
	at := func(pair string, size int64, after time.Duration) deal {
		return deal{pair, *apd.New(size, -2), noon.Add(after)}
	}

	enginetest.Add(d, trades, at("A", 9000, 0), at("A", 2000, time.Second), at("A", 900, 2*time.Second))
	require.EqualValues(t, 2, d.Dropped("failed"), "110.00 is too much for both windows")
	d.Crash()
	enginetest.Add(d, trades, at("A", 500, time.Minute), at("B", 20000, time.Minute), at("A", 95, 3*time.Second))
	require.EqualValues(t, 5, d.Dropped("failed"), "A's 5.00 in its five minutes, and all of B")
	enginetest.Add(d, trades, at("C", 1, time.Hour))

	require.Equal(t, []dealt{
		{"A", noon, "99.95", 3, []string{"90.00", "9.00", "0.95"}},
		{"A", noon.Add(time.Minute), "5.00", 1, []string{"5.00"}},
	}, sortedRows(enginetest.Rows(d, one)))
	require.Equal(t, []dealt{{"A", noon, "99.95", 3, []string{"90.00", "9.00", "0.95"}}},
		sortedRows(enginetest.Rows(d, five)))
}

// Where windows overlap or are merged a row is refused by the sum that it would make there, as if
// the window had been filled by itself: a hopping window does not take what is too much for it and
// fits its neighbours, and a record that would connect two sessions to a sum too large leaves them
// apart.
func TestRefusedWhereRowsAreMerged(t *testing.T) {
	noon := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	gap := windows.Session(10 * time.Second).Grace(time.Minute)
	for _, c := range []struct {
		name   string
		spec   windows.Spec
		sizes  []int64 // at, in seconds behind noon, and hundredths
		want   []string
		failed int64
	}{
		{"hopping", windows.Hopping(2*time.Minute, time.Minute), []int64{0, 9000, 60, 900, 70, 200, 120, 9000, 600, 1},
			[]string{"-60 90.00", "0 99.00", "60 11.00", "120 90.00"}, 2},
		{"sessions", gap, []int64{0, 6000, 15, 5000, 8, 1, 1000, 1}, []string{"0 60.00", "15 50.00"}, 1},
		{"the last record makes it fit", gap, []int64{0, 6000, 15, 5000, 8, -1500, 1000, 1}, []string{"0 95.00"}, 0},
		{"as would the other session", gap, []int64{0, 6000, 15, -5000, 8, 9000 - 1, 1000, 1}, []string{"0 99.99"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := dsl.New("refused")
			trades := dsl.Stream[deal](b, "trades")
			final := dsl.Aggregate(dsl.GroupByKey[string](trades), c.spec, func(g dsl.Group[string, deal]) dealt {
				sum := aggregates.SumDecimal(g, 4, 2, func(r *deal) apd.Decimal { return r.Size })
				return dealt{Pair: g.Key(), Start: g.WindowStart(), Sum: sum.String()}
			}).Final()
			plan, err := b.Build()
			require.NoError(t, err)
			d := enginetest.NewWith(t, plan, enginetest.Options{Start: noon.Add(time.Hour)})
			for i := 0; i < len(c.sizes); i += 2 {
				enginetest.Add(d, trades, deal{"A", *apd.New(c.sizes[i+1], -2),
					noon.Add(time.Duration(c.sizes[i]) * time.Second)})
			}
			var got []string
			for _, row := range enginetest.Rows(d, final.Of(c.spec)) {
				got = append(got, fmt.Sprint(row.Start.Sub(noon).Seconds(), " ", row.Sum))
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.failed, d.Dropped("failed"))
		})
	}
}

func sortedRows(rows []dealt) []dealt {
	for i := range rows {
		rows[i].Start = rows[i].Start.UTC()
	}
	slices.SortFunc(rows, func(a, b dealt) int { return cmp.Or(cmp.Compare(a.Pair, b.Pair), a.Start.Compare(b.Start)) })
	return rows
}
