package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/internal/rare"
)

// Compression is how records are packed on their way to brokers, and in their logs.
type Compression string

// The compressions.
const (
	NoCompression Compression = "none"
	Gzip          Compression = "gzip"
	Snappy        Compression = "snappy"
	LZ4           Compression = "lz4"
	Zstd          Compression = "zstd"
)

// Compressions are all of them.
func Compressions() []Compression { return []Compression{NoCompression, Gzip, Snappy, LZ4, Zstd} }

// Client are settings of clients that a cluster may demand. The zero of a field stands for its
// default. What is fetched and sent at a time, and for how long it is collected, follows from
// commits and memory, and is no setting.
type Client struct {
	// DialTimeout bounds how long a connection takes to be opened: 10 s.
	DialTimeout time.Duration
	// RequestTimeout bounds how long a broker may take to answer, beyond what a request itself
	// allows it: 10 s.
	RequestTimeout time.Duration
	// IdleTimeout is how long a connection that is not used is kept: 30 s. Give less than what
	// stands between closes idle ones after.
	IdleTimeout time.Duration
	// MetadataMaxAge is how old what is known about topics and leaders may be while nothing fails:
	// 5 min.
	MetadataMaxAge time.Duration
	// Compression of what is written: NoCompression.
	Compression Compression
	// BatchBytes is the most that a batch, and so a record, of one partition takes before
	// compression where the cluster does not tell a topic's max.message.bytes: 1,000,012, as in
	// Kafka.
	BatchBytes int32
}

// The least and the most that a batch may be told to take, and what franz-go and Kafka take where
// nothing is told.
const (
	leastBatchBytes   = 1 << 10
	mostBatchBytes    = 1 << 30
	defaultBatchBytes = 1_000_012
)

func (c *Client) batchBytes() int32 {
	if c.BatchBytes == 0 {
		return defaultBatchBytes
	}
	return c.BatchBytes
}

// Validate returns every problem, joined.
func (c *Client) Validate() error {
	var errs []error
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"DialTimeout", c.DialTimeout}, {"RequestTimeout", c.RequestTimeout}, {"IdleTimeout", c.IdleTimeout},
		{"MetadataMaxAge", c.MetadataMaxAge}} {
		if d.d != 0 && (d.d < 100*time.Millisecond || d.d > 15*time.Minute) {
			errs = append(errs, fmt.Errorf("a %s of %v: give 100ms to 15m", d.name, d.d))
		}
	}
	if c.Compression != "" && !slices.Contains(Compressions(), c.Compression) {
		errs = append(errs, fmt.Errorf("a Compression of %q is none: there are %v", c.Compression, Compressions()))
	}
	if c.BatchBytes != 0 && (c.BatchBytes < leastBatchBytes || c.BatchBytes > mostBatchBytes) {
		errs = append(errs, fmt.Errorf("a BatchBytes of %d: give %d to %d", c.BatchBytes, leastBatchBytes,
			mostBatchBytes))
	}
	return errors.Join(errs...)
}

// options are what franz-go is told beyond its defaults. They come before those of one client,
// which are stronger.
func (c *Client) options() []kgo.Opt {
	var opts []kgo.Opt
	for _, o := range []struct {
		d    time.Duration
		make func(time.Duration) kgo.Opt
	}{{c.DialTimeout, kgo.DialTimeout}, {c.RequestTimeout, kgo.RequestTimeoutOverhead},
		{c.IdleTimeout, kgo.ConnIdleTimeout}, {c.MetadataMaxAge, kgo.MetadataMaxAge}} {
		if o.d != 0 {
			opts = append(opts, o.make(o.d))
		}
	}
	return opts
}

// producing are what the client of a producer is told.
func (c *Client) producing() []kgo.Opt {
	codec := map[Compression]kgo.CompressionCodec{Gzip: kgo.GzipCompression(), Snappy: kgo.SnappyCompression(),
		LZ4: kgo.Lz4Compression(), Zstd: kgo.ZstdCompression(), NoCompression: kgo.NoCompression(),
		"": kgo.NoCompression()}
	return []kgo.Opt{kgo.ProducerBatchCompression(codec[c.Compression])}
}

// throttled says that brokers hold this client back, which they do when it is beyond its quota:
// waiting is all that can be done about it here, and franz-go does it.
type throttled struct {
	clientID string
	rare     *rare.Log
}

var _ kgo.HookBrokerThrottle = (*throttled)(nil)

func newThrottled(clientID string, log *slog.Logger) *throttled {
	return &throttled{clientID: clientID, rare: rare.New(log)}
}

// OnBrokerThrottle is called by franz-go.
func (t *throttled) OnBrokerThrottle(meta kgo.BrokerMetadata, wait time.Duration, _ bool) {
	t.rare.Warn("kafka: a broker slows this client down: it is beyond its quota", "client", t.clientID,
		"broker", meta.NodeID, "wait", wait)
}
