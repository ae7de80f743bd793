package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

// patience bounds waits for what comes. A test that passes never waits so long, on a machine that
// stands still for seconds either.
const patience = 3 * time.Minute

// state is what a toy worker keeps: how far it has read each input, and how many records of it it
// counted.
type state struct {
	Next  map[string]int64
	Count map[string]int64
}

// toy is a worker in small: it counts records, and commits count and position to its partition of a
// changelog in one transaction. It is exactly once if and only if the group keeps its word.
type toy struct {
	bench     *bench
	cfg       kafka.Config
	partition int32
	producer  *kafka.Producer
	state     state
	held      map[string]*held
	dirty     bool // something is to be committed
	releases  []func()
	since     time.Time

	processing atomic.Pointer[time.Time] // since when onProcess is under way
	abandoned  atomic.Bool
}

// bench is what the toys of a test share.
type bench struct {
	t         testing.TB
	cluster   *kafkatest.Cluster
	id        string
	changelog string
	topics    []string
	every     time.Duration // between commits
	tick      time.Duration
	onProcess func(ctx context.Context, w *toy, b *task.Batch) error
	onRecord  func(topic string, r *task.Record)
	onCommit  func(w *toy) error
	onOpen    func(ctx context.Context, w *toy) error
	onClose   func(w *toy)
	opened    atomic.Int32
	closed    atomic.Int32
}

func newBench(t testing.TB, c *kafkatest.Cluster, partitions int32, topics ...string) *bench {
	b := &bench{t: t, cluster: c, id: c.Name("group"), every: 20 * time.Millisecond, tick: 10 * time.Millisecond}
	for _, topic := range topics {
		b.topics = append(b.topics, c.Topic(t, topic, partitions))
	}
	b.changelog = c.Topic(t, "changelog", partitions)
	return b
}

func (b *bench) config() kafka.Config {
	cfg := b.cluster.Config()
	cfg.SessionTimeout, cfg.HeartbeatInterval, cfg.RebalanceTimeout = 6*time.Second, 100*time.Millisecond,
		10*time.Second
	return cfg
}

// group makes a member of the bench's group.
func (b *bench) group(cfg kafka.Config) *kafka.Group {
	g, err := kafka.NewGroup(cfg, kafka.GroupConfig{
		ID: b.id, Tick: b.tick,
		Subs: []kafka.SubTopology{{
			Name: "toys", Topics: b.topics, Changelog: b.changelog,
			NewWorker: func(partition int32) kafka.Worker { return &toy{bench: b, cfg: cfg, partition: partition} },
		}},
	})
	require.NoError(b.t, err)
	return g
}

// run runs a member until stop is called, which returns its error.
func (b *bench) run() (stop func() error) { return b.runWith(b.config()) }

func (b *bench) runWith(cfg kafka.Config) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	g := b.group(cfg)
	go func() {
		err := g.Run(ctx)
		if err != nil {
			b.t.Logf("member ended: %v", err)
		}
		done <- err
	}()
	return func() error {
		cancel()
		return <-done
	}
}

func (w *toy) Open(ctx context.Context) (map[string]int64, error) {
	w.bench.opened.Add(1)
	if w.bench.onOpen != nil {
		if err := w.bench.onOpen(ctx, w); err != nil {
			return nil, err
		}
	}
	var err error
	id := fmt.Sprintf("%s-%d", w.bench.id, w.partition)
	if w.producer, err = kafka.NewProducer(ctx, w.cfg, kafka.ProducerConfig{TransactionalID: id}); err != nil {
		return nil, err
	}
	w.state = readState(ctx, w.bench, w.partition)
	w.held = make(map[string]*held)
	w.since = time.Now()
	start := make(map[string]int64)
	for topic, next := range w.state.Next {
		start[topic] = next
	}
	return start, ctx.Err()
}

// readState is the newest state in the changelog.
func readState(ctx context.Context, b *bench, partition int32) state {
	s := state{Next: make(map[string]int64), Count: make(map[string]int64)}
	ends, err := b.cluster.Admin().Ends(ctx, b.changelog, true)
	if err != nil {
		return s
	}
	_ = kafka.Follow(ctx, b.cluster.Config(), kafka.FollowConfig{
		Topic: b.changelog, From: map[int32]int64{partition: kafka.Oldest},
		Until: map[int32]int64{partition: ends[partition]}, Apply: func(_ int32, records []task.Record, _ int64) error {
			for _, r := range records {
				if err := json.Unmarshal(r.Value, &s); err != nil {
					return err
				}
			}
			return nil
		},
	})
	return s
}

func (w *toy) Wants(topic string) bool { return w.held[topic] == nil }

func (w *toy) Offer(b *task.Batch, release func()) {
	w.held[b.Topic] = &held{batch: b, release: release}
}

// Run takes the record with the lowest timestamp, again and again.
func (w *toy) Run(ctx context.Context, ended func(string) bool) error {
	for _, h := range w.held {
		if h.at == 0 && w.bench.onProcess != nil {
			now := time.Now()
			w.processing.Store(&now)
			err := w.bench.onProcess(ctx, w, h.batch)
			w.processing.Store(nil)
			if err != nil {
				return err
			}
		}
	}
	for topic := w.next(ended); topic != ""; topic = w.next(ended) {
		h := w.held[topic]
		r := h.batch.Records[h.at]
		if r.Offset < w.state.Next[topic] {
			return fmt.Errorf("offset %d of %s comes after %d", r.Offset, topic, w.state.Next[topic])
		}
		h.at++
		w.state.Next[topic] = r.Offset + 1
		w.state.Count[topic]++
		w.dirty = true
		if w.bench.onRecord != nil {
			w.bench.onRecord(topic, &r)
		}
	}
	return w.Tick(ctx)
}

// next is the topic whose record is next, empty if that is not known or there is none.
func (w *toy) next(ended func(string) bool) (first string) {
	for _, topic := range w.bench.topics {
		h := w.held[topic]
		if h != nil && h.at == len(h.batch.Records) {
			w.state.Next[topic], w.dirty = h.batch.Next, true
			w.releases = append(w.releases, h.release)
			delete(w.held, topic)
			h = nil
		}
		switch {
		case h == nil:
			if !ended(topic) {
				return ""
			}
		case first == "" || h.time() < w.held[first].time():
			first = topic
		}
	}
	return first
}

// held is a batch that a toy has, and how many of its records it has taken.
type held struct {
	batch   *task.Batch
	at      int
	release func()
}

func (h *held) time() windows.Time { return h.batch.Records[h.at].Timestamp }

func (w *toy) Tick(ctx context.Context) error {
	if time.Since(w.since) < w.bench.every {
		return nil
	}
	return w.commit(ctx)
}

func (w *toy) commit(ctx context.Context) error {
	w.since = time.Now()
	if !w.dirty {
		return nil
	}
	w.dirty = false
	value, err := json.Marshal(w.state)
	if err != nil {
		return err
	}
	w.producer.Produce(ctx, &task.Output{Topic: w.bench.changelog, Partition: w.partition, Value: value})
	if w.bench.onCommit != nil {
		if err := w.bench.onCommit(w); err != nil {
			return err
		}
	}
	if err := w.producer.Commit(ctx); err != nil {
		return err
	}
	for _, release := range w.releases {
		release()
	}
	w.releases = w.releases[:0]
	return nil
}

func (w *toy) Stuck(time.Time) (where string, since time.Time) {
	if began := w.processing.Load(); began != nil {
		return "processing", *began
	}
	return "", time.Time{}
}

func (w *toy) Abandon() {
	w.abandoned.Store(true)
	w.producer.CutOff()
}

func (w *toy) Close(ctx context.Context, clean bool) error {
	w.bench.closed.Add(1)
	if w.bench.onClose != nil {
		w.bench.onClose(w)
	}
	var err error
	if clean {
		err = w.commit(ctx)
	}
	if w.producer != nil {
		err = errors.Join(err, w.producer.Close())
	}
	return err
}

// fill writes n records to each partition of each input, in batches.
func (b *bench) fill(n int) {
	p := writer(b.t, b.cluster, "")
	counts, err := b.cluster.Admin().Partitions(b.t.Context(), b.topics...)
	require.NoError(b.t, err)
	for topic, partitions := range counts {
		for partition := range partitions {
			for i := range n {
				p.Produce(b.t.Context(), &task.Output{Topic: topic, Partition: partition,
					Value: fmt.Appendf(nil, "record %d", i), Timestamp: 1})
			}
		}
	}
	require.NoError(b.t, p.Commit(b.t.Context()))
}

// await waits until every partition's committed state counts n records of each input, and checks
// that it never counts more.
func (b *bench) await(n int64) {
	b.t.Helper()
	counts, err := b.cluster.Admin().Partitions(b.t.Context(), b.changelog)
	require.NoError(b.t, err)
	for partition := range counts[b.changelog] {
		require.Eventually(b.t, func() bool {
			s := readState(b.t.Context(), b, partition)
			for _, topic := range b.topics {
				require.LessOrEqual(b.t, s.Count[topic], n, "partition %d counts twice", partition)
				if s.Count[topic] < n {
					return false
				}
			}
			return true
		}, patience, 20*time.Millisecond, "partition %d", partition)
	}
}
