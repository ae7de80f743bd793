// Package codecs has what docs/codecs.md takes for granted.
package codecs

import (
	"context"
	"time"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/topology"
)

type Rate struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp"`
}

type Limit struct {
	Pair string `ashi:"pair,key"`
	Most int64  `ashi:"most"`
}

var password string

var schemas = oneSchema{}

// oneSchema is a registry that takes every schema.
type oneSchema struct{ topology.Schemas }

func (oneSchema) Register(context.Context, string, topology.Schema) (int, error) { return 1, nil }

// Declare declares what the blocks begin with.
func Declare(*dsl.Builder) {}
