package kafka

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// lane is one partition's way from the fetcher to its worker, for one session. Two goroutines work on it: feed puts
// deliveries into goka, and goka's goroutine of the partition calls handle. The worker is touched by the latter alone, save
// for open (before it starts) and abandoned (after it has ended).
type lane struct {
	session   *session
	partition int32
	claims    []*claim      // one per input topic
	arrived   chan struct{} // a token: one of the claims' feeds has a chunk
	closed    chan struct{} // the worker is closed

	// Owned by goka's goroutine.
	worker  Worker
	start   map[string]int64
	decoder *decoder
	records []task.Record
	batch   task.Batch
	ended   bool // nothing goes to the worker any more, save Close

	mu      sync.Mutex
	sealed  bool    // releases and marks do not count any more
	pending []*debt // chunks whose deferred commit goka still waits for, in order
}

// debt is a deferred commit of goka: it must be paid, or goka waits 60 s when the partition ends.
type debt struct {
	pay  func(error)
	paid bool
}

func newLane(s *session, partition int32) *lane {
	return &lane{
		session: s, partition: partition,
		arrived: make(chan struct{}, 1), closed: make(chan struct{}),
		decoder: newDecoder(), records: make([]task.Record, batchSize),
	}
}

// open opens the worker; goka calls it as the opening of the partition's storage.
func (l *lane) open() error {
	err := guard(func() (err error) {
		l.worker = l.session.member.group.gc.NewWorker(l.partition)
		l.start, err = l.worker.Open(l.session.opening)
		return err
	})
	if err != nil {
		l.fail("open", err)
	}
	return err
}

// feed puts the chunks of the claims into goka, one of each topic in turn, and ticks in between. When the session stops it
// puts the end in, so that the worker is closed in its own goroutine, and waits until that is done or given up.
func (l *lane) feed() {
	tick := time.NewTimer(l.session.member.group.gc.Tick)
	defer tick.Stop()
	for l.more(tick) {
	}
	first := l.claims[0]
	if !first.send(l.session.message(first, &delivery{lane: l, last: true}), l.session.givenUp) {
		return
	}
	select {
	case <-l.closed:
	case <-first.gone:
	case <-l.session.givenUp:
	}
}

// more sends what is there, or waits for it; false when the session stops.
func (l *lane) more(tick *time.Timer) bool {
	s := l.session
	sent := false
	for _, c := range l.claims {
		if chunk := s.fetcher.pop(c.feed); chunk != nil {
			if !c.send(s.message(c, &delivery{lane: l, topic: c.topic, chunk: chunk}), s.stopping) {
				return false
			}
			sent = true
		}
	}
	if sent {
		tick.Reset(s.member.group.gc.Tick)
		return true
	}
	select {
	case <-s.stopping:
		return false
	case <-l.arrived:
		return true
	case <-tick.C:
		tick.Reset(s.member.group.gc.Tick)
		return l.claims[0].send(s.message(l.claims[0], &delivery{lane: l}), s.stopping)
	}
}

// handle runs in goka's goroutine of the partition.
func (l *lane) handle(ctx goka.Context, d *delivery) {
	switch {
	case d.last:
		l.close()
	case l.ended:
	case d.chunk == nil:
		if err := guard(func() error { return l.worker.Tick(l.session.work) }); err != nil {
			l.fail("tick", err)
		}
	default:
		l.process(d, l.borrow(ctx.DeferCommit()))
	}
}

// process gives a chunk to the worker, batch by batch. A chunk that is cut short by the session's end is not released.
func (l *lane) process(d *delivery, last *debt) {
	l.decoder.start(d.chunk)
	topic := d.topic // what release captures lives until the commit: the chunk must not
	for done := false; !done && !l.stopping(); {
		n, err := l.decoder.fill(l.records)
		if err != nil {
			l.fail("decode "+d.topic, err)
			return
		}
		done = l.decoder.position >= d.chunk.next
		l.batch = task.Batch{Topic: d.topic, Records: l.records[:n], Next: l.decoder.position}
		var paid *debt
		if done {
			paid = last
		}
		next := l.decoder.position
		release := func() { l.release(topic, next, paid) }
		if err := guard(func() error { return l.worker.Process(l.session.work, &l.batch, release) }); err != nil {
			l.fail(fmt.Sprintf("process %s before offset %d", d.topic, next), err)
			return
		}
	}
}

func (l *lane) stopping() bool {
	select {
	case <-l.session.stopping:
		return true
	default:
		return false
	}
}

// close is the last delivery.
func (l *lane) close() {
	clean := !l.ended && l.session.work.Err() == nil
	l.ended = true
	ctx, cancel := context.WithTimeout(l.session.work, l.session.grace())
	if !clean {
		cancel()
		ctx, cancel = context.WithTimeout(context.WithoutCancel(l.session.work), closeTimeout)
	}
	defer cancel()
	if err := guard(func() error { return l.worker.Close(ctx, clean) }); err != nil {
		l.session.closing(l.partition, clean, err)
	}
	l.worker = nil
	l.seal()
	close(l.closed)
}

// abandoned closes a worker that close did not: goka calls it as the closing of the partition's storage.
func (l *lane) abandoned() error {
	if l.worker == nil {
		return nil
	}
	l.ended = true
	l.close()
	return nil
}

// fail ends the session. What the worker has pending is not released any more.
func (l *lane) fail(what string, err error) {
	l.ended = true
	l.seal()
	l.session.fail(fmt.Errorf("partition %d: %s: %w", l.partition, what, err))
}

// borrow notes a deferred commit.
func (l *lane) borrow(pay func(error)) *debt {
	d := &debt{pay: pay}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, d)
	return d
}

// release is what a worker calls for a batch: the group may know its position; for a chunk's last batch goka may too.
func (l *lane) release(topic string, next int64, d *debt) {
	l.mu.Lock()
	if l.sealed || d != nil && d.paid {
		l.mu.Unlock()
		return
	}
	if d != nil {
		d.paid = true
	}
	for len(l.pending) > 0 && l.pending[0].paid {
		l.pending[0] = nil
		l.pending = l.pending[1:]
	}
	l.mu.Unlock()
	l.session.released.Store(true)
	l.session.marks.mark(topic, l.partition, next)
	if d != nil {
		d.pay(nil)
	}
}

// seal pays what is owed to goka, without a mark. It may be called more than once and by anyone.
func (l *lane) seal() {
	l.mu.Lock()
	l.sealed = true
	owed := l.pending
	l.pending = nil
	l.mu.Unlock()
	for _, d := range owed {
		if !d.paid {
			d.pay(nil)
		}
	}
}

func (l *lane) isSealed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sealed
}

// guard turns a panic of the worker into an error.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, r, debug.Stack())
		}
	}()
	return f()
}

var errPanic = errors.New("panic")

// claim is a sarama.ConsumerGroupClaim: one topic of a lane.
type claim struct {
	topic     string
	partition int32
	start     int64
	feed      *feed
	messages  chan *sarama.ConsumerMessage
	gone      chan struct{} // goka does not take messages any more
}

var _ sarama.ConsumerGroupClaim = (*claim)(nil)

func (c *claim) Topic() string                            { return c.topic }
func (c *claim) Partition() int32                         { return c.partition }
func (c *claim) InitialOffset() int64                     { return c.start }
func (c *claim) HighWaterMarkOffset() int64               { return 0 } // goka does not ask
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// send waits until goka takes the message, or until over.
func (c *claim) send(m *sarama.ConsumerMessage, over <-chan struct{}) bool {
	select {
	case c.messages <- m:
		return true
	case <-c.gone:
	case <-over:
	}
	return false
}
