package task_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/windows"
)

// mergedTask is a task that reads quotes from topics a and b.
func mergedTask(t *testing.T, p task.Producer) *task.Task {
	b := dsl.New("merged")
	dsl.Merge(dsl.Stream[quote](b, "a").Codec(codecs.Fixed[quote]()),
		dsl.Stream[quote](b, "b").Codec(codecs.Fixed[quote]())).To("all")
	plan, err := b.Build()
	require.NoError(t, err)
	cfg := taskConfig(plan, memory.New(), p)
	cfg.Sinks = map[string]int32{"all": 1}
	tk, err := task.New(cfg)
	require.NoError(t, err)
	return tk
}

// quotesAt is a batch of a topic with a quote at each time.
func quotesAt(t *testing.T, topic string, times ...windows.Time) *task.Batch {
	b := &task.Batch{Topic: topic, Next: int64(len(times))}
	for i, at := range times {
		r := quoteOf(t, "EUR", 1, at)
		b.Records = append(b.Records, task.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Offset: int64(i)})
	}
	return b
}

// A commit in the middle of a batch is one of the records before the middle, and those behind it
// need no other batch to be committed in turn.
func TestCommitInTheMiddleOfABatch(t *testing.T) {
	p := &discard{}
	tk := mergedTask(t, p)
	var released []string
	tk.Offer(quotesAt(t, "a", 60_000, 180_000), func() { released = append(released, "a") })
	tk.Offer(quotesAt(t, "b", 120_000), func() { released = append(released, "b") })
	open := map[string]bool{"b": true}
	ended := func(topic string) bool { return !open[topic] }
	require.NoError(t, tk.Run(t.Context(), ended))
	require.NoError(t, tk.Commit(t.Context()))
	require.Equal(t, map[string]int64{"a": 1, "b": 1}, tk.Positions())
	require.Equal(t, []string{"b"}, released)
	require.False(t, tk.Wants("a"))

	open["b"] = false
	require.NoError(t, tk.Run(t.Context(), ended))
	require.ErrorContains(t, tk.Checkpoint(), "before its commit")
	require.NoError(t, tk.Commit(t.Context()))
	require.Equal(t, map[string]int64{"a": 2, "b": 1}, tk.Positions())
	require.Equal(t, []string{"b", "a"}, released)
}

// An input that gets records again while another's last record is processed stops the task behind
// that record, not before it.
func TestInputThatGoesOn(t *testing.T) {
	tk := mergedTask(t, &discard{})
	tk.Offer(quotesAt(t, "b", 60_000), func() {})
	asked := 0
	require.NoError(t, tk.Run(t.Context(), func(topic string) bool {
		if topic == "a" {
			asked++
		}
		return asked < 2
	}))
	require.Equal(t, 2, asked)
	require.NoError(t, tk.Commit(t.Context()))
	require.Equal(t, map[string]int64{"b": 1}, tk.Positions())
}

// A function that takes long does not keep back the commit until its batch ends: a transaction
// would time out in the end.
func TestCommitsOfASlowFunction(t *testing.T) {
	for _, took := range []time.Duration{time.Millisecond, 30 * time.Millisecond, time.Second, 20 * time.Second} {
		now := time.UnixMilli(0)
		b := dsl.New("slow")
		dsl.Stream[quote](b, "a").Codec(codecs.Fixed[quote]()).Peek(func(*quote) error {
			now = now.Add(took)
			return nil
		}).To("all")
		plan, err := b.Build()
		require.NoError(t, err)
		p := &clocked{now: func() time.Time { return now }, last: now}
		cfg := taskConfig(plan, memory.New(), p)
		cfg.Sinks, cfg.Now, cfg.CommitEvery = map[string]int32{"all": 1}, p.now, time.Second
		tk, err := task.New(cfg)
		require.NoError(t, err)
		tk.Offer(quotesAt(t, "a", make([]windows.Time, 1024)...), func() {})
		require.NoError(t, tk.Run(t.Context(), func(string) bool { return true }))
		require.NoError(t, tk.Commit(t.Context()))
		require.LessOrEqual(t, p.longest, 2*max(took, time.Second), "of a record that takes %v", took)
		require.LessOrEqual(t, p.commits, int(1024*took/time.Second)+1)
	}
}

// clocked notes how far commits are apart.
type clocked struct {
	discard
	now     func() time.Time
	last    time.Time
	longest time.Duration
	commits int
}

func (c *clocked) Commit(context.Context) error {
	c.longest, c.last = max(c.longest, c.now().Sub(c.last)), c.now()
	c.commits++
	return nil
}
