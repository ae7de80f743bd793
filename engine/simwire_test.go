package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// simWire is a member's network, which can be cut, hold everything back as if the process was
// stopped, or be slow with some requests.
type simWire struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu       sync.Mutex
	cutUntil time.Time
	dead     bool
	held     chan struct{} // closed when it goes on; nil: it does
	late     map[kmsg.Key]*simDelay
	conns    []net.Conn
}

func (w *simWire) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead || time.Now().Before(w.cutUntil) {
		return nil, errCut
	}
	c, err := w.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.conns = append(w.conns, c)
	return &simConn{Conn: c, wire: w, closed: make(chan struct{})}, nil
}

func (w *simWire) closeLocked() {
	for _, c := range w.conns {
		c.Close() // it may be closed already
	}
	w.conns = nil
}

// sever is for ever.
func (w *simWire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
	w.closeLocked()
}

func (w *simWire) cut(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutUntil = time.Now().Add(d)
	w.closeLocked()
}

func (w *simWire) heal() {
	w.cut(0)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = nil
}

func (w *simWire) hold(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held != nil {
		return
	}
	held := make(chan struct{})
	w.held = held
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.held = nil
		close(held)
	})
}

// sendLate lets the next requests of a kind arrive later, and with them what follows on their
// connections. The channel is closed when the first is on its way.
func (w *simWire) sendLate(kind kmsg.Key, n int, by time.Duration) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.late == nil {
		w.late = map[kmsg.Key]*simDelay{}
	}
	d := &simDelay{left: n, by: by, begun: make(chan struct{})}
	w.late[kind] = d
	return d.begun
}

// lateness of a request, which franz-go writes at once: its size and its kind come first.
func (w *simWire) lateness(request []byte) time.Duration {
	if len(request) < 6 {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.late[kmsg.Key(binary.BigEndian.Uint16(request[4:]))]
	if d == nil || d.left == 0 {
		return 0
	}
	d.left--
	d.once.Do(func() { close(d.begun) })
	return d.by
}

// pass waits while the wire is held.
func (w *simWire) pass(closed <-chan struct{}) error {
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-closed:
			return net.ErrClosed
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errCut
	}
	return nil
}

// simConn is a connection. What was written to it is on its way: it arrives even if the writer
// closes the connection meanwhile, as it does when it has no patience any more.
type simConn struct {
	net.Conn
	wire   *simWire
	once   sync.Once
	closed chan struct{}

	mu    sync.Mutex
	queue [][]byte // behind a late request, which is first; a timer or deliver has them while there are any
}

func (c *simConn) Write(b []byte) (int, error) {
	if err := c.wire.pass(c.closed); err != nil {
		return 0, err
	}
	c.mu.Lock()
	first := len(c.queue) == 0
	late := time.Duration(0)
	if first {
		late = c.wire.lateness(b)
	}
	if first && late == 0 {
		c.mu.Unlock()
		return c.Conn.Write(b)
	}
	defer c.mu.Unlock()
	if c.queue = append(c.queue, bytes.Clone(b)); first {
		time.AfterFunc(late, c.deliver)
	}
	return len(b), nil
}

// deliver writes what is queued by now.
func (c *simConn) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i < len(c.queue); i++ {
		b := c.queue[i]
		c.mu.Unlock()
		_, _ = c.Conn.Write(b) // the wire may be cut
		c.mu.Lock()
	}
	c.queue = nil
	select {
	case <-c.closed:
		c.Conn.Close()
	default:
	}
}

func (c *simConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if held := c.wire.pass(c.closed); held != nil {
		return 0, held
	}
	return n, err
}

// Close closes the connection, once what was written has arrived.
func (c *simConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		return c.Conn.SetReadDeadline(time.Now()) // the reader does not wait
	}
	return c.Conn.Close()
}
