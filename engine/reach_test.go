package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The group is told of a copy that was far behind by what the group knew, and is near; whatever is heard first. Of a log that grows fast it is
// told less and less often.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reach{next: unknown, end: unknown, told: unknown}
		require.Equal(t, int64(unknown), r.tell())
		r.begin(unknown)
		require.False(t, r.moved(0))
		require.False(t, r.heard(50_000))
		require.False(t, r.moved(39_999))
		require.True(t, r.moved(40_000), "10,000 are missing")
		require.False(t, r.moved(40_001))
		require.Equal(t, int64(40_001), r.tell())
		require.False(t, r.heard(50_001), "it was told that it is near")

		require.False(t, r.moved(90_000), "all that there is, and no more comes")
		require.False(t, r.heard(90_000), "far from what was told, but that was a moment ago")
		time.Sleep(tellAgain) // of the bubble
		require.True(t, r.heard(90_000))
		r.tell()
		times := 0
		for range 3600 {
			time.Sleep(time.Second) // of the bubble
			next, end := r.now()
			if r.heard(end+20_000) || r.moved(next+20_000) {
				times++
				r.tell()
			}
		}
		require.Equal(t, 8, times, "at 2 s, 4 s, up to 512 s")

		next, end := r.now()
		require.Equal(t, next, end)
		r.tell()
		r.begin(next)
		require.False(t, r.heard(next+500))
		require.False(t, r.moved(next+500), "near all the time")
	})
}

// A standby has its share of the memory, as if it was a task.
func TestShareOfStandbys(t *testing.T) {
	e := &Engine{cfg: Config{Memory: 1 << 30}}
	s := &subState{}
	e.subs = []*subState{s, {}}
	s.owned.Store(4)
	four := e.shareOf(s)
	require.Equal(t, 1<<30/2/4/8*3, four.rows)
	s.owned.Store(1)
	s.copies.Store(3)
	require.Equal(t, four, e.shareOf(s))
}
