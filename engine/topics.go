package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// prepare asks the brokers for the topics that are read, and creates or checks those that are
// written. read is the topics that sub-topologies read, with their partitions.
func (e *Engine) prepare(ctx context.Context) (read map[string]int32, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	defer e.reportSilence(ctx)()
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return nil, fmt.Errorf("engine: start: %w", err)
	}
	defer admin.Close()
	sources := external(e.plan)
	var counts map[string]int32
	err = patient(ctx, func() (err error) { // one question gives up sooner than StartTimeout may want
		counts, err = admin.Partitions(ctx, slices.Sorted(maps.Keys(sources))...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("engine: start: %w", err)
	}
	if err := e.missingSources(sources, counts); err != nil {
		return nil, err
	}
	if err := patient(ctx, func() error { return startUp(ctx, e.plan) }); err != nil {
		return nil, fmt.Errorf("engine: start: %w", err)
	}
	if err := e.haveInternal(ctx, admin, counts); err != nil {
		return nil, err
	}
	if err := e.resolveInternal(counts); err != nil {
		return nil, err
	}
	for _, s := range e.subs {
		if err := e.sameName(ctx, admin, s); err != nil {
			return nil, err
		}
	}
	var defaults kafka.Defaults
	err = patient(ctx, func() (err error) {
		defaults, err = admin.Defaults(ctx, slices.Sorted(maps.Keys(sources))...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("engine: start: %w", err)
	}
	if err := e.ensure(ctx, admin, e.ownTopics(counts, defaults)); err != nil {
		return nil, err
	}
	if err := e.identify(ctx, admin); err != nil {
		return nil, err
	}
	if err := patient(ctx, func() error { return e.claim(ctx, admin) }); err != nil {
		return nil, fmt.Errorf("engine: start: %w", err)
	}
	if err := patient(ctx, func() error { return e.warnOfVanished(ctx, admin) }); err != nil {
		return nil, err
	}
	return counts, nil
}

// reportSilence logs one warning when no broker answers at start, and says so in the readiness
// cause, long before StartTimeout ends Run. It does so until ctx or the function that it returns
// ends it.
func (e *Engine) reportSilence(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		warned := false
		told := func(err error) {
			if err != nil && !warned {
				warned = true
				e.cfg.Log.Warn("no broker answers at start: trying again", "until", e.cfg.StartTimeout, "error", err)
			}
			e.readiness.explain(Cause{Reason: Starting, Err: err})
		}
		if err := kafka.Watch(ctx, e.kafka, told, nil, nil); err != nil {
			e.cfg.Log.Debug("brokers are not watched at start", "error", err) // NewAdmin fails with the same
		}
	})
	return func() {
		cancel()
		watching.Wait()
		e.readiness.explain(Cause{Reason: Starting})
	}
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
func external(p *topology.Plan) map[string]bool {
	topics, written := map[string]bool{}, map[string]bool{}
	for _, t := range p.Internal {
		written[t.Topic] = true
	}
	for _, s := range p.Subs {
		for _, k := range s.Sinks() {
			written[k.Topic] = true
		}
	}
	for _, s := range p.Subs {
		for _, topic := range s.Topics() {
			topics[topic] = true
		}
	}
	for _, t := range p.Tables {
		topics[t.Topic] = true
	}
	maps.DeleteFunc(topics, func(topic string, _ bool) bool { return written[topic] })
	return topics
}

// missingSources is an error that names the topics that are read and are not there.
func (e *Engine) missingSources(want map[string]bool, have map[string]int32) error {
	var names, commands []string
	for _, topic := range slices.Sorted(maps.Keys(want)) {
		if have[topic] == 0 {
			names = append(names, topic)
			commands = append(commands, e.kafka.CreateCommand(kafka.TopicSpec{Name: topic,
				Replication: e.cfg.Replication}))
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf(
		"engine: start: the plan reads topics that do not exist: %s: create them first, with the number of partitions "+
			"that you want the work to be split into, by\n\t%s", strings.Join(names, ", "),
		strings.Join(commands, "\n\t"))
}

// sameName is an error if a sub-topology has no state under its name, and has under another of its
// topics': state goes by the first topic, and would begin anew, because topics were declared in
// another order.
func (e *Engine) sameName(ctx context.Context, admin *kafka.Admin, s *subState) error {
	ours, names := map[string]bool{}, map[string]string{}
	for _, other := range e.subs {
		ours[other.changelog] = true
	}
	asked := []string{s.changelog}
	for _, topic := range s.sub.Topics()[1:] {
		before := topology.ChangelogName(e.plan.Name, topology.CutInternal(e.plan.Name, topic))
		if !ours[before] {
			names[before] = topic
			asked = append(asked, before)
		}
	}
	there, err := admin.Partitions(ctx, asked...)
	switch {
	case errors.Is(err, kafka.ErrDenied):
		return nil // who may not see such a changelog has not written it
	case err != nil:
		return fmt.Errorf("engine: start: %w", err)
	}
	for _, before := range asked[1:] {
		if there[s.changelog] == 0 && there[before] > 0 {
			return fmt.Errorf(
				"engine: start: %w: sub-topology %s has no state, and there is some in %s: declare topic %s before "+
					"the others that "+
					"it is read with, as state goes by the first; or delete %s, to start anew", task.ErrForeign,
				s.sub.Name, before, names[before], before)
		}
	}
	return nil
}

// partitionsOf asks for the partitions of a sub-topology's sources and of its sinks, and for what
// the topics take that it writes.
func (e *Engine) partitionsOf(ctx context.Context, s *subState) (source int32, sinks map[string]int32,
	limits map[string]task.TopicLimits, err error) {
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return 0, nil, nil, err
	}
	defer admin.Close()
	topics := s.sub.Topics()
	written := []string{s.changelog}
	for _, k := range s.sub.Sinks() {
		topics = append(topics, k.Topic)
		written = append(written, k.Topic)
	}
	found, err := e.look(ctx, admin, append(topics[:len(topics):len(topics)], s.changelog)...)
	if err != nil {
		return 0, nil, nil, err
	}
	counts := make(map[string]int32, len(topics))
	for _, t := range topics {
		if counts[t] = found.Topics[t].Partitions; counts[t] == 0 {
			err = errors.Join(err, fmt.Errorf("engine: topic %s has vanished", t))
		}
	}
	if err != nil {
		return 0, nil, nil, err
	}
	limits, err = admin.Limits(ctx, kafka.LargestRecord(e.shareOf(s).producer), written...)
	return counts[topics[0]], counts, limits, err
}
