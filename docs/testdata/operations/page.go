// Package operations has what docs/operations.md takes for granted.
package operations

import (
	"context"

	"github.com/ashi-stream/ashi/engine"
)

var (
	ctx context.Context
	eng *engine.Engine
)
