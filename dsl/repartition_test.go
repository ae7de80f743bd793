package dsl_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

var (
	plansMinutes = flag.Int("minutes", 0, "how long TestPlansAgainstOracle draws plans; 0: a few")
	plansSeed    = flag.Uint64("seed", 0, "the only plan of TestPlansAgainstOracle; 0: drawn")
)

// trip is a row of the plans below. Its topic is keyed by From.
type trip struct {
	From string    `ashi:"from,key"`
	To   string    `ashi:"to"`
	N    int64     `ashi:"n"`
	At   time.Time `ashi:"at,timestamp"`
}

type tripStat struct {
	Key         string `ashi:"key,key"`
	Rows        int64
	Sum, Newest int64
}

// keyedTrip is a trip with the key and the event time of its record.
type keyedTrip struct {
	key string
	at  time.Time
	trip
}

// keyFunctions make a key of a row. Each is one that a program may have; the first two are columns.
var keyFunctions = []struct {
	name, column string
	of           func(*trip) string
}{
	{"from", "from", func(r *trip) string { return r.From }},
	{"to", "to", func(r *trip) string { return r.To }},
	{"lower case", "", func(r *trip) string { return strings.ToLower(r.From) }},
	{"without spaces", "", func(r *trip) string { return strings.TrimSpace(r.From) }},
	{"before a dot", "", func(r *trip) string { before, _, _ := strings.Cut(r.From, "."); return before }},
	{"renamed", "", func(r *trip) string { return renamed(r.From) }},
	{"constant", "", func(*trip) string { return "all" }},
	{"both", "", func(r *trip) string { return r.To + r.From }},
}

func renamed(s string) string {
	switch s {
	case "XBT/USD":
		return "BTC/USD"
	}
	return s
}

// rowFunctions make another row; the record keeps its key.
var rowFunctions = []struct {
	name string
	of   func(trip) trip
}{
	{"lower case", func(r trip) trip { r.From = strings.ToLower(r.From); return r }},
	{"without spaces", func(r trip) trip { r.From = strings.TrimSpace(r.From); return r }},
	{"before a dot", func(r trip) trip { r.From, _, _ = strings.Cut(r.From, "."); return r }},
	{"renamed", func(r trip) trip { r.From = renamed(r.From); return r }},
	{"constant", func(r trip) trip { r.From = "all"; return r }},
	{"swapped", func(r trip) trip { r.From, r.To = r.To, r.From; return r }},
	{"the same", func(r trip) trip { return r }},
}

// places are values of From and To that the functions above make equal, or not.
var places = []string{"Eth/usd.x", "eth/usd.x", " Eth/usd.x ", "ETH/USD.y", "XBT/USD", "BTC/USD", " BTC/USD", "a.b",
	"a.c", "A", "all", "é.É", "x", "y"}

// planStep is a step of a plan, and what it does with rows. Several builds do the same.
type planStep struct {
	name   string
	builds []func(b *dsl.Builder, s *dsl.StreamOf[trip]) *dsl.StreamOf[trip]
	rows   func(in []keyedTrip) []keyedTrip
}

type tripStream = *dsl.StreamOf[trip]

// planRun is one plan and its input, drawn from a seed.
type planRun struct {
	r                     *rand.Rand
	trips, others, labels []trip
	steps                 []planStep
	key                   int // of keyFunctions; -1: the key that records have
	joined                bool
}

func drawPlan(seed uint64) *planRun {
	p := &planRun{r: rand.New(rand.NewPCG(seed, 12))}
	for i := range 60 {
		p.trips = append(p.trips, p.trip(noon.Add(time.Duration(i)*7*time.Second)))
	}
	for i := range 12 {
		p.others = append(p.others, p.trip(noon.Add(time.Duration(i)*31*time.Second)))
	}
	for i, place := range places {
		if p.r.IntN(3) > 0 {
			p.labels = append(p.labels, trip{From: place, To: places[p.r.IntN(len(places))], N: int64(i),
				At: noon.Add(-time.Hour)})
		}
	}
	for range p.r.IntN(5) {
		p.steps = append(p.steps, p.step())
	}
	p.key = p.r.IntN(len(keyFunctions)+1) - 1
	return p
}

func (p *planRun) trip(at time.Time) trip {
	return trip{places[p.r.IntN(len(places))], places[p.r.IntN(len(places))], p.r.Int64N(100), at}
}

func (p *planRun) step() planStep {
	one := func(f func(b *dsl.Builder, s tripStream) tripStream) []func(*dsl.Builder, tripStream) tripStream {
		return []func(*dsl.Builder, tripStream) tripStream{f}
	}
	each := func(f func(r keyedTrip) []keyedTrip) func([]keyedTrip) []keyedTrip {
		return func(in []keyedTrip) (out []keyedTrip) {
			for _, r := range in {
				out = append(out, f(r)...)
			}
			return out
		}
	}
	switch n := p.r.IntN(9); {
	case n == 0:
		return planStep{"filter", one(func(_ *dsl.Builder, s tripStream) tripStream {
			return s.Filter(func(r *trip) (bool, error) { return r.N%3 != 0, nil })
		}), each(func(r keyedTrip) []keyedTrip {
			if r.N%3 == 0 {
				return nil
			}
			return []keyedTrip{r}
		})}
	case n == 1:
		return planStep{"twice", one(func(_ *dsl.Builder, s tripStream) tripStream {
			return dsl.FlatMap(s, func(r *trip) ([]trip, error) { return []trip{*r, *r}, nil })
		}), each(func(r keyedTrip) []keyedTrip { return []keyedTrip{r, r} })}
	case n == 2 && !p.joined:
		p.joined = true
		return planStep{"left join table", one(func(b *dsl.Builder, s tripStream) tripStream {
			return dsl.LeftJoinTable(s, dsl.Table[string, trip](b, "labels"), labelled)
		}), each(func(r keyedTrip) []keyedTrip {
			var label *trip
			for i := range p.labels {
				if p.labels[i].From == r.key {
					label = &p.labels[i]
				}
			}
			r.trip, _ = labelled(&r.trip, label)
			return []keyedTrip{r}
		})}
	case n == 3 && !p.joined:
		p.joined = true
		return planStep{"join", one(func(b *dsl.Builder, s tripStream) tripStream {
			return dsl.Join(s, dsl.Stream[trip](b, "others"), dsl.Within(time.Hour, time.Hour).Grace(24*time.Hour),
				paired)
		}), each(func(r keyedTrip) (out []keyedTrip) {
			for i := range p.others {
				if p.others[i].From == r.key {
					row, _ := paired(&r.trip, &p.others[i])
					later := r.at
					if p.others[i].At.After(later) {
						later = p.others[i].At
					}
					out = append(out, keyedTrip{r.key, later, row})
				}
			}
			return out
		})}
	case n == 4 && !p.joined:
		p.joined = true
		return planStep{"merge", one(func(b *dsl.Builder, s tripStream) tripStream {
			return dsl.Merge(s,
				dsl.Stream[trip](b, "others"))
		}),
			func(in []keyedTrip) []keyedTrip {
				for _, r := range p.others {
					in = append(in, keyedTrip{r.From, r.At, r})
				}
				return in
			}}
	case n < 7:
		f := keyFunctions[p.r.IntN(len(keyFunctions))]
		builds := one(func(_ *dsl.Builder, s tripStream) tripStream { return dsl.PartitionBy(s, f.of) })
		if f.column != "" {
			builds = append(builds, func(_ *dsl.Builder,
				s tripStream) tripStream {
				return dsl.PartitionByColumns[string](s, f.column)
			})
		}
		return planStep{"partition by " + f.name, builds,
			each(func(r keyedTrip) []keyedTrip { return []keyedTrip{{f.of(&r.trip), r.at, r.trip}} })}
	}
	f := rowFunctions[p.r.IntN(len(rowFunctions))]
	return planStep{"map " + f.name, one(func(_ *dsl.Builder, s tripStream) tripStream {
		return dsl.Map(s, func(r *trip) (trip, error) { return f.of(*r), nil })
	}), each(func(r keyedTrip) []keyedTrip { return []keyedTrip{{r.key, r.at, f.of(r.trip)}} })}
}

func labelled(r, label *trip) (trip, error) {
	row := *r
	if label != nil {
		row.To, row.N = label.To, r.N+label.N
	}
	return row, nil
}

func paired(l, r *trip) (trip, error) { return trip{r.To, l.From, l.N + r.N, l.At}, nil }

// group is one of the ways to group by the key of the run.
func (p *planRun) group(s tripStream, r *rand.Rand) *dsl.GroupedOf[string, trip] {
	if p.key < 0 {
		return dsl.GroupByKey[string](s)
	}
	f := keyFunctions[p.key]
	switch n := r.IntN(4); {
	case n == 0:
		return dsl.GroupBy(s, f.of)
	case n == 1:
		return dsl.GroupByKey[string](dsl.PartitionBy(s, f.of))
	case n == 2:
		return dsl.GroupByKey[string](dsl.PartitionBy(s, f.of).Repartition("by-hand", 0))
	case f.column == "":
		return dsl.GroupByKey[string](dsl.Map(dsl.PartitionBy(s, f.of), func(r *trip) (trip, error) { return *r, nil }))
	}
	return dsl.GroupByColumns[string](s, f.column)
}

// results runs the plan with repartitions at points that r draws, each step and the groups in one
// of their forms.
func (p *planRun) results(t *testing.T, r *rand.Rand, partitions int32) (results map[string]tripStat, plan string) {
	b := dsl.New("trips")
	trips := dsl.Stream[trip](b, "trips")
	s := trips
	forced := func() {
		if r.IntN(3) == 0 {
			s = s.Repartition("forced", 0)
		}
	}
	forced()
	for _, step := range p.steps {
		s = step.builds[r.IntN(len(step.builds))](b, s)
		forced()
	}
	dsl.Aggregate(p.group(s, r), windows.Minutes(2).Grace(24*time.Hour), func(g dsl.Group[string, trip]) tripStat {
		n := func(r *trip) int64 { return r.N }
		return tripStat{g.Key(), aggregates.Count(g), aggregates.Sum(g, n), aggregates.Max(g, n)}
	}).As("stats").Changes().Named(func(windows.Kind) string { return "stats" })
	built, err := b.Build()
	require.NoError(t, err)
	plan = built.Describe()
	d := enginetest.NewWith(t, built, enginetest.Options{Partitions: partitions})
	for topic, rows := range map[string][]trip{"labels": p.labels, "others": p.others} {
		if strings.Contains(plan, "topic "+topic+" ") {
			d.AddRaw(topic, recordsOf(t, rows)...)
		}
	}
	enginetest.Add(d, trips, p.trips...)
	results = map[string]tripStat{}
	for _, record := range d.ReadRaw("stats") {
		var row tripStat
		require.NoError(t, codecs.JSON[tripStat]().Decode(record.Value, &row))
		results[string(record.Key)] = row
	}
	require.Zero(t, d.Dropped("failed")+d.Dropped("misplaced")+d.Dropped("null_key")+d.Dropped("late"))
	return results, plan
}

func recordsOf(t *testing.T, rows []trip) (records []enginetest.Record) {
	for i := range rows {
		value, err := codecs.JSON[trip]().Encode(nil, &rows[i])
		require.NoError(t, err)
		records = append(records, enginetest.Record{Key: []byte(rows[i].From), Value: value,
			Timestamp: windows.At(rows[i].At)})
	}
	return records
}

// expected is what the plan must give, computed from the rows.
func (p *planRun) expected() map[string]tripStat {
	rows := make([]keyedTrip, 0, len(p.trips))
	for _, r := range p.trips {
		rows = append(rows, keyedTrip{r.From, r.At, r})
	}
	for _, step := range p.steps {
		rows = step.rows(rows)
	}
	want := map[string]tripStat{}
	for _, r := range rows {
		group := r.key
		if p.key >= 0 {
			group = keyFunctions[p.key].of(&r.trip)
		}
		start := r.at.Truncate(2 * time.Minute).UnixMilli()
		key := fmt.Sprintf("%s%s", group, bigEndian(start))
		s, ok := want[key]
		s.Key, s.Rows, s.Sum = group, s.Rows+1, s.Sum+r.N
		if s.Newest = max(s.Newest, r.N); !ok {
			s.Newest = r.N
		}
		want[key] = s
	}
	return want
}

func bigEndian(n int64) string {
	b := make([]byte, 8)
	for i := range b {
		b[7-i] = byte(n >> (8 * i))
	}
	return string(b)
}

// check compares a plan with and without repartitions, over 1 and 5 partitions, with the oracle.
func (p *planRun) check(t *testing.T, seed uint64) {
	want := p.expected()
	for variant := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 100+variant))
		got, plan := p.results(t, r, []int32{1, 5}[variant%2])
		if !maps.Equal(want, got) {
			var names []string
			for _, s := range p.steps {
				names = append(names, s.name)
			}
			t.Fatalf("seed %d, variant %d: steps %q, group %d\n%s\nwant %v\ngot  %v", seed, variant, names, p.key, plan,
				want, got)
		}
	}
}

// Whether and where rows go through an internal topic changes no result: random plans, each with
// repartitions at other points and each key named as a function, as columns or as that of the
// records, give what an oracle makes of the rows.
func TestPlansAgainstOracle(t *testing.T) {
	if *plansSeed != 0 {
		drawPlan(*plansSeed).check(t, *plansSeed)
		return
	}
	from, end := rand.Uint64N(1<<40), time.Now().Add(time.Duration(*plansMinutes)*time.Minute)
	n := uint64(0)
	for ; n < 25 || time.Now().Before(end); n++ {
		// A test of its own gives back what its drivers hold, before the next one.
		if !t.Run(fmt.Sprint(from+n), func(t *testing.T) { drawPlan(from+n).check(t, from+n) }) {
			return
		}
		if *plansMinutes > 0 && n%500 == 499 {
			fmt.Printf("oracle-plans: %d plans without a difference\n", n+1)
		}
	}
	t.Logf("%d plans from seed %d", n, from)
}

// Each function is called, whatever it makes of rows that nobody has: in a stream, before a join,
// in a group.
func TestKeysThatFunctionsMake(t *testing.T) {
	row := trip{From: " Eth/usd.x ", To: "b", N: 1, At: noon}
	for _, f := range keyFunctions {
		t.Run(f.name, func(t *testing.T) {
			b := dsl.New("trips")
			trips, labels := dsl.Stream[trip](b, "trips"), dsl.Table[string, trip](b, "labels")
			by := dsl.PartitionBy(trips, f.of)
			by.To("moved")
			dsl.JoinTable(by, labels, labelled).To("labelled")
			dsl.Aggregate(dsl.GroupBy(trips, f.of), windows.Unbounded(), func(g dsl.Group[string, trip]) tripStat {
				return tripStat{Rows: aggregates.Count(g)}
			}).Changes().Named(func(windows.Kind) string { return "stats" })
			plan, err := b.Build()
			require.NoError(t, err)
			d := enginetest.NewWith(t, plan, enginetest.Options{Partitions: 5})
			key := f.of(&row)
			d.AddRaw("labels", recordsOf(t, []trip{{From: key, To: "label", At: noon.Add(-time.Minute)}})...)
			enginetest.Add(d, trips, row)
			moved, joined, stats := d.ReadRaw("moved"), d.ReadRaw("labelled"), d.ReadRaw("stats")
			require.Len(t, moved, 1)
			require.Equal(t, key, string(moved[0].Key))
			require.Len(t, joined, 1, "the row of the table with the new key")
			require.Contains(t, string(joined[0].Value), `"label"`)
			require.Len(t, stats, 1)
			require.Equal(t, key, string(stats[0].Key))
			require.Contains(t, string(stats[0].Value), fmt.Sprintf(`"key":%q`, key), "the projection has forgotten it")
		})
	}
}
