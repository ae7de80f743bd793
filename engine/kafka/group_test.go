package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

func TestOneMemberCountsEverythingOnce(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 3, "a", "b")
	b.fill(5000)
	stop := b.run()
	b.await(5000)
	b.fill(10)
	b.await(5010)
	for _, topic := range b.topics {
		require.Eventually(t, func() bool {
			offsets, err := b.cluster.Admin().CommittedOffsets(t.Context(), b.id, topic)
			require.NoError(t, err)
			return offsets[0] == 5010 && offsets[1] == 5010 && offsets[2] == 5010
		}, patience, 10*time.Millisecond)
	}
	require.NoError(t, stop())
	require.Equal(t, int32(3), b.opened.Load())
	require.Equal(t, int32(3), b.closed.Load())
	b.await(5010)
}

func TestMembersShareAndTakeOver(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 4, "a")
	b.fill(1000)
	stopFirst := b.run()
	b.await(1000)
	stopSecond := b.run()
	b.fill(1000)
	b.await(2000)
	require.NoError(t, stopFirst())
	b.fill(1000)
	b.await(3000)
	stopThird := b.run()
	b.fill(1000)
	b.await(4000)
	require.NoError(t, stopSecond())
	require.NoError(t, stopThird())
	b.await(4000)
}

// A transaction that fails now and then costs a session each time and no record.
func TestAbortedTransactionsAreRepeated(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 2, "a")
	var commits atomic.Int32
	b.onCommit = func(w *toy) error {
		if commits.Add(1)%3 == 0 {
			return fmt.Errorf("commit: %w", task.ErrAborted)
		}
		return nil
	}
	stop := b.run()
	for i := range int64(5) {
		b.fill(200)
		b.await(200 * (i + 1))
	}
	require.NoError(t, stop())
	require.Greater(t, b.opened.Load(), int32(2))
	require.Equal(t, b.opened.Load(), b.closed.Load())
}

func TestFatalErrorEndsTheMember(t *testing.T) {
	boom := errors.New("boom")
	for name, fail := range map[string]func() error{
		"error": func() error { return boom },
		"panic": func() error { panic("kaboom") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, kafkatest.Start(t), 2, "a")
			b.onProcess = func(context.Context, *toy, *task.Batch) error { return fail() }
			b.fill(10)
			began := time.Now()
			err := b.group(b.config()).Run(t.Context())
			require.Error(t, err)
			require.ErrorContains(t, err, "partition ")
			require.ErrorContains(t, err, b.id)
			if name == "error" {
				require.ErrorIs(t, err, boom)
			} else {
				require.ErrorContains(t, err, "kaboom")
			}
			require.Less(t, time.Since(began), 20*time.Second, "goka waits 60 s for deferred commits")
			require.Equal(t, b.opened.Load(), b.closed.Load())
		})
	}
}

func TestSlowPartitionDoesNotStallItsNeighbour(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 2, "a")
	gate := make(chan struct{})
	b.onProcess = func(ctx context.Context, w *toy, _ *task.Batch) error {
		if w.partition == 0 {
			select {
			case <-gate:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	b.fill(100_000)
	stop := b.run()
	require.Eventually(t, func() bool { return readState(t.Context(), b, 1).Count[b.topics[0]] == 100_000 }, patience,
		20*time.Millisecond)
	require.Zero(t, readState(t.Context(), b, 0).Count[b.topics[0]])
	close(gate)
	b.await(100_000)
	require.NoError(t, stop())
}

// A member that is cut off and comes back finds its partitions with somebody else, and its late
// commit fenced.
func TestZombieIsFenced(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 1, "a")
	var stall sync.Mutex
	var frozen atomic.Pointer[toy]
	b.onCommit = func(w *toy) error {
		if frozen.CompareAndSwap(nil, w) || frozen.Load() == w {
			stall.Lock() // the first worker to commit after the freeze sleeps with an open transaction
			//lint:ignore SA2001 only the wait counts
			stall.Unlock()
		}
		return nil
	}
	b.fill(100)
	stall.Lock()
	stopFirst := b.run()
	require.Eventually(t, func() bool { return frozen.Load() != nil }, patience, 5*time.Millisecond)

	successor, err := kafka.NewProducer(t.Context(), b.config(),
		kafka.ProducerConfig{TransactionalID: fmt.Sprintf("%s-%d", b.id, 0)})
	require.NoError(t, err)
	require.NoError(t, successor.Close())
	stall.Unlock()
	b.await(100) // fenced, rebuilt from the log, counted once
	require.NoError(t, stopFirst())
	require.Equal(t, b.opened.Load(), b.closed.Load())
	require.GreaterOrEqual(t, b.opened.Load(), int32(2))
}

func TestGroupChecksItsTopics(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	two, three := c.Topic(t, "two", 2), c.Topic(t, "three", 3)
	none := func(int32) kafka.Worker { return nil }
	for name, s := range map[string]kafka.SubTopology{
		"do not match":   {Topics: []string{two, three}},
		"does not exist": {Topics: []string{two, c.Name("absent")}},
		"changelog":      {Topics: []string{two}, Changelog: three},
	} {
		s.Name, s.NewWorker = "s", none
		_, err := kafka.NewGroup(c.Config(), kafka.GroupConfig{ID: "g", Subs: []kafka.SubTopology{s}})
		require.ErrorContains(t, err, "topic is not as needed", name)
	}
	twice := []kafka.SubTopology{{Name: "s", Topics: []string{two}, NewWorker: none}, {Name: "t", Topics: []string{two},
		NewWorker: none}}
	_, err := kafka.NewGroup(c.Config(), kafka.GroupConfig{ID: "g", Subs: twice})
	require.ErrorContains(t, err, "is an input of s and of t")
	_, err = kafka.NewGroup(c.Config(), kafka.GroupConfig{})
	require.Error(t, err)
	_, err = kafka.NewGroup(kafka.Config{Brokers: []string{"127.0.0.1:1"}}, kafka.GroupConfig{ID: "g", Subs: twice[:1]})
	require.ErrorContains(t, err, "127.0.0.1:1")
}

func TestAssignmentIsTold(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 3, "a")
	told := make(chan []int32, 10)
	g, err := kafka.NewGroup(b.config(), kafka.GroupConfig{
		ID: b.id,
		Subs: []kafka.SubTopology{{
			Name: "toys", Topics: b.topics, OnAssigned: func(partitions []int32) { told <- slices.Clone(partitions) },
			NewWorker: func(partition int32) kafka.Worker {
				return &toy{bench: b, cfg: b.config(),
					partition: partition}
			},
		}},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	require.Equal(t, []int32{0, 1, 2}, <-told)
	cancel()
	require.NoError(t, <-done)
}
