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

// ErrTopicsMissing says that topics are not there, and that the engine must not create them: the
// error has the commands that do.
var ErrTopicsMissing = errors.New("engine: start: topics are missing that this process may not create")

// Topics says how the topics are created that the engine writes: changelogs, internal topics and
// outputs.
type Topics struct {
	// WithoutCreation leaves all creation to an administrator: a start without one of the topics is
	// an ErrTopicsMissing.
	WithoutCreation bool
	// Settings of all of them, by Kafka's names, such as min.insync.replicas. How long records are
	// kept is a matter of single topics.
	Settings map[string]string
	// Of are settings of single topics, by name. A name that is none of the engine's topics is an
	// error.
	Of map[string]TopicSettings
}

// TopicSettings say how a topic is created. The zero of a field stands for what other topics have.
type TopicSettings struct {
	// Partitions of an output: as many as the topic has that it is made from. Changelogs and
	// internal topics have no choice.
	Partitions int32
	// Replication: Config.Replication.
	Replication int16
	// Settings are stronger than Topics.Settings. For changelogs and internal topics they cannot
	// say how long records are kept.
	Settings map[string]string
}

// Settings by Kafka's names.
const (
	cleanupPolicy = "cleanup.policy"
	timestampType = "message.timestamp.type"
	largestRecord = "max.message.bytes"
)

// needs are settings that the engine itself gives to topics that it creates, so that no default of
// a broker counts. Those in must are refused where a topic is there and has others, as records
// would be lost; should is a warning then. In addition all topics take records of any age.
type needs struct{ must, should map[string]string }

// Time limits are set, not inherited: a broker's default would delete results whose event time is
// old within minutes of their being written. The event time of a row that was handed over is its
// timestamp: a broker that sets timestamps itself would lose it. Of internal topics nothing is
// deleted by time or size, as what has been read is deleted by the engine; and segments are small,
// so that brokers give the space back soon. The clocks of changelogs mean nothing, but deletions in
// them must stay until every store has seen them (tooOld).
var (
	forever    = map[string]string{"retention.ms": "-1", "retention.bytes": "-1", timestampType: "CreateTime"}
	compacted  = needs{must: with(forever, cleanupPolicy, "compact")}
	kept       = needs{must: with(forever, cleanupPolicy, "delete")}
	handedOver = needs{must: kept.must, should: map[string]string{"segment.bytes": "52428800"}}
	logged     = needs{must: map[string]string{cleanupPolicy: "compact", "retention.ms": "-1"},
		should: map[string]string{timestampType: "CreateTime", "delete.retention.ms": "86400000"}}
)

// with is settings and one more.
func with(settings map[string]string, key, value string) map[string]string {
	more := maps.Clone(settings)
	more[key] = value
	return more
}

// ReservedSettings are those of Kafka's settings of topics on which state and event times depend:
// how long records are kept, and what their timestamps are. They can be given to single outputs
// only.
func ReservedSettings() []string {
	return []string{cleanupPolicy, "retention.ms", "retention.bytes", timestampType}
}

func reserved(setting string) bool { return slices.Contains(ReservedSettings(), setting) }

// validate returns every problem, joined.
func (t *Topics) validate() error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(t.Settings)) {
		if reserved(key) {
			errs = append(errs,
				fmt.Errorf(
					"Topics.Settings: %s of all topics would lose state or event times: give it to single outputs, "+
						"in Topics.Of", key))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Of)) {
		of := fmt.Sprintf("Topics.Of[%q]", name)
		errs = append(errs, numberBound(of+".Partitions", int64(t.Of[name].Partitions), 1, 100_000).check(),
			replicationBound(of+".Replication", t.Of[name].Replication).check())
	}
	return errors.Join(errs...)
}

// known is an error if there are settings for topics that the engine does not create, or that it
// cannot follow.
func (t *Topics) known(plan *topology.Plan) error {
	if plan == nil || len(t.Of) == 0 {
		return nil
	}
	own := CreatedTopics(plan)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t.Of)) {
		output, ok := own[name]
		if !ok {
			errs = append(errs, fmt.Errorf("Topics.Of[%q]: the engine creates no such topic: it creates %s", name,
				strings.Join(slices.Sorted(maps.Keys(own)), ", ")))
		}
		if output || !ok {
			continue
		}
		if t.Of[name].Partitions != 0 {
			errs = append(errs, fmt.Errorf("Topics.Of[%q]: its Partitions follow from the topics of its sub-topology",
				name))
		}
		for _, key := range slices.Sorted(maps.Keys(t.Of[name].Settings)) {
			if reserved(key) {
				errs = append(errs, fmt.Errorf("Topics.Of[%q]: %s cannot be set: the engine's state depends on it",
					name, key))
			}
		}
	}
	return errors.Join(errs...)
}

// CreatedTopics are the topics that an engine of plan creates where they are missing, those that
// Topics.Of can have: true for outputs.
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
	output bool      // whoever made it decides on its partitions and settings
	log    *subState // whose positions it holds, and no rows: it may grow
	about  string    // for errors
}

// ownTopics are all of them, in a fixed order.
func (e *Engine) ownTopics(counts map[string]int32, defaults kafka.Defaults) (all []ownTopic) {
	spec := func(name string, partitions int32, own needs) kafka.TopicSpec {
		return e.spec(name, partitions, own, defaults)
	}
	for _, t := range e.plan.Internal {
		all = append(all, ownTopic{TopicSpec: state(spec(t.Topic, counts[t.Topic], handedOver), defaults),
			about: "internal topic (if the number of partitions of its " +
				"sources was changed, give the application another name to start anew)"})
	}
	for _, s := range e.subs {
		source := s.sub.Topics()[0]
		var positions *subState
		if !s.stateful {
			positions = s
		}
		all = append(all, ownTopic{log: positions, TopicSpec: state(spec(s.changelog, counts[source], logged),
			defaults), about: fmt.Sprintf("changelog of topic %s, which has %d "+
			"partitions (state is kept per partition: if their number was changed, give the application another "+
			"name to start anew)", source, counts[source])})
		for _, k := range outputs(e.plan, s.sub) {
			settings := kept
			if k.Compact {
				settings = compacted
			}
			if k.Topic != e.plan.DeadLetters {
				all = append(all, ownTopic{TopicSpec: spec(k.Topic, counts[source], settings), output: true,
					about: "output"})
			}
		}
	}
	// one partition: one order of all; and applications that share it agree, whatever they read
	if topic := e.plan.DeadLetters; topic != "" {
		all = append(all, ownTopic{TopicSpec: spec(topic, 1, kept), output: true, about: "dead letters"})
	}
	return all
}

// state is a topic of the engine's own, which takes whatever came from a source, or a broker takes
// elsewhere, also where a broker's default is small.
func state(s kafka.TopicSpec, defaults kafka.Defaults) kafka.TopicSpec {
	if s.Extra[largestRecord] == "" {
		s.Extra[largestRecord] = fmt.Sprint(defaults.LargestRecord)
	}
	return s
}

// spec is a topic with the settings that were given for it.
func (e *Engine) spec(name string, partitions int32, own needs, defaults kafka.Defaults) kafka.TopicSpec {
	s := kafka.TopicSpec{Name: name, Partitions: partitions, Replication: e.cfg.Replication,
		Config: maps.Clone(own.must), Extra: maps.Clone(defaults.AnyTimestamp)}
	maps.Copy(s.Extra, own.should)
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

// ensure creates what is missing and checks what is there. Topics that must not be created are
// collected, so that one look at the error is enough.
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
			err = e.checkOutput(ctx, admin, &t)
		case !exists && e.cfg.Topics.WithoutCreation:
			missing = append(missing, t.TopicSpec)
			continue
		default:
			if exists && t.log != nil && there[t.Name] < t.Partitions {
				err = e.growLog(ctx, admin, t.log, t.Partitions)
			}
			if err == nil {
				err = admin.Ensure(ctx, t.TopicSpec)
			}
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

// checkOutput warns of an output that is there and has settings by which results, or what their
// times mean, are lost. It is the user's own, or of an earlier run: rows go to whatever partitions
// it has.
func (e *Engine) checkOutput(ctx context.Context, admin *kafka.Admin, t *ownTopic) error {
	compact := compacted.must[cleanupPolicy]
	found, err := admin.Settings(ctx, t.Name)
	if errors.Is(err, kafka.ErrDenied) && t.Config[cleanupPolicy] != compact {
		return nil // there is no need to know
	}
	if err != nil {
		return err
	}
	warn := func(what, key, want string) {
		e.cfg.Log.Warn(what, "topic", t.Name, key, found[key], "command", e.kafka.AlterCommand(t.Name,
			map[string]string{key: want}))
	}
	isCompacted := strings.Contains(found[cleanupPolicy], compact)
	if want := t.Config[cleanupPolicy]; want == compact && !isCompacted {
		warn("output is not compacted: of each key all rows stay, until they are deleted by age", cleanupPolicy, want)
	}
	if t.Name == e.plan.DeadLetters && isCompacted {
		warn("dead letters are compacted: of each key the last one stays, and records without a key are refused",
			cleanupPolicy, "delete")
	}
	if want := kept.must[timestampType]; found[timestampType] != want && t.Config[timestampType] == want &&
		found[timestampType] != "" {
		warn("output has timestamps of the broker's clock: who reads it does not see event times", timestampType, want)
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
