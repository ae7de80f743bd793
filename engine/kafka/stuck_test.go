package kafka_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// hang lets the workers of some partitions hang in their first batch, as user code does: whatever
// their contexts say.
type hang struct {
	bench   *bench
	once    sync.Once
	entered chan int32
	release chan struct{}
	held    atomic.Int32 // workers that hang
}

func (b *bench) hang(t *testing.T, hangs func(partition int32) bool) *hang {
	h := &hang{bench: b, entered: make(chan int32, 100), release: make(chan struct{})}
	b.onProcess = func(_ context.Context, w *toy, _ *task.Batch) error {
		if hangs(w.partition) {
			h.held.Add(1)
			h.entered <- w.partition
			<-h.release
			h.held.Add(-1)
		}
		return nil
	}
	t.Cleanup(h.wake) // the goroutines that were left behind end before the test does
	return h
}

// wake lets all workers go on, and waits until those that were left behind have closed.
func (h *hang) wake() {
	h.once.Do(func() { close(h.release) })
	require.Eventually(h.bench.t, func() bool {
		return h.held.Load() == 0 &&
			h.bench.opened.Load() == h.bench.closed.Load()
	}, patience, 5*time.Millisecond)
}

// within is what stop returns, which must not take longer than a bound.
func within(t *testing.T, bound time.Duration, stop func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- stop() }()
	select {
	case err := <-done:
		return err
	case <-time.After(bound):
		t.Fatal("the member does not end")
		return nil
	}
}

// A worker that hangs, and looks at no context, does not hold up the end of its member; its
// neighbour closes with a last commit, and a successor has both partitions right away.
func TestStuckWorkerIsAbandoned(t *testing.T) {
	t.Parallel()
	b := newBench(t, kafkatest.Start(t), 2, "a")
	h := b.hang(t, func(p int32) bool { return p == 1 })
	cfg := b.config()
	cfg.RebalanceTimeout = 2 * time.Second
	b.fill(10)
	stop := b.runWith(cfg)
	<-h.entered
	eventually(t, func() bool { return readState(t.Context(), b, 0).Count[b.topics[0]] == 10 })
	err := within(t, patience, stop)
	require.ErrorIs(t, err, kafka.ErrStuck)
	require.ErrorContains(t, err, "partition 1: ")
	require.ErrorContains(t, err, "processing")
	h.wake()
	require.Empty(t, readState(t.Context(), b, 1).Count,
		"what wakes up can write nothing, also while nobody has fenced it")

	stop = b.run()
	b.await(10)
	require.NoError(t, stop())
}

// Past the bound a member ends by itself, whether all of its workers hang or one; what hangs writes
// nothing any more when it wakes.
func TestStuckWorkerEndsItsMember(t *testing.T) {
	for name, hangs := range map[string]func(int32) bool{
		"one": func(p int32) bool { return p == 2 },
		"all": func(int32) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, kafkatest.Start(t), 4, "a")
			var healed atomic.Bool
			h := b.hang(t, func(p int32) bool { return !healed.Load() && hangs(p) })
			b.fill(10)
			ended := make(chan error, 1)
			g, _ := b.stuckGroup(300 * time.Millisecond)
			go func() { ended <- g.Run(t.Context()) }()
			require.ErrorIs(t, within(t, patience, func() error { return <-ended }), kafka.ErrStuck)
			require.Positive(t, h.held.Load())

			healed.Store(true) // for the workers to come: those that hang go on doing so
			stop := b.run()
			b.await(10)
			require.NoError(t, stop())
		})
	}
}

// stuckGroup is a member with a bound, and the workers that it has made.
func (b *bench) stuckGroup(bound time.Duration) (*kafka.Group, *atomic.Pointer[toy]) {
	last := new(atomic.Pointer[toy])
	cfg := b.config()
	g, err := kafka.NewGroup(cfg, kafka.GroupConfig{
		ID: b.id, Tick: b.tick, StuckAfter: bound,
		Subs: []kafka.SubTopology{{
			Name: "toys", Topics: b.topics, Changelog: b.changelog,
			NewWorker: func(partition int32) kafka.Worker {
				w := &toy{bench: b, cfg: cfg, partition: partition}
				last.Store(w)
				return w
			},
		}},
	})
	require.NoError(b.t, err)
	return g, last
}

// A worker that is slower than anybody likes, and still within the bound, is left alone.
func TestSlowWorkerIsNotAbandoned(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 1, "a")
	b.onProcess = func(context.Context, *toy, *task.Batch) error {
		timer := time.NewTimer(400 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
		return nil
	}
	b.fill(10)
	g, worker := b.stuckGroup(20 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	b.await(10)
	cancel()
	require.NoError(t, <-ended)
	require.False(t, worker.Load().abandoned.Load())
}

// A partition that is to move while its worker hangs moves all the same, and the healthy ones with
// it: the member that cannot give it up ends.
func TestStuckWorkerHoldsUpNoRebalance(t *testing.T) {
	t.Parallel()
	b := newBench(t, kafkatest.Start(t), 4, "a")
	var hung atomic.Bool
	h := b.hang(t, func(p int32) bool { return p == 3 && hung.CompareAndSwap(false, true) })
	cfg := b.config()
	cfg.RebalanceTimeout = 4 * time.Second
	b.fill(10)
	first := b.runWith(cfg)
	<-h.entered
	second := b.runWith(cfg)
	third := b.runWith(cfg)
	fourth := b.runWith(cfg) // with as many members as partitions all but one must move
	b.await(10)
	require.ErrorIs(t, within(t, patience, first), kafka.ErrStuck)
	for _, stop := range []func() error{second, third, fourth} {
		require.NoError(t, stop())
	}
}
