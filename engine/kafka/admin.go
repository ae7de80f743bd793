package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// ErrTopicMismatch says that a topic exists, but not as the plan needs it.
var ErrTopicMismatch = errors.New("kafka: topic is not as needed")

// TopicSpec is a topic as a plan needs it.
type TopicSpec struct {
	Name       string
	Partitions int32
	// Replication is the number of copies; -1 leaves it to the broker. It is used at creation only.
	Replication int16
	// Config are topic settings by Kafka's names, such as cleanup.policy. An existing topic must
	// have the same values.
	Config map[string]string
	// Extra are further settings. If an existing topic has others, that is logged as a warning.
	// More than what is wanted is no other value of max.message.bytes and delete.retention.ms, and
	// a setting that the broker does not know is none.
	Extra map[string]string
}

// secondAnswer bounds the wait for a broker that is asked only because another does not know.
const secondAnswer = 2 * time.Second

// Admin asks a cluster about topics and offsets, creates and deletes topics, and deletes records.
// Each call waits 10 s at most, or for as long as its context allows if that is shorter, and names
// the addresses when no broker answers.
type Admin struct {
	cfg    Config
	raw    *kgo.Client
	client *kadm.Client // on raw
	dials  *dialErrors
}

// NewAdmin makes an Admin; it does not connect yet. Close it.
func NewAdmin(cfg Config) (*Admin, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	dials := new(dialErrors)
	raw, err := cfg.connect(kgo.WithHooks(dials))
	if err != nil {
		return nil, err
	}
	return &Admin{cfg: cfg, raw: raw, client: kadm.NewClient(raw), dials: dials}, nil
}

// Close ends the connections; calls under way fail.
func (a *Admin) Close() { a.client.Close() }

// Found is what a cluster says of topics.
type Found struct {
	Cluster string                // its id; empty: it has none
	Topics  map[string]FoundTopic // those that exist
}

// FoundTopic is what a cluster says of a topic.
type FoundTopic struct {
	Partitions int32
	ID         task.TopicID // of this life of the topic; zero: the brokers have none
}

// Partitions is the number of partitions of each of the topics. Topics that do not exist are not in
// it.
func (a *Admin) Partitions(ctx context.Context, topics ...string) (map[string]int32, error) {
	found, err := a.Topics(ctx, topics...)
	return found.partitions(), err
}

// partitions is how many each topic has.
func (f Found) partitions() map[string]int32 {
	counts := make(map[string]int32, len(f.Topics))
	for name, topic := range f.Topics {
		counts[name] = topic.Partitions
	}
	return counts
}

// Topics looks topics up. Those that do not exist are not in the answer. Brokers hear of a new
// topic one after the other: a topic that the first one does not know is asked of all.
func (a *Admin) Topics(ctx context.Context, topics ...string) (Found, error) {
	found := Found{Topics: make(map[string]FoundTopic, len(topics))}
	if len(topics) == 0 {
		return found, nil
	}
	// Not kadm's own call: that one answers from a cache, in which a topic just created is still
	// missing.
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	err := a.ask(ctx, "look up topics", func(ctx context.Context) error {
		resp, err := req.RequestWith(ctx, a.raw)
		if err != nil {
			return err
		}
		if err := found.add(resp); err != nil {
			return err
		}
		for i := 0; i < len(resp.Brokers) && len(resp.Brokers) > 1 && len(found.Topics) < len(topics); i++ {
			a.askOf(ctx, resp.Brokers[i].NodeID, req, &found)
		}
		return nil
	})
	return found, err
}

// askOf adds what one broker knows of topics; one that does not answer knows nothing.
func (a *Admin) askOf(ctx context.Context, broker int32, req *kmsg.MetadataRequest, found *Found) {
	ctx, cancel := context.WithTimeout(ctx, secondAnswer)
	defer cancel()
	resp, err := req.RequestWith(ctx, a.raw.Broker(int(broker)))
	if err == nil {
		err = found.add(resp)
	}
	if err != nil {
		a.cfg.Logger.Debug("kafka: a broker does not say whether topics are there", "broker", broker, "error", err)
	}
}

func (f *Found) add(resp *kmsg.MetadataResponse) error {
	if resp.ClusterID != nil {
		f.Cluster = *resp.ClusterID
	}
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
		case err != nil:
			return fmt.Errorf("topic %s: %w", *t.Topic,
				denied(err, ACL{Resource: Topic, Name: *t.Topic, Operation: Describe}))
		default:
			f.Topics[*t.Topic] = FoundTopic{Partitions: int32(len(t.Partitions)), ID: t.TopicID}
		}
	}
	return nil
}

// Ensure creates the topic if it is absent; another process may be doing the same. If it exists,
// its number of partitions and the settings in s.Config are compared, and a difference is an
// ErrTopicMismatch that says what to do.
func (a *Admin) Ensure(ctx context.Context, s TopicSpec) error {
	counts, err := a.Partitions(ctx, s.Name)
	if err != nil {
		return err
	}
	found, exists := counts[s.Name]
	if !exists {
		created, err := a.create(ctx, s)
		if err != nil || created {
			return err
		}
		if counts, err = a.Partitions(ctx, s.Name); err != nil {
			return err
		}
		found = counts[s.Name]
	}
	if found != s.Partitions {
		return fmt.Errorf(
			"%w: %s has %d partitions, %d are wanted: delete the topic and start from empty state, or give it the "+
				"wanted number and repartition what it holds", ErrTopicMismatch, s.Name, found, s.Partitions)
	}
	return a.checkConfig(ctx, s)
}

// create reports false where somebody else was faster. Who may not know which version the broker
// has may have taken limits of timestamps that it does not know: then it is asked with those of
// other versions, and with none, as a version without them has no limit.
func (a *Admin) create(ctx context.Context, s TopicSpec) (created bool, err error) {
	all := s.settings()
	created, err = a.createWith(ctx, s, all)
	for _, other := range append(slices.Clone(anyTimestamp), nil) {
		without := maps.Clone(all)
		maps.DeleteFunc(without, func(key, value string) bool { return isTimestampLimit(key) && value == noLimit })
		if !errors.Is(err, kerr.InvalidConfig) || len(without) == len(all) {
			break
		}
		for key, value := range other {
			if _, given := without[key]; !given {
				without[key] = value
			}
		}
		created, err = a.createWith(ctx, s, without)
	}
	return created, err
}

func (a *Admin) createWith(ctx context.Context, s TopicSpec, settings map[string]string) (created bool, err error) {
	config := make(map[string]*string, len(settings))
	for k, v := range settings {
		config[k] = &v
	}
	err = a.ask(ctx, "create topic "+s.Name, func(ctx context.Context) error {
		answers, err := a.client.CreateTopics(ctx, s.Partitions, s.Replication, config, s.Name)
		if err != nil {
			return err
		}
		answer := answers[s.Name]
		if errors.Is(answer.Err, kerr.TopicAlreadyExists) {
			return nil
		}
		created = answer.Err == nil
		if answer.Err != nil && answer.ErrMessage != "" {
			return fmt.Errorf("%w: %s", answer.Err, answer.ErrMessage)
		}
		return answer.Err
	}, ACL{Resource: Topic, Name: s.Name, Operation: Create}, ACL{Resource: Cluster, Operation: Create})
	if err != nil {
		return false, err
	}
	return created, a.awaitPartitions(ctx, s.Name, 1)
}

// awaitPartitions returns when the metadata knows a topic that was just created, or grown, here or
// elsewhere: on a real cluster that takes a moment.
func (a *Admin) awaitPartitions(ctx context.Context, name string, partitions int32) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for {
		counts, err := a.Partitions(ctx, name)
		if counts[name] >= partitions || err != nil {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("kafka: topic %s was created, or got partitions, but does not show up: %w", name, err)
		}
	}
}

// Grow gives a topic more partitions, unless it has as many, and returns when they are known.
func (a *Admin) Grow(ctx context.Context, topic string, partitions int32) error {
	counts, err := a.Partitions(ctx, topic)
	if err != nil || counts[topic] >= partitions {
		return err
	}
	err = a.ask(ctx, "add partitions to topic "+topic, func(ctx context.Context) error {
		answers, err := a.client.UpdatePartitions(ctx, int(partitions), topic)
		if err != nil {
			return err
		}
		if err := answers[topic].Err; !errors.Is(err, kerr.InvalidPartitions) { // somebody else was faster
			return err
		}
		return nil
	}, ACL{Resource: Topic, Name: topic, Operation: Alter})
	if err != nil {
		return err
	}
	return a.awaitPartitions(ctx, topic, partitions)
}

func (a *Admin) checkConfig(ctx context.Context, s TopicSpec) error {
	if len(s.Config)+len(s.Extra) == 0 {
		return nil
	}
	found, err := a.Settings(ctx, s.Name)
	if err != nil {
		return err
	}
	wrong := others(s.Extra, found)
	maps.DeleteFunc(wrong, func(key, value string) bool {
		has, known := found[key]
		return !known || (key == largestRecord || key == deletionsKept) && number(has, 0) >= number(value, 0)
	})
	if len(wrong) > 0 {
		a.cfg.Logger.Warn("kafka: a topic has other settings than those that are wanted", "topic", s.Name,
			"wanted", wrong, "command", a.cfg.AlterCommand(s.Name, wrong))
	}
	if wrong = others(s.Config, found); len(wrong) == 0 {
		return nil
	}
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(wrong)) {
		texts = append(texts, fmt.Sprintf("%s=%q, %q is wanted", key, found[key], wrong[key]))
	}
	return fmt.Errorf(
		"%w: %s has %s: alter the topic, or delete it and start from empty state; an administrator alters it by\n\t%s",
		ErrTopicMismatch, s.Name, strings.Join(texts, ", "), a.cfg.AlterCommand(s.Name, wrong))
}

// others is what of want is otherwise in found.
func others(want, found map[string]string) map[string]string {
	wrong := map[string]string{}
	for key, value := range want {
		if found[key] != value {
			wrong[key] = value
		}
	}
	return wrong
}

// Settings are a topic's settings by Kafka's names, those that it has from its broker's defaults
// too.
func (a *Admin) Settings(ctx context.Context, topic string) (map[string]string, error) {
	values := map[string]string{}
	err := a.ask(ctx, "read settings of topic "+topic, func(ctx context.Context) error {
		described, err := a.client.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		answer, err := described.On(topic, nil)
		if err != nil {
			return err
		}
		if answer.Err != nil {
			return answer.Err
		}
		for _, c := range answer.Configs {
			values[c.Key] = c.MaybeValue()
		}
		return nil
	}, ACL{Resource: Topic, Name: topic, Operation: DescribeConfigs})
	return values, err
}

// Starts is the oldest offset of each partition of topic.
func (a *Admin) Starts(ctx context.Context, topic string) (map[int32]int64, error) {
	return a.offsets(ctx, topic, "oldest", a.client.ListStartOffsets)
}

// Ends is the offset after the last record of each partition of topic: of all that is written, or,
// committed, the end that readers of committed records can reach now. Who wants all that was
// acknowledged waits for the former: the latter is before every open transaction of anybody, and
// the markers of one just committed may not be written yet.
func (a *Admin) Ends(ctx context.Context, topic string, committed bool) (map[int32]int64, error) {
	if committed {
		return a.offsets(ctx, topic, "committed end", a.client.ListCommittedOffsets)
	}
	return a.offsets(ctx, topic, "end", a.client.ListEndOffsets)
}

func (a *Admin) offsets(ctx context.Context, topic, which string,
	list func(context.Context, ...string) (kadm.ListedOffsets, error)) (map[int32]int64, error) {
	var offsets map[int32]int64
	err := a.ask(ctx, fmt.Sprintf("look up %s offsets of topic %s", which, topic), func(ctx context.Context) error {
		listed, err := list(ctx, topic)
		if err != nil {
			return err
		}
		if err := listed.Error(); err != nil {
			return err
		}
		offsets = make(map[int32]int64, len(listed[topic]))
		for partition, o := range listed[topic] {
			offsets[partition] = o.Offset
		}
		if len(offsets) == 0 {
			return kerr.UnknownTopicOrPartition
		}
		return nil
	}, ACL{Resource: Topic, Name: topic, Operation: Describe})
	return offsets, err
}

// Delete deletes topics; those that do not exist are no error.
func (a *Admin) Delete(ctx context.Context, topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	return a.ask(ctx, "delete topics", func(ctx context.Context) error {
		answers, err := a.client.DeleteTopics(ctx, topics...)
		if err != nil {
			return err
		}
		var errs []error
		for name, answer := range answers {
			if answer.Err != nil && !errors.Is(answer.Err, kerr.UnknownTopicOrPartition) {
				errs = append(errs, fmt.Errorf("topic %s: %w", name,
					denied(answer.Err, ACL{Resource: Topic, Name: name, Operation: Delete})))
			}
		}
		return errors.Join(errs...)
	})
}

// DeleteBefore deletes the records of each partition before an offset, by topic and partition.
// Those that are gone already are no error.
func (a *Admin) DeleteBefore(ctx context.Context, offsets map[string]map[int32]int64) error {
	var all kadm.Offsets
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			all.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return a.ask(ctx, "delete records", func(ctx context.Context) error {
		answers, err := a.client.DeleteRecords(ctx, all)
		if err != nil {
			return err
		}
		var errs []error
		answers.Each(func(r kadm.DeleteRecordsResponse) {
			if r.Err != nil && !errors.Is(r.Err, kerr.OffsetOutOfRange) {
				errs = append(errs, fmt.Errorf("topic %s partition %d: %w", r.Topic, r.Partition,
					denied(r.Err, ACL{Resource: Topic, Name: r.Topic, Operation: Delete})))
			}
		})
		return errors.Join(errs...)
	})
}

// ask bounds one question, asks it again where the cluster says that it will know soon or the
// broker is away that has the answer, and says in its error what was asked of whom. Asked are the
// permissions that it needs.
func (a *Admin) ask(ctx context.Context, what string, question func(context.Context) error, asked ...ACL) error {
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err := question(bounded)
	// A cluster that has just started, or lost a broker, asks for patience: leaders and
	// coordinators are being elected. Until they are, the metadata may name the one that is lost.
	for (kerr.IsRetriable(err) || silence(err)) && pause(bounded, 100*time.Millisecond) == nil {
		err = question(bounded)
	}
	if err == nil {
		return nil
	}
	if electing(err) {
		err = fmt.Errorf("%w for now: %w", ErrUnavailable, err)
	}
	return a.cfg.Advise(fmt.Errorf("kafka: %s at %s: %w", what, a.cfg.addresses(), a.dials.explain(err)), asked...)
}
