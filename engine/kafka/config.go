package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/internal/rare"
)

// Defaults of the durations in Config.
const (
	DefaultSessionTimeout     = 45 * time.Second
	DefaultHeartbeatInterval  = 3 * time.Second
	DefaultRebalanceTimeout   = 60 * time.Second
	DefaultTransactionTimeout = 60 * time.Second
	DefaultFetchWait          = 5 * time.Second
	DefaultWatchInterval      = 500 * time.Millisecond
)

// answerTimeout bounds the wait for a broker where the caller's context does not.
const answerTimeout = 10 * time.Second

// Config is how to reach a cluster, shared by all that this package makes. It is copied where it is
// used.
type Config struct {
	// Brokers are host:port addresses to begin with; at least one.
	Brokers []string
	// ClientID is what brokers write in their logs. Empty: ashi.
	ClientID string
	// Security is how connections are protected, and who this process is. The zero value: not at
	// all, and nobody.
	Security Security
	// Client are settings of the clients.
	Client Client
	// Needs are the permissions that the plan needs: errors of access control name those of them
	// that are missing.
	Needs []ACL
	// Dial opens connections. Nil: TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Logger takes what an operator should know. Nil: slog.Default().
	Logger *slog.Logger

	// SessionTimeout is how long a member of a group may be silent before its partitions go to
	// others.
	SessionTimeout time.Duration
	// HeartbeatInterval is how often a member says that it is alive; at most a third of
	// SessionTimeout.
	HeartbeatInterval time.Duration
	// RebalanceTimeout is how long a member may take to finish its work when partitions move. It is
	// also how long the others wait for a member that is lost while they do; hence 5 session
	// timeouts, 60 s at most, where it is not set.
	RebalanceTimeout time.Duration
	// TransactionTimeout is when the broker aborts a transaction whose producer is silent. It also
	// bounds a commit.
	TransactionTimeout time.Duration
	// FetchWait is how long a broker may wait for data before it answers that there is none.
	FetchWait time.Duration
	// WatchInterval is the time between two questions of Watch.
	WatchInterval time.Duration
}

// withDefaults fills what is left open and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	if len(c.Brokers) == 0 {
		return c, errors.New("kafka: no broker address is configured")
	}
	orDefault(&c.SessionTimeout, DefaultSessionTimeout)
	orDefault(&c.HeartbeatInterval, min(DefaultHeartbeatInterval, c.SessionTimeout/3))
	orDefault(&c.RebalanceTimeout, min(DefaultRebalanceTimeout, 5*c.SessionTimeout))
	orDefault(&c.TransactionTimeout, DefaultTransactionTimeout)
	orDefault(&c.FetchWait, DefaultFetchWait)
	orDefault(&c.WatchInterval, DefaultWatchInterval)
	if c.ClientID == "" {
		c.ClientID = "ashi"
	}
	if err := c.Security.Validate(); err != nil {
		return c, fmt.Errorf("kafka: %w", err)
	}
	if err := c.Client.Validate(); err != nil {
		return c, fmt.Errorf("kafka: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

func orDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// connect makes a client; nothing is sent yet.
func (c Config) connect(opts ...kgo.Opt) (*kgo.Client, error) {
	all := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.WithLogger(&clientLog{c.Logger, rare.New(c.Logger)}),
		kgo.DisableClientMetrics(),
		kgo.DialTimeout(answerTimeout),
		// A broker that restarts refuses connections for a while: look again soon, not after kgo's
		// usual 5 s.
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.WithHooks(newThrottled(c.ClientID, c.Logger)),
	}
	secure, err := c.Security.options(c.Dial)
	if err != nil {
		return nil, fmt.Errorf("kafka: client for %s: %w", c.addresses(), err)
	}
	all = append(append(all, c.Client.options()...), secure...)
	client, err := kgo.NewClient(append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: client for %s: %w", c.addresses(), err)
	}
	return client, nil
}

func (c Config) addresses() string { return strings.Join(c.Brokers, ", ") }

// clientLog hands franz-go's log lines to slog. Its own levels are a step too loud for a library,
// where a rebalance is routine, and it repeats itself while a broker is away.
type clientLog struct {
	log  *slog.Logger
	rare *rare.Log
}

// Level is called by franz-go.
func (l *clientLog) Level() kgo.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelError
}

// Log is called by franz-go.
func (l *clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if level == kgo.LogLevelError {
		l.rare.Warn("kafka client: "+msg, keyvals...)
		return
	}
	l.log.Debug("kafka client: "+msg, keyvals...)
}
