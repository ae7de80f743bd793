package kafka_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
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

// A simulated day: records come all the time, every hour one of the two members goes and another
// comes.
func TestSimulatedDay(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	hours := 24
	if testing.Short() {
		hours = 4
	}
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, seed))
		b := newBench(t, kafkatest.StartVirtual(t), 2, "a")
		b.every, b.tick = 2*time.Second, time.Second
		cfg := b.config()
		cfg.SessionTimeout, cfg.HeartbeatInterval = 45*time.Second, 3*time.Second
		p := writer(t, b.cluster, "")
		stops := []func() error{b.runWith(cfg), b.runWith(cfg)}
		sent := int64(0)
		for range hours {
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

// link is a member's network, which can be cut.
type link struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	mu   sync.Mutex
	cut  bool
	open []net.Conn
}

func (l *link) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errors.New("network is cut")
	}
	conn, err := l.dial(ctx, network, addr)
	l.open = append(l.open, conn)
	return conn, err
}

func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for _, conn := range l.open {
		if conn != nil {
			conn.Close()
		}
	}
	l.open = nil
}

// A member that is cut off loses its partitions to the other after the session timeout, wherever it
// was in its transaction, and takes part again when the network is back.
func TestMemberIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, kafkatest.StartVirtual(t), 2, "a")
		b.every, b.tick = 500*time.Millisecond, 200*time.Millisecond
		cfg := b.config()
		cfg.SessionTimeout, cfg.HeartbeatInterval, cfg.TransactionTimeout = 20*time.Second, 2*time.Second,
			10*time.Second
		lossy := &link{dial: cfg.Dial}
		cutCfg := cfg
		cutCfg.Dial = lossy.Dial
		p := writer(t, b.cluster, "")
		stops := []func() error{b.runWith(cutCfg), b.runWith(cfg)}
		sent := int64(0)
		for second := range 3600 {
			switch second % 300 {
			case 100:
				lossy.set(true)
			case 103 + second/20: // from blinks to minutes
				lossy.set(false)
			}
			require.NoError(t, pause(t.Context(), time.Second))
			for partition := range int32(2) {
				p.Produce(t.Context(), &task.Output{Topic: b.topics[0], Partition: partition, Value: []byte("v")})
			}
			require.NoError(t, p.Commit(t.Context()))
			sent++
		}
		lossy.set(false)
		b.await(sent)
		for _, stop := range stops {
			require.NoError(t, stop())
		}
		require.Equal(t, b.opened.Load(), b.closed.Load())
	})
}

// The group's offsets reach the end of the input soon after the last release, and are not committed
// batch by batch.
func TestOffsetsFollowPromptly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, kafkatest.StartVirtual(t), 1, "a")
		b.every = 0
		stop := b.run()
		b.fill(3)
		b.await(3)
		require.NoError(t, pause(t.Context(), 100*time.Millisecond))
		offsets, err := b.cluster.Admin().CommittedOffsets(t.Context(), b.id, b.topics[0])
		require.NoError(t, err)
		require.Equal(t, map[int32]int64{0: 3}, offsets)
		require.NoError(t, stop())
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
