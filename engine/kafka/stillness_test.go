package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Time in which nobody looked, since the process was stopped, counts as one look: the worker could
// not move either.
func TestStillnessIsObserved(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	s := stillness{most: 2 * time.Second}
	place := at
	look := func(after time.Duration) time.Duration {
		at = at.Add(after)
		return s.look(at, place)
	}
	require.Zero(t, look(0))
	require.Equal(t, time.Second, look(time.Second))
	require.Equal(t, 2*time.Second, look(time.Second))
	require.Equal(t, 4*time.Second, look(time.Hour), "the process was stopped for an hour")
	require.Equal(t, 5*time.Second, look(time.Second))

	place = at
	require.Zero(t, look(time.Second), "it has moved")
	require.Equal(t, time.Second, look(time.Second))

	place = time.Time{}
	require.Zero(t, look(time.Hour), "it rests")
	require.Zero(t, look(time.Hour))
}
