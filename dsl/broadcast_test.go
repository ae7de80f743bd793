package dsl_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
)

type customer struct {
	Name string `ashi:"name,key"`
	City string
}

type shipped struct {
	ID   string `ashi:"id,key"`
	City string
}

func ship(o *order, c *customer) (shipped, error) {
	switch {
	case o.Amount < 0:
		return shipped{}, errors.New("nothing to ship")
	case c == nil:
		return shipped{o.ID, "unknown"}, nil
	}
	return shipped{o.ID, c.Name + " in " + c.City}, nil
}

// Orders by their id find customers by name, wherever those are; each sees the table as it is when
// it comes.
func TestJoinBroadcast(t *testing.T) {
	b := dsl.New("shop")
	orders := dsl.Stream[order](b, "orders")
	customers := dsl.Table[string, customer](b, "customers")
	name := func(o *order) string {
		if o.Customer == "panic" {
			panic("no name")
		}
		return o.Customer
	}
	dsl.JoinBroadcast(orders, customers, name, ship).To("inner")
	dsl.LeftJoinBroadcast(orders, customers, name, ship).To("left")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Empty(t, plan.Internal)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	rows := func(topic string) (values []string) {
		for _, r := range d.ReadRaw(topic) {
			values = append(values, string(r.Value))
		}
		return values
	}

	enginetest.Add(d, orders, order{"1", "ann", 5, noon})
	require.Empty(t, rows("inner"))
	require.Equal(t, []string{`{"id":"1","City":"unknown"}`}, rows("left"))

	enginetest.Add(d, customers, customer{"ann", "Rome"}, customer{"bob", "Oslo"})
	require.Empty(t, rows("inner"), "a row of the table has no results")
	d.Crash()
	enginetest.Add(d, orders, order{"1", "ann", 5, noon.Add(-time.Hour)}, order{"2", "bob", 5, noon},
		order{"3", "cid", 5, noon})
	want := []string{`{"id":"1","City":"ann in Rome"}`, `{"id":"2","City":"bob in Oslo"}`}
	require.ElementsMatch(t, want, rows("inner"))
	require.ElementsMatch(t, append(want, `{"id":"3","City":"unknown"}`), rows("left"))

	d.AddRaw("customers", enginetest.Record{Key: []byte("ann")}, enginetest.Record{Key: []byte("bob"),
		Value: []byte("{")})
	enginetest.Add(d, orders, order{"4", "ann", 5, noon}, order{"5", "bob", 5, noon}, order{"6", "panic", 5, noon},
		order{"7", "ann", -1, noon})
	require.Empty(t, rows("inner"))
	require.Equal(t, []string{`{"id":"4","City":"unknown"}`}, rows("left"))
	require.EqualValues(t, 2, d.Dropped("undecodable"), "5 in each join")
	require.EqualValues(t, 3, d.Dropped("failed"), "6 in each join, 7 in the left one")
}

func TestJoinBroadcastMistakes(t *testing.T) {
	b, other := dsl.New("shop"), dsl.New("other")
	orders := dsl.Stream[order](b, "orders")
	name := func(o *order) string { return o.Customer }
	joiner := func(o, _ *order) (order, error) { return *o, nil }
	dsl.JoinBroadcast(orders, dsl.ToTable[string](orders), name, joiner)
	_, err := b.Build()
	require.ErrorContains(t, err, "JoinBroadcast: table orders-table is in no topic")

	b = dsl.New("shop")
	dsl.JoinBroadcast(dsl.Stream[order](b, "orders"), dsl.Table[string, customer](other, "customers"), name,
		ship).To("out")
	_, err = b.Build()
	require.ErrorContains(t, err, `table "customers" is not declared in this plan`)
}
