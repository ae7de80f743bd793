package engine_test

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// Three members of an application of three stages are killed at random, 50 times on a real broker,
// one or more at a time and in the middle of what they do, and start again, with their state or
// without it, with no to two copies of each task: every total is right, and there once. On a real
// broker every other round has a second blow, in the rebalances that the first has led to.
func TestRelayKilled(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := kafkatest.Start(t)
	in := &inputs{cluster: c, random: rand.New(rand.NewPCG(seed, 3)), start: dayStart}
	spec := memberSpec{Brokers: c.Brokers, App: c.Name("relay"), Topic: c.Topic(t, "orders", 3),
		Refunds: c.Topic(t, "refunds", 3), Pause: 200 * time.Microsecond}
	in.relay = newRelay(t, spec.App, spec.Topic, spec.Refunds, func() {})
	spec.Standbys = in.random.IntN(3)
	t.Logf("%d standbys", spec.Standbys)
	m := startMortals(t, in.random, spec)
	m.left = 50
	onKafka := os.Getenv(kafkatest.Environment) != ""
	switch soak := os.Getenv("ASHI_SOAK_MINUTES") != ""; {
	case testing.Short():
		m.left = 4
	case !onKafka && !soak:
		m.left = 15 // on the embedded broker they have to wait for each other: 50 take minutes where other work goes on
	}
	kills := m.left
	for m.left > 0 {
		in.awaitStable(t, len(m.processes))
		in.write(t, 1000)
		m.strike(t, 300*time.Millisecond)
		if onKafka && in.random.IntN(2) == 0 {
			m.strike(t, 2*time.Second) // the session timeout is one, and members join for some hundreds of ms
		}
		in.settle(t)
	}
	did(t, "%d kills", kills)
	in.end(t)
	for _, p := range m.processes {
		p.terminate(t)
	}
	in.requireTotals(t)
}

// mortals are the members of a relay.
type mortals struct {
	random    *rand.Rand
	spec      memberSpec
	processes [3]*process
	dirs      [3]string
	left      int // kills to come
}

func startMortals(t *testing.T, random *rand.Rand, spec memberSpec) *mortals {
	m := &mortals{random: random, spec: spec}
	for i := range m.processes {
		m.dirs[i] = t.TempDir()
		m.spawn(t, i)
	}
	return m
}

func (m *mortals) spawn(t *testing.T, i int) {
	m.spec.Dir = m.dirs[i]
	m.processes[i] = spawn(t, m.spec)
}

// strike kills some members within so long, and replaces them.
func (m *mortals) strike(t *testing.T, within time.Duration) {
	time.Sleep(time.Duration(m.random.Int64N(int64(within)))) // a random point, not a wait for something
	dead := m.random.Perm(len(m.processes))[:min(m.left, 1+m.random.IntN(len(m.processes)))]
	for _, i := range dead {
		m.processes[i].kill(t)
		if m.random.IntN(2) == 0 {
			require.NoError(t, os.RemoveAll(m.dirs[i]))
		}
	}
	for _, i := range dead {
		m.spawn(t, i)
	}
	m.left -= len(dead)
}

// awaitStable is awaitGroup for the group of a relay.
func (in *inputs) awaitStable(t testing.TB, members int) {
	t.Helper()
	awaitGroup(t, in.cluster, members, in.relay.plan.Name)
}

// awaitGroup returns when a group has so many members and none is joining. The embedded broker
// never gives up a member that is killed while it joins, as a real one does after its session
// timeout.
func awaitGroup(t testing.TB, c *kafkatest.Cluster, members int, group string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	require.Eventually(t, func() bool {
		described, err := kadm.NewClient(client).DescribeGroups(context.Background(), group)
		for _, g := range described {
			if g.Err != nil || g.State != "Stable" || len(g.Members) != members {
				return false
			}
		}
		return err == nil && len(described) == 1
	}, patience, 20*time.Millisecond)
}
