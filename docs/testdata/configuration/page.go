// Package configuration has what docs/configuration.md takes for granted.
package configuration

import (
	"time"

	"github.com/ashi-stream/ashi/topology"
)

type Rate struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp"`
}

var plan *topology.Plan
