package dsl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

// Changes of sliding windows under a condition: also over a crash it is known which windows a
// reader of the changes has.
func TestHavingOfSliding(t *testing.T) {
	sliding := windows.Sliding(10 * time.Second)
	d, rates, sums := balances(t, sliding)
	const topic = "rates_sliding_10s_window_raw"
	add := func(second, bid float64) []string {
		enginetest.Add(d, rates, tick("P", second, bid))
		d.Crash()
		return passing(d, topic)
	}
	require.Empty(t, add(0, 5), "[-10,0] has 5")
	require.Equal(t, []string{`{"pair":"P","Sum":11}`}, add(5, 6), "[-5,5] has 11, the one behind 0 has 6")
	require.Equal(t, []string{"gone"}, add(4, -2), "[-6,4] has 3, [-5,5] has 9, behind 4 there is 6")
	require.Equal(t, []string{`{"pair":"P","Sum":16}`, `{"pair":"P","Sum":11}`, `{"pair":"P","Sum":13}`}, add(5, 7),
		"[-5,5], what is behind 0, and behind 4")
	enginetest.Add(d, rates, tick("P", 100, 3), tick("P", 200, 0))
	require.Equal(t, []balance{{"P", 16}, {"P", 11}, {"P", 13}}, enginetest.Rows(d, sums.Final().Of(sliding)),
		"[-10,0], [-6,4], and others do not pass")
}

// The table of final rows has each window with both of its bounds.
func TestSlidingTable(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	sliding := windows.Sliding(10 * time.Millisecond)
	final := dsl.Aggregate(dsl.GroupByKey[string](rates), sliding.Grace(0), bar).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	enginetest.Add(d, rates, at("P", 20), at("P", 25), at("P", 1000))
	var got [][3]int64
	for _, row := range enginetest.Rows(d, final.Of(sliding)) {
		got = append(got, [3]int64{row.Start.UnixMilli(), row.End.UnixMilli(), row.Ticks})
	}
	require.Equal(t, [][3]int64{{10, 20, 1}, {15, 25, 2}, {21, 31, 1}}, got)
}
