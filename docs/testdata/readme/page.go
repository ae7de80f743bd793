// Package readme has what the README takes for granted.
package readme

import (
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/topology"
)

// Rate, Bar and the other types are those that the README speaks of.
type Rate struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp"`
}

type Bar struct {
	Pair string `ashi:"pair,key"`
}

type Trade struct {
	Pair   string `ashi:"pair,key"`
	Trader string
	Price  float64
	At     time.Time `ashi:"at,timestamp"`
}

type Quote struct {
	Pair     string `ashi:"pair,key"`
	Bid, Ask float64
	At       time.Time `ashi:"at,timestamp"`
}

func (q *Quote) Mid() float64 { return (q.Bid + q.Ask) / 2 }

type Fill struct {
	Pair, Trader string
	Slippage     float64
}

type Cost struct {
	Trader string `ashi:"trader,key"`
}

var (
	plan    *topology.Plan
	rates   *dsl.StreamOf[Rate]
	final   *dsl.OutputOf[string, Bar]
	noon    time.Time
	newYork = time.UTC
)

func costOf(g dsl.Group[string, Fill]) Cost { return Cost{Trader: g.Key()} }

// Declare declares what the blocks begin with.
func Declare(*dsl.Builder) {}
