package engine_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

const fxPassword = "hunter2-is-secret"

// stage is what a secured plan counts.
type stage struct {
	Pair  string `ashi:"pair,key"`
	Count int64
}

// twoStages counts rates by another key than their topic has, so that there is an internal topic;
// late ones go to a topic of their own.
func twoStages(t *testing.T) (*topology.Plan, *dsl.StreamOf[Rate], *dsl.OutputOf[string, stage]) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	counts := dsl.Aggregate(dsl.GroupBy(rates, func(r *Rate) string { return r.Pair[:1] }), windows.Minutes(1),
		func(g dsl.Group[string, Rate]) stage {
			return stage{Pair: g.Key(), Count: aggregates.Count(g)}
		})
	final := counts.Final()
	plan, err := b.Build()
	require.NoError(t, err)
	require.NotEmpty(t, plan.Internal)
	return plan, rates, final
}

// secured is a fake cluster that allows fx what is in acls, and admin everything.
func secured(t *testing.T, acls []kafka.ACL) (admin, fx engine.Config) {
	t.Helper()
	const mechanism = kafka.ScramSHA256
	var grants []kfake.ACL
	for _, a := range acls {
		grants = append(grants, grant(t, a))
	}
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.SeedTopics(2, "rates"), kfake.Superuser(string(mechanism), "admin", "admin"),
		kfake.User(string(mechanism), "fx", fxPassword, grants...),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}),
		kfake.GroupMinSessionTimeout(100*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	as := func(user, password string) engine.Config {
		return engine.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Brokers: fake.ListenAddrs(),
			CommitInterval: 20 * time.Millisecond, StartTimeout: 5 * time.Second, Security: kafka.Security{
				SASL: &kafka.SASL{Mechanism: mechanism, User: user, Password: kafka.NewSecret(password)}}}
	}
	return as("admin", "admin"), as("fx", fxPassword)
}

// grant reads a permission as kafka-acls.sh would.
func grant(t *testing.T, a kafka.ACL) kfake.ACL {
	resource, err := kmsg.ParseACLResourceType(strings.ReplaceAll(string(a.Resource), "-", "_"))
	require.NoError(t, err)
	operation, err := kmsg.ParseACLOperation(string(a.Operation))
	require.NoError(t, err)
	pattern := kmsg.ACLResourcePatternTypeLiteral
	if a.Prefix {
		pattern = kmsg.ACLResourcePatternTypePrefixed
	}
	return kfake.ACL{Resource: resource, Name: a.Name, Pattern: pattern, Operation: operation, Allow: true}
}

// until runs plan until its table has a row, or Run fails.
func until(t *testing.T, plan *topology.Plan, final *dsl.OutputOf[string, stage], cfg engine.Config) error {
	t.Helper()
	e, err := engine.New(plan, cfg)
	require.NoError(t, err)
	table, err := engine.Table(e, final.Size(time.Minute))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			require.NoError(t, ctx.Err(), "neither rows nor an error after 30 s; Run returned %v", err)
			return err
		case <-tick.C:
			if rows, err := table.ToList(ctx); err == nil && len(rows) > 0 {
				cancel()
				return <-done
			}
		}
	}
}

func TestACLs(t *testing.T) {
	t.Parallel()
	plan, rates, final := twoStages(t)
	write := func(cfg engine.Config, minutes ...time.Duration) {
		e, err := engine.New(plan, cfg)
		require.NoError(t, err)
		for _, m := range minutes {
			require.NoError(t, engine.Add(t.Context(), e, rates,
				Rate{Pair: "EUR", Bid: 1, At: dayStart.Add(m * time.Minute)}))
		}
		require.NoError(t, e.Close())
	}
	needed := engine.ACLs(plan, engine.Config{})
	var texts []string
	for _, a := range needed {
		texts = append(texts, a.String())
	}
	require.Equal(t, strings.Split(strings.TrimSpace(neededACLs), "\n"), texts)
	for _, a := range engine.ACLs(plan, engine.Config{Topics: engine.Topics{WithoutCreation: true},
		Guarantee: engine.AtLeastOnce}) {
		require.NotEqual(t, kafka.Create, a.Operation)
		require.NotEqual(t, kafka.TransactionalID, a.Resource)
	}

	t.Run("all", func(t *testing.T) {
		admin, fx := secured(t, needed)
		write(admin, 0, 1, 2, 3)
		require.NoError(t, until(t, plan, final, fx))
		require.NoError(t, until(t, plan, final, fx), "with topics that are there")
	})
	for i, missing := range needed {
		t.Run("without "+missing.String(), func(t *testing.T) {
			admin, fx := secured(t, slices.Delete(slices.Clone(needed), i, i+1))
			write(admin, 0)
			if missing.Operation != kafka.Create {
				begin(t, plan, admin)
			}
			write(admin, 1, 2, 3)
			var err error
			if missing.Operation == kafka.Delete {
				err = deleteRecords(t, plan, fx, missing.Name) // what the purger does each 30 s, and logs
			} else {
				err = until(t, plan, final, fx)
			}
			require.ErrorIs(t, err, kafka.ErrDenied)
			require.ErrorContains(t, err, "this needs "+missing.String()+", which is not granted")
			require.ErrorContains(t, err, kafka.GrantCommands(fx.Brokers, "User:fx", []kafka.ACL{missing})[0])
			require.NotContains(t, err.Error(), fxPassword)
			t.Log(err)
		})
	}
}

const neededACLs = `
Read on group fx
Write on each transactional-id that begins with fx--
Read on topic rates
Read on topic fx--rates-changelog
Write on topic fx--rates-changelog
DescribeConfigs on topic fx--rates-changelog
Create on topic fx--rates-changelog
Write on topic fx--rates-repartition
Create on topic fx--rates-repartition
Delete on topic fx--rates-repartition
DescribeConfigs on topic fx--rates-repartition
Read on topic fx--rates-repartition
Read on topic fx--rates-repartition-changelog
Write on topic fx--rates-repartition-changelog
DescribeConfigs on topic fx--rates-repartition-changelog
Create on topic fx--rates-repartition-changelog
Write on topic rates_1min_final
Create on topic rates_1min_final
DescribeConfigs on topic rates_1min_final
Read on group ashi-owner--rates_1min_final
Read on topic rates_1min_final
`

// begin runs plan until all its topics are there, and each changelog has something to restore.
func begin(t *testing.T, plan *topology.Plan, cfg engine.Config) {
	t.Helper()
	e, err := engine.New(plan, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	admin, err := kafka.NewAdmin(cfg.Kafka(plan))
	require.NoError(t, err)
	defer admin.Close()
	for _, sub := range plan.Subs {
		require.Eventually(t, func() bool {
			ends, err := admin.Ends(ctx, topology.ChangelogName(plan.Name, sub.Name), true)
			return err == nil && ends[0]+ends[1] > 0
		}, patience, 10*time.Millisecond)
	}
	cancel()
	require.NoError(t, <-done)
}

func deleteRecords(t *testing.T, plan *topology.Plan, cfg engine.Config, topic string) error {
	admin, err := kafka.NewAdmin(cfg.Kafka(plan))
	require.NoError(t, err)
	defer admin.Close()
	return admin.DeleteBefore(t.Context(), map[string]map[int32]int64{topic: {0: 0, 1: 0}})
}

// A process that has a table and may only read its topic need not be told the topic's settings.
func TestACLsOfATable(t *testing.T) {
	b := dsl.New("fx")
	dsl.Table[string, stage](b, "rates")
	plan, err := b.Build()
	require.NoError(t, err)
	needed := engine.ACLs(plan, engine.Config{})
	require.Equal(t, []kafka.ACL{{Resource: kafka.Topic, Name: "rates", Operation: kafka.Read}}, needed)
	_, fx := secured(t, needed)
	e := start(t, plan, fx)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, e.WaitReady(ctx))
	require.NoError(t, e.stop())
}
