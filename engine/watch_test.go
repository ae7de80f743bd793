package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

func reasons(e *Engine) (all []Reason) {
	for _, c := range e.Readiness().Causes {
		all = append(all, c.Reason)
	}
	return all
}

// Lag over the limit for 5 s, and silence of a leader for 15 s, take readiness away, and bring it
// back when they end.
func TestLagAndSilence(t *testing.T) {
	e := &Engine{cfg: Config{MaxLag: 10}, readiness: newReadiness(slog.New(slog.DiscardHandler))}
	e.readiness.regained(Cause{Reason: Starting})
	tb := &table{plan: &topology.Table{Topic: "bars"}, ends: map[int32]int64{}, heardAt: map[int32]time.Time{},
		changed: make(chan struct{})}
	tb.begins(map[int32]int64{0: 5, 1: 5}, map[int32]int64{0: 5, 1: 5}, time.Now())
	tb.ready.Store(true)
	now := time.Now()
	look := func(after time.Duration) []Reason {
		e.watchTable(tb, now.Add(after))
		return reasons(e)
	}
	tb.heard(1, 15, now)
	require.Empty(t, look(0), "10 behind is within the limit")
	require.Empty(t, look(lagFor))
	tb.heard(1, 16, now)
	require.Empty(t, look(lagFor))
	require.Empty(t, look(2*lagFor-time.Millisecond))
	require.Equal(t, []Reason{Lagging}, look(2*lagFor))
	require.ErrorContains(t, e.readiness.err(), "lagging table bars: 11 records behind, at most 10 are allowed")
	tb.moved(1, 6)
	require.Empty(t, look(2*lagFor+time.Millisecond))
	tb.moved(1, 16)
	require.Equal(t, []Reason{FollowerStopped}, look(silentFor+time.Second))
	require.Empty(t, look(silentFor-time.Second), "as if it had been heard of since")
}

// A task that takes long to open is a cause once the engine was ready, until it is open or given
// away.
func TestSlowTask(t *testing.T) {
	r := newReadiness(slog.New(slog.DiscardHandler))
	e := &Engine{readiness: r}
	state := &subState{sub: &topology.SubTopology{Name: "rates"}}
	first := e.tasks.add(state, 0, new(task.Pulse))
	late := time.Now().Add(2 * restoringFor)
	e.tasks.watch(r, late, time.Hour)
	require.Equal(t, []Reason{Starting}, reasons(e), "a long restore at start is part of the start")
	r.regained(Cause{Reason: Starting})
	e.tasks.watch(r, late, time.Hour)
	require.Equal(t, []Reason{TaskRestoring}, reasons(e))
	second := e.tasks.add(state, 1, new(task.Pulse))
	e.tasks.watch(r, late, time.Hour)
	require.ErrorContains(t, r.err(), "task rates/1")
	first.open.Store(true)
	e.tasks.watch(r, late, time.Hour)
	require.Equal(t, []Reason{TaskRestoring}, reasons(e))
	e.tasks.remove(second, r)
	require.Empty(t, reasons(e))
}

// Damage that a read finds takes readiness away; other errors do not.
func TestDamageIsReported(t *testing.T) {
	var found []error
	failing := &failingStore{Store: memory.New()}
	defer failing.Close()
	s := &watchedStore{failing, func(err error) { found = append(found, err) }}
	_, _, err := s.Get(nil, []byte("a"))
	require.NoError(t, err)
	failing.err = errors.New("other")
	_, _, err = s.Get(nil, []byte("a"))
	require.Error(t, err)
	require.Empty(t, found)
	failing.err = stores.ErrCorrupt
	_, _, err = s.Get(nil, []byte("a"))
	require.ErrorIs(t, err, stores.ErrCorrupt)
	require.Len(t, found, 1)
}

type failingStore struct {
	stores.Store
	err error
}

func (s *failingStore) Get(dst, key []byte) ([]byte, bool, error) {
	if s.err != nil {
		return dst, false, s.err
	}
	return s.Store.Get(dst, key)
}

// What a task waits for is logged once it has been the same for a while, and again now and then.
func TestTaskSaysWhatItWaitsFor(t *testing.T) {
	var lines bytes.Buffer
	r := newReadiness(slog.New(slog.NewTextHandler(&lines, nil)))
	e := &Engine{readiness: r}
	v := e.tasks.add(&subState{sub: &topology.SubTopology{Name: "rates"}}, 3, new(task.Pulse))
	now := time.Now()
	look := func(after time.Duration) string {
		lines.Reset()
		now = now.Add(after)
		e.tasks.watch(r, now, time.Hour)
		return lines.String()
	}
	v.opening.restoring(5, 100)
	require.Empty(t, look(0))
	for next := range int64(20) { // it gets on, slowly
		v.opening.next.Store(10 + next)
		require.Empty(t, look(restoringFor))
	}
	require.Contains(t, look(restoringFor), `task=rates/3 waits_for="its changelog, at offset 29 of 100" for=10s`)
	require.Empty(t, look(time.Second))
	require.Contains(t, look(stallEvery), "for=1m11s")
	v.opening.stable.Store(29)
	require.Empty(t, look(time.Second), "another text")
	require.Contains(t, look(restoringFor), "at offset 29 of 100, behind an open transaction of another program")
	v.opening.waitFor(waitsForOwner)
	require.Empty(t, look(0))
	require.Contains(t, look(restoringFor), "waits_for=\"the end of the last owner's transaction\"")
	v.open.Store(true)
	require.Empty(t, look(time.Hour))
}
