// Package entities has what docs/entities.md takes for granted.
package entities

import (
	"context"
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
)

// Trade is keyed by its id.
type Trade struct {
	ID       string `ashi:"id,key"`
	Pair     string `ashi:"pair"`
	Sent     time.Time
	Executed time.Time `ashi:"executed,timestamp"`
}

// Price is a table by pair.
type Price struct {
	Pair string  `ashi:"pair,key"`
	Bid  float64 `ashi:"bid"`
}

var (
	ctx    context.Context
	eng    *engine.Engine
	prices *dsl.TableOf[string, Price]
	trades *dsl.StreamOf[Trade]
)

// Declare declares what the blocks begin with.
func Declare(*dsl.Builder) {}
