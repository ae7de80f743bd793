package rig

import (
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/windows"
)

// DayStart is when the times of ticks begin.
var DayStart = time.Date(2014, 5, 1, 0, 0, 0, 0, time.UTC)

// Tick is a record of inputs that a program makes.
type Tick struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp,format=ms"`
}

// Bar is a row of a table.
type Bar struct {
	Pair                   string `ashi:"pair,key"`
	Start                  int64
	Open, High, Low, Close float64
	Count                  int64
}

// Ticks is a stream of them.
func Ticks(b *dsl.Builder, topic string) *dsl.StreamOf[Tick] {
	return dsl.Stream[Tick](b, topic).Codec(codecs.Fixed[Tick]())
}

// Bars makes bars of a minute.
func Bars(ticks *dsl.StreamOf[Tick]) *dsl.WindowedOf[string, Bar] {
	return dsl.Aggregate(dsl.GroupByKey[string](ticks), windows.Minutes(1), func(g dsl.Group[string, Tick]) Bar {
		bid := func(t *Tick) float64 { return t.Bid }
		return Bar{g.Key(), g.WindowStart().UnixMilli(), aggregates.EarliestByOffset(g, bid), aggregates.Max(g, bid),
			aggregates.Min(g, bid), aggregates.LatestByOffset(g, bid), aggregates.Count(g)}
	})
}

// PeerTick is a record of the peers' topics: see their README. Its event time is the record's
// timestamp; At is a payload, which for latency is another time.
type PeerTick struct {
	Pair string  `ashi:"pair,key"`
	Bid  float64 `ashi:"bid"`
	Ask  float64 `ashi:"ask"`
	At   int64   `ashi:"at"`
}

// Candle is a row of what the peers make of it.
type Candle struct {
	Pair                   string `ashi:"pair,key"`
	Open, High, Low, Close float64
	Count, At              int64
}

// CandleOf is the candle of a group.
func CandleOf(g dsl.Group[string, PeerTick]) Candle {
	bid := func(t *PeerTick) float64 { return t.Bid }
	return Candle{
		Pair:  g.Key(),
		Open:  aggregates.EarliestByOffset(g, bid),
		High:  aggregates.Max(g, bid),
		Low:   aggregates.Min(g, bid),
		Close: aggregates.LatestByOffset(g, bid),
		Count: aggregates.Count(g),
		At:    aggregates.LatestByOffset(g, func(t *PeerTick) int64 { return t.At }),
	}
}
