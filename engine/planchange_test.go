package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

// amongOthers is the pipeline of bars with other steps before and behind it, each with state.
func amongOthers(t *testing.T, app, topic string, before, behind []func(*dsl.StreamOf[Rate])) *pipeline {
	b := dsl.New(app)
	rates := dsl.Stream[Rate](b, topic)
	for _, declare := range before {
		declare(rates)
	}
	bars := dsl.Aggregate(dsl.GroupByKey[string](rates), windows.Minutes(1, 5), barOf)
	p := &pipeline{rates: rates, final: bars.Final().Named(func(k windows.Kind) string { return app + "-" + k.Name() })}
	for _, declare := range behind {
		declare(rates)
	}
	var err error
	p.plan, err = b.Build()
	require.NoError(t, err)
	for _, sub := range p.plan.Subs {
		sub.Dropped = []string{"all", "session", "last"}
	}
	return p
}

// A program is stopped and started with its steps in another order, with more of them and with
// fewer, on its disk and on an empty one: the bars are those of all rates.
func TestPlanChanges(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 2), c.Name("fx")
	count := func(name string, spec windows.Spec) func(*dsl.StreamOf[Rate]) {
		return func(s *dsl.StreamOf[Rate]) {
			dsl.Aggregate(dsl.GroupByKey[string](s), spec, func(g dsl.Group[string, Rate]) Bar {
				return Bar{Pair: g.Key(), Ticks: aggregates.Count(g)}
			}).As(name).Changes().Named(func(windows.Kind) string { return app + "-" + name })
		}
	}
	all, session := count("all", windows.Unbounded()), count("session", windows.Session(time.Minute))
	last := func(s *dsl.StreamOf[Rate]) { dsl.ToTable[string](s).As("last").To(app + "-last") }
	type steps = []func(*dsl.StreamOf[Rate])
	rates := randomRates(rand.New(rand.NewPCG(1, 6)), dayStart, 2000, 300*time.Millisecond)
	rates = append(rates, endRates(rates, 2)...)
	dir := t.TempDir()
	plans := []struct {
		before, behind steps
		dir            string
	}{{nil, nil, dir}, {steps{all, last}, nil, dir}, {steps{session}, steps{last, all}, ""}, {nil, steps{all}, dir},
		{steps{last}, nil, dir}}
	for i, change := range plans {
		p := amongOthers(t, app, topic, change.before, change.behind)
		r := start(t, p.plan, engine.Config{Brokers: c.Brokers, StateDir: change.dir,
			CommitInterval: 20 * time.Millisecond, CheckpointInterval: 50 * time.Millisecond})
		some := rates[i*len(rates)/len(plans) : (i+1)*len(rates)/len(plans)]
		write(t, c.Config(), p, some)
		awaitEnd(t, c, app, topic)
		if i < len(plans)-1 {
			require.NoError(t, r.stop())
			continue
		}
		awaitRows(t, r.Engine, p, rates, 2)
		require.NoError(t, r.stop())
		requireFinals(t, c.Config(), p, rates, 2, time.Minute)
		requireFinals(t, c.Config(), p, rates, 2, 5*time.Minute)
	}
}

// A rebuild reads the input again from its start.
func TestPlanIsRebuilt(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 2), c.Name("fx")
	rates := randomRates(rand.New(rand.NewPCG(2, 6)), dayStart, 500, time.Second)
	rates = append(rates, endRates(rates, 2)...)
	cfg := engine.Config{Brokers: c.Brokers, StateDir: t.TempDir(), CommitInterval: 20 * time.Millisecond}

	b := dsl.New(app)
	dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[Rate](b, topic)), windows.Minutes(1, 5),
		func(g dsl.Group[string, Rate]) Bar {
			return Bar{Pair: g.Key(), Ticks: aggregates.Count(g)}
		}).Changes().Named(func(k windows.Kind) string { return app + "-ticks-" + k.Name() })
	before, err := b.Build()
	require.NoError(t, err)
	p := amongOthers(t, app, topic, nil, nil)
	r := start(t, before, cfg)
	write(t, c.Config(), p, rates[:300])
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())

	require.ErrorIs(t, run(t, p.plan, cfg), task.ErrForeign)
	cfg.OnPlanChange = engine.Rebuild
	r = start(t, p.plan, cfg)
	write(t, c.Config(), p, rates[300:])
	awaitRows(t, r.Engine, p, rates, 2)
	require.NoError(t, r.stop())
	requireFinals(t, c.Config(), p, rates, 2, time.Minute)
	requireFinals(t, c.Config(), p, rates, 2, 5*time.Minute)
}

// Topics that are read together in another order would have their state under another name: that is
// said, as it would begin anew.
func TestSwappedTopics(t *testing.T) {
	c := kafkatest.Start(t)
	left, right, app := c.Topic(t, "left", 1), c.Topic(t, "right", 1), c.Name("fx")
	program := func(topics ...string) error {
		b := dsl.New(app)
		streams := map[string]*dsl.StreamOf[Rate]{}
		for _, topic := range topics {
			streams[topic] = dsl.Stream[Rate](b, topic)
		}
		dsl.Join(streams[left], streams[right], dsl.Within(time.Second, 0), func(l, r *Rate) (Rate, error) {
			return *l,
				nil
		}).As("both").To(app + "-both")
		plan, err := b.Build()
		require.NoError(t, err)
		if topics[0] == left {
			r := start(t, plan, engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond})
			c.Write(t, left, 1, task.Output{Key: []byte("P"), Value: []byte(`{"pair":"P"}`), Timestamp: 5})
			awaitRead(t, c, app, left)
			return r.stop()
		}
		return run(t, plan, engine.Config{Brokers: c.Brokers})
	}
	require.NoError(t, program(left, right))
	err := program(right, left)
	require.ErrorIs(t, err, task.ErrForeign)
	require.ErrorContains(t, err, "declare topic "+left+" before the others")
}
