package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/windows"
)

type keyless struct{ Bid float64 }

type mapped struct {
	Pair   string `ashi:"pair,key"`
	Levels map[string]float64
}

type doubtful struct {
	Pair string `ashi:"pair,key,colour=red"`
	At   string `ashi:"at,timestamp"`
}

// Build reports all mistakes at once, each with the line of the program that made it. The text is
// in testdata: read it when it changes, as the user will.
func TestEveryMistakeAtOnce(t *testing.T) {
	b := dsl.New("my app")
	rates := dsl.Stream[rate](b, "rates")
	dsl.Stream[rate](b, "rates")
	dsl.Stream[rate](b, "bad topic")
	dsl.Stream[spread](b, "spreads", "more spreads")
	dsl.Stream[doubtful](b, "doubtful")
	dsl.Stream[chan int](b, "channels")
	dsl.Stream[mapped](b, "mapped").Codec(codecs.Fixed[mapped]())
	dsl.Stream[rate](b, "nocodec").Codec(nil)
	dsl.Table[string, keyless](b, "limits")
	dsl.Table[map[string]int, rate](b, "maps")

	byPair := dsl.GroupByKey[string](rates)
	dsl.GroupBy(rates, func(r *rate) time.Time { return r.At })
	dsl.GroupBy(rates, func(r *rate) bool { return r.Bid > 0 })
	dsl.Aggregate(byPair, windows.Minutes(0), barOf).As("size zero").Final()
	dsl.Aggregate(byPair, windows.Tumbling(time.Microsecond, -time.Second).Grace(-1), barOf).As("odd sizes").Final().
		Named(func(windows.Kind) string { return "odd" })
	dsl.Aggregate(byPair, windows.Spec{}, barOf).As("no size").Final()
	dsl.Aggregate(byPair, windows.Minutes(1, 1, 1), barOf).Final()
	dsl.Aggregate(byPair, windows.Minutes(1), barOf).Final()
	dsl.Aggregate(byPair, windows.Minutes(2), barOf).As("nobody reads")
	dsl.Aggregate(byPair, windows.Minutes(3), func(dsl.Group[string, rate]) bar { return bar{} }).As(
		"no aggregate").Final()
	runs := 0
	dsl.Aggregate(byPair, windows.Minutes(4), func(g dsl.Group[string, rate]) bar {
		if runs++; runs%2 == 0 {
			return bar{Ticks: aggregates.Count(g)}
		}
		return bar{High: aggregates.Max(g, bid)}
	}).As("unstable").Final()
	dsl.Aggregate(byPair, windows.Minutes(5), func(g dsl.Group[string, rate]) bar { panic("no group yet") }).As(
		"panicking").Final()
	rates.Filter(valid).To("rates")
	rates.Filter(valid).To("")
	rates.Filter(valid).To("..")

	_, err := b.Build()
	require.Error(t, err)
	golden(t, "mistakes.txt", err.Error()+"\n")
}

func TestEmptyPlan(t *testing.T) {
	_, err := dsl.New("nothing").Build()
	require.Error(t, err)
	golden(t, "empty.txt", err.Error()+"\n")
}

// Sizes may be repeated: each counts once. A projection that makes equal calls is stable however it
// puts results together.
func TestNoMistakes(t *testing.T) {
	b := dsl.New("fx")
	dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[rate](b, "rates")), windows.Minutes(5, 1, 5, 1), barOf).Final()
	require.Contains(t, built(t, b).Describe(), "windows tumbling 1min, tumbling 5min; grace 3s")
}
