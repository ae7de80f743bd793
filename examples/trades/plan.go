package main

import (
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Quote is what a bank bids and asks for a pair of currencies, until its next one.
type Quote struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	Ask  float64   `ashi:"ask"`
	At   time.Time `ashi:"at,timestamp"`
}

// Trade is somebody who bought, or sold, at a price.
type Trade struct {
	Pair  string    `ashi:"pair,key"`
	Buy   bool      `ashi:"buy"`
	Price float64   `ashi:"price"`
	At    time.Time `ashi:"at,timestamp"`
}

// Fill is a trade with the quote that it met.
type Fill struct {
	Pair     string
	Price    float64
	Spread   float64 // ask less bid
	Slippage float64 // how much worse than the quote the price was; negative: better
}

// Cost is what trading a pair cost in a minute.
type Cost struct {
	Pair          string `ashi:"pair,key"`
	Start         time.Time
	Trades        int64
	Spread        float64 // mean
	Slippage      float64 // mean
	WorstSlippage float64
}

const (
	stale = 2 * time.Second // a quote of which nothing was heard for so long is none
	grace = time.Second     // quotes may come so much later than trades
)

// pipeline is the plan, and its ends: where quotes and trades go in, where costs come out.
type pipeline struct {
	plan   *topology.Plan
	quotes *dsl.StreamOf[Quote]
	trades *dsl.StreamOf[Trade]
	costs  *dsl.OutputOf[string, Cost]
}

func newPipeline(app string) (*pipeline, error) {
	b := dsl.New(app)
	p := &pipeline{quotes: dsl.Stream[Quote](b, "quotes"), trades: dsl.Stream[Trade](b, "trades")}
	fills := dsl.AsOf(p.trades, p.quotes, dsl.Back(stale).Grace(grace), fill)
	p.costs = dsl.Aggregate(dsl.GroupByKey[string](fills), windows.Minutes(1).Grace(grace), cost).Final()
	var err error
	p.plan, err = b.Build()
	return p, err
}

func fill(t *Trade, q *Quote) (Fill, error) {
	slippage := q.Bid - t.Price
	if t.Buy {
		slippage = t.Price - q.Ask
	}
	return Fill{Pair: t.Pair, Price: t.Price, Spread: q.Ask - q.Bid, Slippage: slippage}, nil
}

func cost(g dsl.Group[string, Fill]) Cost {
	slippage := func(f *Fill) float64 { return f.Slippage }
	return Cost{Pair: g.Key(), Start: g.WindowStart(), Trades: aggregates.Count(g),
		Spread: aggregates.Avg(g, func(f *Fill) float64 { return f.Spread }), Slippage: aggregates.Avg(g, slippage),
		WorstSlippage: aggregates.Max(g, slippage)}
}
