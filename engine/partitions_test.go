package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// mergedPlan reads orders and refunds together, each made ready by a function.
func mergedPlan(t *testing.T, c *kafkatest.Cluster, orders, refunds string, left,
	right func(*dsl.StreamOf[Order]) *dsl.StreamOf[Order]) *topology.Plan {
	b := dsl.New(c.Name("shop"))
	dsl.Merge(left(dsl.Stream[Order](b, orders)), right(dsl.Stream[Order](b, refunds))).To(c.Name("all"))
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

func asIs(s *dsl.StreamOf[Order]) *dsl.StreamOf[Order] { return s }

func through(partitions int) func(*dsl.StreamOf[Order]) *dsl.StreamOf[Order] {
	return func(s *dsl.StreamOf[Order]) *dsl.StreamOf[Order] { return s.Repartition("other", partitions) }
}

// What is read together must have the same number of partitions; the error says what has how many
// (JOIN-2).
func TestTopicsThatDoNotFit(t *testing.T) {
	for name, right := range map[string]func(*dsl.StreamOf[Order]) *dsl.StreamOf[Order]{"as it is": asIs,
		"given": through(3)} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Start(t)
			orders, refunds := c.Topic(t, "orders", 2), c.Topic(t, "refunds", 3)
			plan := mergedPlan(t, c, orders, refunds, asIs, right)
			r := start(t, plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial})
			err := <-r.done
			require.ErrorIs(t, err, engine.ErrCopartition)
			require.ErrorContains(t, err, orders+" has 2 and "+plan.Subs[0].Topics()[1]+" has 3")
		})
	}
}

// An internal topic without a given number fits what it is read with.
func TestInternalTopicFits(t *testing.T) {
	c := kafkatest.Start(t)
	plan := mergedPlan(t, c, c.Topic(t, "orders", 2), c.Topic(t, "refunds", 3), asIs, through(0))
	r := start(t, plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial})
	require.Eventually(t, func() bool {
		counts, err := c.Admin().Partitions(t.Context(), plan.Internal[0].Topic, c.Name("all"))
		require.NoError(t, err)
		return counts[plan.Internal[0].Topic] == 2 && counts[c.Name("all")] > 0
	}, patience, 10*time.Millisecond)
	require.NoError(t, r.stop())
}
