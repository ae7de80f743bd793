package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Group is one member of a consumer group. It may be run once.
type Group struct {
	cfg    Config
	gc     GroupConfig
	topics topics // and how many partitions they have

	started atomic.Bool
	member  atomic.Pointer[member]
}

// NewGroup checks the topics; the member joins the group when it is run. It waits 10 s at most for an answer of a broker.
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
	return g, g.checkTopics()
}

// checkTopics says what goka would say, with names and numbers.
func (g *Group) checkTopics() error {
	admin, err := NewAdmin(g.cfg)
	if err != nil {
		return err
	}
	defer admin.Close()
	topics := g.gc.Topics
	if g.gc.Changelog != "" {
		topics = append(topics[:len(topics):len(topics)], g.gc.Changelog)
	}
	if g.topics, err = admin.Partitions(context.Background(), topics...); err != nil {
		return err
	}
	first := topics[0]
	for _, topic := range topics {
		n, exists := g.topics[topic]
		if !exists {
			return fmt.Errorf("%w: group %s: %s does not exist", ErrTopicMismatch, g.gc.ID, topic)
		}
		if topic == g.gc.Changelog && n != g.topics[first] {
			return fmt.Errorf("%w: group %s: changelog %s has %d partitions, its inputs %v have %d", ErrTopicMismatch, g.gc.ID, topic, n, g.gc.Topics, g.topics[first])
		}
		if n != g.topics[first] {
			return fmt.Errorf("%w: group %s: %s has %d partitions and %s has %d; they must have the same number", ErrTopicMismatch, g.gc.ID, first, g.topics[first], topic, n)
		}
	}
	return nil
}

// Run joins the group and works until ctx is done, which is no error: then the workers have committed and are closed, and the
// member has left the group, unless it has an Instance. Otherwise it returns the first fatal error, with group, topics and
// partition. No goroutine outlives it.
func (g *Group) Run(ctx context.Context) error {
	if !g.started.CompareAndSwap(false, true) {
		return fmt.Errorf("kafka: group %s: it was run before", g.gc.ID)
	}
	m, err := newMember(g)
	if err == nil {
		g.member.Store(m)
		err = m.run(ctx)
	}
	if err != nil {
		return fmt.Errorf("kafka: group %s: %w", g.gc.ID, err)
	}
	return nil
}

// Rejoin asks the group for a new assignment, because what Positions says has become better: a standby has caught up. It does not
// wait for it, and does nothing while the member is not in its group. Safe for concurrent use.
func (g *Group) Rejoin() {
	if m := g.member.Load(); m != nil {
		m.membership.ForceRebalance()
	}
}

// Refresh looks now for partitions that its topics have got; the member that leads the group then divides them. It does not wait for it. Safe for concurrent use.
func (g *Group) Refresh() {
	if m := g.member.Load(); m != nil {
		m.membership.ForceMetadataRefresh()
	}
}
