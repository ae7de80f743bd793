// Package metrics has what docs/metrics.md takes for granted.
package metrics

import "github.com/ashi-stream/ashi/engine"

var eng *engine.Engine
