package topology_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of testdata")

type rate struct {
	Pair     string `ashi:"pair,key"`
	Bid, Ask float64
	At       time.Time `ashi:"at,timestamp"`
}

type bar struct {
	Pair       string `ashi:"pair,key"`
	Start      time.Time
	Open, High float64
	Ticks      int64
}

type spread struct {
	Pair  string `ashi:"pair,key"`
	Width float64
}

func pair(r *rate) string         { return r.Pair }
func bid(r *rate) float64         { return r.Bid }
func valid(r *rate) (bool, error) { return r.Bid > 0, nil }

func barOf(g dsl.Group[string, rate]) bar {
	return bar{Pair: g.Key(), Start: g.WindowStart(), Open: aggregates.EarliestByOffset(g, bid),
		High: aggregates.Max(g, bid), Ticks: aggregates.Count(g)}
}

// fx is the program of the readme: one stream, four sizes, changes and finals.
func fx(t testing.TB) *topology.Plan {
	b := dsl.New("fx")
	bars := dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[rate](b, "rates").Filter(valid)),
		windows.Minutes(1, 5, 15, 60), barOf)
	bars.Final()
	bars.Changes()
	return built(t, b)
}

// branches is a stream that forks: two aggregates with names of their own, and a topic of mapped
// rows.
func branches(t testing.TB) *topology.Plan {
	b := dsl.New("branches")
	rates := dsl.Stream[rate](b, "rates").Codec(codecs.Fixed[rate]())
	wide := dsl.Map(rates.Peek(func(*rate) error { return nil }),
		func(r *rate) (spread, error) { return spread{r.Pair, r.Ask - r.Bid}, nil })
	dsl.FlatMap(wide, func(s *spread) ([]spread, error) { return []spread{*s}, nil }).To("spreads")
	dsl.Aggregate(dsl.GroupByKey[string](wide), windows.Tumbling(30*time.Second).Grace(0),
		func(g dsl.Group[string, spread]) spread {
			return spread{g.Key(), aggregates.Avg(g, func(s *spread) float64 { return s.Width })}
		}).As("widths").Final().Named(func(k windows.Kind) string { return "widths_" + k.Name() })
	dsl.Aggregate(dsl.GroupByKey[string](rates), windows.Tumbling(250*time.Millisecond),
		barOf).As("fast").Codec(codecs.Fixed[bar]()).Final()
	return built(t, b)
}

// sources is two sub-topologies and a table.
func sources(t testing.TB) *topology.Plan {
	b := dsl.New("sources")
	dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[rate](b, "rates")), windows.Minutes(1), barOf).Final()
	dsl.Stream[spread](b, "spreads").Filter(func(s *spread) (bool, error) {
		return s.Width > 1,
			nil
	}).To("wide.spreads")
	dsl.Table[string, spread](b, "limits")
	return built(t, b)
}

func built(t testing.TB, b *dsl.Builder) *topology.Plan {
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

func TestGoldenPlans(t *testing.T) {
	for name, program := range map[string]func(testing.TB) *topology.Plan{"fx": fx, "branches": branches,
		"sources": sources} {
		t.Run(name, func(t *testing.T) {
			plan := program(t)
			golden(t, name+".txt", plan.Describe()+"\n"+plan.Mermaid())
			require.Equal(t, plan.Mermaid(), program(t).Mermaid(), "the text of equal plans")
			g := plan.Graph()
			require.Equal(t, g, program(t).Graph())
			require.Len(t, g.Arrows, strings.Count(plan.Mermaid(), " --> "))
		})
	}
}

func golden(t *testing.T, file, got string) {
	path := filepath.Join("testdata", file)
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// A step before an aggregate leaves the aggregate's name, its topics and the meaning of its state
// as they are; what belongs to the state changes what its operator says of it.
func TestStatefulNamesAndMeaningsAreStable(t *testing.T) {
	type change struct {
		steps int
		spec  windows.Spec
		as    string
		more  bool // another accumulator
	}
	plan := func(c change) (*topology.SubTopology, []string) {
		b := dsl.New("fx")
		s := dsl.Stream[rate](b, "rates")
		for range c.steps {
			s = dsl.Map(s.Filter(valid), func(r *rate) (rate, error) { return *r, nil })
		}
		w := dsl.Aggregate(dsl.GroupByKey[string](s), c.spec, func(g dsl.Group[string, rate]) bar {
			row := barOf(g)
			if c.more {
				row.High = aggregates.Min(g, bid)
			}
			return row
		})
		if c.as != "" {
			w.As(c.as)
		}
		w.Final()
		var names []string
		sub := built(t, b).Subs[0]
		for n := range sub.Nodes() {
			if _, ok := n.Op.(*topology.Step); !ok {
				names = append(names, n.Name)
			}
		}
		return sub, names
	}
	base := change{spec: windows.Minutes(1, 5)}
	sub, names := plan(base)
	require.Equal(t, []string{"rates", "rates-aggregate", "to-rates_1min_final", "to-rates_5min_final"}, names)
	for _, steps := range []int{1, 3} {
		with, same := plan(change{steps: steps, spec: base.spec})
		require.Equal(t, names, same)
		require.Equal(t, sub.Operators(), with.Operators())
	}
	for _, c := range []change{{spec: windows.Minutes(1)}, {spec: windows.Minutes(1, 6)}, {spec: base.spec.Grace(0)},
		{spec: base.spec, as: "bars"}, {spec: base.spec, more: true}} {
		other, _ := plan(c)
		require.NotEqual(t, sub.Operators(), other.Operators(), "%+v", c)
	}
}
