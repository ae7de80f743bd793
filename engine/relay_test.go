package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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

type Order struct {
	ID           string `ashi:"id,key"`
	Desk, Trader string
	Amount       int64
	At           time.Time `ashi:"at,timestamp"`
}

// Total is of a desk or a trader.
type Total struct {
	Who    string `ashi:"who,key"`
	Start  time.Time
	Orders int64
	Amount int64
}

// relay is a plan of three stages over two repartitions: orders and refunds by their ids; both together by desk, where totals of
// desks are made; totals of traders.
type relay struct {
	plan            *topology.Plan
	orders, refunds *dsl.StreamOf[Order]
	desks, traders  *dsl.OutputOf[string, Total]
}

func newRelay(t testing.TB, app, orders, refunds string, peek func(*Order) error) *relay {
	b := dsl.New(app)
	r := &relay{orders: dsl.Stream[Order](b, orders), refunds: dsl.Stream[Order](b, refunds)}
	desk := func(o *Order) string { return o.Desk }
	all := dsl.Merge(dsl.PartitionBy(r.orders.Peek(peek), desk).Repartition("orders-by-desk", 0),
		dsl.PartitionBy(r.refunds, desk).Repartition("refunds-by-desk", 0)).Peek(peek)
	named := func(o *dsl.OutputOf[string, Total], what string) *dsl.OutputOf[string, Total] {
		return o.Named(func(k windows.Kind) string { return app + "-" + what })
	}
	r.desks = named(dsl.Aggregate(dsl.GroupBy(all, desk).InPlace(), windows.Minutes(1).Grace(time.Minute), totalOf).As("desks").Final(), "desks")
	byTrader := dsl.GroupBy(all, func(o *Order) string { return o.Trader })
	r.traders = named(dsl.Aggregate(byTrader, windows.Minutes(2).Grace(time.Minute), totalOf).As("traders").Final(), "traders")
	var err error
	r.plan, err = b.Build()
	require.NoError(t, err)
	return r
}

func totalOf(g dsl.Group[string, Order]) Total {
	return Total{Who: g.Key(), Start: g.WindowStart(), Orders: aggregates.Count(g), Amount: aggregates.Sum(g, func(o *Order) int64 { return o.Amount })}
}

// inputs writes to the topics of a relay a minute at a time. Once a minute has gone through all stages, the next one makes no record
// late, whichever way the stages interleave.
type inputs struct {
	cluster *kafkatest.Cluster
	random  *rand.Rand
	relay   *relay
	start   time.Time // of the first minute
	minute  int
	orders  []Order // all
}

const relayKeys = 12

func (in *inputs) write(t testing.TB, n int) {
	t.Helper()
	start := in.start.Add(time.Duration(in.minute) * time.Minute)
	in.minute++
	for _, s := range []*dsl.StreamOf[Order]{in.relay.orders, in.relay.refunds} {
		var batch []Order
		for i := range n {
			batch = append(batch, Order{ID: fmt.Sprint(len(in.orders) + i), Desk: fmt.Sprint("desk", in.random.IntN(relayKeys)),
				Trader: fmt.Sprint("trader", in.random.IntN(relayKeys)), Amount: in.random.Int64N(1000),
				At: start.Add(time.Duration(in.random.Int64N(60_000)) * time.Millisecond)})
		}
		in.put(t, s, batch)
	}
}

// end closes the windows of all that was written.
func (in *inputs) end(t testing.TB) {
	t.Helper()
	var batch []Order
	for i := range relayKeys {
		batch = append(batch, Order{ID: fmt.Sprint("end", i), Desk: fmt.Sprint("desk", i), Trader: fmt.Sprint("trader", i),
			At: in.start.Add(time.Duration(in.minute+10) * time.Minute)})
	}
	in.put(t, in.relay.orders, batch)
}

func (in *inputs) put(t testing.TB, s *dsl.StreamOf[Order], batch []Order) {
	t.Helper()
	in.orders = append(in.orders, batch...)
	producer, err := kafka.NewProducer(context.Background(), in.cluster.Config(), kafka.ProducerConfig{})
	require.NoError(t, err)
	defer func() { require.NoError(t, producer.Close()) }()
	ref := s.StreamRef()
	for i := range batch {
		key, err := ref.Key(nil, &batch[i])
		require.NoError(t, err)
		value, err := ref.Encode(nil, &batch[i])
		require.NoError(t, err)
		producer.Produce(context.Background(), &task.Output{Topic: ref.Topic, Partition: task.OnKey, Key: key, Value: value, Timestamp: windows.At(batch[i].At)})
	}
	require.NoError(t, producer.Commit(context.Background()))
}

// settle returns when what was written has gone through all stages.
func (in *inputs) settle(t *testing.T) {
	t.Helper()
	for _, s := range in.relay.plan.Subs {
		for _, topic := range s.Topics() {
			awaitRead(t, in.cluster, in.relay.plan.Name+"-"+s.Name, topic)
		}
	}
}

// requireTotals compares the finals with the orders: every total once.
func (in *inputs) requireTotals(t *testing.T) {
	t.Helper()
	last := in.start.Add(time.Duration(in.minute) * time.Minute)
	for _, c := range []struct {
		out  *dsl.OutputOf[string, Total]
		size time.Duration
		who  func(*Order) string
	}{
		{in.relay.desks, time.Minute, func(o *Order) string { return o.Desk }},
		{in.relay.traders, 2 * time.Minute, func(o *Order) string { return o.Trader }},
	} {
		want := map[string]Total{}
		for _, o := range in.orders {
			if o.At.After(last) {
				continue
			}
			start := o.At.Truncate(c.size)
			id := fmt.Sprint(c.who(&o), start)
			was := want[id]
			want[id] = Total{c.who(&o), start, was.Orders + 1, was.Amount + o.Amount}
		}
		ref := c.out.Stream(c.size)
		got := map[string]Total{}
		for _, records := range committed(t, in.cluster.Config(), ref.Topic) {
			for _, r := range records {
				var row Total
				require.NoError(t, ref.Decode(r.Key[:len(r.Key)-8], r.Value, &row))
				id := fmt.Sprint(row.Who, row.Start)
				require.NotContains(t, got, id, "%s twice: %v", ref.Topic, row)
				got[id] = row
			}
		}
		require.Equal(t, want, got, ref.Topic)
	}
}

// Three members of an application of three stages are killed at random, 50 times in all, one or more at a time and in the middle
// of what they do, and start again, with their state or without it: every total is right, and there once.
func TestRelayKilled(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 4
	} else if os.Getenv(kafkatest.Environment) != "" {
		kills = 20
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := kafkatest.Start(t)
	in := &inputs{cluster: c, random: rand.New(rand.NewPCG(seed, 3)), start: dayStart}
	spec := memberSpec{Brokers: c.Brokers, App: c.Name("relay"), Topic: c.Topic(t, "orders", 3), Refunds: c.Topic(t, "refunds", 3), Pause: 200 * time.Microsecond}
	in.relay = newRelay(t, spec.App, spec.Topic, spec.Refunds, func(*Order) error { return nil })
	members, dirs := make([]*process, 3), make([]string, 3)
	for i := range members {
		dirs[i] = t.TempDir()
		spec.Dir = dirs[i]
		members[i] = spawn(t, spec)
	}
	for kills > 0 {
		in.awaitStable(t, len(members))
		in.write(t, 1000)
		time.Sleep(time.Duration(in.random.Int64N(int64(300 * time.Millisecond)))) // a random point, not a wait for something
		dead := in.random.Perm(len(members))[:min(kills, 1+in.random.IntN(len(members)))]
		for _, i := range dead {
			members[i].kill(t)
			if in.random.IntN(2) == 0 {
				require.NoError(t, os.RemoveAll(dirs[i]))
			}
		}
		for _, i := range dead {
			spec.Dir = dirs[i]
			members[i] = spawn(t, spec)
		}
		kills -= len(dead)
		in.settle(t)
	}
	in.end(t)
	in.settle(t)
	for _, m := range members {
		m.terminate(t)
	}
	in.requireTotals(t)
	t.Logf("%d orders in %d minutes", len(in.orders), in.minute)
}

// awaitStable returns when all groups have so many members and none is joining. The embedded broker never gives up a member that is
// killed while it joins, as a real one does after its session timeout.
func (in *inputs) awaitStable(t testing.TB, members int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(in.cluster.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	var groups []string
	for _, s := range in.relay.plan.Subs {
		groups = append(groups, in.relay.plan.Name+"-"+s.Name)
	}
	require.Eventually(t, func() bool {
		described, err := kadm.NewClient(client).DescribeGroups(context.Background(), groups...)
		for _, g := range described {
			if g.Err != nil || g.State != "Stable" || len(g.Members) != members {
				return false
			}
		}
		return err == nil && len(described) == len(groups)
	}, time.Minute, 20*time.Millisecond)
}

// The same stages in one undisturbed process.
func TestRelay(t *testing.T) {
	c := kafkatest.Start(t)
	in := &inputs{cluster: c, random: rand.New(rand.NewPCG(1, 3)), start: dayStart}
	in.relay = newRelay(t, c.Name("relay"), c.Topic(t, "orders", 2), c.Topic(t, "refunds", 2), func(*Order) error { return nil })
	r := start(t, in.relay.plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, CommitInterval: 50 * time.Millisecond})
	for range 3 {
		in.write(t, 500)
		in.settle(t)
	}
	in.end(t)
	in.settle(t)
	require.NoError(t, r.stop())
	in.requireTotals(t)
}
