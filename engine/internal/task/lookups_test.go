package task_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// A stream joined with a table, whose records come out of order: each row is joined with what the
// table had when all records of both topics are read in order of time as far as their topics let
// them [T5], or with what was in force at the row's time if the table keeps a history [ST3]. In
// every setting, crashes with replay too.
func TestLookups(t *testing.T) {
	from, n := rand.Uint64N(1<<40), uint64(24)
	if testing.Short() {
		n = 8
	}
	if *seed != 0 {
		from, n = *seed, 1
	}
	for at := from; at < from+n; at++ {
		for i, s := range settings() {
			if *seed == 0 && uint64(i)%8 != at%8 {
				continue
			}
			for _, partitions := range []int32{1, 3} {
				t.Run(fmt.Sprintf("%d/%s/%d", at, s.name, partitions), func(t *testing.T) {
					s.checkLookups(t, rand.New(rand.NewPCG(at, 1)), partitions)
				})
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", at)
		}
	}
}

// arrival is a record of the stream or the table.
type arrival struct {
	table     bool
	key       string // empty: null
	v         *string
	at        int64
	partition int32
}

func (a *arrival) record() (r enginetest.Record) {
	r.Timestamp = windows.Time(a.at)
	if a.key != "" {
		r.Key = []byte(a.key)
	}
	if a.v != nil {
		r.Value = fmt.Appendf(nil, `{"V":%q}`, *a.v)
	}
	return r
}

// randomArrivals is records in an order in which tasks process them, whatever they have already: of
// each partition the topic whose next record is the oldest goes first, of equal ones the table's.
func randomArrivals(r *rand.Rand, n, keys int, partitions int32) []arrival {
	queues := map[int32]*[2][]arrival{}
	now := int64(1000)
	for i := range n {
		now += r.Int64N(10)
		a := arrival{table: r.IntN(2) == 0, key: fmt.Sprint("k", r.IntN(keys)), at: now - pick(r, 0, 0, r.Int64N(20),
			r.Int64N(100))}
		if v := fmt.Sprint(i); r.IntN(5) > 0 {
			a.v = &v
		}
		if r.IntN(20) == 0 {
			a.key = ""
		} else {
			a.partition = murmur.Partition([]byte(a.key), partitions)
		}
		q := queues[a.partition]
		if q == nil {
			q = &[2][]arrival{}
			queues[a.partition] = q
		}
		which := 0
		if a.table {
			which = 1
		}
		q[which] = append(q[which], a)
	}
	var order []arrival
	for len(order) < n {
		q := queues[r.Int32N(partitions)]
		if q == nil || len(q[0])+len(q[1]) == 0 {
			continue
		}
		which := 1
		// what is dropped keeps nothing waiting
		if len(q[1]) == 0 || len(q[0]) > 0 && (q[0][0].at < q[1][0].at || q[0][0].v == nil) {
			which = 0
		}
		order = append(order, q[which][0])
		q[which] = q[which][1:]
	}
	return order
}

func lookupPlan(t *testing.T, left, filtered bool, history int64) *topology.Plan {
	b := dsl.New("lookups")
	table := dsl.Table[string, cell](b, "t")
	if filtered {
		table = table.Filter(func(c *cell) (bool, error) { return passes(c.V) })
	}
	join := dsl.JoinTable[string, cell, cell, cell]
	if left {
		join = dsl.LeftJoinTable
	}
	out := join(dsl.Stream[cell](b, "s"), table, func(l, r *cell) (cell, error) {
		var v *string
		if r != nil {
			v = &r.V
		}
		text, err := joinedRow(&l.V, v)
		return cell{l.K, text}, err
	})
	if history > 0 {
		table.Versioned(time.Duration(history) * time.Millisecond) // said after the join, it counts all the same
	}
	out.To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

// naive is a table that keeps every record that came: the slow way to answer.
type naive struct {
	history int64
	newest  map[int32]int64
	came    map[string][]arrival
}

func (n *naive) add(a arrival) {
	if n.newest[a.partition] = max(n.newest[a.partition], a.at); n.history == 0 ||
		a.at >= n.newest[a.partition]-n.history {
		n.came[a.key] = append(n.came[a.key], a)
	}
}

// row is what a record of the stream meets.
func (n *naive) row(s arrival) *string {
	var found, newest *arrival
	for i := range n.came[s.key] {
		a := &n.came[s.key][i]
		if newest == nil || a.at >= newest.at {
			newest = a
		}
		if n.history == 0 || a.at <= s.at && (found == nil || a.at >= found.at) {
			found = a
		}
	}
	if found == nil || n.history > 0 && found != newest && s.at < n.newest[s.partition]-n.history {
		return nil
	}
	return found.v
}

func (s setting) checkLookups(t *testing.T, r *rand.Rand, partitions int32) {
	left, filtered, history := r.IntN(2) == 0, r.IntN(3) == 0, pick[int64](r, 0, 10, 60, 1000)
	if filtered {
		history = 0
	}
	t.Log("left", left, "filtered", filtered, "history", history)
	s.options.Partitions, s.options.Store = partitions, s.stores(t, r)
	d := enginetest.NewWith(t, lookupPlan(t, left, filtered, history), s.options)
	order := randomArrivals(r, 200, 1+r.IntN(6), partitions)
	crash := map[int]bool{}
	for range s.crashes {
		crash[r.IntN(len(order))] = true
	}
	table := &naive{history, map[int32]int64{}, map[string][]arrival{}}
	want := make([][]string, partitions)
	for i, a := range order {
		if a.table {
			d.AddRaw("t", a.record())
			if ok, err := passes(text(a.v)); filtered && a.v != nil && (!ok || err != nil) {
				a.v = nil
			}
			if a.key != "" {
				table.add(a)
			}
		} else {
			d.AddRaw("s", a.record())
			if row := table.lookup(a, left); row != "" {
				want[a.partition] = append(want[a.partition], row)
			}
		}
		if crash[i] {
			d.Crash()
		}
	}
	d.Commit()
	for p := range partitions {
		var got []string
		for _, rec := range d.Partition("out", p) {
			got = append(got, fmt.Sprintf("%s %s @%d", rec.Key, rec.Value, rec.Timestamp))
		}
		require.Equal(t, want[p], got)
	}
}

func text(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

// lookup is the result of a record of the stream; empty: there is none.
func (n *naive) lookup(a arrival, left bool) (row string) {
	var found *string
	if a.key != "" {
		found = n.row(a)
	}
	if a.v == nil || found == nil && !left {
		return ""
	}
	defer func() {
		if recover() != nil {
			row = ""
		}
	}()
	v, err := joinedRow(a.v, found)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(`%s {"k":%q,"V":%q} @%d`, a.key, a.key, v, a.at)
}
