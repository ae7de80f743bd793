package kafka_test

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// A broker that goes away and comes back costs time and nothing else.
func TestBrokerRestarts(t *testing.T) {
	dir := t.TempDir()
	broker, err := embedded.Start(embedded.Config{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { broker.Close() })
	b := newBench(t, kafkatest.On(t, broker), 2, "a")
	stop := b.run()
	for i := range int64(4) {
		b.fill(500)
		addr := broker.Addrs()[0]
		broker.Close()
		broker, err = embedded.Start(embedded.Config{Dir: dir, Addr: addr})
		require.NoError(t, err)
		b.await(500 * (i + 1))
	}
	require.NoError(t, stop())
}

// The leader of a partition refuses connections, and is still named by the metadata: so it is for seconds after it was killed. A question to
// it is asked again, until it is back or another leads.
func TestQuestionOutlastsItsLeader(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	lost := fake.ListenAddrs()[fake.LeaderFor("t", 0)]
	var refused atomic.Int32
	c := kafkatest.Dialed(t, func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == lost && refused.Add(1) < 5 {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}, slices.DeleteFunc(fake.ListenAddrs(), func(addr string) bool { return addr == lost })...)
	ends, err := c.Admin().Ends(t.Context(), "t", true)
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{0: 0}, ends)
	require.EqualValues(t, 5, refused.Load())
}
