package engine_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// dayOfRefusal is later than all that is taken.
var dayOfRefusal = dayStart.AddDate(1, 0, 0)

// refusingBroker is a broker that refuses batches with a record of dayOfRefusal or later in some topics, as brokers refuse timestamps, but does not say so in the topic's settings.
type refusingBroker struct {
	*kafkatest.Cluster

	mu     sync.Mutex
	topics map[string]bool
	said   int // refusals
}

func newRefusingBroker(t *testing.T) *refusingBroker {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.MaxVersions(kversion.V3_7_0()),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}))
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
func copied(t *testing.T, app, topic, out string, policy dsl.Policy, change func(*dsl.StreamOf[Rate]) *dsl.StreamOf[Rate]) (*topology.Plan, *dsl.StreamOf[Rate]) {
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
func deadBids(t *testing.T, c *kafkatest.Cluster, rates *dsl.StreamOf[Rate], app string, check func(*task.Letter)) (all []float64) {
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

// A broker that refuses records of a batch is no poison for the others, whatever refuses them: an output or an internal topic, in one of both guarantees. Each meets its policy once.
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

func refuseRecords(t *testing.T, where string, guarantee engine.Guarantee, change func(*dsl.StreamOf[Rate]) *dsl.StreamOf[Rate]) {
	b := newRefusingBroker(t)
	app, out := b.Name("fx"), b.Name("out")
	plan, rates := copied(t, app, b.Topic(t, "rates", 1), out, dsl.DeadLetter, change)
	refusing := out
	if where == "internal" {
		refusing = plan.Internal[0].Topic
	}
	b.refuse(refusing)
	all, taken, refused := mixedRates(3000, 100)
	writeRates(t, b.Cluster, rates, all)
	r := start(t, plan, engine.Config{Brokers: b.Brokers, CommitInterval: 20 * time.Millisecond, MaxAhead: engine.NoBound, Guarantee: guarantee})
	require.Eventually(t, func() bool {
		counts, err := b.Admin().Partitions(t.Context(), out)
		return err == nil && counts[out] > 0 && len(slices.Compact(bids(t, b.Cluster, rates, out))) >= len(taken) &&
			len(slices.Compact(deadBids(t, b.Cluster, rates, app, func(*task.Letter) {}))) >= len(refused)
	}, 60*time.Second, 50*time.Millisecond)
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

// Where the policy is Fail the error says which record it was, at which step, and what topic does not take it; that of a final row is Fail unless the plan says otherwise.
func TestBrokerRefusalIsNamed(t *testing.T) {
	b := newRefusingBroker(t)
	all, _, refused := mixedRates(200, 100)
	app, out := b.Name("fx"), b.Name("out")
	plan, rates := copied(t, app, b.Topic(t, "rates", 1), out, dsl.Fail, asTheyAre)
	b.refuse(out)
	writeRates(t, b.Cluster, rates, all)
	err := run(t, plan, engine.Config{Brokers: b.Brokers, CommitInterval: 20 * time.Millisecond, MaxAhead: engine.NoBound})
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
	err = run(t, bars.plan, engine.Config{Brokers: b.Brokers, CommitInterval: 20 * time.Millisecond, MaxAhead: engine.NoBound})
	require.ErrorAs(t, err, &failed)
	require.ErrorContains(t, err, "topic "+bars.final.Stream(time.Minute).Topic)
}

func asTheyAre(s *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] { return s }
