package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// errProcessor says that goka stopped taking messages by itself.
var errProcessor = errors.New("kafka: goka's partition processor ended")

// session is a sarama.ConsumerGroupSession: a partition's worker from its opening to its closing. A
// tenure has several in a row when transactions fail.
type session struct {
	tenure   *tenure
	handler  sarama.ConsumerGroupHandler
	lane     *lane
	released atomic.Bool // a batch was: the session got somewhere

	ctx     context.Context // goka's: done when the worker is closed
	end     context.CancelFunc
	work    context.Context // the worker's: done when its work does not count any more
	abandon context.CancelFunc
	opening context.Context // the worker's Open: done as soon as the session is to stop

	stopping chan struct{} // closed when the session is to end
	givenUp  chan struct{} // closed when the worker did not end in time
	stopOnce sync.Once

	giveUpOnce sync.Once

	mu  sync.Mutex
	err error
}

var _ sarama.ConsumerGroupSession = (*session)(nil)

func newSession(t *tenure, handler sarama.ConsumerGroupHandler) *session {
	s := &session{tenure: t, handler: handler, stopping: make(chan struct{}), givenUp: make(chan struct{})}
	s.lane = newLane(s, t.partition)
	for _, topic := range t.sub.Topics {
		s.lane.claims = append(s.lane.claims, newClaim(topic, t.partition, s.member().fetcher))
	}
	return s
}

func (s *session) member() *member { return s.tenure.member }
func (s *session) group() *Group   { return s.tenure.member.group }

// run opens the worker, lets it work until the tenure ends or something fails, and closes it. It
// returns what failed, nil if nothing did.
func (s *session) run() error {
	base := context.Background()
	s.ctx, s.end = context.WithCancel(base)
	s.work, s.abandon = context.WithCancel(base)
	opening, stopOpening := context.WithCancel(s.work)
	s.opening = opening

	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(s.watch)
	watching.Go(func() { s.await(ended) })
	watching.Go(func() {
		<-s.stopping
		stopOpening()
	})
	if err := s.handler.Setup(s); err != nil {
		s.fail(fmt.Errorf("set up: %w", err))
	} else {
		s.consume()
	}
	s.stop()
	s.end()
	if err := s.handler.Cleanup(s); err != nil {
		s.member().cfg.Logger.Debug("kafka: goka's clean-up", "error", err)
	}
	close(ended)
	s.abandon()
	watching.Wait()
	s.tenure.handles.clear()
	return s.failure()
}

// watch stops the session when it is told to, or when its worker is stuck.
func (s *session) watch() {
	if !s.stuck() {
		return
	}
	s.stop() // before abandon: what fails from now on is no failure
	select { // it may be lost, too, while it is being given back
	case <-s.tenure.lost:
		s.abandon()
	case <-s.ctx.Done():
	}
}

// stuck waits until the session is to stop, which is true, or its worker is stuck: then the session
// ends without it.
func (s *session) stuck() (stops bool) {
	bound := s.group().gc.StuckAfter
	every := max(min(lookEvery, bound/10), time.Millisecond)
	var looks <-chan time.Time
	if bound > 0 {
		tick := time.NewTicker(every)
		defer tick.Stop()
		looks = tick.C
	}
	still := stillness{most: 2 * every}
	for {
		select {
		case <-s.tenure.revoked:
			return true
		case <-s.tenure.lost:
			return true
		case <-s.stopping:
			return true
		case <-looks:
			now := time.Now()
			where, since := s.lane.stuck(now)
			if still.look(now, since) >= bound {
				s.leave(fmt.Sprintf("%s, since %v", where, now.Sub(since).Round(time.Second)))
				return false
			}
		}
	}
}

// stillness measures for how long a worker has been in one place, by looks. A gap between two looks
// counts for most at the longest: where the whole process was stopped, as by SIGSTOP or with its
// machine, the worker had no chance to move either.
type stillness struct {
	most  time.Duration
	since time.Time // of the place; zero: at rest
	last  time.Time // look
	total time.Duration
}

// look takes since when the worker is in its place, zero if it rests, and returns how long of that
// was observed.
func (s *stillness) look(now, since time.Time) time.Duration {
	if since.IsZero() || since != s.since {
		s.since, s.last, s.total = since, now, 0
		return 0
	}
	s.total += min(now.Sub(s.last), s.most)
	s.last = now
	return s.total
}

// leave ends the session without the goroutine of its worker.
func (s *session) leave(where string) {
	s.stop()
	s.abandon()
	s.giveUp()
	s.lane.abandon()
	err := fmt.Errorf(
		"partition %d: %w: %s: the next owner of the partition goes on from the last commit; the goroutine and the "+
			"store that it has open "+
			"go with this process: end it, and look in a dump of its goroutines for what the step waits for",
		s.tenure.partition, ErrStuck, where)
	s.member().cfg.Logger.Error("kafka: the member ends without a worker that does not return",
		"group", s.group().gc.ID, "partition", s.tenure.partition, "at", where)
	s.tenure.leave(err)
}

func (s *session) giveUp() {
	s.giveUpOnce.Do(func() { close(s.givenUp) })
	s.lane.seal()
}

func (s *session) stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// fail ends the session with an error, unless it is ending anyway: what fails then does so because
// it is told to stop.
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

// closing notes that a worker did not close well. Not to have committed the last batches is no
// harm, the log tells the next owner; what is wrong with the worker itself is fatal as it would be
// at any other time.
func (s *session) closing(partition int32, clean bool, err error) {
	log := s.member().cfg.Logger.With("group", s.group().gc.ID, "sub", s.tenure.sub.Name, "partition", partition,
		"error", err)
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

// grace is how long a worker may take to end cleanly: the others wait for it in a rebalance.
func (s *session) grace() time.Duration { return s.member().cfg.RebalanceTimeout / 2 }

// consume runs the claims until the session stops and the worker is closed or given up.
func (s *session) consume() {
	s.connect()
	var claims sync.WaitGroup
	for _, c := range s.lane.claims {
		claims.Go(func() { s.consumeClaim(c) })
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		s.lane.feed()
	}()
	<-s.stopping
	for _, c := range s.lane.claims {
		s.member().fetcher.end(c.feed)
	}
	<-fed
	for _, c := range s.lane.claims {
		close(c.messages)
	}
	s.end() // before the claims: goka may hold a message that nobody takes
	claims.Wait()
}

// connect begins to fetch, now that the worker has said where it starts.
func (s *session) connect() {
	l, m := s.lane, s.member()
	for _, c := range l.claims {
		next, named := l.start[c.topic]
		if !named {
			next = Oldest
		}
		c.start = next
		m.marks.begin(c.topic, c.partition, next)
		c.feed = &feed{topic: c.topic, topicID: s.tenure.sub.TopicIDs[c.topic], partition: c.partition, next: next,
			arrived: l.arrived}
		m.fetcher.add(c.feed)
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

// await waits for the end of a session that is to stop: for the worker's grace, then, having told
// the worker that its work does not count, a little longer. Then its debts are paid, so that goka
// does not wait for them too. A worker that is in user code then is left behind; one that is not,
// as a slow disk may hold it, has the rest of what a rebalance may take.
func (s *session) await(ended <-chan struct{}) {
	select {
	case <-s.stopping:
	case <-ended:
		return
	}
	began := time.Now()
	timer := time.NewTimer(s.grace())
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-s.work.Done():
	case <-timer.C:
		s.abandon()
	}
	s.lane.stuck(time.Now()) // so that the next look is not the first one
	timer.Reset(closeTimeout)
	select {
	case <-ended:
		return
	case <-timer.C:
	}
	s.giveUp()
	where, since := s.lane.stuck(time.Now())
	if since.IsZero() || time.Since(since) < closeTimeout/2 { // else it is where it was when it was abandoned
		where = "in the engine's own code"
		s.member().cfg.Logger.Error("kafka: a worker does not end", "group", s.group().gc.ID, "sub", s.tenure.sub.Name,
			"partition", s.tenure.partition)
		timer.Reset(max(s.member().cfg.RebalanceTimeout-time.Since(began), closeTimeout))
		select {
		case <-ended:
			return
		case <-timer.C:
		}
	}
	s.leave(where)
}

// message wraps a delivery. Its offset is the one before the chunk's end, as goka marks the next
// one; what is no chunk has an offset that marks nothing.
func (s *session) message(c *claim, d *delivery) *sarama.ConsumerMessage {
	m := &sarama.ConsumerMessage{Topic: c.topic, Partition: c.partition, Offset: -1, Value: s.tenure.handles.put(d)}
	if d.chunk != nil {
		m.Offset = d.chunk.next - 1
	}
	return m
}

// MarkOffset is called by goka when a chunk's deferred commit is paid.
func (s *session) MarkOffset(topic string, partition int32, offset int64, _ string) {
	if !s.lane.isSealed() {
		s.member().marks.mark(topic, partition, offset)
	}
}

// Claims is sarama's.
func (s *session) Claims() map[string][]int32 {
	claims := make(map[string][]int32)
	for _, c := range s.lane.claims {
		claims[c.topic] = []int32{c.partition}
	}
	return claims
}

// MemberID is sarama's.
func (s *session) MemberID() string {
	id, _ := s.member().membership.GroupMetadata()
	return id
}

// GenerationID is sarama's.
func (s *session) GenerationID() int32 {
	_, id := s.member().membership.GroupMetadata()
	return id
}

// The rest of sarama's session.
func (s *session) Context() context.Context                    { return s.ctx }
func (s *session) Commit()                                     {}
func (s *session) ResetOffset(string, int32, int64, string)    {}
func (s *session) MarkMessage(*sarama.ConsumerMessage, string) {}
