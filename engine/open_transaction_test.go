package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// openTransaction is another program's, in the middle of a topic.
type openTransaction struct {
	t      *testing.T
	client *kgo.Client
}

// beginTransaction writes one record, and does not commit it.
func beginTransaction(t *testing.T, c *kafkatest.Cluster, topic string, key, value []byte) *openTransaction {
	t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.TransactionalID(c.Name("another")),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if c.Dial != nil {
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	client, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.BeginTransaction())
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: key, Value: value}).FirstErr())
	return &openTransaction{t, client}
}

func (o *openTransaction) end(how kgo.TransactionEndTry) {
	require.NoError(o.t, o.client.EndTransaction(o.t.Context(), how))
}

// A table is ready when it has all that was acknowledged before Run began, also where it stands
// behind another program's open transaction. Until then nothing of it can be read, the causes say
// what is waited for, and the start does not fail after ReadyTimeout, as a new one would wait too.
func TestTableBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]kgo.TransactionEndTry{"committed": kgo.TryCommit, "aborted": kgo.TryAbort} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Start(t)
			topic := c.Topic(t, "holders", 1, "cleanup.policy", "compact")
			b := dsl.New(c.Name("desks"))
			holders := dsl.Table[string, holder](b, topic)
			plan, err := b.Build()
			require.NoError(t, err)
			row := func(desk string) task.Output { return holderRow(t, holders, desk, desk+"-desk") }
			before, other, behind := row("before"), row("other"), row("behind")
			c.Write(t, topic, 1, before)
			open := beginTransaction(t, c, topic, other.Key, other.Value)
			c.Write(t, topic, 1, behind) // acknowledged
			const timeout = 300 * time.Millisecond
			r := start(t, plan, engine.Config{Brokers: c.Brokers, ReadyTimeout: timeout})
			short, cancel := context.WithTimeout(t.Context(), 5*timeout)
			defer cancel()
			err = r.WaitReady(short)
			require.ErrorIs(t, err, context.DeadlineExceeded, "neither ready nor ended")
			require.ErrorContains(t, err, "partition 0 at 1 of 3, behind an open transaction of another program")
			table, err := engine.Table(r.Engine, holders)
			require.NoError(t, err)
			_, err = table.ToList(t.Context())
			require.ErrorIs(t, err, engine.ErrNotReady)

			open.end(how)
			long, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			require.NoError(t, r.WaitReady(long))
			rows, err := table.ToList(t.Context())
			require.NoError(t, err)
			want := []holder{{"before", "before-desk"}, {"behind", "behind-desk"}}
			if how == kgo.TryCommit {
				want = append(want, holder{"other", "other-desk"})
			}
			require.ElementsMatch(t, want, rows)
			require.NoError(t, r.stop())
		})
	}
}

func holderRow(t *testing.T, holders *dsl.TableOf[string, holder], account, desk string) task.Output {
	t.Helper()
	ref := holders.StreamRef()
	h := holder{account, desk}
	key, err := ref.Key(nil, &h)
	require.NoError(t, err)
	value, err := ref.Encode(nil, &h)
	require.NoError(t, err)
	return task.Output{Key: key, Value: value}
}

// What a broadcast join looks up was acknowledged before Run began: it is found although a
// transaction is open before it.
func TestBroadcastBehindAnOpenTransaction(t *testing.T) {
	c := kafkatest.Start(t)
	lookup, input, out := c.Topic(t, "holders", 1), c.Topic(t, "positions", 1), c.Name("out")
	b := dsl.New(c.Name("desks"))
	holders := dsl.Table[string, holder](b, lookup)
	positions := dsl.Stream[position](b, input)
	dsl.LeftJoinBroadcast(positions, holders, func(p *position) string { return p.Account },
		func(p *position, h *holder) (holder, error) {
			if h == nil {
				return holder{p.Account, "nobody"}, nil
			}
			return holder{p.Account, h.Desk}, nil
		}).To(out)
	plan, err := b.Build()
	require.NoError(t, err)
	other, behind := holderRow(t, holders, "other", "x"), holderRow(t, holders, "a", "desk of a")
	open := beginTransaction(t, c, lookup, other.Key, other.Value)
	c.Write(t, lookup, 1, behind)
	p := position{"a", 1}
	key, err := positions.StreamRef().Key(nil, &p)
	require.NoError(t, err)
	value, err := positions.StreamRef().Encode(nil, &p)
	require.NoError(t, err)
	c.Write(t, input, 1, task.Output{Key: key, Value: value})
	r := start(t, plan, engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond})
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, r.WaitReady(short), context.DeadlineExceeded)
	open.end(kgo.TryAbort)
	require.Eventually(t, func() bool {
		ends, err := c.Admin().Ends(t.Context(), out, true)
		return err == nil && ends[0] > 0
	}, patience, 20*time.Millisecond)
	require.NoError(t, r.stop())
	records := committed(t, c.Config(), out)[0]
	require.Len(t, records, 1)
	require.Contains(t, string(records[0].Value), "desk of a")
}

// What was committed to a changelog behind another program's open transaction is restored: the task
// waits for that transaction rather than begin before it.
func TestRestoreBehindAnOpenTransaction(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipeline(t, app, topic)
	changelog := topology.ChangelogName(app, topic)
	cfg := engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond}
	rates := []Rate{{Pair: "P", Bid: 1, At: dayStart}, {Pair: "P", Bid: 2, At: dayStart.Add(time.Second)},
		{Pair: "P", Bid: 3, At: dayStart.Add(2 * time.Second)}}
	all := append(rates[:3:3], endRates(rates, 1)...)
	r := start(t, p.plan, cfg)
	write(t, c.Config(), p, all[:1])
	awaitEnd(t, c, app, topic)
	open := beginTransaction(t, c, changelog, []byte("not ours"), nil)
	write(t, c.Config(), p, all[1:2])
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())

	r = start(t, p.plan, cfg)
	write(t, c.Config(), p, all[2:])
	require.Never(t, func() bool {
		at, err := c.Admin().CommittedOffsets(t.Context(), app, topic)
		return err != nil || at[0] > 2
	}, 500*time.Millisecond, 50*time.Millisecond, "nothing is read before the state is there")
	require.Eventually(t, func() bool {
		tasks := r.Status().SubTopologies[0].Tasks
		return len(tasks) == 1 && !tasks[0].Open &&
			strings.Contains(tasks[0].WaitsFor, "behind an open transaction of another program")
	}, patience, 10*time.Millisecond, "Status says what is waited for")
	open.end(kgo.TryAbort)
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())
	requireFinals(t, c.Config(), p, all, 1, time.Minute)
}
