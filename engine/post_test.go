package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type parcel struct {
	City string `ashi:"city,key"`
	N    int64
}

type parcels struct {
	City  string `ashi:"city,key"`
	Count int64
	Sum   int64
}

// post is an application that passes parcels on, and counts them: what was read twice, or not at
// all, is seen in both.
type post struct {
	*kafkatest.Cluster
	app, in, out, counts string
	partitions           int32
	plan                 *topology.Plan
	sent                 int
}

func newPost(t *testing.T, c *kafkatest.Cluster, app, in string, partitions int32) *post {
	p := &post{Cluster: c, app: app, in: in, out: app + "_out", counts: app + "_counts", partitions: partitions}
	b := dsl.New(app)
	read := dsl.Stream[parcel](b, in)
	read.To(p.out)
	dsl.Aggregate(dsl.GroupByKey[string](read), windows.Unbounded(), func(g dsl.Group[string, parcel]) parcels {
		return parcels{City: g.Key(), Count: aggregates.Count(g),
			Sum: aggregates.Sum(g, func(r *parcel) int64 { return r.N })}
	}).As("counts").Changes().Named(func(windows.Kind) string { return p.counts })
	var err error
	p.plan, err = b.Build()
	require.NoError(t, err)
	p.ensure(t)
	return p
}

func (p *post) ensure(t *testing.T) {
	require.NoError(t, p.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: p.in, Partitions: p.partitions,
		Replication: -1}))
	t.Cleanup(func() { p.Admin().Delete(context.Background(), p.in, p.out, p.counts, p.changelog()) })
}

func (p *post) changelog() string { return topology.ChangelogName(p.app, p.in) }
func (p *post) group() string     { return topology.GroupName(p.app) }

// send writes n parcels to each partition.
func (p *post) send(t *testing.T, n int) {
	for partition := range p.partitions {
		var outputs []task.Output
		for range n {
			p.sent++
			value, err := json.Marshal(parcel{City: fmt.Sprint("city", partition), N: int64(p.sent)})
			require.NoError(t, err)
			outputs = append(outputs, task.Output{Topic: p.in, Partition: partition,
				Key: fmt.Append(nil, "city", partition), Value: value, Timestamp: windows.At(time.Now())})
		}
		p.write(t, outputs)
	}
}

// write produces outputs. A broker that has just made a topic again may not know it yet when it
// takes the first record.
func (p *post) write(t *testing.T, outputs []task.Output) {
	t.Helper()
	require.Eventually(t, func() bool { return p.produce(t, outputs) == nil }, patience, 50*time.Millisecond)
}

func (p *post) produce(t *testing.T, outputs []task.Output) error {
	producer, err := kafka.NewProducer(t.Context(), p.Config(), kafka.ProducerConfig{})
	if err != nil {
		return err
	}
	for i := range outputs {
		producer.Produce(t.Context(), &outputs[i])
	}
	return errors.Join(producer.Commit(t.Context()), producer.Close())
}

// remake deletes topics and makes the input again.
func (p *post) remake(t *testing.T, topics ...string) {
	require.NoError(t, p.Admin().Delete(t.Context(), topics...))
	if slices.Contains(topics, p.in) {
		require.NoError(t, p.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: p.in, Partitions: p.partitions,
			Replication: -1}))
	}
}

// forget deletes the application's group.
func (p *post) forget(t *testing.T) { p.deleteGroup(t, p.group()) }

func (p *post) deleteGroup(t *testing.T, group string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	answer, err := kadm.NewClient(client).DeleteGroup(t.Context(), group)
	require.NoError(t, err)
	require.NoError(t, answer.Err)
}

// begin runs the application with its state in dir.
func (p *post) begin(t *testing.T, dir string, with ...func(*engine.Config)) (*running, *logLines) {
	lines := &logLines{}
	cfg := engine.Config{Brokers: p.Brokers, Dial: p.Dial, StateDir: dir, CommitInterval: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(lines, nil))}
	for _, f := range with {
		f(&cfg)
	}
	e, err := engine.New(p.plan, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Engine: e, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- e.Run(ctx) }()
	return r, lines
}

func rebuilding(c *engine.Config) { c.OnPlanChange = engine.Rebuild }

// work runs the application until all was read, and returns what it has logged.
func (p *post) work(t *testing.T, dir string, with ...func(*engine.Config)) string {
	t.Helper()
	r, lines := p.begin(t, dir, with...)
	ready, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ready), lines)
	ends, err := p.Admin().Ends(t.Context(), p.in, true)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		select {
		case err := <-r.done:
			r.done <- err
			return true
		default:
		}
		status := r.Status()
		for partition, end := range ends {
			if end > 0 && !slices.ContainsFunc(status.SubTopologies[0].Tasks, func(s engine.TaskStatus) bool {
				return s.Partition == partition && s.Open && len(s.Inputs) > 0 && s.Inputs[0].Next >= end
			}) {
				return false
			}
		}
		return true
	}, patience, 20*time.Millisecond)
	require.NoError(t, r.stop(), lines)
	return lines.String()
}

// refuse runs the application until it ends by itself, with an error.
func (p *post) refuse(t *testing.T, dir string, with ...func(*engine.Config)) error {
	t.Helper()
	r, lines := p.begin(t, dir, with...)
	select {
	case err := <-r.done:
		require.Error(t, err, lines)
		return err
	case <-time.After(time.Minute):
		t.Fatalf("Run goes on: %s", lines)
	}
	return nil
}

// passed is how many parcels the application has passed on.
func (p *post) passed(t *testing.T) (n int) {
	for _, records := range committed(t, p.Config(), p.out) {
		n += len(records)
	}
	return n
}

// requireCounts compares the last count of each city with what one city was sent: numbers from one
// on, n of them.
func (p *post) requireCounts(t *testing.T, n int64) {
	t.Helper()
	for partition, records := range committed(t, p.Config(), p.counts) {
		require.NotEmpty(t, records)
		var last parcels
		require.NoError(t, json.Unmarshal(records[len(records)-1].Value, &last))
		require.Equal(t, n, last.Count, "partition %d: %+v", partition, last)
	}
}
