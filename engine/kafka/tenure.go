package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// tenure is one partition in the hands of this member, from its assignment until its worker is
// closed. It is the consumer group of a goka processor that has no other partition: so partitions
// come and go, and fail, without each other.
type tenure struct {
	member    *member
	sub       *SubTopology
	partition int32
	handles   handles
	session   *session // under way; of goka's goroutine that calls Consume

	revoked     chan struct{} // closed when the partition is wanted back, or the member ends
	lost        chan struct{} // closed when it may already be somebody else's
	left        chan struct{} // closed when its goroutine is left behind
	leftErr     error         // set before left is closed
	leftOnce    sync.Once
	done        chan struct{} // closed when nothing of it is left that counts
	revokedOnce sync.Once
	lostOnce    sync.Once

	stopGoka context.CancelFunc
	served   bool
	failures int   // sessions in a row that failed
	err      error // why it ended by itself; goka keeps only the text of causes
}

var _ sarama.ConsumerGroup = (*tenure)(nil)

func newTenure(m *member, id taskID) *tenure {
	return &tenure{member: m, sub: id.sub, partition: id.partition, revoked: make(chan struct{}),
		lost: make(chan struct{}), left: make(chan struct{}), done: make(chan struct{})}
}

func (t *tenure) id() taskID { return taskID{t.sub, t.partition} }

// giveBack ends the tenure, and lets the worker commit; done says when.
func (t *tenure) giveBack() { t.revokedOnce.Do(func() { close(t.revoked) }) }

// abandon ends the tenure, and nothing of the worker counts any more; also after giveBack.
func (t *tenure) abandon() { t.lostOnce.Do(func() { close(t.lost) }) }

func (t *tenure) isLost() bool {
	select {
	case <-t.lost:
		return true
	default:
		return false
	}
}

func (t *tenure) over() bool {
	select {
	case <-t.revoked:
		return true
	default:
		return t.isLost()
	}
}

// leave ends the tenure without its goroutine, which does not return.
func (t *tenure) leave(err error) {
	t.leftOnce.Do(func() {
		t.leftErr = err
		t.abandon() // no session follows should it return after all
		close(t.left)
	})
}

// run works on the partition until it is given back or lost, or returns what is fatal. Goka and the
// worker have goroutines of their own, which nobody waits for once they are left behind: user code
// that hangs must hold up neither a rebalance nor the end of the program.
func (t *tenure) run() error {
	defer close(t.done)
	ended := make(chan error, 1)
	go func() { ended <- t.process() }()
	select {
	case err := <-ended:
		return err
	case <-t.left:
		return t.leftErr
	}
}

// process lets goka run the partition.
func (t *tenure) process() error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	t.stopGoka = stop
	processor, err := t.processor()
	if err == nil {
		err = processor.Run(ctx)
	}
	if t.served {
		return t.err
	}
	return err
}

// processor makes goka's side; it asks no broker.
func (t *tenure) processor() (*goka.Processor, error) {
	g := t.member.group
	edges := []goka.Edge{goka.Persist(&t.handles)}
	for _, topic := range t.sub.Topics {
		edges = append(edges, goka.Input(goka.Stream(topic), &t.handles, deliver))
	}
	return goka.NewProcessor(g.cfg.Brokers, goka.DefineGroup(goka.Group(g.gc.ID), edges...),
		goka.WithClientID(g.cfg.ClientID),
		goka.WithLogger(gokaLog{g.cfg.Logger}),
		goka.WithPartitionChannelSize(1),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) {
			return g.topics.with(t.partition),
				nil
		}),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) { return t, nil }),
		goka.WithConsumerSaramaBuilder(newReader),
		goka.WithProducerBuilder(newEmitter),
		goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) {
			return &workerStorage{Storage: storage.NewNull(), lane: t.session.lane}, nil
		}),
	)
}

// deliver is the callback of every input: goka's own goroutine of the partition runs the lane.
func deliver(ctx goka.Context, msg any) {
	d := msg.(*delivery)
	d.lane.handle(ctx, d)
}

// Consume is sarama's. Goka would wait 5 s and call it again: it is stopped.
func (t *tenure) Consume(_ context.Context, _ []string, handler sarama.ConsumerGroupHandler) error {
	defer t.stopGoka()
	t.served = true
	t.err = t.serve(handler)
	return t.err
}

// serve runs a session, and a new one whenever the worker's transaction failed.
func (t *tenure) serve(handler sarama.ConsumerGroupHandler) error {
	var b backoff
	for !t.over() {
		s := newSession(t, handler)
		t.session = s
		err := s.run()
		if s.released.Load() {
			t.failures = 0
			b.reset()
		}
		if err == nil {
			continue // it was told to end
		}
		if !transient(err) {
			return err
		}
		if !errors.Is(err, ErrUnavailable) {
			t.failures++ // for a broker we wait as long as it takes
		}
		if t.failures >= maxFailures {
			return fmt.Errorf("%d sessions in a row failed without a commit, the last: %w", t.failures, err)
		}
		t.member.cfg.Logger.Warn("kafka: session failed, opening its task anew", "group", t.member.group.gc.ID,
			"sub", t.sub.Name, "partition", t.partition, "failures", t.failures, "error", err)
		t.regain(&b)
	}
	return nil
}

// regain waits before the next session, and until the coordinator confirms the membership: a member
// that was fenced because it has lost its partitions without knowing it yet must not fence their
// new owner in turn. A rebalance under way does confirm it: nobody else is given what this member
// has not been told to revoke.
func (t *tenure) regain(b *backoff) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-t.revoked:
		case <-t.lost:
		case <-ctx.Done():
		}
		cancel()
	})
	m := t.member
	for b.wait(ctx) == nil {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group = m.group.gc.ID
		req.MemberID, req.Generation = m.membership.GroupMetadata()
		if instance := m.group.gc.Instance; instance != "" {
			req.InstanceID = &instance
		}
		answered, done := context.WithTimeout(ctx, answerTimeout)
		resp, err := req.RequestWith(answered, m.membership)
		done()
		if err == nil && (resp.ErrorCode == 0 || resp.ErrorCode == kerr.RebalanceInProgress.Code) {
			return
		}
	}
}

// Errors is sarama's: what goes wrong is returned by Consume.
func (t *tenure) Errors() <-chan error { return nil }

// Close is sarama's: the member stays in its group.
func (t *tenure) Close() error { return nil }

// Pausing is not goka's to do.
func (t *tenure) Pause(map[string][]int32)  {}
func (t *tenure) Resume(map[string][]int32) {}
func (t *tenure) PauseAll()                 {}
func (t *tenure) ResumeAll()                {}
