package task_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

func planOf(t testing.TB, declare func(b *dsl.Builder)) *topology.Plan {
	t.Helper()
	b := dsl.New("shop")
	declare(b)
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

// valuesOf are what a topic has, one a line.
func valuesOf(d *enginetest.Driver, topic string) string {
	var all []string
	for _, r := range d.Partition(topic, 0) {
		all = append(all, fmt.Sprintf("%s=%s", r.Key, r.Value))
	}
	return strings.Join(all, "\n")
}

func record(key, value string, at windows.Time) enginetest.Record {
	r := enginetest.Record{Timestamp: at}
	if key != "" {
		r.Key = []byte(key)
	}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

// A Protobuf oneof goes through an internal topic and through the state of a table.
func TestOneofIsKept(t *testing.T) {
	type count struct {
		Text string `ashi:"text,key"`
		N    int64
	}
	plan := planOf(t, func(b *dsl.Builder) {
		s := dsl.Stream[structpb.Value](b, "values").Codec(codecs.Proto[structpb.Value]())
		dsl.Aggregate(dsl.GroupBy(s, func(v *structpb.Value) string { return v.GetStringValue() }), windows.Unbounded(),
			func(g dsl.Group[string, structpb.Value]) count {
				return count{g.Key(), aggregates.Count(g)}
			}).Changes().Named(func(windows.Kind) string { return "counts" })
		last := dsl.ToTable[string](s)
		dsl.JoinTable(dsl.Stream[count](b, "asked"), last, func(_ *count, v *structpb.Value) (count,
			error) {
			return count{Text: v.GetStringValue()}, nil
		}).To("answers")
	})
	d := enginetest.New(t, plan)
	b, err := proto.Marshal(structpb.NewStringValue("x"))
	require.NoError(t, err)
	d.AddRaw("values", enginetest.Record{Key: []byte("k"), Value: b, Timestamp: 1})
	d.Crash()
	d.AddRaw("asked", record("k", `{}`, 2))
	require.Equal(t, `x={"text":"x","N":1}`, valuesOf(d, "counts"))
	require.Equal(t, `k={"text":"x","N":0}`, valuesOf(d, "answers"))
	require.Zero(t, d.Dropped("undecodable"))
}

// Fields that the message type does not know go through an internal topic.
func TestUnknownFieldsAreKept(t *testing.T) {
	plan := planOf(t, func(b *dsl.Builder) {
		c := codecs.Proto[wrapperspb.Int64Value]()
		dsl.Stream[wrapperspb.Int64Value](b, "in").Codec(c).Repartition("again", 0).To("out").Codec(c)
	})
	d := enginetest.New(t, plan)
	d.AddRaw("in", enginetest.Record{Key: []byte("k"), Value: []byte{8, 1, 16, 7, 72, 42}, Timestamp: 1})
	require.Equal(t, []byte{8, 1, 16, 7, 72, 42}, d.Partition("out", 0)[0].Value)
}

// payment has a field that only its codec knows.
type payment struct {
	ID    string
	cents int64
}

type paymentCodec struct{}

func (paymentCodec) Name() string { return "payments" }
func (paymentCodec) Encode(dst []byte, p *payment) ([]byte, error) {
	return fmt.Appendf(dst, "%s:%d", p.ID, p.cents), nil
}
func (paymentCodec) Decode(data []byte, p *payment) error {
	id, cents, _ := strings.Cut(string(data), ":")
	p.ID = id
	_, err := fmt.Sscan(cents, &p.cents)
	return err
}

func TestCodecsOfOnesOwn(t *testing.T) {
	type sum struct {
		ID    string `ashi:"id,key"`
		Cents int64
	}
	total := func(s *dsl.StreamOf[payment]) {
		dsl.Aggregate(dsl.GroupBy(s, func(p *payment) string { return p.ID }), windows.Unbounded(),
			func(g dsl.Group[string, payment]) sum {
				return sum{g.Key(), aggregates.Sum(g, func(p *payment) int64 { return p.cents })}
			}).Changes().Named(func(windows.Kind) string { return "sums" })
	}
	twice := func(p *payment) (payment, error) { return payment{p.ID, 2 * p.cents}, nil }
	d := enginetest.New(t, planOf(t, func(b *dsl.Builder) {
		total(dsl.Stream[payment](b, "in").Codec(paymentCodec{}).Filter(func(*payment) (bool, error) {
			return true,
				nil
		}))
	}))
	d.AddRaw("in", record("a", "x:11", 1))
	require.Equal(t, `x={"id":"x","Cents":11}`, valuesOf(d, "sums"))

	b := dsl.New("shop")
	total(dsl.Map(dsl.Stream[payment](b, "in").Codec(paymentCodec{}), twice))
	_, err := b.Build()
	require.ErrorContains(t, err, "task_test.payment.cents: the field is not exported, and would be lost")
	require.ErrorContains(t, err, "internal topic shop--in-repartition")
	require.ErrorContains(t, err, "(Codec)")

	d = enginetest.New(t, planOf(t, func(b *dsl.Builder) {
		total(dsl.Map(dsl.Stream[payment](b, "in").Codec(paymentCodec{}), twice).Codec(paymentCodec{}))
	}))
	d.AddRaw("in", record("a", "x:11", 1))
	require.Equal(t, `x={"id":"x","Cents":22}`, valuesOf(d, "sums"))
}

// What a row holds comes out of an internal topic as it went in, whether or not any codec for
// topics of others could say it.
func TestRowsOfStepsAreKept(t *testing.T) {
	type reading struct {
		At    time.Time
		Raw   []byte
		Text  string
		Notes []string
		Hint  string `ashi:"-"`
	}
	type seen struct{ Text string }
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, berlin)
	plan := planOf(t, func(b *dsl.Builder) {
		made := dsl.Map(dsl.Stream[seen](b, "in"), func(*seen) (reading, error) {
			return reading{At: at, Raw: []byte{}, Text: "\xff", Notes: []string{}, Hint: "h"}, nil
		})
		dsl.Map(made.Repartition("again", 0), func(r *reading) (seen, error) {
			return seen{fmt.Sprintf("%v %v %q %v %q", r.At, r.Raw == nil, r.Text, r.Notes == nil, r.Hint)}, nil
		}).To("out")
	})
	d := enginetest.New(t, plan)
	d.AddRaw("in", record("a", "{}", 1))
	require.Equal(t, `a={"Text":"2026-01-02 03:04:05.678901234 +0100 CET false \"\\xff\" false \"h\""}`,
		valuesOf(d, "out"))
}

type customer1 struct {
	ID   string `ashi:"id,key"`
	Name string
	Old  bool
}

type customer2 struct {
	City string `ashi:",default=Bern"`
	ID   string `ashi:"id,key"`
	Name string
	Tier *int32
}

type purchase struct {
	Customer string `ashi:"customer,key"`
	Text     string
}

// crm is a plan with customers of one type or another in every place that keeps rows.
func crm[C any](t testing.TB, text func(*C) string, names ...string) *topology.Plan {
	return planOf(t, func(b *dsl.Builder) {
		as := func(name string) string { return name + strings.Join(names, "") }
		customers := dsl.Table[string, C](b, "customers").As(as("crm"))
		sales := dsl.Stream[purchase](b, "sales")
		dsl.JoinTable(sales, customers, func(s *purchase, c *C) (purchase, error) {
			return purchase{s.Customer,
				text(c)}, nil
		}).To("looked")
		moves := dsl.Stream[C](b, "moves")
		dsl.Join(moves, sales, dsl.Within(time.Hour, time.Hour).Grace(time.Hour), func(c *C, s *purchase) (purchase,
			error) {
			return purchase{s.Customer, text(c)}, nil
		}).As("moved").To("moved")
		dsl.MapTable(customers.Suppress(time.Minute, 0).As("held"),
			func(c *C) (purchase, error) { return purchase{Text: text(c)}, nil }).To("held")
		dsl.Map(moves.Repartition("elsewhere", 0), func(c *C) (purchase, error) {
			return purchase{Text: text(c)},
				nil
		}).To("passed")
	})
}

// Columns come, go and move in whatever keeps rows, and in internal topics whose rows nobody has
// read yet.
func TestColumnsEvolve(t *testing.T) {
	for _, keep := range []bool{false, true} {
		first := crm(t, func(c *customer1) string { return c.Name })
		second := crm(t, func(c *customer2) string { return fmt.Sprint(c.Name, " ", c.City, " ", c.Tier == nil) })
		d := enginetest.NewWith(t, first, enginetest.Options{KeepStores: keep})
		d.AddRaw("customers", record("7", `{"Name":"Ann","Old":true}`, 1000))
		d.AddRaw("moves", record("7", `{"Name":"Ann"}`, 1000))
		d.Restart(second)
		d.AddRaw("sales", record("7", "{}", 2000))
		require.Equal(t, `7={"customer":"7","Text":"Ann Bern true"}`, valuesOf(d, "looked"))
		require.Equal(t, `7={"customer":"7","Text":"Ann Bern true"}`, valuesOf(d, "moved"))
		d.AddRaw("customers", record("8", `{"Name":"Eve","City":"Ulm"}`, 3000), record("9", `{}`, 100_000))
		require.Contains(t, valuesOf(d, "held"), `7={"customer":"","Text":"Ann Bern true"}`)
		d.Restart(first) // and back: rows of both forms are read
		d.AddRaw("sales", record("8", "{}", 100_001), record("7", "{}", 100_002))
		require.Contains(t, valuesOf(d, "looked"), `8={"customer":"8","Text":"Eve"}`)
		require.Contains(t, valuesOf(d, "looked"), `7={"customer":"7","Text":"Ann"}`)
		d.Crash()
		d.AddRaw("sales", record("8", "{}", 100_003))
		require.Equal(t, 2, strings.Count(valuesOf(d, "looked"), "Eve"))
	}
}

// Rows that wait in an internal topic, whose reader has never committed, are read by the next
// version of the program.
func TestInternalRowsEvolveBeforeTheFirstCommit(t *testing.T) {
	pass := func(second bool) *topology.Plan {
		return planOf(t, func(b *dsl.Builder) {
			if second {
				dsl.Map(dsl.Stream[customer2](b, "moves").Repartition("again", 0), func(c *customer2) (purchase,
					error) {
					return purchase{Text: c.Name + c.City}, nil
				}).To("out")
				return
			}
			dsl.Map(dsl.Stream[customer1](b, "moves").Repartition("again", 0), func(c *customer1) (purchase,
				error) {
				return purchase{Text: c.Name}, nil
			}).To("out")
		})
	}
	d := enginetest.NewWith(t, pass(false), enginetest.Options{Paced: true, Manual: true})
	d.AddRaw("moves", record("7", `{"Name":"Ann"}`, 1000))
	require.True(t, d.Step())
	d.CommitOnly("moves")
	d.Restart(pass(true))
	for d.Step() {
	}
	d.Commit()
	require.Equal(t, `7={"customer":"","Text":"AnnBern"}`, valuesOf(d, "out"))

	type other struct {
		ID   string `ashi:"id,key"`
		Name int64
	}
	d = enginetest.NewWith(t, pass(false), enginetest.Options{Paced: true, Manual: true})
	d.AddRaw("moves", record("7", `{"Name":"Ann"}`, 1000))
	require.True(t, d.Step())
	d.CommitOnly("moves")
	d.Restart(planOf(t, func(b *dsl.Builder) {
		dsl.Stream[other](b, "moves").Repartition("again", 0).To("out")
	}))
	err := d.TryCommit()
	require.ErrorIs(t, err, task.ErrForeign, "it is not dropped")
	require.ErrorContains(t, err, "column Name: was string, is int64")
}

// A column whose type is another one is named.
func TestColumnsThatAreRefused(t *testing.T) {
	type other struct {
		ID   string `ashi:"id,key"`
		Name int64
	}
	d := enginetest.New(t, crm(t, func(c *customer1) string { return c.Name }))
	d.AddRaw("customers", record("7", `{"Name":"Ann","Old":true}`, 1000))
	d.AddRaw("moves", record("7", `{"Name":"Ann"}`, 1000))
	err := d.TryRestart(crm(t, func(c *other) string { return "" }))
	require.ErrorContains(t, err, "column Name: was string, is int64")
}

// A table with another name is filled from its topic, silently, over crashes too.
func TestRenamedTableIsFilled(t *testing.T) {
	for _, keep := range []bool{false, true} {
		var fail error
		o := enginetest.Options{KeepStores: keep, FailFill: func(n int) error {
			if n == 2 && fail != nil {
				defer func() { fail = nil }()
				return fail
			}
			return nil
		}}
		d := enginetest.NewWith(t, crm(t, func(c *customer1) string { return c.Name }), o)
		d.AddRaw("customers", record("7", `{"Name":"Ann"}`, 1000), record("8", `{"Name":"Bob"}`, 1001),
			record("8", "", 1002), record("7", `{"Name":"Anne"}`, 1003))
		before := valuesOf(d, "held")
		plan := crm(t, func(c *customer2) string { return c.Name + c.City }, "-2")
		require.ErrorContains(t, d.TryRestart(plan), `Dropped("crm")`)
		mayGo(plan, "crm")
		fail = errors.New("broker lost")
		require.ErrorContains(t, d.TryRestart(plan), "filling tables from topic customers: broker lost")
		d.Restart(plan)
		require.Equal(t, before, valuesOf(d, "held"), "nothing goes downstream")
		d.AddRaw("sales", record("7", "{}", 2000), record("8", "{}", 2001))
		require.Equal(t, `7={"customer":"7","Text":"AnneBern"}`, valuesOf(d, "looked"))
	}
}

// Below a renamed table groups, versions and foreign keys go on with the rows that they know.
func TestRenamedTableBelowGroups(t *testing.T) {
	type total struct {
		City string `ashi:"city,key"`
		N    int64
	}
	type resident struct {
		ID   string `ashi:"id,key"`
		City string
	}
	build := func(name string) *topology.Plan {
		plan := planOf(t, func(b *dsl.Builder) {
			people := dsl.Table[string, resident](b, "people").As(name)
			dsl.Aggregate(dsl.GroupTable(people, func(r *resident) string { return r.City }), windows.Unbounded(),
				func(g dsl.Group[string, resident]) total {
					return total{g.Key(), aggregates.Count(g)}
				}).As("totals").Changes().Named(func(windows.Kind) string { return "totals" })
			cities := dsl.Table[string, total](b, "cities").As(name + "-cities")
			dsl.JoinForeign(people, cities, func(r *resident) (string, bool) { return r.City, true },
				func(r *resident, c *total) (resident, error) {
					return resident{r.ID, fmt.Sprint(c.City, c.N)}, nil
				}).To("billed")
			old := dsl.Table[string, resident](b, "places").As(name + "-places").Versioned(time.Hour)
			dsl.JoinTable(dsl.Stream[purchase](b, "sales"), old, func(s *purchase, r *resident) (purchase,
				error) {
				return purchase{s.Customer, r.City}, nil
			}).To("where")
		})
		mayGo(plan, "a", "a-cities", "a-places")
		return plan
	}
	d := enginetest.New(t, build("a"))
	d.AddRaw("cities", record("Ulm", `{"N":1}`, 1), record("Bern", `{"N":2}`, 2))
	d.AddRaw("people", record("7", `{"City":"Ulm"}`, 10), record("8", `{"City":"Ulm"}`, 11))
	d.AddRaw("places", record("7", `{"City":"Ulm"}`, 10), record("7", `{"City":"Bern"}`, 20))
	d.Restart(build("b"))
	d.AddRaw("people", record("7", `{"City":"Bern"}`, 30))
	require.Contains(t, valuesOf(d, "totals"), `Ulm={"city":"Ulm","N":1}`)
	require.True(t, strings.HasSuffix(valuesOf(d, "totals"), `Bern={"city":"Bern","N":1}`), valuesOf(d, "totals"))
	d.AddRaw("cities", record("Ulm", `{"N":5}`, 31))
	require.True(t, strings.HasSuffix(valuesOf(d, "billed"), `8={"id":"8","City":"Ulm5"}`), valuesOf(d, "billed"))
	require.Contains(t, valuesOf(d, "billed"), `7={"id":"7","City":"Bern2"}`)
	d.AddRaw("sales", record("7", "{}", 15), record("7", "{}", 25))
	require.Equal(t, `7={"customer":"7","Text":"Ulm"}`+"\n"+`7={"customer":"7","Text":"Bern"}`, valuesOf(d, "where"))
}

// A new table whose rows have gone through an internal topic cannot be filled where those are
// deleted.
func TestRenamedTableBehindAnInternalTopic(t *testing.T) {
	build := func(name string) *topology.Plan {
		plan := planOf(t, func(b *dsl.Builder) {
			dsl.Table[string, resident](b, "people").KeyCodec(codecs.JSONKey[string]()).As(name).To("out")
		})
		mayGo(plan, "a")
		return plan
	}
	d := enginetest.NewWith(t, build("a"), enginetest.Options{Purge: true})
	d.AddRaw("people", record(`"7"`, `{"City":"Ulm"}`, 10))
	err := d.TryRestart(build("b"))
	require.ErrorIs(t, err, task.ErrForeign)
	require.ErrorContains(t, err,
		`table "b" is new, and its rows have gone through internal topic shop--people-repartition`)
	d.Restart(build("a"))
}

type resident struct {
	ID   string `ashi:"id,key"`
	City string
}

// A step that is gone with what it holds is refused, with the counts; a step that holds nothing
// just goes.
func TestStepsThatVanish(t *testing.T) {
	minutes := func(name string) step { return summed(name, windows.Minutes(1).Grace(0)) }
	pairs := func(_ *dsl.Builder, s *dsl.StreamOf[visit]) {
		dsl.Join(s, s, dsl.Within(time.Second, 0), func(l, _ *visit) (visit, error) { return *l, nil }).As("pairs").To(
			"pairs")
	}
	build := func(steps ...step) *topology.Plan {
		plan := visits(t, steps...)
		mayGo(plan)
		return plan
	}
	before := build(minutes("bars"), pairs)
	d := enginetest.New(t, before)
	d.Restart(build(minutes("other"))) // nothing was held
	d.Restart(before)
	d.AddRaw("visits", visited(1, 61_000), visited(2, 62_000))
	err := d.TryRestart(build(minutes("minutes")))
	require.ErrorIs(t, err, task.ErrForeign)
	for _, want := range []string{`aggregate "bars": 1 row in 1 open window`, `join "pairs": 4 rows`,
		"(As, Repartition)", `Dropped("bars", "pairs")`} {
		require.ErrorContains(t, err, want)
	}
	d.Restart(before) // nothing was written
	d.AddRaw("visits", visited(4, 63_000))
	require.Equal(t, `{"shop":"A","N":7}`, newest(d, "bars"))

	b := dsl.New("app")
	minutes("minutes")(b, dsl.Stream[visit](b, "visits"))
	b.Dropped("bars", "pairs", "never-there")
	plan, err := b.Build()
	require.NoError(t, err)
	d.Restart(plan)
	d.AddRaw("visits", visited(8, 64_000))
	require.Equal(t, `{"shop":"A","N":8}`, newest(d, "minutes"))
	d.Restart(plan)
}
