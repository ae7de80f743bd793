package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// ErrTopicsMissing says that topics are not there, and that the engine must not create them: the error has the commands that do.
var ErrTopicsMissing = errors.New("engine: start: topics are missing that this process may not create")

// Topics says how the topics are created that the engine writes: changelogs, internal topics and outputs.
type Topics struct {
	// WithoutCreation leaves all creation to an administrator: a start without one of the topics is an ErrTopicsMissing.
	WithoutCreation bool
	// Settings of all of them, by Kafka's names, such as min.insync.replicas. How long records are kept is a matter of single topics.
	Settings map[string]string
	// Of are settings of single topics, by name. A name that is none of the engine's topics is an error.
	Of map[string]TopicSettings
}

// TopicSettings say how a topic is created. The zero of a field stands for what other topics have.
type TopicSettings struct {
	// Partitions of an output: as many as the topic has that it is made from. Changelogs and internal topics have no choice.
	Partitions int32
	// Replication: Config.Replication.
	Replication int16
	// Settings are stronger than Topics.Settings. For changelogs and internal topics they cannot say how long records are kept.
	Settings map[string]string
}

// Settings that the engine itself gives. Their time limits are set, not inherited: a broker's default would delete results whose event
// time is old within minutes of their being written. Of internal topics nothing is deleted by time, as what has been read is deleted by
// the engine; and segments are small, so that brokers give the space back soon.
var (
	compacted  = map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}
	kept       = map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}
	handedOver = map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "segment.bytes": "52428800"}
)

// ReservedSettings are those of Kafka's settings of topics that decide how long records are kept. Restores depend on it: they can be given to
// single outputs only.
func ReservedSettings() []string {
	return []string{"cleanup.policy", "retention.ms", "retention.bytes"}
}

func reserved(setting string) bool { return slices.Contains(ReservedSettings(), setting) }

// validate returns every problem, joined.
func (t *Topics) validate() error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(t.Settings)) {
		if reserved(key) {
			errs = append(errs, fmt.Errorf("Topics.Settings: %s of all topics would delete state: give it to single outputs, in Topics.Of", key))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Of)) {
		if s := t.Of[name]; s.Partitions < 0 || s.Replication < 0 {
			errs = append(errs, fmt.Errorf("Topics.Of[%q]: neither Partitions nor Replication may be negative", name))
		}
	}
	return errors.Join(errs...)
}

// known is an error if there are settings for topics that the engine does not create, or that it cannot follow.
func (t *Topics) known(plan *topology.Plan) error {
	if plan == nil || len(t.Of) == 0 {
		return nil
	}
	own := CreatedTopics(plan)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t.Of)) {
		output, ok := own[name]
		if !ok {
			errs = append(errs, fmt.Errorf("Topics.Of[%q]: the engine creates no such topic: it creates %s", name, strings.Join(slices.Sorted(maps.Keys(own)), ", ")))
		}
		if output || !ok {
			continue
		}
		if t.Of[name].Partitions != 0 {
			errs = append(errs, fmt.Errorf("Topics.Of[%q]: its Partitions follow from the topics of its sub-topology", name))
		}
		for _, key := range slices.Sorted(maps.Keys(t.Of[name].Settings)) {
			if reserved(key) {
				errs = append(errs, fmt.Errorf("Topics.Of[%q]: %s cannot be set: the engine's state depends on it", name, key))
			}
		}
	}
	return errors.Join(errs...)
}

// CreatedTopics are the topics that an engine of plan creates where they are missing, those that Topics.Of can have: true for outputs.
func CreatedTopics(plan *topology.Plan) map[string]bool {
	own := map[string]bool{}
	for _, i := range plan.Internal {
		own[i.Topic] = false
	}
	for _, s := range plan.Subs {
		own[changelogName(plan, s)] = false
		for _, k := range outputs(plan, s) {
			own[k.Topic] = true
		}
	}
	if plan.DeadLetters != "" {
		own[plan.DeadLetters] = true
	}
	return own
}

// ownTopic is a topic that the engine writes, and may create.
type ownTopic struct {
	kafka.TopicSpec
	output bool   // whoever made it decides on its partitions and settings
	about  string // for errors
}

// ownTopics are all of them, in a fixed order.
func (e *Engine) ownTopics(counts map[string]int32) (all []ownTopic) {
	for _, t := range e.plan.Internal {
		all = append(all, ownTopic{TopicSpec: e.spec(t.Topic, counts[t.Topic], handedOver), about: "internal topic (if the number of partitions of its " +
			"sources was changed, give the application another name to start anew)"})
	}
	for _, s := range e.subs {
		source := s.sub.Topics()[0]
		all = append(all, ownTopic{TopicSpec: e.spec(s.changelog, counts[source], compacted), about: fmt.Sprintf("changelog of topic %s, which has %d "+
			"partitions (state is kept per partition: if their number was changed, give the application another name to start anew)", source, counts[source])})
		for _, k := range outputs(e.plan, s.sub) {
			settings := kept
			if k.Compact {
				settings = compacted
			}
			if k.Topic != e.plan.DeadLetters {
				all = append(all, ownTopic{TopicSpec: e.spec(k.Topic, counts[source], settings), output: true, about: "output"})
			}
		}
	}
	if topic := e.plan.DeadLetters; topic != "" { // one partition: one order of all; and applications that share it agree, whatever they read
		all = append(all, ownTopic{TopicSpec: e.spec(topic, 1, kept), output: true, about: "dead letters"})
	}
	return all
}

// spec is a topic with the settings that were given for it.
func (e *Engine) spec(name string, partitions int32, own map[string]string) kafka.TopicSpec {
	s := kafka.TopicSpec{Name: name, Partitions: partitions, Replication: e.cfg.Replication, Config: maps.Clone(own), Extra: map[string]string{}}
	of := e.cfg.Topics.Of[name]
	setDefault(&of.Partitions, partitions)
	setDefault(&of.Replication, e.cfg.Replication)
	s.Partitions, s.Replication = of.Partitions, of.Replication
	for _, given := range []map[string]string{e.cfg.Topics.Settings, of.Settings} {
		for key, value := range given {
			if reserved(key) {
				s.Config[key] = value // of an output
			} else {
				s.Extra[key] = value
			}
		}
	}
	return s
}

// ensure creates what is missing and checks what is there. Topics that must not be created are collected, so that one look at the error
// is enough.
func (e *Engine) ensure(ctx context.Context, admin *kafka.Admin, topics []ownTopic) error {
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	there, err := admin.Partitions(ctx, names...)
	if err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	var missing []kafka.TopicSpec
	var refused error
	for _, t := range topics {
		exists := there[t.Name] > 0
		switch {
		case exists && t.output:
			err = e.checkOutput(ctx, admin, &t.TopicSpec)
		case !exists && e.cfg.Topics.WithoutCreation:
			missing = append(missing, t.TopicSpec)
			continue
		default:
			err = admin.Ensure(ctx, t.TopicSpec)
		}
		if err != nil && !exists && errors.Is(err, kafka.ErrDenied) {
			missing, refused = append(missing, t.TopicSpec), errors.Join(refused, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("engine: start: %s: %w", t.about, err)
		}
	}
	return e.missingTopics(missing, refused)
}

// checkOutput warns of an output that is there and compacted otherwise than results need it. It is the user's own, or of an earlier run:
// rows go to whatever partitions it has.
func (e *Engine) checkOutput(ctx context.Context, admin *kafka.Admin, s *kafka.TopicSpec) error {
	const policy = "cleanup.policy"
	if s.Config[policy] != compacted[policy] {
		return nil
	}
	found, err := admin.Settings(ctx, s.Name)
	if err != nil {
		return err
	}
	if got := found[policy]; !strings.Contains(got, s.Config[policy]) {
		e.cfg.Log.Warn("output is not compacted: of each key all rows stay, until they are deleted by age", "topic", s.Name, policy, got,
			"command", e.kafka.AlterCommand(s.Name, map[string]string{policy: s.Config[policy]}))
	}
	return nil
}

// missingTopics is an error with the commands that create topics.
func (e *Engine) missingTopics(missing []kafka.TopicSpec, refused error) error {
	if missing == nil {
		return nil
	}
	var commands []string
	for _, s := range missing {
		commands = append(commands, e.kafka.CreateCommand(s))
	}
	err := fmt.Errorf("%w: an administrator creates them by\n\t%s", ErrTopicsMissing, strings.Join(commands, "\n\t"))
	if refused != nil {
		err = fmt.Errorf("%w\nor lets the engine do it: %w", err, refused)
	}
	return err
}
