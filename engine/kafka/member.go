package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// generation is one assignment of partitions to this member, from the group's yes to its end.
type generation struct {
	id     int32
	member string
	claims map[string][]int32

	revoked chan struct{} // closed when the group wants them back, and waits
	lost    chan struct{} // closed when they may already be somebody else's
	done    chan struct{} // closed by Consume when nothing of it is left
}

// over reports whether the generation is to end, or has.
func (g *generation) over() bool {
	select {
	case <-g.revoked:
	case <-g.lost:
	default:
		return false
	}
	return true
}

// member is a sarama.ConsumerGroup on two franz-go clients: membership is a group client whose topics are all paused, so
// that it heartbeats, is assigned and commits offsets, but fetches nothing; data is the fetcher's. Range assignment gives
// partition i of every topic to one member.
type member struct {
	group      *Group
	cfg        Config
	membership *kgo.Client
	data       *kgo.Client
	assigned   chan *generation
	fatal      chan error
	stopped    chan struct{} // closed when Consume has returned: nobody ends generations any more
	failures   int           // sessions in a row that failed

	polling sync.WaitGroup
	stop    context.CancelFunc // of the polling
	mu      sync.Mutex
	current *generation
}

var _ sarama.ConsumerGroup = (*member)(nil)

func newMember(g *Group) (*member, error) {
	m := &member{
		group: g, cfg: g.cfg,
		assigned: make(chan *generation, 1), fatal: make(chan error, 1), stopped: make(chan struct{}),
	}
	var err error
	if m.data, err = g.cfg.connect(); err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(g.gc.ID),
		kgo.ConsumeTopics(g.gc.Topics...),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.DisableAutoCommit(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(g.cfg.SessionTimeout),
		kgo.HeartbeatInterval(g.cfg.HeartbeatInterval),
		kgo.RebalanceTimeout(g.cfg.RebalanceTimeout),
		kgo.OnPartitionsAssigned(m.onAssigned),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { m.onOver(false) }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { m.onOver(true) }),
	}
	if g.gc.Instance != "" {
		opts = append(opts, kgo.InstanceID(g.gc.Instance))
	}
	m.membership, err = g.cfg.connect(opts...)
	if err != nil {
		m.data.Close()
		return nil, err
	}
	m.membership.PauseFetchTopics(g.gc.Topics...)
	polling, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.polling.Go(func() { m.poll(polling) })
	return m, nil
}

// onAssigned is called by franz-go when the member has joined; it starts heartbeats by itself, so a long restore is no risk.
func (m *member) onAssigned(_ context.Context, client *kgo.Client, claims map[string][]int32) {
	id, generationID := client.GroupMetadata()
	g := &generation{
		id: generationID, member: id, claims: claims,
		revoked: make(chan struct{}), lost: make(chan struct{}), done: make(chan struct{}),
	}
	m.mu.Lock()
	m.current = g
	m.mu.Unlock()
	select {
	case m.assigned <- g:
	case <-m.stopped:
	}
}

// onOver is called by franz-go when the generation ends; the rebalance goes on when it returns.
func (m *member) onOver(lost bool) {
	m.mu.Lock()
	g := m.current
	m.current = nil
	m.mu.Unlock()
	if g == nil {
		return
	}
	if lost {
		close(g.lost)
	} else {
		close(g.revoked)
	}
	select {
	case <-g.done:
	case <-m.stopped:
	}
}

// poll takes the errors of group management; franz-go retries by itself what time can heal.
func (m *member) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := m.membership.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if hopeless(e.Err) {
				select {
				case m.fatal <- e.Err:
				default:
				}
				return
			}
		}
	}
}

func hopeless(err error) bool {
	for _, e := range []error{
		kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.SaslAuthenticationFailed,
		kerr.InvalidSessionTimeout, kerr.InvalidGroupID, kerr.InconsistentGroupProtocol,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Consume serves generation after generation. Goka waits 5 s between two calls, so this one ends only with ctx or with an
// error that no rebalance can heal.
func (m *member) Consume(ctx context.Context, _ []string, handler sarama.ConsumerGroupHandler) error {
	defer close(m.stopped)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-m.fatal:
			m.group.ended(err)
			return err
		case g := <-m.assigned:
			err := m.serve(ctx, g, handler)
			close(g.done)
			if err != nil {
				m.group.ended(err)
				return err
			}
		}
	}
}

// serve runs the generation's session, and a new one whenever a worker's transaction failed.
func (m *member) serve(ctx context.Context, g *generation, handler sarama.ConsumerGroupHandler) error {
	if len(g.claims) == 0 {
		m.group.assigned(nil)
		select {
		case <-ctx.Done():
		case <-g.revoked:
		case <-g.lost:
		}
		return nil
	}
	if err := coPartitioned(g.claims, m.group.gc.Topics); err != nil {
		return err
	}
	var b backoff
	for ctx.Err() == nil && !g.over() {
		s := newSession(m, g, handler)
		err := s.run(ctx)
		if s.released.Load() {
			m.failures = 0
			b.reset()
		}
		if err == nil {
			continue // it was told to end
		}
		if !transient(err) {
			return err
		}
		if !errors.Is(err, ErrUnavailable) {
			m.failures++ // for a broker we wait as long as it takes
		}
		if m.failures >= maxFailures {
			return fmt.Errorf("%d sessions in a row failed without a commit, the last: %w", m.failures, err)
		}
		m.cfg.Logger.Warn("kafka: session failed, opening its tasks anew", "group", m.group.gc.ID, "failures", m.failures, "error", err)
		m.regain(ctx, g, &b)
	}
	return nil
}

// regain waits before the next session, and until the coordinator confirms the membership: a member that was fenced because
// it has lost its partitions without knowing it yet must not fence their new owner in turn.
func (m *member) regain(ctx context.Context, g *generation, b *backoff) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-g.revoked:
		case <-g.lost:
		case <-ctx.Done():
		}
		cancel()
	})
	for b.wait(ctx) == nil {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = m.group.gc.ID, g.member, g.id
		answered, done := context.WithTimeout(ctx, answerTimeout)
		resp, err := req.RequestWith(answered, m.membership)
		done()
		if err == nil && resp.ErrorCode == 0 {
			return
		}
	}
}

func coPartitioned(claims map[string][]int32, topics []string) error {
	first := slices.Sorted(slices.Values(claims[topics[0]]))
	for _, topic := range topics {
		if other := slices.Sorted(slices.Values(claims[topic])); !slices.Equal(first, other) {
			return fmt.Errorf("%w: of %s partitions %v are assigned, of %s %v: the topics must have the same number of partitions", ErrTopicMismatch, topics[0], first, topic, other)
		}
	}
	return nil
}

// Errors is sarama's: what goes wrong is returned by Consume.
func (m *member) Errors() <-chan error { return nil }

// Close leaves the group.
func (m *member) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := m.membership.LeaveGroupContext(ctx)
	m.stop()
	m.membership.Close()
	m.data.Close()
	m.polling.Wait()
	if err != nil {
		m.cfg.Logger.Warn("kafka: left without saying so, the others wait for the session timeout", "group", m.group.gc.ID, "error", err)
	}
	return nil
}

// Pausing is not goka's to do.
func (m *member) Pause(map[string][]int32)  {}
func (m *member) Resume(map[string][]int32) {}
func (m *member) PauseAll()                 {}
func (m *member) ResumeAll()                {}

// commit tells the group how far its partitions are.
func (m *member) commit(ctx context.Context, positions map[string]map[int32]int64) error {
	offsets := make(map[string]map[int32]kgo.EpochOffset, len(positions))
	for topic, partitions := range positions {
		offsets[topic] = make(map[int32]kgo.EpochOffset, len(partitions))
		for partition, offset := range partitions {
			offsets[topic][partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	outcome := errors.New("kafka: the commit of offsets was not answered") // until it is
	m.membership.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		outcome = err
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				outcome = errors.Join(outcome, kerr.ErrorForCode(p.ErrorCode))
			}
		}
	})
	return outcome
}

// commitEvery is how often the group hears of positions while batches are being released, and commitQuiet how soon after the
// last of a burst.
const (
	commitEvery = time.Second
	commitQuiet = 50 * time.Millisecond
)
