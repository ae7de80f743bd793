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

type Rate struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	Ask  float64   `ashi:"ask"`
	At   time.Time `ashi:"at,timestamp"`
}

type Bar struct {
	Pair                   string `ashi:"pair,key"`
	Start, End             time.Time
	Open, High, Low, Close float64
	Ticks                  int64
}

func bar(g dsl.Group[string, Rate]) Bar {
	bid := func(r *Rate) float64 { return r.Bid }
	return Bar{
		Pair: g.Key(), Start: g.WindowStart(), End: g.WindowEnd(),
		Open:  aggregates.EarliestByOffset(g, bid),
		High:  aggregates.Max(g, bid),
		Low:   aggregates.Min(g, bid),
		Close: aggregates.LatestByOffset(g, bid),
		Ticks: aggregates.Count(g),
	}
}

var noon = time.Date(2014, 5, 1, 12, 0, 0, 0, time.UTC)

func tick(pair string, second float64, bid float64) Rate {
	return Rate{Pair: pair, Bid: bid, Ask: bid + 0.0001, At: noon.Add(time.Duration(second * float64(time.Second)))}
}

func TestFXBars(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	positive := rates.Filter(func(r *Rate) (bool, error) { return r.Bid > 0, nil })
	bars := dsl.Aggregate(dsl.GroupByKey[string](positive), windows.Minutes(1, 5), bar)
	final, changes := bars.Final(), bars.Changes()
	plan, err := b.Build()
	require.NoError(t, err)

	d := enginetest.New(t, plan)
	enginetest.Add(d, rates, tick("EUR/USD", 0, 1.3), tick("EUR/USD", 30, 1.5), tick("NZD/USD", 10, 0.8),
		tick("EUR/USD", 59.999, 1.1), tick("EUR/USD", 62, 0), tick("EUR/USD", 62.5, 1.2))
	require.Empty(t, enginetest.Rows(d, final.Size(time.Minute)), "in grace")
	require.Len(t, enginetest.Read(d, changes.Stream(time.Minute)), 3)
	d.Crash()
	enginetest.Add(d, rates, tick("EUR/USD", 20, 1.7), tick("EUR/USD", 63, 1.25))
	require.Equal(t, []Bar{
		{Pair: "EUR/USD", Start: noon, End: noon.Add(time.Minute), Open: 1.3, High: 1.7, Low: 1.1, Close: 1.7,
			Ticks: 4},
		{Pair: "NZD/USD", Start: noon, End: noon.Add(time.Minute), Open: 0.8, High: 0.8, Low: 0.8, Close: 0.8,
			Ticks: 1},
	}, enginetest.Rows(d, final.Size(time.Minute)))
	enginetest.Add(d, rates, tick("EUR/USD", 30, 9))
	require.EqualValues(t, 1, d.Dropped("late"))
	enginetest.Add(d, rates, tick("EUR/USD", 303, 1))
	require.Len(t, enginetest.Rows(d, final.Size(time.Minute)), 3)
	require.Equal(t, Bar{Pair: "EUR/USD", Start: noon, End: noon.Add(5 * time.Minute), Open: 1.3, High: 9, Low: 1.1,
		Close: 9, Ticks: 7},
		enginetest.Rows(d, final.Size(5*time.Minute))[0])
}
