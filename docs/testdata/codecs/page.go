// Package codecs has what docs/codecs.md takes for granted.
package codecs

import "time"

type Rate struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp"`
}

var password string
