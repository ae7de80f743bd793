package dsl_test

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

type Deal struct {
	Pair   string `ashi:"pair,key"`
	Amount int64
	At     time.Time `ashi:"at,timestamp"`
}

type Limit struct {
	Pair string `ashi:"pair,key"`
	Most int64
	From time.Time `ashi:"from,timestamp"`
}

type Owner struct {
	Pair string `ashi:"pair,key"`
	Desk string
}

// Checked is a trade with its limit, or a limit with its owner.
type Checked struct {
	Pair string `ashi:"pair,key"`
	Text string
}

// exampleTB lets examples use the test driver.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                   {}
func (exampleTB) Cleanup(func())            {}
func (exampleTB) Output() io.Writer         { return io.Discard }
func (exampleTB) Fatalf(f string, a ...any) { fmt.Printf(f, a...); os.Exit(1) }

// drive runs a plan.
func drive(b *dsl.Builder) *enginetest.Driver {
	plan, err := b.Build()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	return enginetest.New(exampleTB{}, plan)
}

// show prints what has come to a topic since.
func show(d *enginetest.Driver, topic string) {
	for _, r := range d.ReadRaw(topic) {
		if r.Value == nil {
			fmt.Printf("%s is gone\n", r.Key)
			continue
		}
		fmt.Printf("%s\n", r.Value)
	}
}

func hour(n int) time.Time { return time.Date(2026, 1, 2, n, 0, 0, 0, time.UTC) }

// Each trade with the limit of its pair at that point; a trade without one is left out.
func ExampleJoinTable() {
	b := dsl.New("desk")
	trades, limits := dsl.Stream[Deal](b, "trades"), dsl.Table[string, Limit](b, "limits")
	dsl.JoinTable(trades, limits, func(t *Deal, l *Limit) (Checked, error) {
		return Checked{t.Pair, fmt.Sprintf("%d of %d", t.Amount, l.Most)}, nil
	}).To("checked")
	d := drive(b)
	enginetest.Add(d, limits, Limit{"EURUSD", 100, hour(9)})
	enginetest.Add(d, trades, Deal{"EURUSD", 70, hour(10)}, Deal{"USDJPY", 5, hour(10)})
	enginetest.Add(d, limits, Limit{"EURUSD", 50, hour(11)})
	enginetest.Add(d, trades, Deal{"EURUSD", 70, hour(12)})
	show(d, "checked")
	// Output:
	// {"pair":"EURUSD","Text":"70 of 100"}
	// {"pair":"EURUSD","Text":"70 of 50"}
}

// A trade of a pair without a limit is in the result too.
func ExampleLeftJoinTable() {
	b := dsl.New("desk")
	trades, limits := dsl.Stream[Deal](b, "trades"), dsl.Table[string, Limit](b, "limits")
	dsl.LeftJoinTable(trades, limits, func(t *Deal, l *Limit) (Checked, error) {
		if l == nil {
			return Checked{t.Pair, fmt.Sprintf("%d without a limit", t.Amount)}, nil
		}
		return Checked{t.Pair, fmt.Sprintf("%d of %d", t.Amount, l.Most)}, nil
	}).To("checked")
	d := drive(b)
	enginetest.Add(d, limits, Limit{"EURUSD", 100, hour(9)})
	enginetest.Add(d, trades, Deal{"EURUSD", 70, hour(10)}, Deal{"USDJPY", 5, hour(10)})
	show(d, "checked")
	// Output:
	// {"pair":"EURUSD","Text":"70 of 100"}
	// {"pair":"USDJPY","Text":"5 without a limit"}
}

// A table that keeps a history: a trade that comes late has the limit of its time, not today's.
func ExampleTableOf_Versioned() {
	b := dsl.New("desk")
	trades := dsl.Stream[Deal](b, "trades")
	limits := dsl.Table[string, Limit](b, "limits").Versioned(24 * time.Hour)
	dsl.JoinTable(trades, limits, func(t *Deal, l *Limit) (Checked, error) {
		return Checked{t.Pair, fmt.Sprintf("%d of %d", t.Amount, l.Most)}, nil
	}).To("checked")
	d := drive(b)
	enginetest.Add(d, limits, Limit{"EURUSD", 100, hour(9)}, Limit{"EURUSD", 50, hour(15)},
		Limit{"EURUSD", 80, hour(12)})
	enginetest.Add(d, trades, Deal{"EURUSD", 70, hour(16)}, Deal{"EURUSD", 70, hour(13)}, Deal{"EURUSD", 70, hour(10)},
		Deal{"EURUSD", 70, hour(8)})
	show(d, "checked")
	// Output:
	// {"pair":"EURUSD","Text":"70 of 50"}
	// {"pair":"EURUSD","Text":"70 of 80"}
	// {"pair":"EURUSD","Text":"70 of 100"}
}

// owned is what the joins of tables below put together.
func owned(l *Limit, o *Owner) (Checked, error) {
	switch {
	case l == nil:
		return Checked{o.Pair, o.Desk + " without a limit"}, nil
	case o == nil:
		return Checked{l.Pair, fmt.Sprintf("%d of nobody", l.Most)}, nil
	}
	return Checked{l.Pair, fmt.Sprintf("%d of %s", l.Most, o.Desk)}, nil
}

// ownedLimits adds limits and owners, and deletes the owner of EURUSD at the end.
func ownedLimits(b *dsl.Builder, limits *dsl.TableOf[string, Limit], owners *dsl.TableOf[string, Owner]) {
	d := drive(b)
	enginetest.Add(d, limits, Limit{"EURUSD", 100, hour(9)})
	enginetest.Add(d, owners, Owner{"USDJPY", "Tokyo"}, Owner{"EURUSD", "London"})
	d.AddRaw("owners", enginetest.Record{Key: []byte("EURUSD")})
	show(d, "owned")
}

// A row where both tables have one; it is gone when one of them is.
func ExampleJoinTables() {
	b := dsl.New("desk")
	limits, owners := dsl.Table[string, Limit](b, "limits"), dsl.Table[string, Owner](b, "owners")
	dsl.JoinTables(limits, owners, owned).To("owned")
	ownedLimits(b, limits, owners)
	// Output:
	// {"pair":"EURUSD","Text":"100 of London"}
	// EURUSD is gone
}

// Every limit, with its owner if it has one.
func ExampleLeftJoinTables() {
	b := dsl.New("desk")
	limits, owners := dsl.Table[string, Limit](b, "limits"), dsl.Table[string, Owner](b, "owners")
	dsl.LeftJoinTables(limits, owners, owned).To("owned")
	ownedLimits(b, limits, owners)
	// Output:
	// {"pair":"EURUSD","Text":"100 of nobody"}
	// {"pair":"EURUSD","Text":"100 of London"}
	// {"pair":"EURUSD","Text":"100 of nobody"}
}

// Every owner, with a limit if there is one.
func ExampleRightJoinTables() {
	b := dsl.New("desk")
	limits, owners := dsl.Table[string, Limit](b, "limits"), dsl.Table[string, Owner](b, "owners")
	dsl.RightJoinTables(limits, owners, owned).To("owned")
	ownedLimits(b, limits, owners)
	// Output:
	// {"pair":"USDJPY","Text":"Tokyo without a limit"}
	// {"pair":"EURUSD","Text":"100 of London"}
	// EURUSD is gone
}

// A row where any of the two has one.
func ExampleOuterJoinTables() {
	b := dsl.New("desk")
	limits, owners := dsl.Table[string, Limit](b, "limits"), dsl.Table[string, Owner](b, "owners")
	dsl.OuterJoinTables(limits, owners, owned).To("owned")
	ownedLimits(b, limits, owners)
	// Output:
	// {"pair":"EURUSD","Text":"100 of nobody"}
	// {"pair":"USDJPY","Text":"Tokyo without a limit"}
	// {"pair":"EURUSD","Text":"100 of London"}
	// {"pair":"EURUSD","Text":"100 of nobody"}
}

// How many pairs each desk owns now: a pair that goes to another desk is taken from the one that
// had it.
func ExampleGroupTable() {
	b := dsl.New("desk")
	owners := dsl.Table[string, Owner](b, "owners")
	type desk struct {
		Desk  string `ashi:"desk,key"`
		Pairs int64
	}
	dsl.Aggregate(dsl.GroupTable(owners, func(o *Owner) string { return o.Desk }), windows.Unbounded(),
		func(g dsl.Group[string, Owner]) desk {
			return desk{g.Key(), aggregates.Count(g)}
		}).Changes().Named(func(windows.Kind) string { return "desks" })
	d := drive(b)
	enginetest.Add(d, owners, Owner{"EURUSD", "London"}, Owner{"GBPUSD", "London"})
	show(d, "desks")
	enginetest.Add(d, owners, Owner{"EURUSD", "Paris"})
	show(d, "desks")
	// Output:
	// {"desk":"London","Pairs":2}
	// {"desk":"London","Pairs":1}
	// {"desk":"Paris","Pairs":1}
}

// Days that are made of hours.
func ExampleOutputOf_ToStream() {
	b := dsl.New("desk")
	type volume struct {
		Pair   string `ashi:"pair,key"`
		Amount int64
	}
	trades := dsl.Stream[Deal](b, "trades")
	hours := dsl.Aggregate(dsl.GroupByKey[string](trades), windows.Tumbling(time.Hour),
		func(g dsl.Group[string, Deal]) volume {
			return volume{g.Key(), aggregates.Sum(g, func(t *Deal) int64 { return t.Amount })}
		})
	ofHours := hours.Final().ToStream(windows.Tumbling(time.Hour))
	dsl.Aggregate(dsl.GroupByKey[string](ofHours), windows.Tumbling(24*time.Hour),
		func(g dsl.Group[string, volume]) volume {
			return volume{g.Key(), aggregates.Max(g, func(v *volume) int64 { return v.Amount })}
		}).As("busiest-hour").Final().Named(func(windows.Kind) string { return "busiest" })
	d := drive(b)
	enginetest.Add(d, trades, Deal{"EURUSD", 70, hour(10)}, Deal{"EURUSD", 80, hour(10)}, Deal{"EURUSD", 90, hour(12)},
		Deal{"EURUSD", 1, hour(30)}, Deal{"EURUSD", 1, hour(60)})
	show(d, "busiest")
	// Output:
	// {"pair":"EURUSD","Amount":150}
}
