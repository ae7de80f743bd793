package engine_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// An hour of virtual time: two members run the stages of a relay; every few minutes one of them is
// cut off, wherever it is, and replaced. Every total is right, and there once. ASHI_SIM_SEED
// repeats a schedule.
func TestSimulatedRelay(t *testing.T) {
	seed, minutes := simSeed(t), 60
	if testing.Short() {
		minutes = 10
	}
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.StartVirtual(t)
		in := &inputs{cluster: c, random: rand.New(rand.NewPCG(seed, 4)), start: time.Now().UTC()}
		in.relay = newRelay(t, "relay", c.Topic(t, "orders", 3), c.Topic(t, "refunds", 3), func() {})
		join := func() *member { return startMember(t, in.relay.plan, c) }
		members := []*member{join(), join()}
		for range minutes {
			in.write(t, 20)
			// of the bubble: a random point of the work
			time.Sleep(time.Duration(in.random.Int64N(int64(10 * time.Second))))
			if in.random.IntN(5) == 0 {
				i := in.random.IntN(2)
				members[i].lose()
				members[i] = join()
			}
			in.settle(t)
			// of the bubble: records are of the minute that they come in
			time.Sleep(time.Until(in.start.Add(time.Duration(in.minute) * time.Minute)))
		}
		in.end(t)
		for _, m := range members {
			require.NoError(t, m.stop())
		}
		in.requireTotals(t)
	})
}
