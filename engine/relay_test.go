package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Order is an order, or a refund of one.
type Order struct {
	ID           string `ashi:"id,key"`
	Deal, Trader string
	Amount       int64
	At           time.Time `ashi:"at,timestamp"`
}

// Trade is an order with a refund of its deal, or alone.
type Trade struct {
	Deal, Trader   string
	Amount, Refund int64
	Alone          bool
}

// Total is of a deal or a trader.
type Total struct {
	Who            string `ashi:"who,key"`
	Start          time.Time
	Rows, Alone    int64
	Amount, Refund int64
}

// relay is a plan of three stages over two repartitions: orders and refunds by their ids; by deal,
// where they are joined, and where both together make totals of deals; totals of what the joins of
// a trader's orders gave.
type relay struct {
	plan            *topology.Plan
	orders, refunds *dsl.StreamOf[Order]
	deals, traders  *dsl.OutputOf[string, Total]
}

// relayBefore and relayAfter are the span of the join. A trade goes out alone when its minute,
// relayAfter and the minute of grace are over, so that it is three to four minutes older than what
// the last stage may have seen.
const (
	relayBefore = 20 * time.Second
	relayAfter  = 40 * time.Second
	tradesGrace = 6 * time.Minute
)

func newRelay(t testing.TB, app, orders, refunds string, peek func()) *relay {
	b := dsl.New(app)
	r := &relay{orders: dsl.Stream[Order](b, orders), refunds: dsl.Stream[Order](b, refunds)}
	peekOrder := func(*Order) error { peek(); return nil }
	deal := func(o *Order) string { return o.Deal }
	left := dsl.PartitionBy(r.orders.Peek(peekOrder), deal).Repartition("orders-by-deal", 0)
	right := dsl.PartitionBy(r.refunds, deal).Repartition("refunds-by-deal", 0)
	named := func(o *dsl.OutputOf[string, Total], what string) *dsl.OutputOf[string, Total] {
		return o.Named(func(windows.Kind) string { return app + "-" + what })
	}
	all := dsl.GroupByKey[string](dsl.Merge(left, right).Peek(peekOrder))
	r.deals = named(dsl.Aggregate(all, windows.Minutes(1).Grace(time.Minute), totalOfDeal).As("deals").Final(), "deals")
	trades := dsl.LeftJoin(left, right, dsl.Within(relayBefore, relayAfter).Grace(time.Minute), trade).
		Peek(func(*Trade) error { peek(); return nil })
	byTrader := dsl.GroupBy(trades, func(x *Trade) string { return x.Trader })
	r.traders = named(dsl.Aggregate(byTrader, windows.Minutes(2).Grace(tradesGrace),
		totalOfTrader).As("traders").Final(), "traders")
	var err error
	r.plan, err = b.Build()
	require.NoError(t, err)
	return r
}

func trade(o, refund *Order) (Trade, error) {
	x := Trade{Deal: o.Deal, Trader: o.Trader, Amount: o.Amount, Alone: refund == nil}
	if refund != nil {
		x.Refund = refund.Amount
	}
	return x, nil
}

func totalOfDeal(g dsl.Group[string, Order]) Total {
	return Total{Who: g.Key(), Start: g.WindowStart(), Rows: aggregates.Count(g),
		Amount: aggregates.Sum(g, func(o *Order) int64 { return o.Amount })}
}

func totalOfTrader(g dsl.Group[string, Trade]) Total {
	return Total{Who: g.Key(), Start: g.WindowStart(), Rows: aggregates.Count(g),
		Alone: aggregates.Sum(g, func(x *Trade) int64 {
			if x.Alone {
				return 1
			}
			return 0
		}),
		Amount: aggregates.Sum(g, func(x *Trade) int64 { return x.Amount }),
		Refund: aggregates.Sum(g, func(x *Trade) int64 { return x.Refund })}
}

// inputs writes to the topics of a relay a minute at a time. Once a minute has gone through all
// stages, the next one makes no record late, whichever way the stages interleave.
type inputs struct {
	cluster *kafkatest.Cluster
	random  *rand.Rand
	relay   *relay
	start   time.Time // of the first minute
	minute  int
	orders  []Order // all of the minutes
	refunds []Order
}

const relayTraders = 12

// write writes a minute of n orders and as many refunds. Deals are of this minute and the next one.
func (in *inputs) write(t testing.TB, n int) {
	t.Helper()
	start := in.start.Add(time.Duration(in.minute) * time.Minute)
	batch := func() (all []Order) {
		for i := range n {
			all = append(all, Order{ID: fmt.Sprint(in.minute, "-", i),
				Deal:   fmt.Sprint("deal", in.minute*n+in.random.IntN(2*n)),
				Trader: fmt.Sprint("trader", in.random.IntN(relayTraders)), Amount: in.random.Int64N(1000),
				At: start.Add(time.Duration(in.random.Int64N(60_000)) * time.Millisecond)})
		}
		return all
	}
	orders, refunds := batch(), batch()
	in.minute++
	in.orders, in.refunds = append(in.orders, orders...), append(in.refunds, refunds...)
	in.put(t, in.relay.orders, orders)
	in.put(t, in.relay.refunds, refunds)
}

// end closes the windows of all that was written: first those of the second stage, with refunds
// that no order goes with, so that all trades are there before others, much newer ones, close those
// of the third.
func (in *inputs) end(t *testing.T) {
	t.Helper()
	batch := func(after time.Duration) (all []Order) {
		for i := range relayTraders {
			all = append(all, Order{ID: fmt.Sprint("end", i), Deal: fmt.Sprint("end", i),
				Trader: fmt.Sprint("trader", i), At: in.start.Add(time.Duration(in.minute)*time.Minute + after)})
		}
		return all
	}
	in.put(t, in.relay.refunds, batch(10*time.Minute))
	in.settle(t)
	in.put(t, in.relay.orders, batch(30*time.Minute))
	in.put(t, in.relay.refunds, batch(30*time.Minute))
	in.settle(t)
}

func (in *inputs) put(t testing.TB, s *dsl.StreamOf[Order], batch []Order) {
	t.Helper()
	producer, err := kafka.NewProducer(context.Background(), in.cluster.Config(), kafka.ProducerConfig{})
	require.NoError(t, err)
	defer func() { require.NoError(t, producer.Close()) }()
	ref := s.StreamRef()
	for i := range batch {
		key, err := ref.Key(nil, &batch[i])
		require.NoError(t, err)
		value, err := ref.Encode(nil, &batch[i])
		require.NoError(t, err)
		producer.Produce(context.Background(), &task.Output{Topic: ref.Topic, Partition: task.OnKey, Key: key,
			Value: value, Timestamp: windows.At(batch[i].At)})
	}
	require.NoError(t, producer.Commit(context.Background()))
}

// settle returns when what was written has gone through all stages.
func (in *inputs) settle(t *testing.T) {
	t.Helper()
	for _, s := range in.relay.plan.Subs {
		for _, topic := range s.Topics() {
			awaitRead(t, in.cluster, in.relay.plan.Name, topic)
		}
	}
}

// requireTotals compares the finals with what the minutes' orders and refunds make: every total
// once.
func (in *inputs) requireTotals(t *testing.T) {
	t.Helper()
	deals, traders := map[string]Total{}, map[string]Total{}
	for _, o := range slices.Concat(in.orders, in.refunds) {
		add(deals, o.Deal, o.At.Truncate(time.Minute), Total{Rows: 1, Amount: o.Amount})
	}
	refunds := map[string][]Order{}
	for _, r := range in.refunds {
		refunds[r.Deal] = append(refunds[r.Deal], r)
	}
	pairs, alone := 0, 0
	for _, o := range in.orders {
		matched := false
		for _, r := range refunds[o.Deal] {
			if r.At.Before(o.At.Add(-relayBefore)) || r.At.After(o.At.Add(relayAfter)) {
				continue
			}
			later := o.At
			if r.At.After(later) {
				later = r.At
			}
			matched = true
			pairs++
			add(traders, o.Trader, later.Truncate(2*time.Minute), Total{Rows: 1, Amount: o.Amount, Refund: r.Amount})
		}
		if !matched {
			alone++
			add(traders, o.Trader, o.At.Truncate(2*time.Minute), Total{Rows: 1, Alone: 1, Amount: o.Amount})
		}
	}
	t.Logf("%d minutes: %d orders, %d refunds, %d pairs, %d orders alone", in.minute, len(in.orders), len(in.refunds),
		pairs, alone)
	in.requireRows(t, deals, in.relay.deals.Stream(time.Minute))
	in.requireRows(t, traders, in.relay.traders.Stream(2*time.Minute))
}

// add adds one row to a total.
func add(all map[string]Total, who string, start time.Time, one Total) {
	id := fmt.Sprint(who, start)
	was := all[id]
	all[id] = Total{who, start, was.Rows + one.Rows, was.Alone + one.Alone, was.Amount + one.Amount,
		was.Refund + one.Refund}
}

func (in *inputs) requireRows(t *testing.T, want map[string]Total, ref topology.StreamOf[Total]) {
	t.Helper()
	last := in.start.Add(time.Duration(in.minute) * time.Minute)
	got := map[string]Total{}
	for _, records := range committed(t, in.cluster.Config(), ref.Topic) {
		for _, r := range records {
			var row Total
			require.NoError(t, ref.Decode(r.Key[:len(r.Key)-8], r.Value, &row))
			if !row.Start.Before(last) {
				continue // of end
			}
			id := fmt.Sprint(row.Who, row.Start)
			require.NotContains(t, got, id, "%s twice: %v", ref.Topic, row)
			got[id] = row
		}
	}
	require.Equal(t, want, got, ref.Topic)
}

// The same stages in one undisturbed process.
func TestRelay(t *testing.T) {
	c := kafkatest.Start(t)
	in := &inputs{cluster: c, random: rand.New(rand.NewPCG(1, 3)), start: dayStart}
	in.relay = newRelay(t, c.Name("relay"), c.Topic(t, "orders", 2), c.Topic(t, "refunds", 2), func() {})
	r := start(t, in.relay.plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, CommitInterval: 50 * time.Millisecond})
	for range 3 {
		in.write(t, 500)
		in.settle(t)
	}
	in.end(t)
	require.NoError(t, r.stop())
	in.requireTotals(t)
}
