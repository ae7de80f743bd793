package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// errProcessor says that goka stopped taking messages by itself.
var errProcessor = errors.New("kafka: goka's partition processor ended")

// session is a sarama.ConsumerGroupSession: the workers of one generation from their opening to their closing. A generation
// has several in a row when transactions fail.
type session struct {
	member     *member
	generation *generation
	handler    sarama.ConsumerGroupHandler
	lanes      map[int32]*lane
	claims     []*claim
	fetcher    *fetcher
	marks      *marks
	released   atomic.Bool // a batch was: the session got somewhere

	ctx     context.Context // goka's: done when the workers are closed
	end     context.CancelFunc
	work    context.Context // the workers': done when their work does not count any more
	abandon context.CancelFunc
	opening context.Context // the workers' Open: done as soon as the session is to stop

	stopping chan struct{} // closed when the session is to end
	givenUp  chan struct{} // closed when a worker did not end in time
	stopOnce sync.Once

	mu  sync.Mutex
	err error
}

var _ sarama.ConsumerGroupSession = (*session)(nil)

func newSession(m *member, g *generation, handler sarama.ConsumerGroupHandler) *session {
	s := &session{
		member: m, generation: g, handler: handler,
		lanes: make(map[int32]*lane), marks: newMarks(m.commit),
		stopping: make(chan struct{}), givenUp: make(chan struct{}),
	}
	for _, topic := range m.group.gc.Topics {
		for _, partition := range slices.Sorted(slices.Values(g.claims[topic])) {
			l := s.lanes[partition]
			if l == nil {
				l = newLane(s, partition)
				s.lanes[partition] = l
			}
			c := newClaim(topic, partition)
			l.claims = append(l.claims, c)
			s.claims = append(s.claims, c)
		}
	}
	return s
}

// run opens the workers, lets them work until ctx or the generation ends or something fails, and closes them. It returns
// what failed, nil if nothing did.
func (s *session) run(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	s.ctx, s.end = context.WithCancel(base)
	s.work, s.abandon = context.WithCancel(base)
	opening, stopOpening := context.WithCancel(s.work)
	s.opening = opening
	s.member.group.session.Store(s)

	var watching sync.WaitGroup
	watching.Go(func() { s.watch(ctx) })
	watching.Go(func() {
		<-s.stopping
		stopOpening()
	})
	if err := s.handler.Setup(s); err != nil {
		s.fail(fmt.Errorf("set up: %w", err))
	} else {
		s.consume(base)
	}
	s.stop()
	s.end()
	if err := s.handler.Cleanup(s); err != nil {
		s.member.cfg.Logger.Debug("kafka: goka's clean-up", "error", err)
	}
	s.abandon()
	watching.Wait()
	s.member.group.handles.clear()
	if !s.lost() {
		if err := s.marks.tell(base); err != nil {
			s.member.cfg.Logger.Warn("kafka: last offsets not committed", "group", s.member.group.gc.ID, "error", err)
		}
	}
	return s.failure()
}

// watch stops the session when it is told to.
func (s *session) watch(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.generation.revoked:
	case <-s.generation.lost:
	case <-s.stopping:
	}
	s.stop() // before abandon: what fails from now on is no failure
	select { // it may be lost, too, while it is being given back
	case <-s.generation.lost:
		s.abandon()
	case <-s.ctx.Done():
	}
}

func (s *session) stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

func (s *session) lost() bool {
	select {
	case <-s.generation.lost:
		return true
	default:
		return false
	}
}

// fail ends the session with an error, unless it is ending anyway: what fails then does so because it is told to stop.
func (s *session) fail(err error) {
	s.mu.Lock()
	select {
	case <-s.stopping:
	default:
		if s.err == nil {
			s.err = err
		}
	}
	s.mu.Unlock()
	s.stop()
}

func (s *session) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// closing notes that a worker did not close well. Not to have committed the last batches is no harm, the log tells the next
// owner; what is wrong with the worker itself is fatal as it would be at any other time.
func (s *session) closing(partition int32, clean bool, err error) {
	log := s.member.cfg.Logger.With("group", s.member.group.gc.ID, "partition", partition, "error", err)
	switch {
	case !clean:
		log.Debug("kafka: abandoned worker")
	case transient(err) || s.work.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		log.Warn("kafka: worker closed without its last commit")
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil || transient(s.err) {
			s.err = fmt.Errorf("partition %d: close: %w", partition, err)
		}
	}
}

// transient reports whether new workers can go on from the log.
func transient(err error) bool {
	return errors.Is(err, task.ErrFenced) || errors.Is(err, task.ErrAborted) || errors.Is(err, ErrUnavailable)
}

// grace is how long workers may take to end cleanly: the others wait for it in a rebalance.
func (s *session) grace() time.Duration { return s.member.cfg.RebalanceTimeout / 2 }

// consume runs the claims until the session stops and every worker is closed or given up.
func (s *session) consume(base context.Context) {
	fetching, stopFetching := context.WithCancel(base)
	committing, stopCommitting := context.WithCancel(base)
	defer stopFetching()
	defer stopCommitting()
	s.connect()

	var claims, lanes, aids sync.WaitGroup
	aids.Go(func() {
		if err := s.fetcher.run(fetching); err != nil {
			s.fail(err)
		}
	})
	aids.Go(func() { s.marks.run(committing, s.member.cfg.Logger) })
	for _, c := range s.claims {
		claims.Go(func() { s.consumeClaim(c) })
	}
	for _, l := range s.lanes {
		lanes.Go(l.feed)
	}
	<-s.stopping
	stopFetching()
	s.await(&lanes)
	for _, c := range s.claims {
		close(c.messages)
	}
	s.end() // before the claims: goka may hold a message that nobody takes
	claims.Wait()
	stopCommitting()
	aids.Wait()
}

// connect makes the feeds, now that the workers have said where they start.
func (s *session) connect() {
	var feeds []*feed
	for _, l := range s.lanes {
		for _, c := range l.claims {
			next, named := l.start[c.topic]
			if !named {
				next = Oldest
			}
			c.start = next
			s.marks.mark(c.topic, c.partition, next) // the last owner may have ended before it told the group
			c.feed = &feed{topic: c.topic, partition: c.partition, next: next, arrived: l.arrived}
			feeds = append(feeds, c.feed)
		}
	}
	s.fetcher = newFetcher(s.member.data, s.member.cfg.Logger, s.member.cfg.FetchWait, s.member.group.gc.Ahead, feeds)
	s.fetcher.told = s.member.group.gc.End
	s.fetcher.resume = true
	for _, c := range s.claims {
		c.fetcher = s.fetcher
	}
}

func (s *session) consumeClaim(c *claim) {
	defer close(c.gone)
	err := s.handler.ConsumeClaim(s, c)
	select {
	case <-s.stopping:
	default:
		s.fail(fmt.Errorf("partition %d: %w: %v", c.partition, errProcessor, err))
	}
}

// await waits for the lanes: for their grace, then, having told the workers that their work does not count, a little longer.
// Then their debts are paid, so that goka does not wait for them too.
func (s *session) await(lanes *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		lanes.Wait()
		close(done)
	}()
	timer := time.NewTimer(s.grace())
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-s.work.Done():
	case <-timer.C:
		s.abandon()
	}
	timer.Reset(closeTimeout)
	select {
	case <-done:
		return
	case <-timer.C:
	}
	s.member.cfg.Logger.Error("kafka: a worker does not end", "group", s.member.group.gc.ID)
	close(s.givenUp)
	for _, l := range s.lanes {
		l.seal()
	}
	<-done
}

// message wraps a delivery. Its offset is the one before the chunk's end, as goka marks the next one; what is no chunk has an
// offset that marks nothing.
func (s *session) message(c *claim, d *delivery) *sarama.ConsumerMessage {
	m := &sarama.ConsumerMessage{Topic: c.topic, Partition: c.partition, Offset: -1, Value: s.member.group.handles.put(d)}
	if d.chunk != nil {
		m.Offset = d.chunk.next - 1
	}
	return m
}

// MarkOffset is called by goka when a chunk's deferred commit is paid.
func (s *session) MarkOffset(topic string, partition int32, offset int64, _ string) {
	if l := s.lanes[partition]; l != nil && !l.isSealed() {
		s.marks.mark(topic, partition, offset)
	}
}

// The rest of sarama's session.
func (s *session) Claims() map[string][]int32                  { return s.generation.claims }
func (s *session) MemberID() string                            { return s.generation.member }
func (s *session) GenerationID() int32                         { return s.generation.id }
func (s *session) Context() context.Context                    { return s.ctx }
func (s *session) Commit()                                     {}
func (s *session) ResetOffset(string, int32, int64, string)    {}
func (s *session) MarkMessage(*sarama.ConsumerMessage, string) {}
