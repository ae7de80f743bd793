package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// Three real brokers, each record on all of them. Again and again the one that leads a partition of
// one of the application's topics is killed under load: at once others lead, coordinators of groups
// and transactions move, and the next minute is written and goes through all stages while it is
// dead. Then it comes back, under load too. Every total is right, and there once.
func TestLeadersKilled(t *testing.T) {
	m := kafkatest.StartMachines(t, 3)
	seed, kills := rand.Uint64(), 5
	if soakMinutes(t) > 0 {
		kills = 20
	}
	t.Logf("seed %d", seed)
	in := &inputs{cluster: m.Cluster, random: rand.New(rand.NewPCG(seed, 9)), start: dayStart}
	orders, refunds, app := m.Topic(t, "orders", 3), m.Topic(t, "refunds", 3), m.Name("leaders")
	in.relay = newRelay(t, app, orders, refunds, func() {})
	var members []*running
	for range 2 {
		members = append(members, start(t, in.relay.plan, engine.Config{Brokers: m.Brokers, StateDir: t.TempDir(),
			CommitInterval: 50 * time.Millisecond, CheckpointInterval: 200 * time.Millisecond,
			SessionTimeout: 5 * time.Second, WithoutTables: "the test is about tasks"}))
	}
	in.write(t, 1000)
	in.settle(t) // so that all topics are there
	topics := []string{orders, in.relay.deals.Stream(time.Minute).Topic, in.relay.traders.Stream(2 * time.Minute).Topic}
	for _, s := range in.relay.plan.Subs {
		topics = append(topics, topology.ChangelogName(app, s.Name))
	}
	for _, s := range in.relay.plan.Internal {
		topics = append(topics, s.Topic)
	}
	for kill := range kills {
		m.AwaitInSync(t)
		in.awaitStable(t, len(members)) // so that the work is shared
		topic, partition := topics[in.random.IntN(len(topics))], in.random.Int32N(3)
		id := m.Leader(t, topic, partition)
		in.write(t, 3000)
		// a random point, not a wait for something
		time.Sleep(time.Duration(in.random.Int64N(int64(500 * time.Millisecond))))
		began := time.Now()
		m.Kill(t, id)
		in.settle(t)
		t.Logf("kill %d: broker %d, which led %s/%d; all stages have gone on after %v", kill+1, id, topic, partition,
			time.Since(began))
		in.write(t, 1000)
		m.Revive(t, id)
		in.settle(t)
	}
	did(t, "%d leaders killed", kills)
	in.end(t)
	for _, r := range members {
		require.Empty(t, r.done, "Run has ended by itself")
		require.NoError(t, r.stop())
	}
	in.requireTotals(t)
}
