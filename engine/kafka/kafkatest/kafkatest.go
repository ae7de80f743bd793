// Package kafkatest gives tests a broker: an embedded one, or the real ones of ASHI_TEST_BROKERS
// (host:port, comma-separated) with topics of their own that are deleted afterwards. One test, one
// [Cluster]; it is safe for concurrent use.
package kafkatest

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// Environment is the variable that names real brokers.
const Environment = "ASHI_TEST_BROKERS"

// Cluster is what a test talks to.
type Cluster struct {
	Brokers []string
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	admin   *kafka.Admin
	suffix  string
}

// Start gives the test a cluster. It is stopped, or its topics are deleted, when the test ends.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{suffix: fmt.Sprintf("-%x", time.Now().UnixNano())}
	if list := os.Getenv(Environment); list != "" {
		c.Brokers = strings.Split(list, ",")
	} else {
		c.embed(t, false)
	}
	c.ask(t)
	return c
}

// StartVirtual gives a test in a testing/synctest bubble an embedded cluster without a real
// network, whatever the environment.
func StartVirtual(t testing.TB) *Cluster {
	t.Helper()
	c := new(Cluster)
	c.embed(t, true)
	c.ask(t)
	return c
}

// On is a cluster that the test runs by itself.
func On(t testing.TB, broker *embedded.Broker) *Cluster {
	t.Helper()
	c := &Cluster{Brokers: broker.Addrs(), Dial: broker.Dial}
	c.ask(t)
	return c
}

// At is a cluster of several brokers that the test runs by itself.
func At(t testing.TB, brokers ...string) *Cluster {
	t.Helper()
	c := &Cluster{Brokers: brokers}
	c.ask(t)
	return c
}

// Dialed is a cluster that the test runs by itself and reaches by dial.
func Dialed(t testing.TB, dial func(ctx context.Context, network, addr string) (net.Conn, error),
	brokers ...string) *Cluster {
	t.Helper()
	c := &Cluster{Brokers: brokers, Dial: dial}
	c.ask(t)
	return c
}

func (c *Cluster) embed(t testing.TB, virtual bool) {
	broker, err := embedded.Start(embedded.Config{Virtual: virtual})
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	c.Brokers, c.Dial = broker.Addrs(), broker.Dial
}

func (c *Cluster) ask(t testing.TB) {
	admin, err := kafka.NewAdmin(c.Config())
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	c.admin = admin
}

// Config reaches the cluster.
func (c *Cluster) Config() kafka.Config {
	return kafka.Config{Brokers: c.Brokers, Dial: c.Dial}
}

// Admin is closed when the test ends.
func (c *Cluster) Admin() *kafka.Admin { return c.admin }

// Name is name made unique on the cluster: for topics, groups and transactional ids.
func (c *Cluster) Name(name string) string { return name + c.suffix }

// Topic creates a topic and returns its unique name. Settings are pairs, as "cleanup.policy",
// "compact". It keeps records of any age with their own timestamps, whatever the broker's defaults
// are, unless settings say otherwise.
func (c *Cluster) Topic(t testing.TB, name string, partitions int32, settings ...string) string {
	t.Helper()
	spec := kafka.TopicSpec{Name: c.Name(name), Partitions: partitions, Replication: -1,
		Config: map[string]string{"retention.ms": "-1", "retention.bytes": "-1",
			"message.timestamp.type": "CreateTime"}}
	defaults, err := c.admin.Defaults(t.Context())
	require.NoError(t, err)
	spec.Extra = defaults.AnyTimestamp
	for i := 0; i+1 < len(settings); i += 2 {
		spec.Config[settings[i]] = settings[i+1]
	}
	require.NoError(t, c.admin.Ensure(t.Context(), spec))
	t.Cleanup(func() {
		if err := c.admin.Delete(context.Background(), spec.Name); err != nil {
			t.Logf("topic %s is left behind: %v", spec.Name, err)
		}
	})
	return spec.Name
}
