package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// minSessionTimeout lets tests lose a group member quickly; Kafka's own floor of 6 s is made for
// networks.
const minSessionTimeout = 100 * time.Millisecond

// virtualPort stands in for a free port on a network that has no others.
const virtualPort = 9092

// Config says what broker to start. The zero value is a broker in memory on a free port.
type Config struct {
	// Dir keeps the log; it is made if absent. Empty: in memory.
	Dir string
	// Addr is where to listen, as 127.0.0.1:port; port 0 or an empty Addr takes a free one. No
	// other host is accepted.
	Addr string
	// Topics are there when Start returns, with these numbers of partitions. Those that Dir holds
	// already stay as they are.
	Topics map[string]int32
	// Partitions is the number for topics that are created without one; 0 means 1.
	Partitions int
	// Virtual listens on an in-memory network that only Dial reaches.
	Virtual bool
}

// Broker is a running broker. Close it.
type Broker struct {
	cluster *kfake.Cluster
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Start starts a broker and returns once it answers. The error names what is wrong with the address
// or the folder.
func Start(c Config) (*Broker, error) {
	if c.Dir == "" {
		return start(c)
	}
	if err := mend(c.Dir); err != nil {
		return nil, fmt.Errorf("embedded: mend the folder of the broker: %w", err)
	}
	for {
		b, err := start(c)
		if err != nil {
			return nil, err
		}
		stale, err := b.settle(context.Background())
		if err == nil && !stale {
			return b, nil
		}
		b.Close()
		if err == nil {
			err = forget(c.Dir)
		}
		if err != nil {
			return nil, fmt.Errorf("embedded: settle transactions: %w", err)
		}
	}
}

func start(c Config) (*Broker, error) {
	port, err := loopbackPort(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("embedded: listen on %q: %w", c.Addr, err)
	}
	if c.Virtual && port == 0 {
		port = virtualPort
	}
	opts := []kfake.Opt{
		kfake.Ports(port),
		kfake.GroupMinSessionTimeout(minSessionTimeout),
		kfake.DefaultNumPartitions(max(c.Partitions, 1)),
		// The event times of a replay may be of any year.
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}),
	}
	if c.Dir != "" {
		opts = append(opts, kfake.DataDir(c.Dir))
	}
	b := &Broker{dial: new(net.Dialer).DialContext}
	if c.Virtual {
		network := new(kfake.VirtualNetwork)
		opts = append(opts, kfake.ListenFn(network.Listen))
		b.dial = network.DialContext
	}
	if b.cluster, err = kfake.NewCluster(opts...); err != nil {
		return nil, fmt.Errorf("embedded: start broker: %w", err)
	}
	if err := b.createTopics(c.Topics); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Addrs are the addresses to give to clients.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Dial connects to the broker. Clients of a virtual broker must use it; for others it is a plain
// dialer.
func (b *Broker) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return b.dial(ctx, network, addr)
}

// Close stops the broker and closes its connections. With a folder, all that was written is there.
func (b *Broker) Close() { b.cluster.Close() }

func (b *Broker) createTopics(topics map[string]int32) error {
	for name, partitions := range topics {
		if b.cluster.TopicInfo(name) != nil {
			continue
		}
		if err := b.cluster.CreateTopic(name, partitions, nil); err != nil {
			return fmt.Errorf("embedded: create topic %s with %d partitions: %w", name, partitions, err)
		}
	}
	return nil
}

func loopbackPort(addr string) (int, error) {
	if addr == "" {
		return 0, nil
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	if host != "127.0.0.1" && host != "localhost" {
		return 0, errors.New("only 127.0.0.1 is served")
	}
	port, err := strconv.Atoi(service)
	if err != nil || port < 0 || port > 65535 {
		return 0, fmt.Errorf("%q is no port", service)
	}
	return port, nil
}
