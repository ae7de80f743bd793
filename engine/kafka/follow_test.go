package kafka_test

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// countingConn counts what is read.
type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

// Who applies records slowly does not have all of them fetched meanwhile.
func TestFollowAhead(t *testing.T) {
	const partitions, commits, ahead = 4, 128, 1 << 20
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.StartVirtual(t)
		topic := c.Topic(t, "log", partitions)
		p := writer(t, c, "")
		value := bytes.Repeat([]byte{1}, 16<<10)
		for range commits { // each makes a batch, as it is fetched whole
			for partition := range int32(partitions) {
				p.Produce(t.Context(), &task.Output{Topic: topic, Partition: partition, Value: value})
			}
			require.NoError(t, p.Commit(t.Context()))
		}
		for _, bound := range []int{ahead, 0} {
			var read atomic.Int64
			cfg := c.Config()
			cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := c.Dial(ctx, network, addr)
				return countingConn{conn, &read}, err
			}
			from, until, records := map[int32]int64{}, map[int32]int64{}, 0
			for partition := range int32(partitions) {
				from[partition], until[partition] = kafka.Oldest, commits
			}
			require.NoError(t, kafka.Follow(t.Context(), cfg, kafka.FollowConfig{Topic: topic, From: from, Until: until,
				Ahead: bound, Apply: func(_ int32, some []task.Record, _ int64) error {
					if records == 0 && len(some) > 0 {
						time.Sleep(time.Minute) // of the bubble: all is fetched that may be
						t.Logf("bound %d: %d bytes fetched", bound, read.Load())
						if bound > 0 {
							require.Less(t, read.Load(), int64(ahead))
						} else {
							require.Greater(t, read.Load(), int64(4*ahead), "what the bound is for")
						}
					}
					records += len(some)
					return nil
				}}))
			require.Equal(t, partitions*commits, records)
		}
	})
}

// What is aborted is not read where a broker's answers are as large as they come: many partitions,
// each with more than one chunk of them.
func TestFollowManyPartitions(t *testing.T) {
	const partitions, batches = 20, 6
	c := kafkatest.Start(t)
	topic := c.Topic(t, "log", partitions)
	from, until, value := map[int32]int64{}, map[int32]int64{}, make([]byte, 400<<10)
	rand.NewChaCha8([32]byte{}).Read(value) // not to be compressed
	for n := range batches {
		p := writer(t, c, "w")
		for partition := range int32(partitions) {
			value[0] = byte((n + 1) % 2)
			p.Produce(t.Context(), &task.Output{Topic: topic, Partition: partition, Value: bytes.Clone(value)})
			from[partition] = kafka.Oldest
		}
		if n%2 == 1 {
			require.NoError(t, p.Commit(t.Context()))
		} else {
			unflushed(t, p)
		}
		require.NoError(t, p.Close()) // which aborts what is not committed
	}
	require.Eventually(t, func() bool {
		all, err := c.Admin().Ends(t.Context(), topic, false)
		require.NoError(t, err)
		until, err = c.Admin().Ends(t.Context(), topic, true)
		require.NoError(t, err)
		return maps.Equal(all, until)
	}, patience, time.Millisecond)
	seen := 0
	require.NoError(t, kafka.Follow(t.Context(), c.Config(), kafka.FollowConfig{Topic: topic, From: from, Until: until,
		Apply: func(p int32, records []task.Record, _ int64) error {
			for _, r := range records {
				require.Zero(t, r.Value[0], "partition %d, offset %d was aborted", p, r.Offset)
			}
			seen += len(records)
			return nil
		}}))
	require.Equal(t, partitions*batches/2, seen)
}
