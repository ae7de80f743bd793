package dsl_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type invoice struct {
	ID     string `ashi:"id,key"`
	Buyer  string
	Amount int64
}

type buyer struct {
	Name string `ashi:"name,key"`
	City string
}

type billed struct {
	ID     string `ashi:"id,key"`
	Buyer  string
	City   string
	Amount int64
	Alone  bool
}

var errBilled = errors.New("cannot be billed")

func buyerOf(i *invoice) (string, bool) {
	if i.Amount == 13 {
		panic("no foreign key")
	}
	return i.Buyer, i.Buyer != ""
}

func bill(i *invoice, b *buyer) (billed, error) {
	if i.Amount == 7 {
		return billed{}, errBilled
	}
	if b == nil {
		return billed{ID: i.ID, Buyer: i.Buyer, Amount: i.Amount, Alone: true}, nil
	}
	if b.Name != i.Buyer {
		panic("not the row that was asked for")
	}
	return billed{ID: i.ID, Buyer: b.Name, City: b.City, Amount: i.Amount}, nil
}

// billing is both foreign key joins of one pair of tables.
type billing struct {
	plan     *topology.Plan
	invoices *dsl.TableOf[string, invoice]
	buyers   *dsl.TableOf[string, buyer]
}

func newBilling(t testing.TB) billing {
	b := dsl.New("billing")
	s := billing{invoices: dsl.Table[string, invoice](b, "invoices"), buyers: dsl.Table[string, buyer](b, "buyers")}
	dsl.JoinForeign(s.invoices, s.buyers, buyerOf, bill).To("inner")
	dsl.LeftJoinForeign(s.invoices, s.buyers, buyerOf, bill).To("left")
	var err error
	s.plan, err = b.Build()
	require.NoError(t, err)
	return s
}

// checkOld holds Old of what foreign key joins hand on against what they handed on before.
func checkOld(t testing.TB, plan *topology.Plan) {
	for _, sub := range plan.Subs {
		for n := range sub.Nodes() {
			if _, ok := n.Op.(*topology.ForeignJoin); !ok {
				continue
			}
			n.Next = append(n.Next, &topology.Node{Name: n.Name + "-check", Op: &topology.Step{Kind: "peek",
				Open: func() func(*topology.Record, []*topology.Record) ([]*topology.Record, error) {
					last := map[string]string{} // of this task since it was opened
					return func(r *topology.Record, out []*topology.Record) ([]*topology.Record, error) {
						if was, ok := last[string(r.Key)]; ok && was != fmt.Sprint(r.Old) {
							t.Errorf("%s: Old of %s is %v, want %s", n.Name, r.Key, r.Old, was)
						}
						last[string(r.Key)] = fmt.Sprint(r.Value)
						return out, nil
					}
				}}})
		}
	}
}

// lastRows is the last row of each key in a topic, without those that are deleted.
func lastRows(t testing.TB, d *enginetest.Driver, topic string, partitions int32) map[string]string {
	rows := map[string]string{}
	for p := range partitions {
		for _, r := range d.Partition(topic, p) {
			if rows[string(r.Key)] = string(r.Value); r.Value == nil {
				delete(rows, string(r.Key))
			}
		}
	}
	return rows
}

func (s billing) raw(t testing.TB, key string, value any, at int64) enginetest.Record {
	r := enginetest.Record{Key: []byte(key), Timestamp: windows.Time(at)}
	var err error
	switch row := value.(type) {
	case invoice:
		r.Value, err = s.invoices.StreamRef().Encode(nil, &row)
	case buyer:
		r.Value, err = s.buyers.StreamRef().Encode(nil, &row)
	}
	require.NoError(t, err)
	return r
}

// billingOracle is what the joins must come to.
type billingOracle struct {
	invoices map[string]invoice
	buyers   map[string]buyer
}

func (o billingOracle) rows(keep bool) map[string]string {
	rows := map[string]string{}
	for id, i := range o.invoices {
		if i.Amount == 7 {
			continue
		}
		b, ok := o.buyers[i.Buyer]
		if ok = ok && i.Buyer != "" && i.Amount != 13; !ok && !keep {
			continue
		}
		rows[id] = fmt.Sprintf(`{"id":%q,"Buyer":%q,"City":%q,"Amount":%d,"Alone":%v}`, id, i.Buyer, b.City, i.Amount,
			!ok)
		if !ok {
			rows[id] = fmt.Sprintf(`{"id":%q,"Buyer":%q,"City":"","Amount":%d,"Alone":true}`, id, i.Buyer, i.Amount)
		}
	}
	return rows
}

var foreignSeed = flag.Uint64("foreign.seed", 0, "run the program of TestForeignJoinsAgainstOracle with this seed only")

// Random changes of both tables, tasks ahead of each other, crashes, with what is kept in memory,
// in stores, and hardly at all: the end is that of a slow program.
func TestForeignJoinsAgainstOracle(t *testing.T) {
	first, programs := rand.Uint64(), 200
	switch {
	case *foreignSeed != 0:
		first, programs = *foreignSeed, 1
	case testing.Short():
		programs = 50
	}
	for n := range programs {
		seed := first + uint64(n)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { checkBilling(t, seed) })
	}
}

func checkBilling(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	s := newBilling(t)
	checkOld(t, s.plan)
	o := enginetest.Options{Partitions: 1 + r.Int32N(4), Random: rand.New(rand.NewPCG(seed, 1)), Batch: r.IntN(6),
		KeepStores: r.IntN(2) == 0, Memory: r.IntN(3) * 300, CheckpointEvery: time.Duration(r.IntN(2)) * time.Hour}
	d := enginetest.NewWith(t, s.plan, o)
	want := billingOracle{map[string]invoice{}, map[string]buyer{}}
	for range 20 + r.IntN(200) {
		id, name, at := fmt.Sprintf("i%d", r.IntN(12)), fmt.Sprintf("b%d", r.IntN(4)), r.Int64N(1000)
		switch x := r.IntN(20); {
		case x < 9:
			if r.IntN(6) == 0 {
				name = ""
			}
			want.invoices[id] = invoice{id, name, r.Int64N(16)}
			d.AddRaw("invoices", s.raw(t, id, want.invoices[id], at))
		case x < 11:
			delete(want.invoices, id)
			d.AddRaw("invoices", s.raw(t, id, nil, at))
		case x < 16:
			want.buyers[name] = buyer{name, fmt.Sprint("city ", r.IntN(100))}
			d.AddRaw("buyers", s.raw(t, name, want.buyers[name], at))
		case x < 18:
			delete(want.buyers, name)
			d.AddRaw("buyers", s.raw(t, name, nil, at))
		case x == 18:
			d.Commit()
		default:
			d.Crash()
		}
	}
	d.Commit()
	require.Equal(t, want.rows(false), lastRows(t, d, "inner", o.Partitions), "inner join")
	require.Equal(t, want.rows(true), lastRows(t, d, "left", o.Partitions), "left join")
}

type employee struct {
	Name string `ashi:"name,key"`
	Boss string
}

type pay struct {
	Name string `ashi:"name,key"`
	Text string
}

// A table joined with itself is one sub-topology that writes what it reads.
func TestForeignJoinOfOneTable(t *testing.T) {
	b := dsl.New("firm")
	staff := dsl.Table[string, employee](b, "staff")
	dsl.JoinForeign(staff, staff, func(e *employee) (string, bool) { return e.Boss, e.Boss != "" },
		func(e, boss *employee) (pay, error) {
			return pay{e.Name, fmt.Sprintf("%s of %s", e.Boss, boss.Boss)}, nil
		}).To("bosses")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 1)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 3})
	enginetest.Add(d, staff, employee{"ann", "bob"}, employee{"bob", "cid"}, employee{"cid", ""})
	enginetest.Add(d, staff, employee{"bob", "dan"})
	require.EqualValues(t, 1, d.Dropped("null_key"), "cid has no boss [FK3]")
	d.Crash()
	d.AddRaw("staff", enginetest.Record{Key: []byte("cid")})
	enginetest.Add(d, staff, employee{"dan", "dan"})
	require.Equal(t, map[string]string{"ann": `{"name":"ann","Text":"bob of dan"}`,
		"bob": `{"name":"bob","Text":"dan of dan"}`, "dan": `{"name":"dan","Text":"dan of dan"}`},
		lastRows(t, d, "bosses", 3))
}

// The result of a foreign key join is a table: it can be joined again, by another key of the joined
// rows.
func TestForeignJoinOfAJoin(t *testing.T) {
	b := dsl.New("firm")
	invoices, buyers := dsl.Table[string, invoice](b, "invoices"), dsl.Table[string, buyer](b, "buyers")
	cities := dsl.Table[string, pay](b, "cities")
	first := dsl.JoinForeign(invoices, buyers, buyerOf, bill)
	dsl.JoinForeign(first, cities, func(r *billed) (string, bool) { return r.City, true }, func(r *billed, c *pay) (pay,
		error) {
		return pay{r.ID, r.Buyer + " in " + c.Text}, nil
	}).To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 3)
	d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 2})
	enginetest.Add(d, cities, pay{"R", "Rome"}, pay{"O", "Oslo"})
	enginetest.Add(d, invoices, invoice{"1", "ann", 1}, invoice{"2", "ann", 2}, invoice{"3", "bob", 3})
	enginetest.Add(d, buyers, buyer{"ann", "R"}, buyer{"bob", "R"})
	enginetest.Add(d, buyers, buyer{"ann", "O"}, buyer{"bob", "?"})
	require.Equal(t, map[string]string{"1": `{"name":"1","Text":"ann in Oslo"}`,
		"2": `{"name":"2","Text":"ann in Oslo"}`},
		lastRows(t, d, "out", 2))
}

// A result has the later of the two rows' event times; deletions too.
func TestForeignJoinTimes(t *testing.T) {
	s := newBilling(t)
	d := enginetest.New(t, s.plan)
	times := func(topic string) (times []windows.Time) {
		for _, r := range d.ReadRaw(topic) {
			times = append(times, r.Timestamp)
		}
		return times
	}
	d.AddRaw("buyers", s.raw(t, "ann", buyer{"ann", "Rome"}, 50))
	d.AddRaw("invoices", s.raw(t, "1", invoice{"1", "ann", 1}, 20))
	require.Equal(t, []windows.Time{50}, times("inner"))
	d.AddRaw("invoices", s.raw(t, "1", invoice{"1", "ann", 2}, 60))
	require.Equal(t, []windows.Time{60}, times("inner"), "with the buyer that it has")
	d.AddRaw("buyers", s.raw(t, "ann", buyer{"ann", "Oslo"}, 55))
	require.Equal(t, []windows.Time{60}, times("inner"))
	d.AddRaw("buyers", s.raw(t, "ann", nil, 70))
	d.AddRaw("invoices", s.raw(t, "1", nil, 65))
	require.Equal(t, []windows.Time{70}, times("inner"), "the second deletes what is not there")
	require.Equal(t, []windows.Time{50, 60, 60, 70, 70}, times("left"))
}

// A row that changes and keeps its foreign key orders nothing.
func TestForeignJoinOrders(t *testing.T) {
	s := newBilling(t)
	d := enginetest.New(t, s.plan)
	orders := topology.InternalName("billing", "invoices-buyers-foreign-orders")
	d.AddRaw("buyers", s.raw(t, "ann", buyer{"ann", "Rome"}, 1))
	d.AddRaw("invoices", s.raw(t, "1", invoice{"1", "ann", 1}, 1), s.raw(t, "1", invoice{"1", "ann", 2}, 1))
	d.AddRaw("invoices", s.raw(t, "1", invoice{"1", "ann", 3}, 1))
	require.Len(t, d.ReadRaw(orders), 1)
	d.AddRaw("invoices", s.raw(t, "1", invoice{"1", "bob", 3}, 1))
	require.Len(t, d.ReadRaw(orders), 2, "the first is taken back")
	d.AddRaw("invoices", s.raw(t, "1", nil, 1))
	require.Len(t, d.ReadRaw(orders), 1)
	require.Len(t, d.ReadRaw("inner"), 3, "the first, the third, and a deletion")
}
