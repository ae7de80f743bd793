package task_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// cell is a row of every table of a random program.
type cell struct {
	K string `ashi:"k,key"`
	V string
}

type cellSums struct {
	Group  string `ashi:"g,key"`
	N, Sum int64
}

// expr is a table made of others. What it does to a row depends on the row alone.
type expr struct {
	kind    string // leaf, filter, map, inner, left, right, outer
	leaf    int
	args    []*expr
	history int64 // of a leaf: 0 is not versioned
	kept    bool  // with a name and rows of its own
	table   *dsl.TableOf[string, cell]
}

func (e *expr) String() string {
	if e.kind == "leaf" {
		return fmt.Sprintf("t%d/%d", e.leaf, e.history)
	}
	return fmt.Sprintf("%s%v", e.kind, e.args)
}

// randomTables is the last of some tables made of leaves and of each other, so that one may be in
// several places of it.
func randomTables(r *rand.Rand, leaves int) *expr {
	var made []*expr
	for i := range leaves {
		made = append(made, &expr{kind: "leaf", leaf: i, history: pick[int64](r, 0, 0, 1, 50)})
	}
	for i := 1; i < leaves; i++ { // each leaf is in it
		made = append(made, &expr{kind: pick(r, "inner", "left", "right", "outer"), args: []*expr{made[len(made)-1],
			made[i]}, kept: r.IntN(3) == 0})
		if i == 1 {
			made[len(made)-1].args[0] = made[0]
		}
		if r.IntN(2) == 0 {
			made = append(made, &expr{kind: pick(r, "filter", "map"), args: made[len(made)-1:], kept: r.IntN(3) == 0})
		}
	}
	for range r.IntN(4) {
		last := made[len(made)-1]
		made = append(made, &expr{kind: pick(r, "inner", "left", "right", "outer"),
			args: []*expr{pick(r, last, pick(r, made...)), pick(r, last, pick(r, made...))}})
	}
	return made[len(made)-1]
}

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}

// passes, mapCell and joinedRow are the user's functions: some rows make them fail.
func passes(v string) (bool, error) {
	if hash(v)%11 == 0 {
		return true, errors.New("filter fails")
	}
	return hash(v)%3 > 0, nil
}

func mapCell(v string) (string, error) {
	if hash(v)%7 == 0 {
		panic("map panics")
	}
	return "m" + v, nil
}

func joinedRow(l, r *string) (string, error) {
	text := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	v := "(" + text(l) + text(r) + ")"
	if len(v) > 60 {
		v = fmt.Sprintf("(%x)", hash(v))
	}
	switch hash(v) % 13 {
	case 0:
		return v, errors.New("joiner fails")
	case 1:
		panic("joiner panics")
	}
	return v, nil
}

func (e *expr) build(b *dsl.Builder, name *int) *dsl.TableOf[string, cell] {
	if e.table != nil {
		return e.table
	}
	var args []*dsl.TableOf[string, cell]
	for _, a := range e.args {
		args = append(args, a.build(b, name))
	}
	joiner := func(l, r *cell) (cell, error) {
		var k string
		var vs [2]*string
		for i, c := range []*cell{l, r} {
			if c != nil {
				k, vs[i] = c.K, &c.V
			}
		}
		v, err := joinedRow(vs[0], vs[1])
		return cell{k, v}, err
	}
	switch e.kind {
	case "leaf":
		e.table = dsl.Table[string, cell](b, fmt.Sprintf("t%d", e.leaf))
		if e.history > 0 {
			e.table.Versioned(time.Duration(e.history) * time.Millisecond)
		}
	case "filter":
		e.table = args[0].Filter(func(c *cell) (bool, error) { return passes(c.V) })
	case "map":
		e.table = dsl.MapTable(args[0], func(c *cell) (cell, error) {
			v, err := mapCell(c.V)
			return cell{c.K, v}, err
		})
	case "inner":
		e.table = dsl.JoinTables(args[0], args[1], joiner)
	case "left":
		e.table = dsl.LeftJoinTables(args[0], args[1], joiner)
	case "right":
		e.table = dsl.RightJoinTables(args[0], args[1], joiner)
	case "outer":
		e.table = dsl.OuterJoinTables(args[0], args[1], joiner)
	}
	if e.kept {
		*name++
		e.table.As(fmt.Sprintf("kept-%d", *name))
	}
	return e.table
}

// eval is the row for which leaves have the given rows; nil is none.
func (e *expr) eval(rows []*string) (result *string) {
	if e.kind == "leaf" {
		return rows[e.leaf]
	}
	defer func() {
		if recover() != nil {
			result = nil
		}
	}()
	l := e.args[0].eval(rows)
	var v string
	var err error
	switch e.kind {
	case "filter":
		if l == nil {
			return nil
		}
		if ok, err := passes(*l); !ok || err != nil {
			return nil
		}
		return l
	case "map":
		if l == nil {
			return nil
		}
		v, err = mapCell(*l)
	default:
		r := e.args[1].eval(rows)
		switch {
		case l == nil && r == nil, e.kind == "inner" && (l == nil || r == nil), e.kind == "left" && l == nil,
			e.kind == "right" && r == nil:
			return nil
		}
		v, err = joinedRow(l, r)
	}
	if err != nil {
		return nil
	}
	return &v
}

func tablesPlan(t testing.TB, e *expr) *topology.Plan {
	b := dsl.New("tables")
	name := 0
	last := e.build(b, &name)
	last.To("out")
	groups := dsl.GroupTable(last, func(c *cell) string { return fmt.Sprint(hash(c.V) % 3) })
	perGroup := dsl.Aggregate(groups, windows.Unbounded(), func(g dsl.Group[string, cell]) cellSums {
		return cellSums{Group: g.Key(), N: aggregates.Count(g),
			Sum: aggregates.Sum(g, func(c *cell) int64 { return int64(hash(c.V)) })}
	}).As("groups").Having(func(s *cellSums) bool { return s.N > 0 })
	perGroup.Changes().Named(func(windows.Kind) string { return "groups" })
	// once more, of the result: how many rows have a group of their own
	sizes := dsl.GroupTable(perGroup.Changes().ToTable(), func(s *cellSums) string { return fmt.Sprint(s.N == 1) })
	dsl.Aggregate(sizes, windows.Unbounded(), func(g dsl.Group[string, cellSums]) cellSums {
		return cellSums{Group: g.Key(), N: aggregates.Count(g),
			Sum: aggregates.Sum(g, func(s *cellSums) int64 { return s.Sum })}
	}).As("sizes").Changes().Named(func(windows.Kind) string { return "sizes" })
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

// leafState is what a leaf has to have by its records.
type leafState struct {
	history int64
	newest  map[int32]int64 // by partition
	rows    map[string]*string
	at      map[string]int64
	late    int64
}

func (l *leafState) record(partition int32, key string, v *string, at int64) {
	l.newest[partition] = max(l.newest[partition], at)
	if l.history > 0 {
		if at < l.newest[partition]-l.history {
			l.late++
			return
		}
		if last, ok := l.at[key]; ok && at < last {
			return
		}
	}
	l.rows[key], l.at[key] = v, at
}

// Tables made of tables, of 2 to 4 topics, whose changes arrive in any order: when all have come
// the result is what the last rows give, and so are groups over it, which shows that each change
// told the row before too. In every setting.
func TestTables(t *testing.T) {
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
					s.checkTables(t, rand.New(rand.NewPCG(at, 0)), partitions)
				})
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", at)
		}
	}
}

func (s setting) checkTables(t *testing.T, r *rand.Rand, partitions int32) {
	leaves, keys := 2+r.IntN(3), 1+r.IntN(6)
	e := randomTables(r, leaves)
	t.Log(e)
	states := make([]*leafState, leaves)
	for i := range states {
		states[i] = &leafState{newest: map[int32]int64{}, rows: map[string]*string{}, at: map[string]int64{}}
	}
	e.histories(states)
	s.options.Partitions, s.options.Store = partitions, s.stores(t, r)
	d := enginetest.NewWith(t, tablesPlan(t, e), s.options)
	const records = 150
	crash := map[int]bool{}
	for range s.crashes {
		crash[r.IntN(records)] = true
	}
	now := int64(1000)
	for i := range records {
		leaf, key := r.IntN(leaves), fmt.Sprint("k", r.IntN(keys))
		now += r.Int64N(10)
		at := now - pick(r, 0, 0, r.Int64N(20), r.Int64N(200))
		rec := enginetest.Record{Key: []byte(key), Timestamp: windows.Time(at)}
		var v *string
		if r.IntN(3) > 0 {
			text := fmt.Sprint(i)
			v, rec.Value = &text, fmt.Appendf(nil, `{"V":%q}`, text)
		}
		switch r.IntN(30) {
		case 0:
			rec.Key = nil
		case 1:
			rec.Value = []byte("{")
		default:
			states[leaf].record(murmur.Partition(rec.Key, partitions), key, v, at)
		}
		d.AddRaw(fmt.Sprint("t", leaf), rec)
		if crash[i] {
			d.Crash()
		}
	}
	d.Commit()
	want := map[string]string{}
	groups := map[string]cellSums{}
	for k := range keys {
		key := fmt.Sprint("k", k)
		rows := make([]*string, leaves)
		for i, l := range states {
			rows[i] = l.rows[key]
		}
		if v := e.eval(rows); v != nil {
			want[key] = *v
			g := fmt.Sprint(hash(*v) % 3)
			groups[g] = cellSums{g, groups[g].N + 1, groups[g].Sum + int64(hash(*v))}
		}
	}
	got := lastRows[cell](t, d, "out")
	require.Len(t, got, len(want))
	for k, v := range want {
		require.Equal(t, v, got[k].V, k)
	}
	compareCells(t, groups, lastRows[cellSums](t, d, "groups"))
	sizes := map[string]cellSums{}
	for _, g := range groups {
		k := fmt.Sprint(g.N == 1)
		sizes[k] = cellSums{k, sizes[k].N + 1, sizes[k].Sum + g.Sum}
	}
	emptied := lastRows[cellSums](t, d, "sizes")
	for k, g := range emptied {
		if g.N == 0 {
			require.Zero(t, g.Sum)
			delete(emptied, k) // a group of which all rows are gone keeps its row [A2]
		}
	}
	compareCells(t, sizes, emptied)
	if s.crashes == 0 {
		var late int64
		for _, l := range states {
			late += l.late
		}
		require.Equal(t, late, d.Dropped("late"))
	}
}

// histories notes how the leaves are versioned, of those that are in the plan.
func (e *expr) histories(states []*leafState) {
	if e.kind == "leaf" {
		states[e.leaf].history = e.history
	}
	for _, a := range e.args {
		a.histories(states)
	}
}

func compareCells(t *testing.T, want, got map[string]cellSums) {
	require.Len(t, got, len(want))
	for k, g := range want {
		require.Equal(t, [2]int64{g.N, g.Sum}, [2]int64{got[k].N, got[k].Sum}, k)
	}
}

// lastRows is the last row of each key in a topic. Nothing is deleted that was not there.
func lastRows[R any](t *testing.T, d *enginetest.Driver, topic string) map[string]R {
	rows := map[string]R{}
	for _, rec := range d.ReadRaw(topic) {
		key := string(rec.Key)
		if rec.Value == nil {
			require.Contains(t, rows, key, "%s: deletion of %q, which is not there", topic, key)
			delete(rows, key)
			continue
		}
		var row R
		require.NoError(t, json.NewDecoder(strings.NewReader(string(rec.Value))).Decode(&row))
		rows[key] = row
	}
	return rows
}
