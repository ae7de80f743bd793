package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// A sub-topology that is not in the plan any more is named at the start, until the plan says that
// it may be gone.
func TestVanishedSubTopology(t *testing.T) {
	c := kafkatest.Start(t)
	left, right, app := c.Topic(t, "left", 1), c.Topic(t, "right", 1), c.Name("fx")
	plan := func(topics []string, dropped ...string) *topology.Plan {
		b := dsl.New(app)
		for _, topic := range topics {
			dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[Rate](b, topic)), windows.Minutes(60),
				func(g dsl.Group[string, Rate]) Bar {
					return Bar{Pair: g.Key(), Ticks: aggregates.Count(g)}
				}).Final().Named(func(windows.Kind) string { return app + "-" + topic })
		}
		b.Dropped(dropped...)
		plan, err := b.Build()
		require.NoError(t, err)
		return plan
	}
	started := func(plan *topology.Plan, topic string, n int64) string {
		r, lines := logged(t, &pipeline{plan: plan}, engine.Config{Brokers: c.Brokers,
			CommitInterval: 20 * time.Millisecond})
		for range n {
			c.Write(t, topic, 1, task.Output{Key: []byte("P"), Value: []byte(`{"pair":"P"}`), Timestamp: 5})
		}
		awaitRead(t, c, app, topic)
		require.NoError(t, r.stop())
		return lines.String()
	}
	both := []string{left, right}
	const line = "a sub-topology is gone from the plan"
	c.Write(t, right, 1, task.Output{Key: []byte("P"), Value: []byte(`{"pair":"P"}`), Timestamp: 5})
	require.NotContains(t, started(plan(both), left, 1), line)
	require.NotContains(t, started(plan(both), right, 1), line)
	said := started(plan(both[:1]), left, 1)
	require.Contains(t, said, line)
	require.Contains(t, said, "sub="+right)
	require.NotContains(t, started(plan(both[:1], right), left, 1), line)
	require.NotContains(t, started(plan(both), left, 1), line)
}
