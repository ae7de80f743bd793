package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRate(t *testing.T) {
	var r rate
	at := time.Unix(0, 0)
	require.Zero(t, r.perSecond())
	r.note(at, 500)
	require.Zero(t, r.perSecond(), "nobody knows since when")
	for i := range int64(20) {
		at = at.Add(time.Second)
		r.note(at, 500+100*(i+1))
	}
	require.InDelta(t, 100, r.perSecond(), 0.001)
	at = at.Add(5 * time.Second)
	r.note(at, 2500)
	require.InDelta(t, 50, r.perSecond(), 0.001)
	at = at.Add(5 * time.Second)
	r.note(at, 2500)
	require.Zero(t, r.perSecond(), "of what is longer ago nothing is left")
	require.LessOrEqual(t, len(r.seen), 12)
}
