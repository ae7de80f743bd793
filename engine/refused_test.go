package engine_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// dayOfRefusal is later than all that is taken.
var dayOfRefusal = dayStart.AddDate(1, 0, 0)

// refusingBroker is a broker that refuses batches with a record of dayOfRefusal or later in some
// topics, as brokers refuse timestamps, but does not say so in the topic's settings.
type refusingBroker struct {
	*kafkatest.Cluster

	mu     sync.Mutex
	topics map[string]bool
	said   int // refusals
}

func newRefusingBroker(t *testing.T) *refusingBroker {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond),
		kfake.MaxVersions(kversion.V3_7_0()), kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	b := &refusingBroker{Cluster: kafkatest.At(t, fake.ListenAddrs()...), topics: map[string]bool{}}
	fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		return b.judge(req.(*kmsg.ProduceRequest))
	})
	return b
}

func (b *refusingBroker) refuse(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics[topic] = true
}

// judge refuses a request with a bad batch: those of other partitions are to come again.
func (b *refusingBroker) judge(req *kmsg.ProduceRequest) (kmsg.Response, error, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	bad := false
	for _, t := range req.Topics {
		answer := kmsg.NewProduceResponseTopic()
		answer.Topic = t.Topic
		for _, p := range t.Partitions {
			var batch kmsg.RecordBatch
			if err := batch.ReadFrom(p.Records); err != nil {
				return nil, err, true
			}
			one := kmsg.NewProduceResponseTopicPartition()
			one.Partition, one.ErrorCode = p.Partition, kerr.NotLeaderForPartition.Code
			if b.topics[t.Topic] && batch.MaxTimestamp >= dayOfRefusal.UnixMilli() {
				one.ErrorCode, bad = kerr.InvalidTimestamp.Code, true
				b.said++
			}
			answer.Partitions = append(answer.Partitions, one)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp, nil, bad
}

// copied is a program that writes its rates to a topic as they are.
func copied(t *testing.T, app, topic, out string, policy dsl.Policy,
	change func(*dsl.StreamOf[Rate]) *dsl.StreamOf[Rate]) (*topology.Plan, *dsl.StreamOf[Rate]) {
	b := dsl.New(app)
	b.DeadLetters(app + "-letters")
	rates := dsl.Stream[Rate](b, topic).OnError(policy)
	change(rates).To(out)
	plan, err := b.Build()
	require.NoError(t, err)
	return plan, rates
}

// mixedRates are rates of which one in so many is refused.
func mixedRates(n, every int) (all, taken, refused []Rate) {
	for i := range n {
		r := Rate{Pair: fmt.Sprint("P", i%7), Bid: float64(i), At: dayStart.Add(time.Duration(i) * time.Millisecond)}
		if i%every == every/2 {
			r.At = dayOfRefusal.Add(time.Duration(i) * time.Millisecond)
			refused = append(refused, r)
		} else {
			taken = append(taken, r)
		}
		all = append(all, r)
	}
	return all, taken, refused
}

// bids are those of the rows of a topic, sorted.
func bids(t *testing.T, c *kafkatest.Cluster, rates *dsl.StreamOf[Rate], topic string) (all []float64) {
	for _, records := range committed(t, c.Config(), topic) {
		for _, r := range records {
			var rate Rate
			require.NoError(t, rates.StreamRef().Decode(r.Key, r.Value, &rate))
			all = append(all, rate.Bid)
		}
	}
	slices.Sort(all)
	return all
}

// deadBids are those of the letters of an application, sorted.
func deadBids(t *testing.T, c *kafkatest.Cluster, rates *dsl.StreamOf[Rate], app string,
	check func(*task.Letter)) (all []float64) {
	for _, record := range committed(t, c.Config(), app+"-letters")[0] {
		l, ok := task.ParseLetter(&record)
		require.True(t, ok)
		check(&l)
		var rate Rate
		require.NoError(t, rates.StreamRef().Decode(l.Key, l.Value, &rate))
		all = append(all, rate.Bid)
	}
	slices.Sort(all)
	return all
}

func bidsOf(rates []Rate) (all []float64) {
	for _, r := range rates {
		all = append(all, r.Bid)
	}
	slices.Sort(all)
	return all
}

func writeRates(t *testing.T, c *kafkatest.Cluster, rates *dsl.StreamOf[Rate], all []Rate) {
	t.Helper()
	var outputs []task.Output
	ref := rates.StreamRef()
	for i := range all {
		key, err := ref.Key(nil, &all[i])
		require.NoError(t, err)
		value, err := ref.Encode(nil, &all[i])
		require.NoError(t, err)
		outputs = append(outputs, task.Output{Key: key, Value: value})
	}
	c.Write(t, ref.Topic, 1, outputs...)
}

// A broker that refuses records of a batch is no poison for the others, whatever refuses them: an
// output or an internal topic, in one of both guarantees. Each meets its policy once.
func TestBrokerRefusesRecords(t *testing.T) {
	for _, guarantee := range []engine.Guarantee{engine.ExactlyOnce, engine.AtLeastOnce} {
		for name, change := range map[string]func(*dsl.StreamOf[Rate]) *dsl.StreamOf[Rate]{
			"output":   asTheyAre,
			"internal": func(s *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] { return s.Repartition("again", 2) },
		} {
			t.Run(name+" "+guarantee.String(), func(t *testing.T) { refuseRecords(t, name, guarantee, change) })
		}
	}
}

func refuseRecords(t *testing.T, where string, guarantee engine.Guarantee,
	change func(*dsl.StreamOf[Rate]) *dsl.StreamOf[Rate]) {
	b := newRefusingBroker(t)
	app, out := b.Name("fx"), b.Name("out")
	plan, rates := copied(t, app, b.Topic(t, "rates", 1), out, dsl.DeadLetter, change)
	refusing := out
	if where == "internal" {
		refusing = plan.Internal[0].Topic
	}
	b.refuse(refusing)
	n := 3000
	if testing.Short() {
		// under the race detector a session finds few of those that are refused, and the next
		// begins after its backoff
		n = 1000
	}
	all, taken, refused := mixedRates(n, 100)
	writeRates(t, b.Cluster, rates, all)
	r := start(t, plan, engine.Config{Brokers: b.Brokers, CommitInterval: 20 * time.Millisecond,
		MaxAhead: engine.NoBound, Guarantee: guarantee})
	require.Eventually(t, func() bool {
		counts, err := b.Admin().Partitions(t.Context(), out)
		return err == nil && counts[out] > 0 && len(slices.Compact(bids(t, b.Cluster, rates, out))) >= len(taken) &&
			len(slices.Compact(deadBids(t, b.Cluster, rates, app, func(*task.Letter) {}))) >= len(refused)
	}, patience, 50*time.Millisecond)
	require.NoError(t, r.stop())
	got := bids(t, b.Cluster, rates, out)
	if guarantee == engine.AtLeastOnce {
		got = slices.Compact(got)
	}
	require.Equal(t, bidsOf(taken), got)
	dead := deadBids(t, b.Cluster, rates, app, func(l *task.Letter) {
		require.Equal(t, []any{"refused", rates.StreamRef().Topic}, []any{l.Class, l.Topic})
		require.Contains(t, l.Text, "INVALID_TIMESTAMP")
		require.Contains(t, l.Text, "topic "+refusing)
	})
	if guarantee == engine.AtLeastOnce {
		dead = slices.Compact(dead)
	}
	require.Equal(t, bidsOf(refused), dead)
}

// Where the policy is Fail the error says which record it was, at which step, and what topic does
// not take it; that of a final row is Fail unless the plan says otherwise.
func TestBrokerRefusalIsNamed(t *testing.T) {
	b := newRefusingBroker(t)
	all, _, refused := mixedRates(200, 100)
	app, out := b.Name("fx"), b.Name("out")
	plan, rates := copied(t, app, b.Topic(t, "rates", 1), out, dsl.Fail, asTheyAre)
	b.refuse(out)
	writeRates(t, b.Cluster, rates, all)
	err := run(t, plan, engine.Config{Brokers: b.Brokers, CommitInterval: 20 * time.Millisecond,
		MaxAhead: engine.NoBound})
	var failed *engine.RecordError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, []any{rates.StreamRef().Topic, int64(50)}, []any{failed.Topic, failed.Offset})
	require.ErrorIs(t, err, kerr.InvalidTimestamp)
	for _, want := range []string{failed.Step, "topic " + out, fmt.Sprintf("key %q", refused[0].Pair)} {
		require.ErrorContains(t, err, want)
	}

	writeRates(t, b.Cluster, rates, []Rate{{Pair: "P", At: dayOfRefusal.AddDate(0, 0, 1)}}) // closes the windows
	bars := newPipeline(t, b.Name("bars"), rates.StreamRef().Topic)
	b.refuse(bars.final.Stream(time.Minute).Topic)
	err = run(t, bars.plan, engine.Config{Brokers: b.Brokers, CommitInterval: 20 * time.Millisecond,
		MaxAhead: engine.NoBound})
	require.ErrorAs(t, err, &failed)
	require.ErrorContains(t, err, "topic "+bars.final.Stream(time.Minute).Topic)
}

func asTheyAre(s *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] { return s }

// What a topic's own settings do not take is found before it is sent: records without a key for a
// compacted topic, timestamps too far ahead of the clock or behind it. The others go through, on a
// broker that refuses such records and on one that does not.
func TestTopicDoesNotTakeRecords(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		settings []string
		bad      Rate
		nokey    bool
		why      string
	}{
		"without a key": {[]string{"cleanup.policy", "compact"}, Rate{Pair: "P", At: now}, true, "without a key"},
		"ahead": {[]string{"message.timestamp.after.max.ms", "3600000"},
			Rate{Pair: "P", At: now.Add(3 * time.Hour)}, false, "after.max.ms"},
		"behind": {[]string{"message.timestamp.before.max.ms", "3600000"}, Rate{Pair: "P", At: now.Add(-3 * time.Hour)},
			false, "before.max.ms"},
	} {
		t.Run(name, func(t *testing.T) {
			b := kafkatest.Start(t)
			c.settings[0] = known(t, b, c.settings[0])
			app, out := b.Name("fx"), b.Topic(t, "out", 1, c.settings...)
			plan, rates := copied(t, app, b.Topic(t, "rates", 1), out, dsl.DeadLetter, asTheyAre)
			good := Rate{Pair: "P", Bid: 1, At: now}
			var outputs []task.Output
			for i, r := range []Rate{good, c.bad, good} {
				key, err := rates.StreamRef().Key(nil, &r)
				require.NoError(t, err)
				value, err := rates.StreamRef().Encode(nil, &r)
				require.NoError(t, err)
				if i == 1 && c.nokey {
					key = nil
				}
				outputs = append(outputs, task.Output{Key: key, Value: value})
			}
			for _, o := range outputs {
				b.Write(t, rates.StreamRef().Topic, 1, o)
			}
			r := start(t, plan, engine.Config{Brokers: b.Brokers, CommitInterval: 20 * time.Millisecond,
				MaxAhead: engine.NoBound})
			require.Eventually(t, func() bool {
				counts, err := b.Admin().Partitions(t.Context(), app+"-letters")
				return err == nil && counts[app+"-letters"] > 0 && len(committed(t, b.Config(), app+"-letters")[0]) > 0
			}, patience, 50*time.Millisecond)
			awaitEnd(t, b, app, rates.StreamRef().Topic)
			require.NoError(t, r.stop())
			require.Equal(t, []float64{1, 1}, bids(t, b, rates, out))
			letters := committed(t, b.Config(), app+"-letters")[0]
			require.Len(t, letters, 1)
			l, ok := task.ParseLetter(&letters[0])
			require.True(t, ok)
			require.Equal(t, []any{"refused", int64(1)}, []any{l.Class, l.Offset})
			require.Contains(t, l.Text, c.why)
		})
	}
}

// The limits of a topic change while a task writes to it: it is no poison either.
func TestLimitsOfATopicChange(t *testing.T) {
	if os.Getenv(kafkatest.Environment) == "" {
		t.Skip("the embedded broker takes all timestamps: see make kafka-test")
	}
	b := kafkatest.Start(t)
	app, out := b.Name("fx"), b.Topic(t, "out", 1)
	plan, rates := copied(t, app, b.Topic(t, "rates", 1), out, dsl.DeadLetter, asTheyAre)
	r := start(t, plan, engine.Config{Brokers: b.Brokers, CommitInterval: 20 * time.Millisecond})
	now := time.Now()
	writeRates(t, b, rates, []Rate{{Pair: "P", Bid: 1, At: dayStart}})
	awaitEnd(t, b, app, rates.StreamRef().Topic)
	alter(t, b, out, known(t, b, "message.timestamp.before.max.ms"), "3600000")
	writeRates(t, b, rates, []Rate{{Pair: "P", Bid: 2, At: now}, {Pair: "P", Bid: 3, At: dayStart},
		{Pair: "P", Bid: 4, At: now}})
	awaitEnd(t, b, app, rates.StreamRef().Topic)
	require.NoError(t, r.stop())
	require.Equal(t, []float64{1, 2, 4}, bids(t, b, rates, out))
	require.Equal(t, []float64{3}, deadBids(t, b, rates, app,
		func(l *task.Letter) { require.Equal(t, "refused", l.Class) }))
}

// known is the name that the broker has for a limit of timestamps: before Kafka 3.6 there is one
// for both directions.
func known(t *testing.T, c *kafkatest.Cluster, setting string) string {
	t.Helper()
	const both = "message.timestamp.difference.max.ms"
	defaults, err := c.Admin().Defaults(t.Context(), c.Topic(t, "any", 1))
	require.NoError(t, err)
	if _, old := defaults.AnyTimestamp[both]; old && strings.HasPrefix(setting, "message.timestamp.") {
		return both
	}
	return setting
}

func alter(t *testing.T, c *kafkatest.Cluster, topic, setting, value string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	answers, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(),
		[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: setting, Value: &value}}, topic)
	require.NoError(t, err)
	require.NoError(t, answers[0].Err)
}

// Event times go through internal topics as they are whatever the broker's defaults are (make
// kafka-strict-test runs this on one that sets timestamps itself): the windows are those of the
// rows, also where only the timestamp of the record has their time. Of the topics that are made
// none takes settings from the broker that would lose something.
func TestTopicsSayWhatTheyNeed(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipelineOf(t, app, topic, func(_ *dsl.Builder,
		s *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] {
		return s.Repartition("again", 3)
	})
	rates := append(numbered(0, 400, dayStart), numbered(0, 400, dayStart.Add(time.Hour))...)
	r := start(t, p.plan, engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond})
	writeTo(t, c, p.rates, 1, rates)
	final := p.final.Stream(time.Minute)
	require.Eventually(t, func() bool {
		counts, err := c.Admin().Partitions(t.Context(), final.Topic)
		return err == nil && counts[final.Topic] > 0 &&
			len(slices.Concat(committed(t, c.Config(), final.Topic)...)) >= 40
	}, patience, 50*time.Millisecond)
	require.NoError(t, r.stop())
	for _, record := range slices.Concat(committed(t, c.Config(), final.Topic)...) {
		var bar Bar
		require.NoError(t, final.Decode(record.Key[:len(record.Key)-8], record.Value, &bar))
		require.Equal(t, []any{dayStart, int64(10)}, []any{bar.Start.UTC(), bar.Ticks})
	}
	for name, output := range engine.CreatedTopics(p.plan) {
		found, err := c.Admin().Settings(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, []string{"CreateTime", "-1"}, []string{found["message.timestamp.type"], found["retention.ms"]},
			name)
		for _, limit := range []string{"message.timestamp.before.max.ms", "message.timestamp.after.max.ms",
			"message.timestamp.difference.max.ms"} {
			if value, known := found[limit]; known {
				require.Equal(t, fmt.Sprint(int64(math.MaxInt64)), value, "%s of %s", limit, name)
			}
		}
		if !output {
			size, err := strconv.Atoi(found["max.message.bytes"])
			require.NoError(t, err)
			require.GreaterOrEqual(t, size, 1048588, name)
		}
	}
}

// An internal topic that is there and would lose event times is refused, an output warned of, each
// with the command that mends it.
func TestTopicsThatLoseEventTimes(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipelineOf(t, app, topic, func(_ *dsl.Builder,
		s *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] {
		return s.Repartition("again", 0)
	})
	between, output := p.plan.Internal[0].Topic, p.final.Stream(time.Minute).Topic
	for name, setting := range map[string][2]string{"timestamps": {"message.timestamp.type", "LogAppendTime"},
		"age": {"retention.ms", "60000"}, "size": {"retention.bytes", "1000000"}} {
		t.Run(name, func(t *testing.T) {
			settings := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
				"message.timestamp.type": "CreateTime"}
			want := settings[setting[0]]
			settings[setting[0]] = setting[1]
			require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: between, Partitions: 1,
				Replication: -1, Config: settings}))
			err := run(t, p.plan, engine.Config{Brokers: c.Brokers})
			require.ErrorIs(t, err, kafka.ErrTopicMismatch)
			require.ErrorContains(t, err, "kafka-configs.sh --bootstrap-server "+strings.Join(c.Brokers, ",")+
				" --alter --entity-type topics --entity-name "+between+
				" --add-config "+setting[0]+"="+want)
			require.NoError(t, c.Admin().Delete(t.Context(), between))
			require.Eventually(t, func() bool { // a real broker deletes at its leisure
				counts, err := c.Admin().Partitions(t.Context(), between)
				return err == nil && counts[between] == 0
			}, patience, 20*time.Millisecond)
		})
	}
	require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: output, Partitions: 1, Replication: -1,
		Config: map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}}))
	r, lines := logged(t, p, engine.Config{Brokers: c.Brokers})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	require.NoError(t, r.stop())
	require.Contains(t, lines.String(), "output has timestamps of the broker's clock")
	require.Contains(t, lines.String(), "--entity-name "+output+" --add-config message.timestamp.type=CreateTime")
}
