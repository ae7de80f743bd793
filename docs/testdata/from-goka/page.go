// Package fromgoka has what docs/from-goka.md takes for granted.
package fromgoka

import (
	"context"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
)

type User struct {
	ID   string `ashi:"id,key"`
	Name string `ashi:"name"`
}

var (
	ctx   context.Context
	eng   *engine.Engine
	users *dsl.TableOf[string, User]
)

// Declare declares what the blocks begin with.
func Declare(*dsl.Builder) {}
