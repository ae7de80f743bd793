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

type balance struct {
	Pair string `ashi:"pair,key"`
	Sum  float64
}

func balances(t *testing.T, w windows.Spec) (*enginetest.Driver, *dsl.StreamOf[Rate],
	*dsl.WindowedOf[string, balance]) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	sums := dsl.Aggregate(dsl.GroupByKey[string](rates), w, func(g dsl.Group[string, Rate]) balance {
		return balance{g.Key(), aggregates.Sum(g, func(r *Rate) float64 { return r.Bid })}
	}).Having(func(b *balance) bool { return b.Sum > 10 })
	sums.Final()
	sums.Changes()
	plan, err := b.Build()
	require.NoError(t, err)
	return enginetest.New(t, plan), rates, sums
}

// passing is the changes since the last call: sums, and "gone" for tombstones.
func passing(d *enginetest.Driver, topic string) (seen []string) {
	for _, r := range d.ReadRaw(topic) {
		if r.Value == nil {
			seen = append(seen, "gone")
		} else {
			seen = append(seen, string(r.Value))
		}
	}
	return seen
}

// A row that never passed is not put out, one that stops passing is deleted, and finals go by the
// last state [G10]: also over a crash.
func TestHaving(t *testing.T) {
	d, rates, sums := balances(t, windows.Minutes(1))
	const topic = "rates_1min_window_raw"
	add := func(second, bid float64) []string {
		enginetest.Add(d, rates, tick("P", second, bid))
		d.Crash()
		return passing(d, topic)
	}
	require.Empty(t, add(0, 5), "never passed")
	require.Equal(t, []string{`{"pair":"P","Sum":11}`}, add(1, 6))
	require.Equal(t, []string{`{"pair":"P","Sum":12}`}, add(2, 1))
	require.Equal(t, []string{"gone"}, add(3, -8), "stops passing")
	require.Empty(t, add(4, 1))
	require.Equal(t, []string{`{"pair":"P","Sum":15}`}, add(5, 10))
	enginetest.Add(d, rates, tick("P", 100, 3), tick("P", 200, 0))
	require.Equal(t, []balance{{"P", 15}}, enginetest.Rows(d, sums.Final().Size(time.Minute)),
		"the second window does not pass")
}

func TestHavingOfSessions(t *testing.T) {
	gap := windows.Session(30 * time.Second)
	d, rates, sums := balances(t, gap)
	const topic = "rates_session_30s_window_raw"
	add := func(second, bid float64) []string {
		enginetest.Add(d, rates, tick("P", second, bid))
		d.Crash()
		return passing(d, topic)
	}
	require.Empty(t, add(0, 5))
	require.Empty(t, add(10, 5), "what was never put out leaves no tombstone when it is extended")
	require.Equal(t, []string{`{"pair":"P","Sum":11}`}, add(10, 1))
	require.Equal(t, []string{"gone"}, add(10, -5), "stops passing in its place")
	require.Equal(t, []string{`{"pair":"P","Sum":16}`}, add(20, 10))
	require.Equal(t, []string{"gone", `{"pair":"P","Sum":17}`}, add(30, 1), "extended")
	enginetest.Add(d, rates, tick("P", 100, 3), tick("P", 200, 0))
	require.Equal(t, []balance{{"P", 17}}, enginetest.Rows(d, sums.Final().Of(gap)))
}
