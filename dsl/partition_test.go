package dsl_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

type order struct {
	ID       string `ashi:"id,key"`
	Customer string
	Amount   float64
	At       time.Time `ashi:"at,timestamp"`
}

type spent struct {
	Customer string `ashi:"customer,key"`
	Amount   float64
	Orders   int64
}

func spentOf(g dsl.Group[string, order]) spent {
	return spent{g.Key(), aggregates.Sum(g, func(o *order) float64 { return o.Amount }), aggregates.Count(g)}
}

// Orders are keyed by their id, and summed by customer.
func TestGroupByAnotherKey(t *testing.T) {
	b := dsl.New("shop")
	orders := dsl.Stream[order](b, "orders")
	sums := dsl.Aggregate(dsl.GroupBy(orders, func(o *order) string { return o.Customer }), windows.Minutes(1),
		spentOf).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 2)
	require.Equal(t, "shop--orders-repartition", plan.Internal[0].Topic)

	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	at := func(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }
	enginetest.Add(d, orders, order{"1", "ann", 5, at(0)}, order{"2", "bob", 1, at(1)}, order{"3", "ann", 7, at(2)},
		order{"4", "ann", 9, at(61)})
	d.Crash()
	enginetest.Add(d, orders, order{"5", "ann", 0, at(70)}, order{"6", "bob", 0, at(70)})
	require.ElementsMatch(t, []spent{{"ann", 12, 2}, {"bob", 1, 1}}, enginetest.Rows(d, sums.Size(time.Minute)))
}

// What is the key of the records needs no other topic; what a function makes always does, whatever
// it makes of any row.
func TestGroupByTheKeyOfTheTopic(t *testing.T) {
	by := func(key func(*order) string) func(*dsl.StreamOf[order]) *dsl.GroupedOf[string, order] {
		return func(s *dsl.StreamOf[order]) *dsl.GroupedOf[string, order] { return dsl.GroupBy(s, key) }
	}
	columns := func(names ...string) func(*dsl.StreamOf[order]) *dsl.GroupedOf[string, order] {
		return func(s *dsl.StreamOf[order]) *dsl.GroupedOf[string, order] {
			return dsl.GroupByColumns[string](s, names...)
		}
	}
	for name, c := range map[string]struct {
		group    func(*dsl.StreamOf[order]) *dsl.GroupedOf[string, order]
		internal int
	}{
		"the key":               {dsl.GroupByKey[string, order], 0},
		"the key's column":      {columns("id"), 0},
		"another column":        {columns("Customer"), 1},
		"by a function":         {by(func(o *order) string { return o.ID }), 1},
		"of another column":     {by(func(o *order) string { return o.Customer }), 1},
		"of lower case":         {by(func(o *order) string { return strings.ToLower(o.ID) }), 1},
		"without spaces":        {by(func(o *order) string { return strings.TrimSpace(o.ID) }), 1},
		"that panics":           {by(func(*order) string { panic("no rows yet") }), 1},
		"that gives a constant": {by(func(*order) string { return "" }), 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := dsl.New("shop")
			dsl.Aggregate(c.group(dsl.Stream[order](b, "orders")), windows.Minutes(1), spentOf).Final()
			plan, err := b.Build()
			require.NoError(t, err)
			require.Len(t, plan.Internal, c.internal)
		})
	}
}

// One internal topic serves all that is below PartitionBy, and none is made where nothing needs the
// rows together.
func TestPartitionBy(t *testing.T) {
	customer := func(o *order) string { return o.Customer }
	b := dsl.New("shop")
	by := dsl.PartitionBy(dsl.Stream[order](b, "orders"), customer)
	by.Filter(func(o *order) (bool, error) { return o.Amount > 1, nil }).To("by-customer")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Empty(t, plan.Internal)

	b = dsl.New("shop")
	by = dsl.PartitionBy(dsl.Stream[order](b, "orders"), customer)
	dsl.Aggregate(dsl.GroupByKey[string](by), windows.Minutes(1), spentOf).As("minutes").Final()
	dsl.Aggregate(dsl.GroupByKey[string](by), windows.Session(time.Minute), spentOf).As("visits").Final()
	plan, err = b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Internal, 1)
	require.Len(t, plan.Subs, 2)

	b = dsl.New("shop")
	dsl.PartitionBy(dsl.Stream[order](b, "orders"), customer).Repartition("by-customer", 6).To("out")
	plan, err = b.Build()
	require.NoError(t, err)
	require.Equal(t, "shop--by-customer", plan.Internal[0].Topic)
	require.EqualValues(t, 6, plan.Internal[0].Partitions)
}

func TestMerge(t *testing.T) {
	b := dsl.New("shop")
	web, till := dsl.Stream[order](b, "web"), dsl.Stream[order](b, "till")
	all := dsl.Merge(web, till)
	count := dsl.Aggregate(dsl.GroupByKey[string](all), windows.Minutes(1), spentOf).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 1)
	d := enginetest.New(t, plan)
	enginetest.Add(d, web, order{"1", "ann", 5, noon})
	enginetest.Add(d, till, order{"1", "ann", 6, noon.Add(time.Second)},
		order{"1", "ann", 1, noon.Add(70 * time.Second)})
	require.Equal(t, []spent{{"1", 11, 2}}, enginetest.Rows(d, count.Size(time.Minute)))
}

// Keys that are written in different ways never match: that is told before anything runs.
func TestJoinOfOtherKeys(t *testing.T) {
	type payment struct {
		Order  int64 `ashi:"order,key"`
		Amount float64
	}
	b := dsl.New("shop")
	orders, payments := dsl.Stream[order](b, "orders"), dsl.Stream[payment](b, "payments")
	join := func(*order, *payment) (spent, error) { return spent{}, nil }
	dsl.Join(orders, payments, dsl.Within(time.Minute, time.Minute), join).To("paid")
	dsl.JoinTable(orders, dsl.Table[int64, payment](b, "refunds"), join).To("refunded")
	_, err := b.Build()
	require.ErrorContains(t, err,
		"Join: keys of the left side are text, those of the right 8 bytes, a whole number: rows would never match")
	require.ErrorContains(t, err, "JoinTable: keys of the left side are text")

	b = dsl.New("shop")
	orders, payments = dsl.Stream[order](b, "orders"), dsl.Stream[payment](b, "payments")
	numbered := dsl.PartitionBy(orders, func(o *order) int { return int(o.Amount) })
	dsl.Join(numbered, payments, dsl.Within(time.Minute, time.Minute), join).To("paid")
	_, err = b.Build()
	require.NoError(t, err)
}
