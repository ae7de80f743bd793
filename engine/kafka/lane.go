package kafka

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka"
)

// lane is one partition's way from the fetcher to its worker, for one session. Two goroutines work
// on it: feed puts deliveries into goka, and goka's goroutine of the partition calls handle. The
// worker is touched by the latter alone, save for open (before it starts) and abandoned (after it
// has ended).
type lane struct {
	session   *session
	partition int32
	claims    []*claim      // one per input topic
	arrived   chan struct{} // a token: one of the claims' feeds has a chunk, or has run dry
	closed    chan struct{} // the worker is closed
	stalled   atomic.Bool   // the worker has records that it cannot take before it knows what comes in another topic

	// Owned by goka's goroutine.
	worker Worker
	start  map[string]int64
	ended  bool // nothing goes to the worker any more, save Close

	mu     sync.Mutex
	seen   Worker  // worker, for other goroutines
	sealed bool    // releases and marks do not count any more
	owed   []*debt // chunks whose deferred commit goka still waits for
}

// debt is a deferred commit of goka: it must be paid, or goka waits 60 s when the partition ends.
type debt struct{ pay func(error) }

func newLane(s *session, partition int32) *lane {
	return &lane{session: s, partition: partition, arrived: make(chan struct{}, 1), closed: make(chan struct{})}
}

// open opens the worker; goka calls it as the opening of the partition's storage.
func (l *lane) open() error {
	err := guard(func() (err error) {
		l.worker = l.session.tenure.sub.NewWorker(l.partition)
		l.mu.Lock()
		l.seen = l.worker
		l.mu.Unlock()
		l.start, err = l.worker.Open(l.session.opening)
		return err
	})
	if err != nil {
		l.fail("open", err)
	}
	return err
}

// feed puts the chunks of the claims into goka, one of each topic in turn, and ticks in between.
// When the session stops it puts the end in, so that the worker is closed in its own goroutine, and
// waits until that is done or given up.
func (l *lane) feed() {
	tick := time.NewTimer(l.session.group().gc.Tick)
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
	sent, ok := l.sendChunks()
	if sent || !ok {
		tick.Reset(l.session.group().gc.Tick)
		return ok
	}
	select {
	case <-l.session.stopping:
		return false
	case <-tick.C:
		tick.Reset(l.session.group().gc.Tick)
		return l.send(&delivery{lane: l})
	case <-l.arrived:
	}
	if sent, ok = l.sendChunks(); ok && !sent && l.stalled.Load() {
		return l.send(&delivery{lane: l, wake: true})
	}
	return ok
}

// sendChunks sends a chunk of each claim that has one and room for it; ok is false when the session
// stops.
func (l *lane) sendChunks() (sent, ok bool) {
	s := l.session
	for _, c := range l.claims {
		if chunk := c.fetcher.pop(c.feed); chunk != nil {
			if !c.send(s.message(c, &delivery{lane: l, claim: c, chunk: chunk}), s.stopping) {
				return sent, false
			}
			sent = true
		}
	}
	return sent, true
}

// send sends what is no chunk.
func (l *lane) send(d *delivery) bool {
	return l.claims[0].send(l.session.message(l.claims[0], d), l.session.stopping)
}

// handle runs in goka's goroutine of the partition.
func (l *lane) handle(ctx goka.Context, d *delivery) {
	switch {
	case d.last:
		l.close()
	case l.ended:
	case d.chunk != nil:
		d.claim.chunks = append(d.claim.chunks, lent{d.chunk, l.borrow(ctx.DeferCommit())})
		l.work()
	case d.wake:
		l.work()
	default:
		if err := guard(func() error { return l.worker.Tick(l.session.work) }); err != nil {
			l.fail("tick", err)
		}
	}
}

// work lets the worker run for as long as it takes records. Chunks that are cut short by the
// session's end are not released.
func (l *lane) work() {
	l.stalled.Store(false)
	for l.offer() && !l.stopping() {
		if err := guard(func() error { return l.worker.Run(l.session.work, l.dry) }); err != nil {
			l.fail("process", err)
			return
		}
	}
}

// offer gives the worker a batch of each topic that it wants and that has one, and says whether it
// can run.
func (l *lane) offer() (run bool) {
	waits := false
	for _, c := range l.claims {
		switch {
		case !l.worker.Wants(c.topic):
			waits = true
		case len(c.chunks) > 0:
			done, err := c.fill()
			if err != nil {
				l.fail("decode "+c.topic, err)
				return false
			}
			l.worker.Offer(&c.batch, l.releaseOf(c.topic, c.batch.Next, done))
			run = true
		}
	}
	if run || !waits {
		return run
	}
	// A feed that runs dry from now on is followed by a delivery (see more); one that did so before
	// is seen here.
	l.stalled.Store(true)
	for _, c := range l.claims {
		if l.worker.Wants(c.topic) && !c.feed.dry.Load() {
			return false
		}
	}
	l.stalled.Store(false)
	return true
}

// dry says that nothing of a topic is left to read now, nor on its way to the worker.
func (l *lane) dry(topic string) bool {
	for _, c := range l.claims {
		if c.topic == topic {
			return c.feed.dry.Load()
		}
	}
	return true
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

// abandoned closes a worker that close did not: goka calls it as the closing of the partition's
// storage.
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

// stuck asks the worker where it is.
func (l *lane) stuck(now time.Time) (where string, since time.Time) {
	if w := l.other(); w != nil {
		return w.Stuck(now)
	}
	return "", time.Time{}
}

// abandon lets go of a worker that does not return.
func (l *lane) abandon() {
	if w := l.other(); w != nil {
		w.Abandon()
	}
}

// other is the worker, for other goroutines than its own.
func (l *lane) other() Worker {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// borrow notes a deferred commit.
func (l *lane) borrow(pay func(error)) *debt {
	d := &debt{pay: pay}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed = append(l.owed, d)
	return d
}

// releaseOf is what a worker calls for a batch that ends before next: the group may know its
// position; for a chunk's last batch, which has a debt, goka may too.
func (l *lane) releaseOf(topic string, next int64, d *debt) func() {
	return func() {
		l.mu.Lock()
		at := slices.Index(l.owed, d)
		if l.sealed || d != nil && at < 0 {
			l.mu.Unlock()
			return
		}
		if d != nil {
			// a topic far ahead in time may owe for long: nothing waits behind it
			l.owed = slices.Delete(l.owed, at, at+1)
		}
		l.mu.Unlock()
		l.session.released.Store(true)
		l.session.member().marks.mark(topic, l.partition, next)
		if d != nil {
			d.pay(nil)
		}
	}
}

// seal pays what is owed to goka, without a mark. It may be called more than once and by anyone.
func (l *lane) seal() {
	l.mu.Lock()
	l.sealed = true
	owed := l.owed
	l.owed = nil
	l.mu.Unlock()
	for _, d := range owed {
		d.pay(nil)
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
