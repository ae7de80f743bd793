package dsl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

// at is a rate at a millisecond of 1970.
func at(pair string, ms int64) Rate { return Rate{Pair: pair, Bid: 1, At: time.UnixMilli(ms).UTC()} }

// Worked trace 2 of the semantics reference: hopping 30 s by 15 s.
func TestHopping(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	hopping := windows.Hopping(30*time.Second, 15*time.Second)
	bars := dsl.Aggregate(dsl.GroupByKey[string](rates), hopping.Grace(0), bar)
	changes, final := bars.Changes(), bars.Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.NewWith(t, plan, enginetest.Options{EveryUpdate: true})
	starts := func() (ms []int64) {
		for _, row := range enginetest.Read(d, changes.StreamOf(hopping)) {
			ms = append(ms, row.Start.UnixMilli())
		}
		return ms
	}
	enginetest.Add(d, rates, at("P", 10_009))
	require.Equal(t, []int64{0}, starts(), "no window starts before 1970")
	enginetest.Add(d, rates, at("P", 30_000))
	require.Equal(t, []int64{15_000, 30_000}, starts(), "ascending")
	enginetest.Add(d, rates, at("P", 29_999))
	require.Equal(t, []int64{15_000}, starts(), "[0, 30) is closed")
	require.EqualValues(t, 1, d.Dropped("late"), "once per window")
	enginetest.Add(d, rates, at("P", 100_000))
	var got [][2]int64
	for _, row := range enginetest.Rows(d, final.Of(hopping)) {
		got = append(got, [2]int64{row.Start.UnixMilli(), row.Ticks})
	}
	require.Equal(t, [][2]int64{{0, 1}, {15_000, 2}, {30_000, 1}}, got)
}

// Kinds of windows side by side, over one source in one pass.
func TestKindsTogether(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	days := windows.Days(newYork, 17*time.Hour)
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	bars := dsl.Aggregate(dsl.GroupByKey[string](rates), windows.Minutes(1).And(days).And(windows.Unbounded()), bar)
	final, changes := bars.Final(), bars.Changes()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	for h := range 72 { // from Saturday noon in New York, over the night on which clocks go forward
		tk := tick("EUR/USD", 0, float64(h))
		tk.At = time.Date(2014, 3, 8, 12, 0, 0, 0, newYork).Add(time.Duration(h) * time.Hour).UTC()
		enginetest.Add(d, rates, tk)
	}
	got := enginetest.Rows(d, final.Of(days))
	require.Len(t, got, 3)
	require.Equal(t, []int64{5, 23, 24}, []int64{got[0].Ticks, got[1].Ticks, got[2].Ticks}, "a day of 23 hours")
	require.Equal(t, time.Date(2014, 3, 8, 22, 0, 0, 0, time.UTC), got[1].Start)
	require.Equal(t, time.Date(2014, 3, 9, 21, 0, 0, 0, time.UTC), got[1].End)
	all := enginetest.Rows(d, changes.Of(windows.Unbounded()))
	require.Len(t, all, 1)
	require.EqualValues(t, 72, all[0].Ticks)
	d.Crash()
	enginetest.Add(d, rates, tick("EUR/USD", 0, 1))
	require.EqualValues(t, 73, enginetest.Rows(d, changes.Of(windows.Unbounded()))[0].Ticks,
		"never closed, and restored")
	_, err = final.Topic(time.Hour)
	require.EqualError(t, err, "windows: no windows of size 1h0m0s: there are 1min, 1day, all")
	require.ErrorContains(t, final.Of(windows.Unbounded()).Err, "have none here")
	require.ErrorContains(t, final.StreamOf(windows.Unbounded()).Err, "never close")
}

// One group for all rows.
func TestGroupAll(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	count := dsl.Aggregate(dsl.GroupAll(rates), windows.Minutes(1), func(g dsl.Group[dsl.All, Rate]) struct{ N int64 } {
		return struct{ N int64 }{aggregates.Count(g)}
	})
	final := count.Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	enginetest.Add(d, rates, at("A", 0), at("B", 1), at("C", 59_999), at("A", 63_000))
	d.AddRaw("rates", enginetest.Record{Value: []byte(`{"bid":1,"at":"1970-01-01T00:01:02Z"}`)})
	enginetest.Add(d, rates, at("A", 123_000))
	rows := enginetest.Rows(d, final.Size(time.Minute))
	require.Equal(t, []struct{ N int64 }{{3}, {2}}, rows, "rows without a key count too")
}
