package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// NewGroup checks the topics; the member joins the group when it is run. It waits 10 s at most for
// an answer of a broker.
func NewGroup(cfg Config, gc GroupConfig) (*Group, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	orDefault(&gc.Tick, defaultTick)
	g := &Group{cfg: cfg, gc: gc}
	if err := g.check(); err != nil {
		return nil, err
	}
	return g, g.checkTopics()
}

// check is an error for a configuration that no cluster can serve.
func (g *Group) check() error {
	if g.gc.ID == "" || len(g.gc.Subs) == 0 {
		return errors.New("kafka: a group needs an ID and a sub-topology")
	}
	readers := make(map[string]string)
	for _, s := range g.gc.Subs {
		if s.Name == "" || len(s.Topics) == 0 || s.NewWorker == nil {
			return fmt.Errorf("kafka: group %s: sub-topology %q needs a name, a topic and NewWorker", g.gc.ID, s.Name)
		}
		for _, topic := range s.Topics {
			if other, taken := readers[topic]; taken {
				return fmt.Errorf("kafka: group %s: topic %s is an input of %s and of %s", g.gc.ID, topic, other,
					s.Name)
			}
			readers[topic] = s.Name
		}
	}
	return nil
}

// checkTopics says what a client would say, with names and numbers.
func (g *Group) checkTopics() error {
	admin, err := NewAdmin(g.cfg)
	if err != nil {
		return err
	}
	defer admin.Close()
	var all []string
	for _, s := range g.gc.Subs {
		all = append(all, s.topics()...)
	}
	if g.topics, err = admin.Partitions(context.Background(), all...); err != nil {
		return err
	}
	for i := range g.gc.Subs {
		if err := g.checkSub(&g.gc.Subs[i]); err != nil {
			return err
		}
	}
	return nil
}

// topics are the inputs and the changelog.
func (s *SubTopology) topics() []string {
	if s.Changelog == "" {
		return s.Topics
	}
	return append(s.Topics[:len(s.Topics):len(s.Topics)], s.Changelog)
}

// checkSub is an error where topics of a sub-topology are missing, or their numbers of partitions
// differ.
func (g *Group) checkSub(s *SubTopology) error {
	first := s.Topics[0]
	for _, topic := range s.topics() {
		n, exists := g.topics[topic]
		switch {
		case !exists:
			return fmt.Errorf("%w: group %s: %s does not exist", ErrTopicMismatch, g.gc.ID, topic)
		case n == g.topics[first]:
		case topic == s.Changelog:
			return fmt.Errorf("%w: group %s: changelog %s has %d partitions, its inputs %v have %d", ErrTopicMismatch,
				g.gc.ID, topic, n, s.Topics, g.topics[first])
		default:
			return fmt.Errorf("%w: group %s: %s has %d partitions and %s has %d; they must have the same number",
				ErrTopicMismatch, g.gc.ID, first, g.topics[first], topic, n)
		}
	}
	return nil
}

// inputs are the inputs of all sub-topologies.
func (g *Group) inputs() (topics []string) {
	for _, s := range g.gc.Subs {
		topics = append(topics, s.Topics...)
	}
	return topics
}

// reader is the sub-topology whose input a topic is; nil if it is none's.
func (g *Group) reader(topic string) *SubTopology {
	for i := range g.gc.Subs {
		if s := &g.gc.Subs[i]; slices.Contains(s.Topics, topic) {
			return s
		}
	}
	return nil
}

// Run joins the group and works until ctx is done, which is no error: then the workers have
// committed and are closed, and the member has left the group, unless it has an Instance. Otherwise
// it returns the first fatal error, with group, topics and partition. No goroutine outlives it.
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

// Rejoin asks the group for a new assignment, because what Positions says has become better: a
// standby has caught up. It does not wait for it, and does nothing while the member is not in its
// group. Safe for concurrent use.
func (g *Group) Rejoin() {
	if m := g.member.Load(); m != nil {
		m.membership.ForceRebalance()
	}
}

// Refresh tells the group how many partitions topics have, all those of a sub-topology or none.
// Where the last assignment knows of fewer, the member looks for the others, so that the leader
// divides again; where that was said before, it asks for another assignment itself. It does not
// wait for it. Safe for concurrent use.
func (g *Group) Refresh(partitions map[string]int32) {
	m := g.member.Load()
	if m == nil {
		return
	}
	short := m.assignor.short(partitions)
	if again := m.short.Swap(short); !short {
		return
	} else if again {
		m.membership.ForceRebalance()
	}
	m.membership.ForceMetadataRefresh()
}
