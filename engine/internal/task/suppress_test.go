package task_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type level struct {
	Key string `ashi:"key,key"`
	N   int64
}

// levelText is a row as the tests write it; - is none.
func levelText(row any) string {
	if row == nil {
		return "-"
	}
	return fmt.Sprint(row.(*level).N)
}

// suppressPlan writes what comes out of a suppressed table to the topic out, with Old.
func suppressPlan(t testing.TB, every time.Duration, maxRows int) *topology.Plan {
	b := dsl.New("calm")
	dsl.Table[string, level](b, "levels").Suppress(every, maxRows)
	plan, err := b.Build()
	require.NoError(t, err)
	for n := range plan.Subs[0].Nodes() {
		if _, ok := n.Op.(*topology.Suppress); ok {
			n.Next = append(n.Next, &topology.Node{Name: "changes", Op: &topology.Sink{Topic: "out", Changes: true,
				Open: func() func(*topology.Record, []byte) ([]byte, error) {
					return func(r *topology.Record, dst []byte) ([]byte, error) {
						return fmt.Appendf(dst, "%s>%s", levelText(r.Old), levelText(r.Value)), nil
					}
				}}})
		}
	}
	return plan
}

// waitingLevel is a change that the oracle holds.
type waitingLevel struct {
	key       string
	since, at int64
	old, now  string
}

// calm is the oracle: a list that is searched and sorted for each record.
type calm struct {
	every   int64
	maxRows int
	table   map[string]string
	held    []waitingLevel
	now     int64
	out     []string
}

func (c *calm) change(key, value string, at int64) {
	old, ok := c.table[key]
	if !ok {
		old = "-"
	}
	if c.table[key] = value; value == "-" {
		delete(c.table, key)
	}
	if old == "-" && value == "-" {
		return // of a table that has no such row: nothing comes
	}
	c.now = max(c.now, at)
	if i := slices.IndexFunc(c.held, func(w waitingLevel) bool { return w.key == key }); i >= 0 {
		c.held[i].now, c.held[i].at = value, at
	} else {
		c.held = append(c.held, waitingLevel{key, at, at, old, value})
	}
	slices.SortFunc(c.held, func(a, b waitingLevel) int {
		return cmp.Or(cmp.Compare(a.since, b.since),
			cmp.Compare(a.key, b.key))
	})
	for len(c.held) > 0 && (c.every > 0 && c.held[0].since+c.every <= c.now || c.maxRows > 0 &&
		len(c.held) > c.maxRows) {
		if w := c.held[0]; w.old != "-" || w.now != "-" {
			c.out = append(c.out, fmt.Sprintf("%s@%d %s>%s", w.key, w.at, w.old, w.now))
		}
		c.held = c.held[1:]
	}
}

// Random changes, out of order, with deletions, over commits, crashes and little memory: the same
// changes as the oracle's, in its order.
func TestSuppressAgainstOracle(t *testing.T) {
	if *seed != 0 {
		checkSuppress(t, *seed)
		return
	}
	first := rand.Uint64()
	for n := range 200 {
		seed := first + uint64(n)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { checkSuppress(t, seed) })
	}
}

func checkSuppress(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	o := calm{every: r.Int64N(3) * 25, maxRows: r.IntN(6), table: map[string]string{}}
	if o.every == 0 {
		o.maxRows++
	}
	d := enginetest.NewWith(t, suppressPlan(t, time.Duration(o.every)*time.Millisecond, o.maxRows),
		enginetest.Options{Manual: true, Batch: 1 + r.IntN(9),
			KeepStores: r.IntN(2) == 0, Memory: r.IntN(3) * 200, CheckpointEvery: time.Duration(r.IntN(2)) * time.Hour})
	now := int64(0)
	for range r.IntN(300) {
		now += r.Int64N(10)
		rec := enginetest.Record{Key: fmt.Appendf(nil, "k%d", r.IntN(8)),
			Timestamp: windows.Time(max(0, now-r.Int64N(40)))}
		value := "-"
		if r.IntN(4) > 0 {
			value = fmt.Sprint(r.IntN(100))
			rec.Value = fmt.Appendf(nil, `{"N":%s}`, value)
		}
		d.AddRaw("levels", rec)
		o.change(string(rec.Key), value, int64(rec.Timestamp))
		switch r.IntN(10) {
		case 0:
			d.Commit()
		case 1:
			d.Crash()
		}
	}
	d.Commit()
	var got []string
	for _, r := range d.ReadRaw("out") {
		got = append(got, fmt.Sprintf("%s@%d %s", r.Key, r.Timestamp, r.Value))
	}
	require.Equal(t, o.out, got)
}

// A change waits for every, on stream time; later ones take its place in the row and not in time
// [P1].
func TestSuppress(t *testing.T) {
	d := enginetest.New(t, suppressPlan(t, time.Second, 2))
	step := func(key, value string, at windows.Time) []string {
		rec := enginetest.Record{Key: []byte(key), Timestamp: at}
		if value != "" {
			rec.Value = []byte(`{"N":` + value + `}`)
		}
		d.AddRaw("levels", rec)
		var out []string
		for _, r := range d.ReadRaw("out") {
			out = append(out, fmt.Sprintf("%s@%d %s", r.Key, r.Timestamp, r.Value))
		}
		return out
	}
	require.Empty(t, step("a", "1", 1000))
	require.Empty(t, step("a", "2", 1999))
	require.Empty(t, step("b", "1", 1500))
	d.Crash()
	require.Equal(t, []string{"a@2000 ->3"}, step("a", "3", 2000), "due, and the change that made it so is in it")
	require.Empty(t, step("b", "", 2100))
	require.Empty(t, step("c", "1", 2400))
	require.Equal(t, []string{"c@2400 ->1"}, step("a", "", 3400), "b was made and deleted: nothing goes out [P2]")
	require.Empty(t, step("d", "1", 3400))
	require.Equal(t, []string{"a@3400 3>-"}, step("e", "1", 3400), "a third key waits: the first goes")
}
