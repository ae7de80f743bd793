package engine_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// simRow is what all topics of a simulation hold.
type simRow struct {
	ID    string `ashi:"id,key"`
	Group string
	Other string // the ID of another row; it may be empty
	N     int64
	At    time.Time `ashi:"at,timestamp"`
}

type simStat struct {
	Key                  string `ashi:"key,key"`
	Start                time.Time
	Rows, Sum, Low, High int64
}

type simPair struct {
	ID   string `ashi:"id,key"`
	Text string
}

// simTopic is an input.
type simTopic struct {
	name  string
	table bool
	// times go back beyond grace and jump; a tame topic has them in the minute of its phase, so
	// that order does not matter
	wild   bool
	encode func([]byte, *simRow) ([]byte, error)
}

// simOutput is a topic to compare.
type simOutput struct {
	topic string
	// only the last row of each key counts: what was there in between depends on commits, or on the
	// order of partitions
	last  bool
	least simLeastRule // what holds where the plan runs at least once
}

// simPlan is a random plan. Its results do not depend on how members interleave, if its inputs are
// fed a topic at a time, and the next one when what follows from the last one is committed: then
// each task sees its topics in one order, and where rows went through an internal topic the order
// within a phase does not matter to what is made of them.
type simPlan struct {
	plan    *topology.Plan
	inputs  []*simTopic // tables first
	outputs []simOutput
	parts   []string // what is in it, for the log

	b     *dsl.Builder
	r     *rand.Rand
	wild  func(int) *dsl.StreamOf[simRow] // declared by the first call
	tame  func(int) *dsl.StreamOf[simRow]
	table func(int) *dsl.TableOf[string, simRow]
}

func newSimPlan(t testing.TB, r *rand.Rand) *simPlan {
	p := &simPlan{b: dsl.New("sim"), r: r}
	stream := func(name string) *dsl.StreamOf[simRow] { return dsl.Stream[simRow](p.b, name) }
	p.wild = declared(p, "wild", simTopic{wild: true}, stream)
	p.tame = declared(p, "tame", simTopic{}, stream)
	p.table = declared(p, "table", simTopic{table: true},
		func(name string) *dsl.TableOf[string, simRow] { return dsl.Table[string, simRow](p.b, name) })
	kinds := []func(name string) string{p.direct, p.direct, p.regrouped, p.regrouped, p.stages, p.joined, p.joined,
		p.joinedByGroup, p.lookup, p.joinedTables, p.foreign, p.suppressed, p.groupedTable}
	for i := range 1 + r.IntN(3) {
		p.parts = append(p.parts, kinds[r.IntN(len(kinds))](fmt.Sprint("out", i)))
	}
	var err error
	p.plan, err = p.b.Build()
	require.NoError(t, err, p.parts)
	slices.SortStableFunc(p.inputs, func(a, b *simTopic) int { // tables first
		switch {
		case a.table == b.table:
			return cmp.Compare(a.name, b.name)
		case a.table:
			return -1
		}
		return 1
	})
	return p
}

// declared makes inputs of one sort when they are first asked for.
func declared[S interface {
	StreamRef() topology.StreamOf[simRow]
}](p *simPlan, sort string, like simTopic, make func(string) S) func(int) S {
	have := map[int]S{}
	return func(i int) S {
		if s, ok := have[i]; ok {
			return s
		}
		in := like
		in.name = fmt.Sprint(sort, "-", i)
		s := make(in.name)
		in.encode = s.StreamRef().Encode
		have[i] = s
		p.inputs = append(p.inputs, &in)
		return s
	}
}

func (p *simPlan) put(topic string, last bool, least simLeastRule) {
	p.outputs = append(p.outputs, simOutput{topic, last, least})
}

func simGroup(r *simRow) string {
	simGate.pass()
	return r.Group
}

func simStatOf(g dsl.Group[string, simRow]) simStat {
	n := func(r *simRow) int64 {
		simGate.pass()
		return r.N
	}
	return simStat{g.Key(), g.WindowStart(), aggregates.Count(g), aggregates.Sum(g, n), aggregates.Min(g, n),
		aggregates.Max(g, n)}
}

func simPaired(l, r *simRow) (simPair, error) {
	text := func(r *simRow) string {
		if r == nil {
			return "-"
		}
		return fmt.Sprint(r.ID, r.N)
	}
	simGate.pass()
	if l != nil && l.N%17 == 0 {
		return simPair{}, errSimRow
	}
	return simPair{Text: text(l) + " " + text(r)}, nil
}

// spec is a kind of windows with grace.
func (p *simPlan) spec(grace time.Duration) windows.Spec {
	return []func() windows.Spec{
		func() windows.Spec { return windows.Minutes(1, 5) },
		func() windows.Spec { return windows.Hopping(4*time.Minute, time.Minute) },
		func() windows.Spec { return windows.Session(40 * time.Second) },
		func() windows.Spec { return windows.Sliding(45 * time.Second) },
		func() windows.Spec { return windows.Days(time.UTC, 0) },
	}[p.r.IntN(5)]().Grace(grace)
}

// results puts finals out, and changes now and then.
func (p *simPlan) results(w *dsl.WindowedOf[string, simStat], name string) {
	named := func(o *dsl.OutputOf[string, simStat], suffix string, last bool, least simLeastRule) {
		seen := map[string]bool{}
		o.Named(func(k windows.Kind) string {
			topic := name + "-" + k.Name() + suffix
			if !seen[topic] {
				seen[topic] = true
				p.put(topic, last, least)
			}
			return topic
		})
	}
	named(w.Final(), "", false, leastCounted)
	if p.r.IntN(2) == 0 {
		named(w.Changes(), "-raw", true, leastChanged)
	}
}

func (p *simPlan) direct(name string) string {
	s := p.spec(time.Duration(p.r.IntN(120)) * time.Second)
	p.results(dsl.Aggregate(dsl.GroupByKey[string](p.wild(p.r.IntN(2))), s, simStatOf).As(name), name)
	return fmt.Sprintf("%v of records", s)
}

func (p *simPlan) regrouped(name string) string {
	s := p.spec(simGrace)
	from := p.tame(p.r.IntN(2))
	if p.r.IntN(2) == 0 {
		from = dsl.Merge(dsl.PartitionBy(p.tame(0), simGroup).Repartition(name+"-0", 0),
			dsl.PartitionBy(p.tame(1), simGroup).Repartition(name+"-1", 0))
		p.results(dsl.Aggregate(dsl.GroupByKey[string](from), s, simStatOf).As(name), name)
		return fmt.Sprintf("%v of two topics by group", s)
	}
	p.results(dsl.Aggregate(dsl.GroupBy(from, simGroup), s, simStatOf).As(name), name)
	return fmt.Sprintf("%v by group", s)
}

// stages is totals of finals, in groups of their counts.
func (p *simPlan) stages(name string) string {
	minute := windows.Tumbling(time.Minute)
	finals := dsl.Aggregate(dsl.GroupByKey[string](p.wild(p.r.IntN(2))), minute.Grace(time.Minute),
		simStatOf).As(name).Final().
		Named(func(windows.Kind) string { return name + "-minutes" })
	p.put(name+"-minutes", false, leastCounted)
	rows := func(s *simStat) string { return fmt.Sprint(s.Rows) }
	dsl.Aggregate(dsl.GroupBy(finals.ToStream(minute), rows), windows.Unbounded(),
		func(g dsl.Group[string, simStat]) simStat {
			return simStat{Key: g.Key(), Rows: aggregates.Count(g),
				Sum: aggregates.Sum(g, func(s *simStat) int64 { return s.Sum })}
		}).As(name + "-all").Changes().Named(func(windows.Kind) string { return name })
	p.put(name, true, leastTotal)
	return "finals by count"
}

func (p *simPlan) joined(name string) string {
	how := []func(*dsl.StreamOf[simRow], *dsl.StreamOf[simRow], dsl.Span, func(*simRow, *simRow) (simPair,
		error)) *dsl.StreamOf[simPair]{
		dsl.Join[simRow, simRow, simPair], dsl.LeftJoin[simRow, simRow, simPair],
		dsl.RightJoin[simRow, simRow, simPair], dsl.OuterJoin[simRow, simRow, simPair]}
	i := p.r.IntN(len(how))
	span := dsl.Within(time.Duration(p.r.IntN(60))*time.Second, time.Duration(p.r.IntN(60))*time.Second).Grace(
		time.Duration(p.r.IntN(120)) * time.Second)
	how[i](p.wild(0), p.wild(1), span, simPaired).As(name).To(name)
	p.put(name, false, leastPairs)
	return fmt.Sprint("join of streams, kind ", i)
}

func (p *simPlan) joinedByGroup(name string) string {
	left, right := dsl.PartitionBy(p.tame(0), simGroup), dsl.PartitionBy(p.tame(1), simGroup)
	dsl.OuterJoin(left, right, dsl.Within(time.Minute, 10*time.Second).Grace(simGrace), simPaired).As(name).To(name)
	p.put(name, false, leastPairs)
	return "join of streams by group"
}

func (p *simPlan) lookup(name string) string {
	how := dsl.JoinTable[string, simRow, simRow, simPair]
	if p.r.IntN(2) == 0 {
		how = dsl.LeftJoinTable[string, simRow, simRow, simPair]
	}
	how(p.wild(p.r.IntN(2)), p.table(p.r.IntN(2)), simPaired).To(name)
	p.put(name, false, leastSame)
	return "lookup"
}

func (p *simPlan) joinedTables(name string) string {
	how := []func(*dsl.TableOf[string, simRow], *dsl.TableOf[string, simRow], func(*simRow, *simRow) (simPair,
		error)) *dsl.TableOf[string, simPair]{
		dsl.JoinTables[string, simRow, simRow, simPair], dsl.LeftJoinTables[string, simRow, simRow, simPair],
		dsl.OuterJoinTables[string, simRow, simRow, simPair]}
	how[p.r.IntN(len(how))](p.table(0), p.table(1), simPaired).To(name)
	p.put(name, true, leastLatest)
	return "join of tables"
}

func (p *simPlan) foreign(name string) string {
	how := dsl.JoinForeign[string, string, simRow, simRow, simPair]
	if p.r.IntN(2) == 0 {
		how = dsl.LeftJoinForeign[string, string, simRow, simRow, simPair]
	}
	how(p.table(0), p.table(1), func(r *simRow) (string, bool) { return r.Other, r.Other != "" }, simPaired).To(name)
	p.put(name, true, leastLatest)
	return "foreign key join"
}

func (p *simPlan) suppressed(name string) string {
	p.table(p.r.IntN(2)).Suppress(time.Duration(1+p.r.IntN(119))*time.Second, p.r.IntN(6)).As(name).To(name)
	p.put(name, false, leastSame)
	return "suppress"
}

func (p *simPlan) groupedTable(name string) string {
	dsl.Aggregate(dsl.GroupTable(p.table(p.r.IntN(2)), simGroup), windows.Unbounded(),
		func(g dsl.Group[string, simRow]) simStat {
			return simStat{Key: g.Key(), Rows: aggregates.Count(g),
				Sum: aggregates.Sum(g, func(r *simRow) int64 { return r.N })}
		}).As(name).Changes().Named(func(windows.Kind) string { return name })
	p.put(name, true, leastGroups)
	return "table by group"
}

// records is what one phase writes to a topic: out of order, late, of crazy times, null and poison
// where the topic may hold them.
func (p *simPlan) records(t testing.TB, in *simTopic, phase time.Time) []task.Output {
	r := p.r
	most := 40
	if r.IntN(10) == 0 {
		most = 400 // a burst
	}
	out := make([]task.Output, r.IntN(most))
	span := between(r, time.Second, time.Hour)
	for i := range out {
		row := simRow{ID: fmt.Sprint("k", r.IntN(15)), Group: fmt.Sprint("g", r.IntN(6)), N: r.Int64N(100),
			At: phase.Add(time.Duration(r.Int64N(60_000)) * time.Millisecond)}
		if r.IntN(4) > 0 {
			row.Other = fmt.Sprint("k", r.IntN(15))
		}
		if in.wild {
			row.At = p.wildTime(phase.Add(-time.Duration(r.Int64N(int64(span)))))
		}
		if r.IntN(60) == 0 {
			row.At = row.At.AddDate(60, 0, 0) // beyond the bound ahead
		}
		o := &out[i]
		*o = task.Output{Topic: in.name, Key: []byte(row.ID), Timestamp: windows.At(phase)}
		switch x := r.IntN(40); {
		case x == 0:
			o.Value = []byte("{poison")
		case x == 1 || in.table && x < 8: // null
		default:
			var err error
			o.Value, err = in.encode(nil, &row)
			require.NoError(t, err)
		}
	}
	return out
}

func (p *simPlan) wildTime(at time.Time) time.Time {
	switch x := p.r.IntN(50); {
	case x < 8:
		return at.Add(-time.Duration(p.r.Int64N(int64(4 * time.Minute))))
	case x == 8:
		return at.Add(-time.Duration(p.r.Int64N(int64(20 * 24 * time.Hour))))
	case x == 9:
		return time.Unix(p.r.Int64N(1000), 0).UTC()
	case x == 10:
		return at.Add(time.Duration(p.r.Int64N(int64(10 * time.Minute))))
	}
	return at
}
