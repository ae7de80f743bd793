package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// handedOver are the settings of internal topics: nothing is deleted by time, as what has been read is deleted by the engine; and
// segments are small, so that brokers give the space back soon.
var handedOver = map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "segment.bytes": "52428800"}

// ErrCopartition says that topics that are read together have different numbers of partitions (JOIN-2).
var ErrCopartition = errors.New("engine: topics that are joined have different numbers of partitions")

// ensureInternal creates or checks the internal topics, adds them to counts, and checks that what is read together fits together.
func (e *Engine) ensureInternal(ctx context.Context, admin *kafka.Admin, counts map[string]int32) error {
	r := resolver{plan: e.plan, counts: counts, busy: map[*topology.SubTopology]bool{}}
	for _, s := range e.subs {
		r.resolve(s.sub)
	}
	for _, s := range e.subs {
		if err := coPartitioned(s.sub.Topics(), counts); err != nil {
			return err
		}
	}
	for _, t := range e.plan.Internal {
		spec := kafka.TopicSpec{Name: t.Topic, Partitions: counts[t.Topic], Replication: e.cfg.Replication, Config: handedOver}
		if err := admin.Ensure(ctx, spec); err != nil {
			return fmt.Errorf("engine: start: internal topic (if the number of partitions of its sources was changed, give the application "+
				"another name to start anew): %w", err)
		}
	}
	return nil
}

// coPartitioned checks topics that one sub-topology reads.
func coPartitioned(topics []string, counts map[string]int32) error {
	for _, topic := range topics[1:] {
		if counts[topic] != counts[topics[0]] {
			return fmt.Errorf("%w: %s has %d and %s has %d: rows of one key would be in different tasks; create one of them anew, or send one "+
				"through Repartition", ErrCopartition, topics[0], counts[topics[0]], topic, counts[topic])
		}
	}
	return nil
}

// resolver finds the number of partitions of internal topics.
type resolver struct {
	plan   *topology.Plan
	counts map[string]int32
	busy   map[*topology.SubTopology]bool
}

// resolve finds those of the topics that a sub-topology reads, and returns the number of its tasks: that of its other topics, or the
// one that is given for an internal one, or else the most that a sub-topology has that writes one.
func (r *resolver) resolve(sub *topology.SubTopology) int32 {
	if r.busy[sub] {
		return 0 // it writes, by way of others, what it reads
	}
	r.busy[sub] = true
	defer delete(r.busy, sub)
	tasks := int32(0)
	for _, t := range r.internal(sub) {
		if r.counts[t.Topic] == 0 && t.Partitions > 0 {
			r.counts[t.Topic] = t.Partitions
		}
	}
	for _, topic := range sub.Topics() {
		tasks = max(tasks, r.counts[topic])
	}
	if tasks == 0 {
		for _, writer := range r.writers(sub) {
			tasks = max(tasks, r.resolve(writer))
		}
	}
	for _, t := range r.internal(sub) {
		if r.counts[t.Topic] == 0 {
			r.counts[t.Topic] = tasks
		}
	}
	return tasks
}

// internal is the internal topics that a sub-topology reads.
func (r *resolver) internal(sub *topology.SubTopology) (found []*topology.Internal) {
	for _, t := range r.plan.Internal {
		if slices.Contains(sub.Topics(), t.Topic) {
			found = append(found, t)
		}
	}
	return found
}

// writers are the sub-topologies that write internal topics that sub reads.
func (r *resolver) writers(sub *topology.SubTopology) (found []*topology.SubTopology) {
	for _, other := range r.plan.Subs {
		for _, k := range other.Sinks() {
			if slices.Contains(sub.Topics(), k.Topic) {
				found = append(found, other)
			}
		}
	}
	return found
}

// outputs are the sinks of a sub-topology that do not write internal topics.
func (e *Engine) outputs(sub *topology.SubTopology) []*topology.Sink {
	return slices.DeleteFunc(sub.Sinks(), func(k *topology.Sink) bool {
		return slices.ContainsFunc(e.plan.Internal, func(t *topology.Internal) bool { return t.Topic == k.Topic })
	})
}
