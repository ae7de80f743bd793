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

// Three members of an application of three stages are killed at random, 50 times in all, one or more at a time and in the middle
// of what they do, and start again, with their state or without it: every total is right, and there once.
func TestRelayKilled(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 4
	} else if os.Getenv(kafkatest.Environment) != "" {
		kills = 20
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := kafkatest.Start(t)
	in := &inputs{cluster: c, random: rand.New(rand.NewPCG(seed, 3)), start: dayStart}
	spec := memberSpec{Brokers: c.Brokers, App: c.Name("relay"), Topic: c.Topic(t, "orders", 3), Refunds: c.Topic(t, "refunds", 3), Pause: 200 * time.Microsecond}
	in.relay = newRelay(t, spec.App, spec.Topic, spec.Refunds, func() {})
	members, dirs := make([]*process, 3), make([]string, 3)
	for i := range members {
		dirs[i] = t.TempDir()
		spec.Dir = dirs[i]
		members[i] = spawn(t, spec)
	}
	for kills > 0 {
		in.awaitStable(t, len(members))
		in.write(t, 1000)
		time.Sleep(time.Duration(in.random.Int64N(int64(300 * time.Millisecond)))) // a random point, not a wait for something
		dead := in.random.Perm(len(members))[:min(kills, 1+in.random.IntN(len(members)))]
		for _, i := range dead {
			members[i].kill(t)
			if in.random.IntN(2) == 0 {
				require.NoError(t, os.RemoveAll(dirs[i]))
			}
		}
		for _, i := range dead {
			spec.Dir = dirs[i]
			members[i] = spawn(t, spec)
		}
		kills -= len(dead)
		in.settle(t)
	}
	in.end(t)
	for _, m := range members {
		m.terminate(t)
	}
	in.requireTotals(t)
}

// awaitStable returns when all groups have so many members and none is joining. The embedded broker never gives up a member that is
// killed while it joins, as a real one does after its session timeout.
func (in *inputs) awaitStable(t testing.TB, members int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(in.cluster.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	var groups []string
	for _, s := range in.relay.plan.Subs {
		groups = append(groups, in.relay.plan.Name+"-"+s.Name)
	}
	require.Eventually(t, func() bool {
		described, err := kadm.NewClient(client).DescribeGroups(context.Background(), groups...)
		for _, g := range described {
			if g.Err != nil || g.State != "Stable" || len(g.Members) != members {
				return false
			}
		}
		return err == nil && len(described) == len(groups)
	}, time.Minute, 20*time.Millisecond)
}
