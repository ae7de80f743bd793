package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// minutes is an application that counts parcels in windows, and writes them where it does by
// default.
func minutes(t *testing.T, c *kafkatest.Cluster, app, in string) *post {
	b := dsl.New(app)
	dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[parcel](b, in)), windows.Minutes(1),
		func(g dsl.Group[string, parcel]) parcels {
			return parcels{City: g.Key(), Count: aggregates.Count(g)}
		}).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	p := &post{Cluster: c, app: app, in: in, out: in + "_1min_final", partitions: 1, plan: plan}
	p.ensure(t)
	return p
}

// A second application that would write the topic of results of a first one is refused, whether
// that runs or not, until the topic is given over or made again.
func TestResultsHaveOneOwner(t *testing.T) {
	c := kafkatest.Start(t)
	in := c.Topic(t, "in", 1)
	first, second := minutes(t, c, c.Name("first"), in), minutes(t, c, c.Name("second"), in)
	r, _ := first.begin(t, "")
	require.NoError(t, r.WaitReady(t.Context()))
	refused := func(p, owner *post) {
		t.Helper()
		err := p.refuse(t, "")
		require.ErrorIs(t, err, engine.ErrOwned)
		for _, said := range []string{owner.app, p.out, "Named", "--delete --group " + topology.OwnerGroup(p.out)} {
			require.ErrorContains(t, err, said)
		}
	}
	refused(second, first)
	require.NoError(t, r.stop())
	refused(second, first)
	first.work(t, "")

	first.deleteGroup(t, topology.OwnerGroup(first.out))
	second.work(t, "")
	refused(first, second)

	require.NoError(t, c.Admin().Delete(t.Context(), first.out))
	require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: first.out, Partitions: 1, Replication: -1}))
	first.work(t, "")
	refused(second, first)
}

// Of two that claim a topic at one time the one that is overwritten ends.
func TestClaimOverwritten(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	in := c.Topic(t, "in", 1)
	first := minutes(t, c, c.Name("first"), in)
	r, _ := first.begin(t, "")
	require.NoError(t, r.WaitReady(t.Context()))
	found, err := c.Admin().Topics(t.Context(), first.out)
	require.NoError(t, err)
	require.NoError(t, c.Admin().Note(t.Context(), topology.OwnerGroup(first.out), first.out,
		"application=second topic="+found.Topics[first.out].ID.String()))
	select {
	case err := <-r.done:
		require.ErrorIs(t, err, engine.ErrOwned)
		require.ErrorContains(t, err, `"second"`)
	case <-time.After(time.Minute):
		t.Fatal("both go on")
	}
}
