package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// grow gives a topic n more partitions, and returns when its broker knows them.
func grow(t *testing.T, c *kafkatest.Cluster, topic string, n int) int32 {
	t.Helper()
	counts, err := c.Admin().Partitions(t.Context(), topic)
	require.NoError(t, err)
	partitions := counts[topic] + int32(n)
	require.NoError(t, c.Admin().Grow(t.Context(), topic, partitions))
	return partitions
}

// writeTo puts rates into a topic, in the partitions of their keys.
func writeTo(t *testing.T, c *kafkatest.Cluster, rates *dsl.StreamOf[Rate], partitions int32, all []Rate) {
	t.Helper()
	ref := rates.StreamRef()
	var outputs []task.Output
	for i := range all {
		key, err := ref.Key(nil, &all[i])
		require.NoError(t, err)
		value, err := ref.Encode(nil, &all[i])
		require.NoError(t, err)
		outputs = append(outputs, task.Output{Key: key, Value: value, Timestamp: 0})
	}
	c.Write(t, ref.Topic, partitions, outputs...)
}

// numbered are rates of many pairs, so that all partitions have some.
func numbered(from, n int, at time.Time) (all []Rate) {
	for i := range n {
		all = append(all, Rate{Pair: fmt.Sprint("P", (from+i)%40), Bid: float64(from + i),
			At: at.Add(time.Duration(i) * time.Millisecond)})
	}
	return all
}

// A topic that gets more partitions ends Run of a plan that counts by its partitions, with what to
// do. No final row is written that lacks what is in the new ones, however fast its window closes;
// and the next Run refuses the topic too.
func TestTopicGrowsUnderState(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 2), c.Name("fx")
	p := newPipeline(t, app, topic)
	cfg := engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond, StateDir: t.TempDir()}
	r := start(t, p.plan, cfg)
	writeTo(t, c, p.rates, 2, numbered(0, 200, dayStart))
	awaitEnd(t, c, app, topic)
	partitions := grow(t, c, topic, 2)
	// Half of the keys are in other partitions now, and their windows are closed by what the old
	// ones get.
	late := numbered(200, 200, dayStart.Add(10*time.Second))
	writeTo(t, c, p.rates, partitions, append(late, numbered(0, 400, dayStart.Add(time.Hour))...))
	select {
	case err := <-r.done:
		require.ErrorIs(t, err, engine.ErrExpanded)
		require.ErrorContains(t, err, "topic "+topic+" has 4 partitions, and had 2 when Run began")
		require.ErrorContains(t, err, "under another name of the application")
	case <-time.After(20 * time.Second):
		t.Fatal("Run goes on")
	}
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		for _, records := range committed(t, c.Config(), p.final.Stream(size).Topic) {
			require.Empty(t, records, "no window is closed by what was there before")
		}
	}
	err := run(t, p.plan, cfg)
	require.ErrorIs(t, err, kafka.ErrTopicMismatch)
	require.ErrorContains(t, err, "give the application another name")
}

// A plan without state follows a topic that gets partitions, while it runs and from one Run to the
// next: each record is written once, those of new partitions from their first one.
func TestTopicGrowsWithoutState(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app, out := c.Topic(t, "rates", 1), c.Name("fx"), c.Name("out")
	plan, rates := copied(t, app, topic, out, dsl.Fail, asTheyAre)
	cfg := engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond, StateDir: t.TempDir()}
	members := []*running{start(t, plan, cfg)}
	other := cfg
	other.StateDir = t.TempDir()
	members = append(members, start(t, plan, other))
	written := 0
	add := func(partitions int32) {
		writeTo(t, c, rates, partitions, numbered(written, 200, dayStart))
		written += 200
	}
	requireAll := func() {
		t.Helper()
		require.Eventually(t, func() bool {
			counts, err := c.Admin().Partitions(t.Context(), out)
			return err == nil && counts[out] > 0 && len(bids(t, c, rates, out)) >= written
		}, patience, 50*time.Millisecond)
		got := bids(t, c, rates, out)
		require.Equal(t, written, len(got), "each once")
		require.Equal(t, written, len(slices.Compact(got)))
	}
	add(1)
	requireAll()
	add(grow(t, c, topic, 2))
	requireAll()
	for _, m := range members {
		require.NoError(t, m.stop())
	}
	add(grow(t, c, topic, 3))
	r := start(t, plan, cfg)
	requireAll()
	require.NoError(t, r.stop())
}

// The coordinator gives a static member that comes back what it had, and asks nobody to divide:
// what its topic has got meanwhile must be found all the same.
func TestTopicGrowsWhileAStaticMemberIsAway(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app, out := c.Topic(t, "rates", 1), c.Name("fx"), c.Name("out")
	plan, rates := copied(t, app, topic, out, dsl.Fail, asTheyAre)
	cfg := engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond, InstanceID: "one",
		SessionTimeout: 5 * time.Minute}
	life := func(partitions int32, written int) {
		writeTo(t, c, rates, partitions, numbered(written-200, 200, dayStart))
		e, err := engine.New(plan, cfg)
		require.NoError(t, err)
		engine.Connection(e).WatchInterval = 50 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		require.Eventually(t, func() bool {
			counts, err := c.Admin().Partitions(t.Context(), out)
			return err == nil && counts[out] > 0 && len(bids(t, c, rates, out)) >= written
		}, patience, 50*time.Millisecond)
		cancel()
		require.NoError(t, <-done)
	}
	life(1, 200)
	life(grow(t, c, topic, 3), 400)
	got := bids(t, c, rates, out)
	require.Len(t, got, 400, "each once")
	require.Len(t, slices.Compact(got), 400)
}

// Where an administrator makes the topics, the error has the command for a changelog that must
// grow.
func TestTopicGrowsForAnAdministrator(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	plan, _ := copied(t, app, topic, c.Name("out"), dsl.Fail, asTheyAre)
	cfg := engine.Config{Brokers: c.Brokers}
	r := start(t, plan, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	require.NoError(t, r.stop())
	grow(t, c, topic, 1)
	cfg.Topics.WithoutCreation = true
	err := run(t, plan, cfg)
	require.ErrorIs(t, err, engine.ErrTopicsMissing)
	require.ErrorContains(t, err, "--alter --topic "+topology.ChangelogName(app, topic)+" --partitions 2")
}

// Behind an internal topic state does not know how many partitions its source has: finals are right
// when that grows.
func TestTopicGrowsBeforeAnInternalTopic(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 2), c.Name("fx")
	p := newPipelineOf(t, app, topic, func(_ *dsl.Builder,
		s *dsl.StreamOf[Rate]) *dsl.StreamOf[Rate] {
		return s.Repartition("again", 0)
	})
	cfg := engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond, StateDir: t.TempDir()}
	r := start(t, p.plan, cfg)
	writeTo(t, c, p.rates, 2, numbered(0, 200, dayStart))
	awaitEnd(t, c, app, topic)
	writeTo(t, c, p.rates, grow(t, c, topic, 1), numbered(200, 200, dayStart.Add(10*time.Second)))
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())
	writeTo(t, c, p.rates, grow(t, c, topic, 1), numbered(400, 200, dayStart.Add(20*time.Second)))
	r = start(t, p.plan, cfg)
	awaitEnd(t, c, app, topic)
	writeTo(t, c, p.rates, 4, numbered(0, 400, dayStart.Add(time.Hour)))
	final := p.final.Stream(time.Minute)
	count := func() (rows int, ticks int64) {
		for _, records := range committed(t, c.Config(), final.Topic) {
			for _, record := range records {
				var bar Bar
				require.NoError(t, final.Decode(record.Key[:len(record.Key)-8], record.Value, &bar))
				rows, ticks = rows+1, ticks+bar.Ticks
			}
		}
		return rows, ticks
	}
	require.Eventually(t, func() bool { rows, _ := count(); return rows >= 40 }, patience, 50*time.Millisecond)
	require.NoError(t, r.stop())
	rows, ticks := count()
	require.Equal(t, []any{40, int64(600)}, []any{rows, ticks})
}

// A table follows its topic into new partitions: it is not ready until it has what they hold, and
// then has it.
func TestTableGrows(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "holders", 1, "cleanup.policy", "compact")
	b := dsl.New(c.Name("desks"))
	holders := dsl.Table[string, holder](b, topic)
	plan, err := b.Build()
	require.NoError(t, err)
	put := func(partitions int32, desk string) {
		var rows []task.Output
		for i := range 20 {
			rows = append(rows, holderRow(t, holders, fmt.Sprint("a", i), desk))
		}
		c.Write(t, topic, partitions, rows...)
	}
	put(1, "before")
	r := start(t, plan, engine.Config{Brokers: c.Brokers})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	put(grow(t, c, topic, 2), "after")
	table, err := engine.Table(r.Engine, holders)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		rows, err := table.ToList(t.Context())
		return err == nil && len(rows) == 20 &&
			!slices.ContainsFunc(rows, func(h holder) bool { return h.Desk != "after" })
	}, patience, 20*time.Millisecond)
	require.NoError(t, engine.WaitApplied(ctx, r.Engine, holders))
	require.NoError(t, r.stop())
}
