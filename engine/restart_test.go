package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// The only broker goes away and comes back while records are written and read: that costs time and
// nothing else.
func TestBrokerRestartsUnderLoad(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const partitions, rounds = 2, 4
	dir := t.TempDir()
	broker, err := embedded.Start(embedded.Config{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { broker.Close() })
	c := kafkatest.On(t, broker)
	p := newPipeline(t, c.Name("fx"), c.Topic(t, "rates", partitions))
	rates := randomRates(rand.New(rand.NewPCG(seed, 0)), dayStart, 4000, 400*time.Millisecond)
	r := start(t, p.plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, StateDir: t.TempDir(),
		CommitInterval: 5 * time.Millisecond})
	for i := range rounds {
		write(t, c.Config(), p, rates[i*len(rates)/rounds:(i+1)*len(rates)/rounds])
		addr := broker.Addrs()[0]
		broker.Close()
		broker, err = embedded.Start(embedded.Config{Dir: dir, Addr: addr})
		require.NoError(t, err)
	}
	end := endRates(rates, partitions)
	write(t, c.Config(), p, end)
	rates = append(rates, end...)
	awaitRows(t, r.Engine, p, rates, partitions)
	require.NoError(t, r.stop())
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		requireFinals(t, c.Config(), p, rates, partitions, size)
	}
}
