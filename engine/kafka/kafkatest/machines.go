package kafkatest

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Variables that .ci/kafka sets for tests that kill its brokers: the folder of the cluster, and the
// program itself.
const (
	folderEnvironment = "ASHI_TEST_KAFKA"
	toolEnvironment   = "ASHI_TEST_KAFKA_TOOL"
)

// Machines is a real cluster whose brokers a test may kill, pause and start again. They are named
// by their ids, 1 to N.
type Machines struct {
	*Cluster
	N   int
	ask *kadm.Client
}

// StartMachines gives a test the brokers of .ci/kafka, all of them alive and in sync, or skips it
// where there are fewer. Those that are dead when the test ends are started again.
func StartMachines(t testing.TB, atLeast int) *Machines {
	t.Helper()
	if os.Getenv(Environment) == "" || os.Getenv(folderEnvironment) == "" {
		t.Skip("needs real brokers that it may kill: see make kafka-test and make kafka3-test")
	}
	c := Start(t)
	m := &Machines{Cluster: c, N: len(c.Brokers)}
	if m.N < atLeast {
		t.Skipf("needs %d brokers, there is %d: see make kafka3-test", atLeast, m.N)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...), kgo.MetadataMinAge(100*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	m.ask = kadm.NewClient(client)
	t.Cleanup(func() { m.Revive(t, m.IDs()...) })
	m.AwaitInSync(t)
	return m
}

// IDs are those of all brokers.
func (m *Machines) IDs() []int {
	ids := make([]int, m.N)
	for i := range ids {
		ids[i] = i + 1
	}
	return ids
}

// Kill is kill -9 of brokers.
func (m *Machines) Kill(t testing.TB, ids ...int) { signal(t, "KILL", ids) }

// Pause stops brokers where they are: their connections stay, and nothing is answered until Resume.
func (m *Machines) Pause(t testing.TB, ids ...int) { signal(t, "STOP", ids) }

// Resume lets paused brokers go on.
func (m *Machines) Resume(t testing.TB, ids ...int) { signal(t, "CONT", ids) }

// Revive starts brokers that were killed, and returns when they serve; those that live stay as they
// are.
func (m *Machines) Revive(t testing.TB, ids ...int) {
	args := []string{"revive", os.Getenv(folderEnvironment)}
	for _, id := range ids {
		args = append(args, strconv.Itoa(id))
	}
	tool(t, args...)
}

func signal(t testing.TB, name string, ids []int) {
	for _, id := range ids {
		tool(t, "signal", os.Getenv(folderEnvironment), strconv.Itoa(id), name)
	}
}

func tool(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command(os.Getenv(toolEnvironment), args...).CombinedOutput()
	require.NoError(t, err, "%v: %s", args, out)
}

// Leader is the broker that leads a partition now, 0 while there is none.
func (m *Machines) Leader(t testing.TB, topic string, partition int32) int {
	t.Helper()
	all, err := m.ask.ListTopics(t.Context(), topic)
	require.NoError(t, err)
	return max(0, int(all[topic].Partitions[partition].Leader))
}

// AwaitInSync returns when each partition of all topics, the brokers' own among them, has a leader
// and all its copies: then one broker may be lost, and no acknowledged record with it.
func (m *Machines) AwaitInSync(t testing.TB) {
	t.Helper()
	var behind string
	inSync := func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		all, err := m.ask.ListTopicsWithInternal(ctx)
		if err != nil {
			behind = err.Error()
			return false
		}
		for _, d := range all {
			for _, p := range d.Partitions {
				if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
					behind = d.Topic
					return false
				}
			}
		}
		return true
	}
	for deadline := time.Now().Add(2 * time.Minute); !inSync(); {
		require.True(t, time.Now().Before(deadline), "not in sync: %s", behind)
		time.Sleep(200 * time.Millisecond) // between two looks: brokers tell nobody that a copy has caught up
	}
}
