package engine_test

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// soakMinutes is how long the long forms of tests run, 0 where nobody asked for them: make soak
// sets it.
func soakMinutes(t testing.TB) int {
	s := os.Getenv("ASHI_SOAK_MINUTES")
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	require.NoError(t, err, "ASHI_SOAK_MINUTES")
	return n
}

// did says what a test has done; make soak shows it.
func did(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf("did: "+format, args...)
}

// stormMinutes is how long storms last in virtual time: briefly, or an hour.
func stormMinutes(t testing.TB, brief int) int {
	if soakMinutes(t) > 0 {
		return 60
	}
	return brief
}

// line is a member's network, which can be held, so that connections stay and nothing goes through,
// as when one of the two ends is paused; and which breaks for good at a numbered write.
type line struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu      sync.Mutex
	held    chan struct{} // closed when it is let go; nil: nothing holds it
	broken  bool
	open    []*lineConn
	writes  int
	breakAt int  // the number of the write at which the line breaks; 0: none
	sent    bool // that write goes out, and its answer is lost
}

// errRefused is what the network says where nobody listens.
var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// lineOf is a line to the cluster's brokers.
func lineOf(c *kafkatest.Cluster) *line { return &line{dial: c.Dial} }

func (l *line) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	held := l.held
	l.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	inner, err := l.dial(ctx, network, addr) // without the lock: to wait for a mutex stops a bubble's clock
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		inner.Close()
		return nil, errRefused
	}
	c := &lineConn{Conn: inner, line: l, closed: make(chan struct{})}
	l.open = append(l.open, c)
	return c, nil
}

func (l *line) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = make(chan struct{})
}

func (l *line) letGo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held)
	l.held = nil
}

// setBroken breaks the line, or mends it.
func (l *line) setBroken(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
	for _, c := range l.open {
		c.Conn.Close() // it may be closed already
	}
	l.open = nil
}

// written counts the writes.
func (l *line) written() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

// count numbers a write, and says whether it goes out and whether the line breaks with it.
func (l *line) count() (out, breaks bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
	breaks = l.writes == l.breakAt
	return !l.broken && (!breaks || l.sent), breaks
}

type lineConn struct {
	net.Conn
	line   *line
	once   sync.Once
	closed chan struct{}
}

// pass waits while the line is held.
func (c *lineConn) pass() {
	c.line.mu.Lock()
	held := c.line.held
	c.line.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case <-held:
	case <-c.closed:
	}
}

func (c *lineConn) Write(p []byte) (n int, err error) {
	c.pass()
	out, breaks := c.line.count()
	if err = errCut; out {
		n, err = c.Conn.Write(p)
	}
	if breaks {
		c.line.setBroken(true)
	}
	return n, err
}

func (c *lineConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil {
		c.pass()
	}
	return n, err
}

func (c *lineConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// startOn starts a member behind a line.
func startOn(t *testing.T, plan *topology.Plan, c *kafkatest.Cluster, l *line) *member {
	return startMember(t, plan, &kafkatest.Cluster{Brokers: c.Brokers, Dial: l.Dial})
}
