package kafka_test

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
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

// The leader of a partition refuses connections, and is still named by the metadata: so it is for
// seconds after it was killed. A question to it is asked again, until it is back or another leads.
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

// A broker that has not yet heard of a topic says that it does not exist; another knows better.
func TestTopicThatOneBrokerDoesNotKnow(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(2, "t"))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	asked := 0
	fake.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if topics := req.(*kmsg.MetadataRequest).Topics; len(topics) != 1 || *topics[0].Topic != "t" || asked > 1 {
			return nil, nil, false
		}
		asked++
		req.(*kmsg.MetadataRequest).Topics[0].Topic = kmsg.StringPtr("unheard of")
		return nil, nil, false
	})
	admin := kafkatest.At(t, fake.ListenAddrs()...).Admin()
	counts, err := admin.Partitions(t.Context(), "t")
	require.NoError(t, err)
	require.EqualValues(t, 2, counts["t"])
	require.Equal(t, 2, asked)
	counts, err = admin.Partitions(t.Context(), "nowhere")
	require.NoError(t, err)
	require.Empty(t, counts)
}

// What a broker cannot explain is tried again, as when it is away: another may lead soon.
func TestFetchFailsForNoReason(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	c := kafkatest.At(t, fake.ListenAddrs()...)
	c.Write(t, "t", 1, task.Output{Value: []byte("v")})
	fault := fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownServerError, Count: 3})
	n := 0
	require.NoError(t, kafka.Follow(t.Context(), c.Config(), kafka.FollowConfig{Topic: "t", From: map[int32]int64{0: 0},
		Until: map[int32]int64{0: 1}, Apply: func(_ int32, records []task.Record, _ int64) error {
			n += len(records)
			return nil
		}}))
	require.Equal(t, 1, n)
	require.EqualValues(t, 3, fault.Hits())
}

// An election that lasts longer than one question is waited for, as a broker that is away; that a
// topic is not there is an answer.
func TestElectionThatLasts(t *testing.T) {
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	c := kafkatest.At(t, fake.ListenAddrs()...)
	fault := fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.OffsetNotAvailable, Count: 1 << 20})
	ends := func(topic string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.Admin().Ends(ctx, topic, false)
		return err
	}
	err = ends("t")
	require.ErrorIs(t, err, kafka.ErrUnavailable)
	require.ErrorIs(t, err, kerr.OffsetNotAvailable)
	fault.Remove()
	require.NoError(t, ends("t"))
	require.NotErrorIs(t, ends("absent"), kafka.ErrUnavailable)
}
