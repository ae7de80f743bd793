package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// Settings of topics that the engine creates. Their time limits are set, not inherited: a broker's default would delete results
// whose event time is old within minutes of their being written.
var (
	compacted = map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}
	kept      = map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}
)

// prepare asks the brokers for the topics that are read, and creates or checks those that are written.
func (e *Engine) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	defer admin.Close()
	sources := e.external()
	var counts map[string]int32
	err = patient(ctx, func() (err error) { // one question gives up sooner than StartTimeout may want
		counts, err = admin.Partitions(ctx, slices.Sorted(maps.Keys(sources))...)
		return err
	})
	if err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	if err := missing(sources, counts); err != nil {
		return err
	}
	if err := patient(ctx, func() error { return startUp(ctx, e.plan) }); err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	if err := e.ensureInternal(ctx, admin, counts); err != nil {
		return err
	}
	return e.ensureTopics(ctx, admin, counts)
}

// startUp does all that the plan wants to be done first, and lists what has failed.
func startUp(ctx context.Context, plan *topology.Plan) error {
	var errs []error
	for _, s := range plan.Startups {
		if err := s.Do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", s.Place, s.What, err))
		}
	}
	return errors.Join(errs...)
}

// patient asks again and again where no broker answers, or no registry, until ctx ends.
func patient(ctx context.Context, ask func() error) error {
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask()
		if !errors.Is(err, kafka.ErrUnavailable) && !errors.Is(err, topology.ErrUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

// external is the topics that the plan reads and does not write.
func (e *Engine) external() map[string]bool {
	topics, written := map[string]bool{}, map[string]bool{}
	for _, t := range e.plan.Internal {
		written[t.Topic] = true
	}
	for _, s := range e.subs {
		for _, k := range s.sub.Sinks() {
			written[k.Topic] = true
		}
	}
	for _, s := range e.subs {
		for _, topic := range s.sub.Topics() {
			topics[topic] = true
		}
	}
	for _, t := range e.plan.Tables {
		topics[t.Topic] = true
	}
	maps.DeleteFunc(topics, func(topic string, _ bool) bool { return written[topic] })
	return topics
}

// missing is an error that names the topics that are read and are not there.
func missing(want map[string]bool, have map[string]int32) error {
	var names []string
	for topic := range want {
		if have[topic] == 0 {
			names = append(names, topic)
		}
	}
	if names == nil {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("engine: start: the plan reads topics that do not exist: %s: create them first, with the number of partitions "+
		"that you want the work to be split into", strings.Join(names, ", "))
}

// ensureTopics creates or checks changelogs and sinks: as many partitions as the source has.
func (e *Engine) ensureTopics(ctx context.Context, admin *kafka.Admin, counts map[string]int32) error {
	for _, s := range e.subs {
		if err := e.sameName(ctx, admin, s); err != nil {
			return err
		}
		source := s.sub.Topics()[0]
		n := counts[source]
		err := admin.Ensure(ctx, kafka.TopicSpec{Name: s.changelog, Partitions: n, Replication: e.cfg.Replication, Config: compacted})
		if err != nil {
			return fmt.Errorf("engine: start: changelog of topic %s, which has %d partitions (state is kept per partition: if their number was "+
				"changed, give the application another name to start anew): %w", source, n, err)
		}
		var topics []string
		for _, k := range e.outputs(s.sub) {
			topics = append(topics, k.Topic)
		}
		there, err := admin.Partitions(ctx, topics...)
		if err != nil {
			return fmt.Errorf("engine: start: %w", err)
		}
		for _, k := range e.outputs(s.sub) {
			if there[k.Topic] > 0 {
				continue // the user's own, or of an earlier run: rows go to whatever partitions it has
			}
			settings := kept
			if k.Compact {
				settings = compacted
			}
			if err := admin.Ensure(ctx, kafka.TopicSpec{Name: k.Topic, Partitions: n, Replication: e.cfg.Replication, Config: settings}); err != nil {
				return fmt.Errorf("engine: start: %w", err)
			}
		}
	}
	return nil
}

// sameName is an error if a sub-topology has no state under its name, and has under another of its topics': state goes by the first topic, and
// would begin anew, because topics were declared in another order.
func (e *Engine) sameName(ctx context.Context, admin *kafka.Admin, s *subState) error {
	ours, names := map[string]bool{}, map[string]string{}
	for _, other := range e.subs {
		ours[other.changelog] = true
	}
	asked := []string{s.changelog}
	for _, topic := range s.sub.Topics()[1:] {
		before := changelogName(e.plan, &topology.SubTopology{Name: strings.TrimPrefix(topic, e.plan.Name+"-")})
		if !ours[before] {
			names[before] = topic
			asked = append(asked, before)
		}
	}
	there, err := admin.Partitions(ctx, asked...)
	if err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	for _, before := range asked[1:] {
		if there[s.changelog] == 0 && there[before] > 0 {
			return fmt.Errorf("engine: start: %w: sub-topology %s has no state, and there is some in %s: declare topic %s before the others that "+
				"it is read with, as state goes by the first; or delete %s, to start anew", task.ErrForeign, s.sub.Name, before, names[before], before)
		}
	}
	return nil
}

// partitionsOf asks for the partitions of a sub-topology's sources and of its sinks.
func (e *Engine) partitionsOf(ctx context.Context, s *subState) (source int32, sinks map[string]int32, err error) {
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return 0, nil, err
	}
	defer admin.Close()
	topics := s.sub.Topics()
	for _, k := range s.sub.Sinks() {
		topics = append(topics, k.Topic)
	}
	counts, err := admin.Partitions(ctx, topics...)
	if err != nil {
		return 0, nil, err
	}
	for _, t := range topics {
		if counts[t] == 0 {
			err = errors.Join(err, fmt.Errorf("engine: topic %s has vanished", t))
		}
	}
	return counts[topics[0]], counts, err
}
