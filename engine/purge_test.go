package engine_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// Internal topics are emptied of what was read; an application that starts again without its state
// goes on behind that.
func TestInternalTopicsArePurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.StartVirtual(t)
		in := &inputs{cluster: c, random: rand.New(rand.NewPCG(5, 5)), start: dayStart}
		in.relay = newRelay(t, "relay", c.Topic(t, "orders", 2), c.Topic(t, "refunds", 2), func() {})
		for range 3 {
			// state is in memory
			r := start(t, in.relay.plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, MaxAhead: engine.NoBound})
			in.write(t, 200)
			in.settle(t)
			time.Sleep(time.Minute) // of the bubble: at least one purge
			for _, internal := range in.relay.plan.Internal {
				starts, err := c.Admin().Starts(t.Context(), internal.Topic)
				require.NoError(t, err)
				ends, err := c.Admin().Ends(t.Context(), internal.Topic, false)
				require.NoError(t, err)
				require.Equal(t, ends, starts, internal.Topic)
			}
			require.NoError(t, r.stop())
		}
		r := start(t, in.relay.plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, MaxAhead: engine.NoBound})
		in.end(t)
		require.NoError(t, r.stop())
		in.requireTotals(t)
	})
}
