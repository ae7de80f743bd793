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

type account struct {
	Customer string `ashi:"customer,key"`
	Orders   int64
	Total    float64
}

func accountOf(g dsl.Group[string, order]) account {
	return account{g.Key(), aggregates.Count(g), aggregates.Sum(g, func(o *order) float64 { return o.Amount })}
}

// A group follows its rows: replaced, moved to another group, deleted.
func TestGroupTable(t *testing.T) {
	b := dsl.New("shop")
	orders := dsl.Table[string, order](b, "orders")
	byCustomer := dsl.Aggregate(dsl.GroupTable(orders, func(o *order) string { return o.Customer }),
		windows.Unbounded(), accountOf)
	all := byCustomer.Changes()
	// who buys much, once more in groups
	rich := all.ToTable().As("rich").Filter(func(s *account) (bool, error) { return s.Total >= 100, nil })
	counted := dsl.Aggregate(dsl.GroupTable(rich, func(*account) string { return "rich" }), windows.Unbounded(),
		func(g dsl.Group[string, account]) account {
			return account{g.Key(), aggregates.Count(g), aggregates.Sum(g, func(s *account) float64 { return s.Total })}
		}).As("counted")
	count := counted.Changes().Named(func(windows.Kind) string { return "counted" })
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 3)
	require.Len(t, plan.Internal, 2)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 2})
	step := func(want, rich account) {
		t.Helper()
		for _, s := range enginetest.Rows[string, account](d, all.Of(windows.Unbounded())) {
			if s.Customer == want.Customer {
				require.Equal(t, want, s)
			}
		}
		if rows := enginetest.Rows[string, account](d, count.Of(windows.Unbounded())); len(rows) > 0 ||
			rich.Orders > 0 {
			require.Equal(t, []account{rich}, rows)
		}
	}
	enginetest.Add(d, orders, order{"1", "ann", 60, noon}, order{"2", "ann", 60, noon}, order{"3", "bob", 7, noon})
	step(account{"ann", 2, 120}, account{"rich", 1, 120})
	enginetest.Add(d, orders, order{"1", "ann", 61, noon})
	step(account{"ann", 2, 121}, account{"rich", 1, 121})
	enginetest.Add(d, orders, order{"2", "bob", 100, noon})
	step(account{"ann", 1, 61}, account{"rich", 1, 107})
	d.AddRaw("orders", enginetest.Record{Key: []byte("1")})
	step(account{"ann", 0, 0}, account{"rich", 1, 107})
	d.AddRaw("orders", enginetest.Record{Key: []byte("2")})
	step(account{"bob", 1, 7}, account{"rich", 0, 0})
}

// Where a row and its group are in one partition nothing goes through a topic; a row whose group is
// not has its policy.
func TestGroupTableCopartitioned(t *testing.T) {
	b := dsl.New("shop")
	orders := dsl.Table[string, order](b, "orders")
	groups := dsl.GroupTable(orders, func(o *order) string { return o.ID }).AssumeCopartitioned()
	byID := dsl.Aggregate(groups, windows.Unbounded(), accountOf).Changes()
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 1)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	enginetest.Add(d, orders, order{"1", "ann", 60, noon}, order{"2", "ann", 60, noon}, order{"1", "ann", 5, noon})
	require.ElementsMatch(t, []account{{"1", 1, 5}, {"2", 1, 60}}, enginetest.Rows[string, account](d,
		byID.Of(windows.Unbounded())))

	b = dsl.New("shop")
	orders = dsl.Table[string, order](b, "orders")
	dsl.Aggregate(dsl.GroupTable(orders, func(o *order) string { return o.Customer }).AssumeCopartitioned(),
		windows.Unbounded(), accountOf).OnError(dsl.Fail).Changes()
	plan, err = b.Build()
	require.NoError(t, err)
	d = enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	require.ErrorContains(t, d.TryRaw("orders", enginetest.Record{Key: []byte("1"),
		Value: []byte(`{"Customer":"ann"}`)},
		enginetest.Record{Key: []byte("2"), Value: []byte(`{"Customer":"ann"}`)}, enginetest.Record{Key: []byte("5"),
			Value: []byte(`{"Customer":"ann"}`)}),
		"belongs to another partition")
}

func TestTableMistakes(t *testing.T) {
	b := dsl.New("shop")
	orders := dsl.Table[string, order](b, "orders")
	groups := dsl.GroupTable(orders, func(o *order) string { return o.Customer })
	bars := dsl.Aggregate(groups, windows.Minutes(1), func(g dsl.Group[string, order]) account {
		return account{g.Key(), aggregates.Count(g), aggregates.Max(g, func(o *order) float64 { return o.Amount })}
	})
	bars.Final().ToStream(windows.Minutes(5))
	bars.Final().ToTable()
	orders.Versioned(0)
	orders.Filter(func(*order) (bool, error) { return true, nil }).Versioned(time.Hour)
	_, err := b.Build()
	for _, want := range []string{
		"windows tumbling 1min over a table: its rows are in no window: group with windows.Unbounded() and read Changes",
		"no undo, so not over a table: max float",
		"ToStream: windows: no windows tumbling 5min",
		"ToTable: windows: no windows unbounded",
		"Versioned: a history of 0s: give a millisecond or more",
		"Versioned: only a table that was declared with Table or made by ToTable can keep a history",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, 6, strings.Count(err.Error(), "regroup_test.go:"), "%v", err)
}

// State is kept under names that steps added before do not change.
func TestTablesKeepTheirState(t *testing.T) {
	build := func(filtered bool, name string) (steps []string) {
		b := dsl.New("shop")
		orders := dsl.Stream[order](b, "orders")
		if filtered {
			orders = orders.Filter(func(*order) (bool, error) { return true, nil })
		}
		last := dsl.ToTable[string](orders)
		if name != "" {
			last.As(name)
		}
		last.To("last")
		plan, err := b.Build()
		require.NoError(t, err)
		for _, o := range plan.Subs[0].Operators() {
			steps = append(steps, o.String(), o.Described())
		}
		return steps
	}
	require.Equal(t, build(false, ""), build(true, ""))
	require.Equal(t, build(false, "last"), build(true, "last"))
	require.NotEqual(t, build(false, ""), build(false, "last"))
}
