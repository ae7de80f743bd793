package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

// What poison does is in its bid; that of a record too large for the topic out is in its pair.
const (
	bidError   = -1
	bidPanic   = -2
	bidFlaky   = -3 // fails at its first try in a process
	largePair  = 1500
	largestOut = 1000 // bytes of a record in the topic out
)

var errPoison = errors.New("poison")

// newPoisoned is a pipeline that drinks poison: a copy of the rates goes to a topic, bars are made
// of all that its function lets pass.
func newPoisoned(t testing.TB, app, topic, policy string, seen func()) *pipeline {
	var mu sync.Mutex
	tried := map[time.Time]bool{}
	var n atomic.Int64
	return newPipelineOf(t, app, topic, func(b *dsl.Builder, rates *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] {
		b.DeadLetters(app + "-letters")
		rates.OnError(map[string]dsl.Policy{"skip": dsl.Skip, "dlq": dsl.DeadLetter, "fail": dsl.Fail,
			"retry": dsl.Retry(2, time.Millisecond, nil).Then(dsl.DeadLetter)}[policy])
		checked := rates.Peek(func(r *Rate) error {
			if n.Add(1)%8 == 1 { // a pause for each of a batch would leave no commit between kills
				seen()
			}
			switch r.Bid {
			case bidError:
				return errPoison
			case bidPanic:
				panic("poison")
			case bidFlaky:
				mu.Lock()
				defer mu.Unlock()
				if !tried[r.At] {
					tried[r.At] = true
					return errPoison
				}
			}
			return nil
		})
		checked.To(app + "-out")
		return checked
	})
}

// poisoned is an input, and what must be made of it.
type poisoned struct {
	cluster *kafkatest.Cluster
	topic   string
	random  *rand.Rand
	rates   []Rate            // those that the bars are made of, in their order
	classes map[string]string // of the records that fail: what letters must say, by key and value
	pass    [][2]string       // key and value of those that go to the topic out
}

// newPoisonedInput writes n rates, of which one in 1,000 is poison.
func newPoisonedInput(t *testing.T, n int, flaky bool) *poisoned {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	k := &poisoned{cluster: kafkatest.Start(t), random: rand.New(rand.NewPCG(seed, 7)), classes: map[string]string{}}
	k.topic = k.cluster.Topic(t, "rates", killPartitions)
	all := randomRates(k.random, dayStart, n, 100*time.Millisecond)
	all = append(all, endRates(all, killPartitions)...)
	producer, err := kafka.NewProducer(t.Context(), k.cluster.Config(), kafka.ProducerConfig{})
	require.NoError(t, err)
	defer func() { require.NoError(t, producer.Close()) }()
	ref := newPipeline(t, "input", k.topic).rates.StreamRef()
	for i := range all {
		r, class, broken := &all[i], "", false
		if i%1000 == 500 {
			switch kind := i / 1000 % 5; kind {
			case 0:
				broken, class = true, "decode"
			case 1:
				r.Bid, class = bidError, "function"
			case 2:
				r.Bid, class = bidPanic, "panic"
			case 3:
				r.Pair, class = strings.Repeat("L", largePair), "too_large"
			case 4:
				if flaky {
					r.Bid = bidFlaky
				}
			}
		}
		key, err := ref.Key(nil, r)
		require.NoError(t, err)
		value, err := ref.Encode(nil, r)
		require.NoError(t, err)
		if broken {
			value = value[:len(value)/2]
		}
		if class != "" {
			k.classes[string(key)+" "+string(value)] = class
		} else {
			k.pass = append(k.pass, [2]string{string(key), string(value)})
		}
		if class == "" || class == "too_large" { // it fails at the copy only
			k.rates = append(k.rates, *r)
		}
		producer.Produce(t.Context(), &task.Output{Topic: k.topic, Partition: task.OnKey, Key: key, Value: value,
			Timestamp: windows.At(r.At), Headers: []task.Header{{Key: "n", Value: fmt.Append(nil, i)}}})
	}
	require.NoError(t, producer.Commit(t.Context()))
	return k
}

// requireResults holds bars and the topic out against what must come of the input.
func (k *poisoned) requireResults(t *testing.T, app string) {
	t.Helper()
	p := newPipeline(t, app, k.topic)
	requireFinals(t, k.cluster.Config(), p, k.rates, killPartitions, time.Minute)
	requireFinals(t, k.cluster.Config(), p, k.rates, killPartitions, 5*time.Minute)
	for i, records := range committed(t, k.cluster.Config(), app+"-out") {
		var want, got [][2]string
		for _, kv := range k.pass {
			if kafka.Partition([]byte(kv[0]), killPartitions) == int32(i) {
				want = append(want, kv)
			}
		}
		for _, r := range records {
			got = append(got, [2]string{string(r.Key), string(r.Value)})
		}
		require.Equal(t, len(want), len(got), "rows of the copy, partition %d", i)
		require.Equal(t, want, got)
	}
}

// requireLetters says that each record that fails has one letter that is exactly it, and nothing
// else has any.
func (k *poisoned) requireLetters(t *testing.T, app string) {
	t.Helper()
	var got []string
	for _, records := range committed(t, k.cluster.Config(), app+"-letters") {
		for i := range records {
			l, ok := task.ParseLetter(&records[i])
			require.True(t, ok)
			require.Len(t, l.Headers, 1)
			got = append(got, fmt.Sprintf("%s/%d@%d %d %s %q=%q n=%s", l.Topic, l.Partition, l.Offset, l.Timestamp,
				l.Class, l.Key, l.Value, l.Headers[0].Value))
			require.Equal(t, l.Class == "panic", l.Stack != "")
		}
	}
	var want []string
	for p, records := range committed(t, k.cluster.Config(), k.topic) {
		for _, r := range records {
			if class := k.classes[string(r.Key)+" "+string(r.Value)]; class != "" {
				want = append(want, fmt.Sprintf("%s/%d@%d %d %s %q=%q n=%s", k.topic, p, r.Offset, r.Timestamp, class,
					r.Key, r.Value, r.Headers[0].Value))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(t, len(k.classes), len(want))
	require.Equal(t, want, got)
}

// One record in 1,000 is poison: it cannot be decoded, fails, panics, or is too large for a topic;
// and processes are killed with kill -9 at random. Under each policy results are those of the
// records that are sound, each once; and where failed records are to be dead letters, each is one.
func TestPoison(t *testing.T) {
	t.Parallel()
	kills, n := 8, 20_000
	switch {
	case os.Getenv("ASHI_SOAK_MINUTES") != "":
		kills, n = 30, 60_000
	case testing.Short():
		kills, n = 2, 10_000
	}
	for _, policy := range []string{"skip", "dlq", "retry"} {
		t.Run(policy, func(t *testing.T) {
			k := newPoisonedInput(t, n, policy == "retry")
			spec := k.member(t, policy)
			k.kill(t, spec, kills)
			k.finish(t, spec)
			k.requireResults(t, spec.App)
			if policy == "skip" {
				k.classes = map[string]string{}
			}
			k.requireLetters(t, spec.App)
		})
	}
	t.Run("fail", func(t *testing.T) {
		k := newPoisonedInput(t, n, false)
		spec := k.member(t, "fail")
		for range 3 { // it fails again after a restart
			said := k.failing(t, spec)
			require.Contains(t, said, "task "+k.topic+"/")
			require.Contains(t, said, ": step ")
			require.Regexp(t, "record at offset [0-9]+ of "+k.topic+"/[0-2]: ", said)
		}
		require.Empty(t, slices.Concat(committed(t, k.cluster.Config(), spec.App+"-letters")...))
		spec.Policy = "dlq" // as its operator decides: nothing of what failed was passed over
		k.kill(t, spec, kills/2)
		k.finish(t, spec)
		k.requireResults(t, spec.App)
		k.requireLetters(t, spec.App)
	})
}

func (k *poisoned) member(t *testing.T, policy string) memberSpec {
	t.Helper()
	spec := memberSpec{Brokers: k.cluster.Brokers, App: k.cluster.Name("poison-" + policy), Topic: k.topic,
		Policy: policy, Dir: t.TempDir(), Pause: time.Millisecond}
	require.NoError(t, k.cluster.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: spec.App + "-out",
		Partitions: killPartitions, Replication: -1,
		Config: map[string]string{"max.message.bytes": fmt.Sprint(largestOut)}}))
	return spec
}

// kill starts processes and kills each at random: every other one a while after its first record,
// which is mostly before its first commit, the others a while after a commit.
func (k *poisoned) kill(t *testing.T, spec memberSpec, times int) {
	t.Helper()
	for i := range times {
		before := k.written(t, spec.App)
		m := spawn(t, spec)
		<-m.first
		if i%2 == 1 {
			require.Eventually(t, func() bool { return k.written(t, spec.App) > before }, patience, 5*time.Millisecond)
		}
		// a random point, not a wait for something
		time.Sleep(time.Duration(k.random.Int64N(int64(150 * time.Millisecond))))
		m.kill(t)
	}
	t.Logf("after %d kills %d records of the copy are committed, of %d", times, k.written(t, spec.App), len(k.pass))
}

// written is how far the copy of the sound records is, markers of transactions included.
func (k *poisoned) written(t *testing.T, app string) (n int64) {
	t.Helper()
	ends, err := k.cluster.Admin().Ends(t.Context(), app+"-out", true)
	require.NoError(t, err)
	for _, end := range ends {
		n += end
	}
	return n
}

func (k *poisoned) finish(t *testing.T, spec memberSpec) {
	t.Helper()
	spec.Pause = 0
	m := spawn(t, spec)
	awaitEnd(t, k.cluster, spec.App, k.topic)
	m.terminate(t)
}

// failing runs a process that ends by itself, and returns what it says then.
func (k *poisoned) failing(t *testing.T, spec memberSpec) string {
	t.Helper()
	spec.Pause = 0
	var said strings.Builder
	m := spawnTo(t, spec, &said)
	ended := make(chan error, 1)
	go func() { ended <- m.cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 1, exit.ExitCode())
	case <-time.After(time.Minute):
		t.Fatal("it does not fail")
	}
	_, last, ok := strings.Cut(said.String(), "member: ")
	require.True(t, ok, said.String())
	return last
}

// A letter that the program sends by itself is one as any other.
func TestSendDead(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPoisoned(t, app, topic, "dlq", func() {})
	r := start(t, p.plan, engine.Config{Brokers: c.Brokers})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	require.Equal(t, app+"-letters", r.DeadLetters())
	sent := engine.Letter{Topic: "elsewhere", Partition: 2, Offset: 5, Timestamp: 77, Key: []byte("k"),
		Value: []byte("v"), Headers: []engine.Header{{Key: "h", Value: []byte("1")}}}
	require.NoError(t, engine.SendDead(ctx, r.Engine, sent, "the warehouse does not want it"))
	require.NoError(t, r.stop())
	records := slices.Concat(committed(t, c.Config(), app+"-letters")...)
	require.Len(t, records, 1)
	l, ok := task.ParseLetter(&records[0])
	require.True(t, ok)
	sent.Class, sent.Text, sent.Application = "manual", "the warehouse does not want it", app
	require.Equal(t, sent, l)

	other := newPipeline(t, app, topic)
	e, err := engine.New(other.plan, engine.Config{Brokers: c.Brokers})
	require.NoError(t, err)
	defer e.Close()
	require.ErrorIs(t, engine.SendDead(ctx, e, sent, "x"), engine.ErrNoDeadLetters)
}

// A plan that only mirrors a table has dead letters as well, for the program to send.
func TestSendDeadOfTables(t *testing.T) {
	type limit struct {
		Pair string `ashi:"pair,key"`
		Most int64
	}
	c := kafkatest.Start(t)
	topic := c.Topic(t, "limits", 1)
	b := dsl.New(c.Name("tables"))
	dsl.Table[string, limit](b, topic)
	b.DeadLetters(topic + "-letters")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Contains(t, engine.ACLs(plan, engine.Config{}), kafka.ACL{Resource: kafka.Topic, Name: topic + "-letters",
		Operation: kafka.Write})
	r := start(t, plan, engine.Config{Brokers: c.Brokers})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	require.NoError(t, engine.SendDead(ctx, r.Engine, engine.Letter{Topic: topic, Key: []byte("k"), Offset: -1},
		"unknown pair"))
	require.NoError(t, r.stop())
	require.Len(t, slices.Concat(committed(t, c.Config(), topic+"-letters")...), 1)
}

func TestRetriesThatTakeTooLong(t *testing.T) {
	p := newPipelineOf(t, "fx", "rates", func(_ *dsl.Builder, s *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] {
		return s.OnError(dsl.Retry(5, time.Second, nil).Then(dsl.Skip))
	})
	_, err := engine.New(p.plan, engine.Config{Brokers: []string{"127.0.0.1:1"}})
	require.ErrorContains(t, err, "5 retries from 1s wait 31s in all")
}
