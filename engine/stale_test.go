package engine_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
)

// unhurried lets an engine in virtual time ask its brokers seldom, before Run: idle hours cost
// little then. Its tables would be taken for silent.
func unhurried(e *engine.Engine) {
	c := engine.Connection(e)
	c.HeartbeatInterval, c.FetchWait, c.WatchInterval = 15*time.Second, time.Minute, 30*time.Second
}

// seldom commits as seldom as an idle day needs.
func seldom(c *engine.Config) { c.CommitInterval = 10 * time.Second }

// startOnDisk starts a member whose stores are on a disk, which outlives it.
func startOnDisk(t *testing.T, plan *topology.Plan, c *kafkatest.Cluster, disk *simDisk,
	settings ...func(*engine.Config)) (*running, *logLines) {
	lines := &logLines{}
	cfg := engine.Config{Brokers: c.Brokers, Dial: c.Dial, CommitInterval: time.Second,
		CheckpointInterval: 10 * time.Second, WithoutTables: "the test is about tasks",
		Log: slog.New(slog.NewTextHandler(lines, nil))}
	for _, set := range settings {
		set(&cfg)
	}
	e, err := engine.New(plan, cfg)
	require.NoError(t, err)
	engine.OpenStores(e, disk.open)
	unhurried(e)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Engine: e, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- e.Run(ctx) }()
	return r, lines
}

// A machine is switched off for two days, and another does its work; compaction takes the deletions
// of windows away that the old store still has open. When it comes back, those rows must not be put
// out a second time: the store is thrown away. One that was away for hours is used.
func TestStaleStore(t *testing.T) {
	for name, x := range map[string]struct {
		away  time.Duration
		stale bool
	}{"two days": {48 * time.Hour, true}, "an hour": {time.Hour, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVirtualRig(t, rand.Uint64())
				first := newSimDisk(nil)
				r, _ := startOnDisk(t, v.plan, v.cluster, first)
				v.feed(t, 10*time.Minute)
				require.NoError(t, r.stop())

				r, _ = startOnDisk(t, v.plan, v.cluster, newSimDisk(nil))
				v.feed(t, 10*time.Minute) // what was open is closed
				require.NoError(t, r.stop())
				time.Sleep(x.away) // of the bubble: the embedded broker compacts once an hour

				r, lines := startOnDisk(t, v.plan, v.cluster, newSimDisk(first.crash(nil)))
				v.feed(t, time.Minute)
				v.finish(t, &member{running: r})
				if x.stale {
					require.Contains(t, lines.String(), "its topic keeps deletions for 24h0m0s")
				} else {
					require.NotContains(t, lines.String(), "rebuilt")
				}
			})
		})
	}
}

// A task whose input is idle for longer than half of the time that its changelog keeps deletions
// has missed nothing: its store is not rebuilt at the next start, wherever it was stopped or
// killed.
func TestIdleStore(t *testing.T) {
	for name, x := range map[string]struct{ empty, killed bool }{"stopped": {}, "killed": {killed: true},
		"nothing ever came": {empty: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVirtualRig(t, rand.Uint64())
				if !x.empty {
					v.feed(t, time.Minute)
				}
				first := newSimDisk(nil)
				r, _ := startOnDisk(t, v.plan, v.cluster, first, seldom)
				time.Sleep(time.Minute) // of the bubble
				require.NoError(t, r.stop())

				disk := newSimDisk(first.crash(nil))
				r, _ = startOnDisk(t, v.plan, v.cluster, disk, seldom)
				time.Sleep(14 * time.Hour) // of the bubble
				var kept map[string]stores.Store
				if x.killed {
					kept = disk.crash(nil)
				}
				err := r.stop()
				if !x.killed {
					require.NoError(t, err)
					kept = disk.crash(nil)
				}

				r, lines := startOnDisk(t, v.plan, v.cluster, newSimDisk(kept))
				v.feed(t, time.Minute)
				v.finish(t, &member{running: r})
				require.NotContains(t, lines.String(), "rebuilt")
			})
		})
	}
}
