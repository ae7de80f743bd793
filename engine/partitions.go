package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// ErrCopartition says that topics that are read together have different numbers of partitions
// (JOIN-2).
var ErrCopartition = errors.New("engine: topics that are joined have different numbers of partitions")

// resolveInternal finds the partitions of the internal topics, adds them to counts, and checks that
// what is read together fits together.
func (e *Engine) resolveInternal(counts map[string]int32) error {
	r := resolver{plan: e.plan, counts: counts, busy: map[*topology.SubTopology]bool{}}
	for _, s := range e.subs {
		r.resolve(s.sub)
	}
	for _, s := range e.subs {
		if err := coPartitioned(s.sub.Topics(), counts); err != nil {
			return err
		}
	}
	return nil
}

// haveInternal adds the internal topics that are there, with their partitions: they stay as they
// are where a source of theirs has grown, as their keys are theirs. Those of which the plan gives
// the number are not looked up.
func (e *Engine) haveInternal(ctx context.Context, admin *kafka.Admin, counts map[string]int32) error {
	var topics []string
	for _, t := range e.plan.Internal {
		if t.Partitions == 0 {
			topics = append(topics, t.Topic)
		}
	}
	have, err := admin.Partitions(ctx, topics...)
	if errors.Is(err, kafka.ErrDenied) { // who may not see a topic has not made it
		return nil
	}
	if err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	maps.Copy(counts, have)
	return nil
}

// coPartitioned checks topics that one sub-topology reads.
func coPartitioned(topics []string, counts map[string]int32) error {
	for _, topic := range topics[1:] {
		if counts[topic] != counts[topics[0]] {
			return fmt.Errorf(
				"%w: %s has %d and %s has %d: rows of one key would be in different tasks; create one of them anew, "+
					"or send one "+
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

// resolve finds those of the topics that a sub-topology reads, and returns the number of its tasks:
// that of its other topics, or the one that is given for an internal one, or else the most that a
// sub-topology has that writes one.
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
func outputs(p *topology.Plan, sub *topology.SubTopology) []*topology.Sink {
	return slices.DeleteFunc(sub.Sinks(), func(k *topology.Sink) bool { return internal(p, k.Topic) })
}

// internal reports whether a topic is one of the plan's own between two sub-topologies.
func internal(p *topology.Plan, topic string) bool {
	return slices.ContainsFunc(p.Internal, func(t *topology.Internal) bool { return t.Topic == topic })
}
