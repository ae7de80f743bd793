package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

// The group is told of a copy that was far behind by what the group knew, and is near; whatever is
// heard first. Of a log that grows fast it is told less and less often.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := func(r *reach, end int64) bool { return r.heard(end, time.Now()) }
		r := reach{next: unknown, end: unknown, told: unknown}
		require.Equal(t, int64(unknown), r.tell())
		r.begin(unknown)
		require.False(t, r.moved(0))
		require.False(t, heard(&r, 50_000))
		require.False(t, r.moved(39_999))
		require.True(t, r.moved(40_000), "10,000 are missing")
		require.False(t, r.moved(40_001))
		require.Equal(t, int64(40_001), r.tell())
		require.False(t, heard(&r, 50_001), "it was told that it is near")

		require.False(t, r.moved(90_000), "all that there is, and no more comes")
		require.False(t, heard(&r, 90_000), "far from what was told, but that was a moment ago")
		time.Sleep(tellAgain) // of the bubble
		require.True(t, heard(&r, 90_000))
		r.tell()
		times := 0
		for range 3600 {
			time.Sleep(time.Second) // of the bubble
			next, end := r.now()
			if heard(&r, end+20_000) || r.moved(next+20_000) {
				times++
				r.tell()
			}
		}
		require.Equal(t, 8, times, "at 2 s, 4 s, up to 512 s")

		next, end := r.now()
		require.Equal(t, next, end)
		r.tell()
		r.begin(next)
		require.False(t, heard(&r, next+500))
		require.False(t, r.moved(next+500), "near all the time")
	})
}

// A position is as young as the last end that it has come to, however fast the log grows, and no
// younger than the question about it.
func TestAtEnd(t *testing.T) {
	at := func(minutes int) time.Time { return time.Unix(0, 0).Add(time.Duration(minutes) * time.Minute) }
	var a atEnd
	a.heard(10, 0, at(1))
	require.Zero(t, a.last)
	a.moved(9)
	a.heard(20, 9, at(2))
	require.Zero(t, a.last)
	a.moved(10)
	require.Equal(t, at(1), a.last, "there is more since")
	for i := range 10 { // always behind
		a.heard(int64(30+10*i), int64(15+10*i), at(3+i))
		a.moved(int64(25 + 10*i))
	}
	require.GreaterOrEqual(t, a.last, at(11))
	a.heard(200, 200, at(13))
	require.Equal(t, at(13), a.last)
	a.heard(201, 200, at(14))
	a.heard(200, 200, at(15))
	require.Equal(t, at(13), a.last)
}

// A table is as old as the partition of which least is known, and not older than its store says.
// One that is followed and has heard nothing for long, as the process was stopped or there was no
// broker, may not go on with what comes then.
func TestAgeOfTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := &table{plan: &topology.Table{Topic: "bars"}, ends: map[int32]int64{}, heardAt: map[int32]time.Time{},
			changed: make(chan struct{}), kept: 24 * time.Hour, noted: time.Now()}
		tb.begins(map[int32]int64{0: 5, 1: 5}, map[int32]int64{0: 5, 1: 6}, time.Now())
		time.Sleep(11 * time.Hour) // of the bubble
		tb.heard(0, 5, time.Now())
		require.NoError(t, tb.young())
		time.Sleep(2 * time.Hour) // of the bubble
		require.ErrorIs(t, tb.young(), task.ErrDamaged)
		tb.moved(1, 6)
		require.ErrorIs(t, tb.young(), task.ErrDamaged, "it was the end 13 hours ago")
		tb.heard(1, 6, time.Now())
		require.NoError(t, tb.young())

		asked := time.Now()
		time.Sleep(13 * time.Hour) // of the bubble, and of a process between question and answer
		tb.heard(0, 5, asked)
		tb.heard(1, 6, asked)
		require.ErrorIs(t, tb.young(), task.ErrDamaged)
		tb.kept = 0
		require.NoError(t, tb.young(), "its topic is not compacted")
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

// sizedStore notes how large its write buffer may be.
type sizedStore struct {
	stores.Store
	buffer int64
}

func (s *sizedStore) SetWriteBuffer(size int64) error {
	s.buffer = size
	return nil
}

// The write buffer of a task's store is smaller when more partitions come, as the rest of what the
// task may take.
func TestWriteBufferOfTasks(t *testing.T) {
	s := &subState{}
	e := &Engine{cfg: Config{Memory: 256 << 20}, subs: []*subState{s}}
	store := &sizedStore{}
	w := &worker{engine: e, state: s, store: store, task: &task.Task{}}
	s.owned.Store(1)
	require.NoError(t, w.bound())
	require.EqualValues(t, 12<<20, store.buffer)
	s.owned.Store(3)
	s.copies.Store(1)
	require.NoError(t, w.bound())
	require.EqualValues(t, 3<<20, store.buffer)
	w.store = memory.New()
	require.NoError(t, w.bound(), "a store that has none")
}
