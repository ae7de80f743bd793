package main

import (
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Tick is what a bank bids and asks for a pair of currencies at some moment.
type Tick struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	Ask  float64   `ashi:"ask"`
	At   time.Time `ashi:"at,timestamp"`
}

// Bar sums up the ticks of a pair in a window of time.
type Bar struct {
	Pair                               string `ashi:"pair,key"`
	Start                              time.Time
	BidOpen, BidHigh, BidLow, BidClose float64
	AskOpen, AskHigh, AskLow, AskClose float64
	Ticks                              int64
}

// bars have these sizes, in minutes.
var sizes = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// pipeline is the plan, and its ends: where ticks go in, where bars come out.
type pipeline struct {
	plan    *topology.Plan
	ticks   *dsl.StreamOf[Tick]
	changes *dsl.OutputOf[string, Bar] // provisional bars, at every commit
	finals  *dsl.OutputOf[string, Bar] // each bar once, when its window has closed
}

func newPipeline(app, topic string) (*pipeline, error) {
	b := dsl.New(app)
	ticks := dsl.Stream[Tick](b, topic).Codec(codecs.Fixed[Tick]())
	valid := ticks.Filter(func(t *Tick) (bool, error) { return t.Bid > 0 && t.Ask > 0, nil })
	bars := dsl.Aggregate(
		dsl.GroupByKey[string](valid),
		windows.Tumbling(sizes[0], sizes[1:]...),
		bar)
	p := &pipeline{ticks: ticks, changes: bars.Changes(), finals: bars.Final()}
	var err error
	p.plan, err = b.Build()
	return p, err
}

// bar is one bar, as it stands.
func bar(g dsl.Group[string, Tick]) Bar {
	bid := func(t *Tick) float64 { return t.Bid }
	ask := func(t *Tick) float64 { return t.Ask }
	return Bar{
		Pair:     g.Key(),
		Start:    g.WindowStart(),
		BidOpen:  aggregates.EarliestByOffset(g, bid),
		BidHigh:  aggregates.Max(g, bid),
		BidLow:   aggregates.Min(g, bid),
		BidClose: aggregates.LatestByOffset(g, bid),
		AskOpen:  aggregates.EarliestByOffset(g, ask),
		AskHigh:  aggregates.Max(g, ask),
		AskLow:   aggregates.Min(g, ask),
		AskClose: aggregates.LatestByOffset(g, ask),
		Ticks:    aggregates.Count(g),
	}
}
