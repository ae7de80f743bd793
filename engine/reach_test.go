package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The group is told once of a copy that was far behind by what the group knew, and is near; whatever is heard first.
func TestReach(t *testing.T) {
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
	require.False(t, r.heard(90_000), "and is not now, for which nobody waits")
	require.False(t, r.moved(90_000))

	require.Equal(t, int64(90_000), r.tell())
	require.False(t, r.moved(100_001), "all that there is, and no more comes")
	require.True(t, r.heard(100_001), "the group was told of 10,001 less")

	r.begin(100_001)
	require.Equal(t, int64(100_001), r.tell())
	require.False(t, r.heard(100_500))
	next, end := r.now()
	require.Equal(t, []int64{100_001, 100_500}, []int64{next, end})
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
