// Package windows has what docs/windows.md takes for granted.
package windows

import (
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
)

type hit struct {
	Key string    `ashi:"key,key"`
	At  time.Time `ashi:"at,timestamp"`
}

type counted struct {
	Key  string `ashi:"key,key"`
	Hits int64
}

var byKey *dsl.GroupedOf[string, hit]

func count(g dsl.Group[string, hit]) counted { return counted{g.Key(), aggregates.Count(g)} }

var newYork, _ = time.LoadLocation("America/New_York")

// Declare declares what the blocks begin with.
func Declare(b *dsl.Builder) {
	byKey = dsl.GroupByKey[string](dsl.Stream[hit](b, "hits"))
}
