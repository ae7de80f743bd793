package kafka_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

func TestMemberGivesUpWhenNothingGoesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, kafkatest.StartVirtual(t), 1, "a")
		b.onCommit = func(*toy) error { return task.ErrAborted }
		b.fill(1)
		err := b.group(b.config()).Run(t.Context())
		require.ErrorIs(t, err, task.ErrAborted)
		require.ErrorContains(t, err, "10 sessions in a row")
	})
}

// A simulated day: records come all the time, every hour one of the two members goes and another comes.
func TestSimulatedDay(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, seed))
		b := newBench(t, kafkatest.StartVirtual(t), 2, "a")
		b.every, b.tick = 2*time.Second, time.Second
		cfg := b.config()
		cfg.SessionTimeout, cfg.HeartbeatInterval = 45*time.Second, 3*time.Second
		p := writer(t, b.cluster, "")
		stops := []func() error{b.runWith(cfg), b.runWith(cfg)}
		sent := int64(0)
		for range 24 {
			for range 360 { // every ten seconds of the hour, around a rebalance at a random time
				require.NoError(t, pause(t.Context(), 10*time.Second))
				for partition := range int32(2) {
					p.Produce(t.Context(), &task.Output{Topic: b.topics[0], Partition: partition, Value: []byte("v")})
				}
				require.NoError(t, p.Commit(t.Context()))
				sent++
				if rng.IntN(360) == 0 {
					i := rng.IntN(2)
					require.NoError(t, stops[i]())
					stops[i] = b.runWith(cfg)
				}
			}
		}
		b.await(sent)
		for _, stop := range stops {
			require.NoError(t, stop())
		}
		b.await(sent)
	})
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
