// Package configuration has what docs/configuration.md takes for granted.
package configuration

import "github.com/ashi-stream/ashi/topology"

var plan *topology.Plan
