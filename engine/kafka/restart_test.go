package kafka_test

import (
	"testing"

	"github.com/stretchr/testify/require"

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
