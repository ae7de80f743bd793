package dsl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// joinsPlan is built from orders and payments.
func joinsPlan(t *testing.T, more func(*dsl.Builder, *dsl.StreamOf[Order], *dsl.StreamOf[Payment])) *topology.Plan {
	b := dsl.New("shop")
	more(b, dsl.Stream[Order](b, "orders"), dsl.Stream[Payment](b, "payments"))
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

func amountOf(g dsl.Group[string, Paid]) spent {
	return spent{g.Key(), aggregates.Sum(g, func(p *Paid) float64 { return *p.Amount }), aggregates.Count(g)}
}

// A join has the join key as the key of its records, whatever its joiner makes of the rows: it is
// grouped by it where it is. Grouped by a function it is written anew.
func TestGroupByTheJoinKey(t *testing.T) {
	type joiner = func(*Order, *Payment) (Paid, error)
	for name, join := range map[string]func(*dsl.StreamOf[Order], *dsl.StreamOf[Payment], dsl.Span,
		joiner) *dsl.StreamOf[Paid]{
		"inner": dsl.Join[Order, Payment, Paid], "left": dsl.LeftJoin[Order, Payment, Paid],
		"right": dsl.RightJoin[Order, Payment, Paid], "outer": dsl.OuterJoin[Order, Payment, Paid],
	} {
		t.Run(name, func(t *testing.T) {
			for internal, group := range []func(*dsl.StreamOf[Paid]) *dsl.GroupedOf[string, Paid]{
				dsl.GroupByKey[string, Paid],
				func(s *dsl.StreamOf[Paid]) *dsl.GroupedOf[string, Paid] {
					return dsl.GroupBy(s, func(p *Paid) string { return p.Order })
				},
			} {
				plan := joinsPlan(t, func(b *dsl.Builder, o *dsl.StreamOf[Order], p *dsl.StreamOf[Payment]) {
					joined := join(o, p, dsl.Within(time.Second, time.Second), paid).Filter(func(*Paid) (bool,
						error) {
						return true, nil
					})
					dsl.Aggregate(group(joined), windows.Minutes(1), amountOf).Final()
				})
				require.Len(t, plan.Internal, internal)
			}
		})
	}
}

// Orders are keyed by their id, and joined and summed by customer, over partitions and a crash.
func TestJoinByAnotherKey(t *testing.T) {
	type visit struct {
		Customer string    `ashi:"customer,key"`
		Page     string    `ashi:"page"`
		At       time.Time `ashi:"at,timestamp"`
	}
	type lead struct {
		Customer string `ashi:"customer,key"`
		Amount   float64
	}
	b := dsl.New("shop")
	orders, visits := dsl.Stream[order](b, "orders"), dsl.Stream[visit](b, "visits")
	by := dsl.PartitionBy(orders, func(o *order) string { return o.Customer })
	joined := dsl.Join(visits, by, dsl.Within(0, time.Minute).Grace(time.Minute), func(v *visit, o *order) (lead,
		error) {
		return lead{v.Customer, o.Amount}, nil
	})
	sums := dsl.Aggregate(dsl.GroupByKey[string](joined), windows.Minutes(10), func(g dsl.Group[string, lead]) spent {
		return spent{g.Key(), aggregates.Sum(g, func(l *lead) float64 { return l.Amount }), aggregates.Count(g)}
	}).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Internal, 1)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	enginetest.Add(d, visits, visit{"ann", "/", second(0)}, visit{"bob", "/", second(0)})
	enginetest.Add(d, orders, order{"1", "ann", 5, second(1)}, order{"2", "bob", 1, second(2)},
		order{"3", "ann", 7, second(3)})
	d.Crash()
	enginetest.Add(d, orders, order{"4", "ann", 9, second(50)})
	enginetest.Add(d, visits, visit{"ann", "/", second(2000)}, visit{"bob", "/", second(2000)})
	enginetest.Add(d, orders, order{"5", "ann", 0, second(2000)}, order{"6", "bob", 0, second(2000)})
	require.ElementsMatch(t, []spent{{"ann", 21, 3}, {"bob", 1, 1}}, enginetest.Rows(d, sums.Size(10*time.Minute)))
}

// A stream joined with itself: each row matches itself once, and each other one of its key in span
// as left and as right.
func TestSelfJoin(t *testing.T) {
	b := dsl.New("shop")
	orders := dsl.Stream[Order](b, "orders")
	dsl.Join(orders, orders, dsl.Within(time.Second, time.Second),
		func(l, r *Order) (Fill, error) { return Fill{Pair: l.Item + r.Item}, nil }).To("pairs")
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	enginetest.Add(d, orders, Order{"A", "1", second(0)}, Order{"A", "2", second(1)}, Order{"A", "3", second(2)},
		Order{"B", "4", second(2)})
	var pairs []string
	for _, r := range d.ReadRaw("pairs") {
		pairs = append(pairs, string(r.Value[9:11]))
	}
	require.Equal(t, []string{"11", "21", "12", "22", "32", "23", "33", "44"}, pairs)
}

// A join of a join, and names: each join has its own.
func TestJoinsOfJoins(t *testing.T) {
	plan := joinsPlan(t, func(b *dsl.Builder, o *dsl.StreamOf[Order], p *dsl.StreamOf[Payment]) {
		within := dsl.Within(time.Second, 2*time.Second).Grace(0)
		first := dsl.LeftJoin(o, p, within, paid).As("paid")
		third := dsl.Stream[Order](b, "returns")
		joined := dsl.OuterJoin(first, third, within, func(p *Paid, o *Order) (Paid, error) {
			if p != nil {
				return *p, nil
			}
			return Paid{Order: o.ID}, nil
		})
		dsl.Aggregate(dsl.GroupByKey[string](joined), windows.Minutes(1), amountOf).Final()
	})
	require.Empty(t, plan.Internal)
	require.Equal(t, `application shop
sub-topology orders
  source orders <- topic orders (dsl_test.Order, json)
    input orders-payments-join-input -> paid
      left join paid (dsl_test.Paid)
        within 1s before, 2s after; grace 0s
        input paid-returns-join-input -> paid-returns-join
          outer join paid-returns-join (dsl_test.Paid)
            within 1s before, 2s after; grace 0s
            aggregate paid-returns-aggregate (dsl_test.spent) by string
              windows tumbling 1min; grace 3s
              accumulators count,sum float
              final 1min: sink to-paid-returns_1min_final -> topic paid-returns_1min_final (dsl_test.spent, json) compacted
  source payments <- topic payments (dsl_test.Payment, json)
    input orders-payments-join-input-2 -> paid
  source returns <- topic returns (dsl_test.Order, json)
    input paid-returns-join-input-2 -> paid-returns-join
table paid-returns/window_1min <- topic paid-returns_1min_final (dsl_test.spent)
`, plan.Describe())
}

func TestJoinMistakes(t *testing.T) {
	b := dsl.New("shop")
	orders, payments := dsl.Stream[Order](b, "orders"), dsl.Stream[Payment](b, "payments")
	dsl.Join(orders, payments, dsl.Within(-time.Second, 0), paid)
	dsl.AsOf(orders, payments, dsl.Within(time.Second, time.Second), paid)
	orders.As("other")
	dsl.Join(orders, dsl.Stream[Payment](dsl.New("bank"), "payments"),
		dsl.Within(0, time.Microsecond).Grace(time.Second), paid).As("third")
	_, err := b.Build()
	for _, mistake := range []string{
		"Join: before -1s, after 0s, grace 3s: whole milliseconds, 0 or more",
		"AsOf: after 1s: an as-of join takes right rows at or before the left one",
		"As: only the result of a join has state to be named",
		`Join: its streams and tables belong to two plans, "shop" and "bank"`,
		"Join: before 0s, after 1µs",
		`two steps are named "orders-payments-join"`,
	} {
		require.ErrorContains(t, err, mistake)
	}
	require.ErrorContains(t, err, "join_test.go:")
}

// At one event time the right rows of an as-of join go first, whatever is declared first.
func TestAsOfAtOneTime(t *testing.T) {
	b := dsl.New("market")
	trades, quotes := dsl.Stream[Trade](b, "trades"), dsl.Stream[Rate](b, "quotes")
	dsl.AsOf(trades, quotes, dsl.Back(time.Second).Grace(0), fill).To("fills")
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	for _, topic := range []string{"trades", "quotes"} {
		d.Queue(topic, enginetest.Record{Key: []byte("EUR"),
			Value: []byte(`{"price":1,"bid":2,"ask":4,"at":"2014-05-01T12:00:00Z"}`)})
	}
	d.Commit()
	require.Equal(t, `{"pair":"EUR","price":1,"mid":3}`, string(d.ReadRaw("fills")[0].Value))
}
