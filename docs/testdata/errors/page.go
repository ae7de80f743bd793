// Package errors has what docs/errors.md takes for granted.
package errors

import (
	"time"

	"github.com/ashi-stream/ashi/dsl"
)

type Rate struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp"`
}

func isBusy(error) bool { return false }

func check(r *Rate) (Rate, error) { return *r, nil }

// Declare declares what the blocks begin with.
func Declare(*dsl.Builder) {}
