package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// What has become of each operator goes by its name, and says what was and what is.
func TestCompare(t *testing.T) {
	op := func(name, kind, meaning string, layout, count uint16) topology.Operator {
		return topology.Operator{Name: name, Kind: kind, Layout: layout,
			Meaning: []topology.Part{{Name: "meaning", Text: meaning}}, Numbers: topology.Numbers{Count: count}}
	}
	recorded := []topology.Operator{op("a", "aggregate", "by string", 1, 2), op("b", "table", "json", 1, 2),
		op("c", "join", "left", 2, 4)}
	for i := range recorded {
		recorded[i].Numbers.First = uint16(256 * (3 - i))
	}
	for _, c := range []struct {
		planned []topology.Operator
		want    []topology.Change
		text    string // of the first
	}{
		{[]topology.Operator{op("c", "join", "left", 2, 4), op("a", "aggregate", "by string", 1, 2),
			op("b", "table", "json", 1, 2)},
			[]topology.Change{topology.Kept, topology.Kept, topology.Kept}, `join "c": kept`},
		{[]topology.Operator{op("d", "aggregate", "by string", 1, 2), op("a", "aggregate", "by string", 1, 2),
			op("b", "table", "json", 1, 2)},
			[]topology.Change{topology.New, topology.Kept, topology.Kept, topology.Gone}, `aggregate "d": new`},
		{[]topology.Operator{op("a", "aggregate", "by int64", 1, 2), op("b", "table", "json", 2, 2),
			op("c", "join", "left", 1, 4)},
			[]topology.Change{topology.Changed, topology.Changed, topology.Newer},
			"aggregate \"a\"\n      meaning: was by string, is by int64"},
		{[]topology.Operator{op("b", "join", "left", 1, 4), op("a", "aggregate", "by string", 1, 3),
			op("c", "join", "left", 2, 4)},
			[]topology.Change{topology.Changed, topology.Changed, topology.Kept},
			"join \"b\"\n      kind: was table, is join"},
		{nil, []topology.Change{topology.Gone, topology.Gone, topology.Gone}, `aggregate "a": gone`},
		{[]topology.Operator{op("c", "join", "left", 1, 4)}, []topology.Change{topology.Newer, topology.Gone,
			topology.Gone},
			`join "c": its rows have layout 2, this version of ashi knows 1`},
	} {
		var got []topology.Change
		all := topology.Compare(recorded, c.planned)
		for _, d := range all {
			got = append(got, d.Change)
		}
		require.Equal(t, c.want, got)
		require.Equal(t, c.text, all[0].String())
	}
}

// What differs is said by part, not by two long lines.
func TestDifferencesByPart(t *testing.T) {
	type old struct {
		Pair   string `ashi:"pair,key"`
		Volume int64
		Gone   bool
	}
	type changed struct {
		Pair   string `ashi:"pair,key"`
		Volume string
		Added  int
	}
	of := func(declare func(b *dsl.Builder)) []topology.Operator {
		b := dsl.New("fx")
		declare(b)
		return built(t, b).Subs[0].Operators()
	}
	why := func(was, is func(b *dsl.Builder)) (lines []string) {
		for _, d := range topology.Compare(of(was), of(is)) {
			lines = append(lines, d.Why...)
		}
		return lines
	}
	counted := func(spec windows.Spec, more ...func(dsl.Group[string, rate]) int64) func(*dsl.Builder) {
		return func(b *dsl.Builder) {
			grouped := dsl.GroupBy(dsl.Stream[rate](b, "rates"), pair).AssumeCopartitioned()
			dsl.Aggregate(grouped, spec, func(g dsl.Group[string, rate]) bar {
				row := bar{High: aggregates.Max(g, bid)}
				for _, f := range more {
					row.Ticks += f(g)
				}
				return row
			}).Final()
		}
	}
	count := func(g dsl.Group[string, rate]) int64 { return aggregates.Count(g) }
	require.Empty(t, why(counted(windows.Minutes(1)), counted(windows.Minutes(1))))
	require.Equal(t, []string{"grace: was 2s, is 3s"}, why(counted(windows.Minutes(1).Grace(2*time.Second)),
		counted(windows.Minutes(1).Grace(3*time.Second))))
	require.Equal(t, []string{"aggregates: new count"}, why(counted(windows.Minutes(1)),
		counted(windows.Minutes(1), count)))
	require.Equal(t, []string{"aggregates: gone count"}, why(counted(windows.Minutes(1), count),
		counted(windows.Minutes(1))))
	require.Equal(t, []string{"windows: was tumbling 1min, is tumbling 1min,tumbling 5min",
		"numbers in row keys: was 1, is 2"}[:1],
		why(counted(windows.Minutes(1)), counted(windows.Minutes(1, 5))))

	kept := func(b *dsl.Builder) { dsl.Table[string, old](b, "limits").To("out") }
	require.Equal(t, []string{"column Volume: was int64, is string"},
		why(kept, func(b *dsl.Builder) { dsl.Table[string, changed](b, "limits").To("out") }))
	require.Equal(t, []string{"history: was none, is 1h0m0s"},
		why(kept, func(b *dsl.Builder) { dsl.Table[string, old](b, "limits").Versioned(time.Hour).To("out") }))

	joined := func(span dsl.Span, more bool) func(b *dsl.Builder) {
		return func(b *dsl.Builder) {
			l := dsl.Stream[old](b, "l")
			if more {
				dsl.Join(l, dsl.Stream[changed](b, "r"), span, func(*old, *changed) (old, error) {
					return old{},
						nil
				}).As("both").To("out")
				return
			}
			dsl.Join(l, dsl.Stream[old](b, "r"), span, func(*old, *old) (old, error) {
				return old{},
					nil
			}).As("both").To("out")
		}
	}
	require.Equal(t, []string{"before: was 1s, is 2s", "right column Volume: was int64, is string"},
		why(joined(dsl.Within(time.Second, 0), false), joined(dsl.Within(2*time.Second, 0), true)))
}

// The forms of before stay in the record, so that rows of all of them can be read, also when the
// program goes back.
func TestFormsAreRemembered(t *testing.T) {
	type first struct {
		Pair string `ashi:"pair,key"`
	}
	type second struct {
		Pair string `ashi:"pair,key"`
		More int
	}
	of := func(declare func(b *dsl.Builder)) []topology.Operator {
		b := dsl.New("fx")
		declare(b)
		return built(t, b).Subs[0].Operators()
	}
	one := func(b *dsl.Builder) { dsl.Table[string, first](b, "limits").To("out") }
	two := func(b *dsl.Builder) { dsl.Table[string, second](b, "limits").To("out") }
	forms := func(d []topology.Difference) []string {
		require.Len(t, d, 1)
		require.Equal(t, topology.Kept, d[0].Change)
		return d[0].Is.Rows[0].Forms
	}
	changed := topology.Compare(of(one), of(two))
	require.Equal(t, []string{"{pair s}", "{pair s;More i8}"}, forms(changed))
	back := topology.Compare([]topology.Operator{changed[0].Is}, of(one))
	require.Equal(t, []string{"{pair s}", "{pair s;More i8}"}, forms(back))
}

// Whatever gives rows another meaning is in what an operator says of itself.
func TestMeanings(t *testing.T) {
	type wide struct {
		Pair string `ashi:"pair,key"`
		Bid  float32
	}
	type narrow struct {
		Pair string `ashi:"pair,key"`
		Bid  float64
	}
	last := func(plan *topology.Plan) string {
		all := plan.Subs[len(plan.Subs)-1].Operators()
		return all[len(all)-1].Kind + all[len(all)-1].Described()
	}
	of := func(declare func(b *dsl.Builder)) string {
		b := dsl.New("fx")
		declare(b)
		return last(built(t, b))
	}
	type numbered struct {
		Open, High float64
		Ticks      int64
	}
	rates := func(b *dsl.Builder) *dsl.StreamOf[rate] { return dsl.Stream[rate](b, "rates") }
	grouped := func(b *dsl.Builder, spec windows.Spec) *dsl.WindowedOf[string, bar] {
		return dsl.Aggregate(dsl.GroupByKey[string](rates(b)), spec, barOf)
	}
	seen := map[string]string{}
	for name, o := range map[string]string{
		"aggregate": of(func(b *dsl.Builder) { grouped(b, windows.Minutes(1)).Final() }),
		"grace":     of(func(b *dsl.Builder) { grouped(b, windows.Minutes(1).Grace(0)).Final() }),
		"size":      of(func(b *dsl.Builder) { grouped(b, windows.Minutes(2)).Final() }),
		"sizes":     of(func(b *dsl.Builder) { grouped(b, windows.Minutes(1, 2)).Final() }),
		"slices":    of(func(b *dsl.Builder) { grouped(b, windows.Hopping(time.Hour, time.Minute)).Final() }),
		"no slices": of(func(b *dsl.Builder) { grouped(b, windows.Hopping(time.Hour, time.Minute)).Changes() }),
		"key": of(func(b *dsl.Builder) {
			dsl.Aggregate(dsl.GroupBy(rates(b), func(r *rate) int64 { return int64(r.Bid) }).AssumeCopartitioned(),
				windows.Minutes(1), func(g dsl.Group[int64, rate]) numbered {
					return numbered{Open: aggregates.EarliestByOffset(g, bid), High: aggregates.Max(g, bid),
						Ticks: aggregates.Count(g)}
				}).Final()
		}),
		"aggregates": of(func(b *dsl.Builder) {
			dsl.Aggregate(dsl.GroupByKey[string](rates(b)), windows.Minutes(1),
				func(g dsl.Group[string, rate]) bar { return bar{Ticks: aggregates.Count(g)} }).Final()
		}),
		"internal topic": of(func(b *dsl.Builder) {
			dsl.PartitionBy(rates(b), func(r *rate) int64 { return 0 }).Repartition("moved", 0).To("out")
		}),
		"table":         of(func(b *dsl.Builder) { dsl.Table[string, narrow](b, "limits").To("out") }),
		"other columns": of(func(b *dsl.Builder) { dsl.Table[string, wide](b, "limits").To("out") }),
		"other topic":   of(func(b *dsl.Builder) { dsl.Table[string, wide](b, "other").To("out") }),
		"history": of(func(b *dsl.Builder) {
			dsl.Table[string, narrow](b,
				"limits").Versioned(time.Hour).To("out")
		}),
		"suppress": of(func(b *dsl.Builder) {
			dsl.Table[string, narrow](b, "limits").Suppress(time.Hour,
				0).To("out")
		}),
		"suppress by number": of(func(b *dsl.Builder) {
			dsl.Table[string, narrow](b, "limits").Suppress(time.Hour,
				5).To("out")
		}),
		"suppress other colums": of(func(b *dsl.Builder) {
			dsl.Table[string, wide](b, "limits").Suppress(time.Hour,
				5).To("out")
		}),
	} {
		require.NotContains(t, seen, o, name)
		seen[o] = name
	}
}

func TestLinked(t *testing.T) {
	b := dsl.New("fx")
	rates := dsl.Stream[rate](b, "rates")
	dsl.PartitionBy(rates, func(r *rate) int64 { return 0 }).Repartition("moved", 0).To("out")
	dsl.Stream[spread](b, "spreads").To("alone")
	plan := built(t, b)
	require.Len(t, plan.Subs, 3)
	for _, sub := range plan.Subs {
		require.Equal(t, sub.Name != "spreads", plan.Linked(sub), sub.Name)
	}
}
