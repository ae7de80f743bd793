package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// Group is one member of a consumer group. It may be run once.
type Group struct {
	cfg       Config
	gc        GroupConfig
	processor *goka.Processor
	handles   handles
	session   atomic.Pointer[session] // the one that goka's callbacks are about
	member    atomic.Pointer[member]

	mu    sync.Mutex
	cause error // why the member ended; goka keeps only the text of causes
}

// NewGroup checks the topics and builds the member; it joins the group when it is run. It waits 10 s at most for an answer of
// a broker.
func NewGroup(cfg Config, gc GroupConfig) (*Group, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if gc.ID == "" || len(gc.Topics) == 0 || gc.NewWorker == nil {
		return nil, errors.New("kafka: a group needs an ID, a topic and NewWorker")
	}
	orDefault(&gc.Tick, defaultTick)
	g := &Group{cfg: cfg, gc: gc}
	if err := g.checkInputs(); err != nil {
		return nil, err
	}
	edges := []goka.Edge{goka.Persist(&g.handles)}
	for _, topic := range gc.Topics {
		edges = append(edges, goka.Input(goka.Stream(topic), &g.handles, deliver))
	}
	g.processor, err = goka.NewProcessor(cfg.Brokers, goka.DefineGroup(goka.Group(gc.ID), edges...),
		goka.WithClientID(cfg.ClientID),
		goka.WithLogger(gokaLog{cfg.Logger}),
		goka.WithPartitionChannelSize(1),
		goka.WithTopicManagerBuilder(g.newTopics),
		goka.WithConsumerGroupBuilder(g.newMember),
		goka.WithConsumerSaramaBuilder(newReader),
		goka.WithProducerBuilder(newEmitter),
		goka.WithStorageBuilder(g.newStorage),
		goka.WithRebalanceCallback(func(a goka.Assignment) { g.assigned(slices.Sorted(maps.Keys(a))) }),
	)
	if err != nil {
		return nil, fmt.Errorf("kafka: group %s: %w", gc.ID, err)
	}
	return g, nil
}

// checkInputs says what goka would say, with names and numbers.
func (g *Group) checkInputs() error {
	admin, err := NewAdmin(g.cfg)
	if err != nil {
		return err
	}
	defer admin.Close()
	counts, err := admin.Partitions(context.Background(), g.gc.Topics...)
	if err != nil {
		return err
	}
	first := g.gc.Topics[0]
	for _, topic := range g.gc.Topics {
		n, exists := counts[topic]
		if !exists {
			return fmt.Errorf("%w: group %s: %s does not exist", ErrTopicMismatch, g.gc.ID, topic)
		}
		if n != counts[first] {
			return fmt.Errorf("%w: group %s: %s has %d partitions and %s has %d; they must have the same number", ErrTopicMismatch, g.gc.ID, first, counts[first], topic, n)
		}
	}
	return nil
}

// deliver is the callback of every input: goka's own goroutine of the partition runs the lane.
func deliver(ctx goka.Context, msg any) {
	d := msg.(*delivery)
	d.lane.handle(ctx, d)
}

func (g *Group) newTopics([]string) (goka.TopicManager, error) {
	admin, err := NewAdmin(g.cfg)
	if err != nil {
		return nil, err
	}
	return &topics{admin: admin, gc: &g.gc}, nil
}

func (g *Group) newMember([]string, string, string) (sarama.ConsumerGroup, error) {
	m, err := newMember(g)
	if err != nil {
		return nil, err
	}
	g.member.Store(m)
	return m, nil
}

func (g *Group) newStorage(_ string, partition int32) (storage.Storage, error) {
	return &workerStorage{Storage: storage.NewNull(), lane: g.session.Load().lanes[partition]}, nil
}

func (g *Group) assigned(partitions []int32) {
	if g.gc.OnAssigned != nil {
		g.gc.OnAssigned(partitions)
	}
}

// Run joins the group and works until ctx is done, which is no error: then the workers have committed and are closed, and the
// member has left the group. Otherwise it returns the first fatal error, with group, topics and partition. No goroutine
// outlives it.
func (g *Group) Run(ctx context.Context) error {
	err := g.processor.Run(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.cause != nil:
		return fmt.Errorf("kafka: group %s: %w", g.gc.ID, g.cause)
	case ctx.Err() != nil || err == nil:
		return nil
	}
	return fmt.Errorf("kafka: group %s: %w", g.gc.ID, err)
}

// Rejoin asks the group for a new assignment, because what Positions says has become better: a standby has caught up. It does not
// wait for it, and does nothing while the member is not in its group. Safe for concurrent use.
func (g *Group) Rejoin() {
	if m := g.member.Load(); m != nil {
		m.membership.ForceRebalance()
	}
}

// ended keeps the first cause.
func (g *Group) ended(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cause == nil {
		g.cause = err
	}
}
