package task_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// besides are steps with state beside those of a program. The first counts all records of a key.
func besides() []func(*dsl.StreamOf[event]) {
	number := func(g dsl.Group[string, event]) hourly { return hourly{K: g.Key(), N: aggregates.Count(g)} }
	group := func(s *dsl.StreamOf[event]) *dsl.GroupedOf[string, event] {
		return dsl.GroupByKey[string](s)
	}
	named := func(name string) func(windows.Kind) string { return func(windows.Kind) string { return name } }
	return []func(*dsl.StreamOf[event]){
		func(s *dsl.StreamOf[event]) {
			dsl.Aggregate(group(s), windows.Unbounded(), number).As("all").Changes().Named(named("all"))
		},
		func(s *dsl.StreamOf[event]) {
			dsl.Aggregate(group(s), windows.Session(time.Second).Grace(0),
				number).As("visits").Final().Named(named("visits"))
		},
		func(s *dsl.StreamOf[event]) { dsl.ToTable[string](s).As("kept").To("kept") },
		func(s *dsl.StreamOf[event]) {
			dsl.LeftJoin(s, s, dsl.Within(time.Second, 0), func(l, _ *event) (event, error) {
				return *l,
					nil
			}).As("pairs").To("pairs")
		},
		func(s *dsl.StreamOf[event]) { dsl.ToTable[string](s).Suppress(time.Second, 0).To("held") },
	}
}

// TestChangedPlans stops random programs at random points and goes on with others: the program's
// steps among others in another order. What stays in the plan gives the results of the oracle; the
// count of all records, which is in every plan, that of a plan that was never changed.
func TestChangedPlans(t *testing.T) {
	from, n := rand.Uint64N(1<<40), uint64(12)
	if testing.Short() {
		n = 4
	}
	if *seed != 0 {
		from, n = *seed, 1
	}
	seeds := []uint64{793085648168} // an empty group had no key where it was the first to be put out
	for at := from; at < from+n; at++ {
		seeds = append(seeds, at)
	}
	for _, at := range seeds {
		r := rand.New(rand.NewPCG(at, 3))
		s := pick(r, settings()...)
		t.Run(fmt.Sprint("seed ", at, " ", s.name), func(t *testing.T) { checkChanged(t, r, s, pick[int32](r, 1, 3)) })
	}
}

func checkChanged(t *testing.T, r *rand.Rand, s setting, partitions int32) {
	p := randomProgram(r, partitions)
	in := randomStream(t, r, p, 250)
	variant := func() *running {
		var before, behind []func(*dsl.StreamOf[event])
		for i, declare := range besides() {
			switch r.IntN(3) {
			case 0:
				before = append(before, declare)
			case 1:
				behind = append(behind, declare)
			default:
				if i == 0 {
					before = append(before, declare)
				}
			}
		}
		r.Shuffle(len(before), func(i, j int) { before[i], before[j] = before[j], before[i] })
		return p.buildAmong(t, before, behind)
	}
	o := newOracle(p, in)
	o.every = s.options.EveryUpdate
	s.options.Partitions, s.options.Start, s.options.Ahead, s.options.Store = partitions, in.clock, in.ahead,
		s.stores(t, r)
	built := variant()
	d := enginetest.NewWith(t, built.plan, s.options)
	same := enginetest.NewWith(t, p.buildAmong(t, besides()[:1], nil).plan, enginetest.Options{Partitions: partitions,
		Start: in.clock, Ahead: in.ahead})
	for i := range in.records {
		o.record(murmur.Partition(in.records[i].Key, partitions), &in.records[i])
		same.AddRaw("in", in.records[i].Record)
		switch d.AddRaw("in", in.records[i].Record); r.IntN(25) {
		case 0:
			d.Commit()
			built = variant()
			d.Restart(built.plan)
		case 1:
			built = variant()
			d.Restart(built.plan)
		case 2:
			d.Crash()
		}
	}
	d.Commit()
	o.compare(t, d, built, partitions)
	for partition := range partitions {
		require.Equal(t, lastOf(same.Partition("all", partition)), lastOf(d.Partition("all", partition)))
	}
}

// visit is a row of the plans below.
type visit struct {
	Shop string `ashi:"shop,key"`
	N    int64
}

// visits is a plan of named steps over the topic visits.
func visits(t testing.TB, declare ...func(*dsl.Builder, *dsl.StreamOf[visit])) *topology.Plan {
	b := dsl.New("app")
	s := dsl.Stream[visit](b, "visits")
	for _, f := range declare {
		f(b, s)
	}
	plan, err := b.Build()
	require.NoError(t, err)
	mayGo(plan, "total", "most", "minutes", "more", "of-shop")
	return plan
}

type step = func(*dsl.Builder, *dsl.StreamOf[visit])

// summed is the sum of N by shop and window, to the topic of its name.
func summed(name string, spec windows.Spec) step {
	return func(_ *dsl.Builder, s *dsl.StreamOf[visit]) {
		w := dsl.Aggregate(dsl.GroupByKey[string](s), spec, func(g dsl.Group[string, visit]) visit {
			return visit{g.Key(), aggregates.Sum(g, func(v *visit) int64 { return v.N })}
		}).As(name)
		w.Changes().Named(func(windows.Kind) string { return name })
	}
}

// most is summed with another aggregate.
func most(name string) step {
	return func(_ *dsl.Builder, s *dsl.StreamOf[visit]) {
		dsl.Aggregate(dsl.GroupByKey[string](s), windows.Unbounded(), func(g dsl.Group[string, visit]) visit {
			return visit{g.Key(), aggregates.Max(g, func(v *visit) int64 { return v.N })}
		}).As(name).Changes().Named(func(windows.Kind) string { return name })
	}
}

// paired joins with another topic.
func paired(b *dsl.Builder, s *dsl.StreamOf[visit]) {
	dsl.JoinTable(s, dsl.Table[string, visit](b, "shops").As("of-shop"),
		func(v, shop *visit) (visit, error) { return visit{v.Shop, shop.N}, nil }).To("paired")
}

func visited(n int, at windows.Time) enginetest.Record {
	return enginetest.Record{Key: []byte("A"), Value: fmt.Appendf(nil, `{"N":%d}`, n), Timestamp: at}
}

// newest is the value that a topic has last for shop A.
func newest(d *enginetest.Driver, topic string) string {
	all := d.Partition(topic, 0)
	if len(all) == 0 {
		return ""
	}
	return string(all[len(all)-1].Value)
}

// What becomes of steps when the plan changes, as docs/operations.md has it.
func TestPlanChanges(t *testing.T) {
	total, most := summed("total", windows.Unbounded()), most("most")
	d := enginetest.New(t, visits(t, total, most))
	d.AddRaw("visits", visited(5, 1000), visited(3, 2000))
	require.Equal(t, `{"shop":"A","N":8}`, newest(d, "total"))

	d.Restart(visits(t, most, total)) // swapped
	d.AddRaw("visits", visited(1, 3000))
	require.Equal(t, `{"shop":"A","N":9}`, newest(d, "total"))
	require.Equal(t, `{"shop":"A","N":5}`, newest(d, "most"))

	d.Restart(visits(t, summed("minutes", windows.Minutes(1)), total, most)) // one more
	d.AddRaw("visits", visited(2, 4000))
	require.Equal(t, `{"shop":"A","N":11}`, newest(d, "total"))
	require.Equal(t, `{"shop":"A","N":2}`, newest(d, "minutes"), "it counts from now on")

	d.Restart(visits(t, summed("minutes", windows.Minutes(1)), most)) // one less
	d.AddRaw("visits", visited(2, 5000))
	require.Equal(t, `{"shop":"A","N":4}`, newest(d, "minutes"))
	d.Restart(visits(t, total, most, summed("minutes", windows.Minutes(1)))) // and back
	d.AddRaw("visits", visited(2, 6000))
	require.Equal(t, `{"shop":"A","N":2}`, newest(d, "total"), "what has gone begins anew")
	require.Equal(t, `{"shop":"A","N":6}`, newest(d, "minutes"))

	d.Queue("shops", visited(70, 0))
	d.Restart(visits(t, paired, total)) // a new topic is read from its oldest record
	d.AddRaw("visits", visited(2, 7000))
	require.Equal(t, `{"shop":"A","N":70}`, newest(d, "paired"))
	require.Equal(t, `{"shop":"A","N":4}`, newest(d, "total"))

	// a topic that is not read any more keeps its position, so that nothing counts twice when it
	// comes back
	d.Restart(visits(t, total))
	d.Queue("shops", visited(71, 0))
	d.Restart(visits(t, paired, total))
	d.AddRaw("visits", visited(2, 8000))
	require.Equal(t, `{"shop":"A","N":71}`, newest(d, "paired"))
	require.Equal(t, `{"shop":"A","N":6}`, newest(d, "total"))
}

// A step that comes back begins anew in all: its stream time too is that of the records that come.
func TestStepComesBack(t *testing.T) {
	total, minutes := summed("total", windows.Unbounded()), summed("minutes", windows.Minutes(1))
	d := enginetest.New(t, visits(t, total, minutes))
	d.AddRaw("visits", visited(5, 1_000_000))
	d.Restart(visits(t, total))
	d.AddRaw("visits", visited(1, 1_000_000))
	d.Restart(visits(t, total, minutes))
	d.AddRaw("visits", visited(2, 1000))
	require.Equal(t, `{"shop":"A","N":2}`, newest(d, "minutes"))
	require.Zero(t, d.Dropped("late"))
}

// A step that is not what it was is refused, with all that has changed and what to do; nothing was
// written, so the plan of before goes on.
func TestChangedStepIsRefused(t *testing.T) {
	before := visits(t, summed("total", windows.Unbounded()), summed("minutes", windows.Minutes(1)), paired)
	d := enginetest.New(t, before)
	d.AddRaw("visits", visited(5, 1000))
	err := d.TryRestart(visits(t, most("total"), summed("minutes", windows.Minutes(2)),
		summed("more", windows.Minutes(2))))
	require.ErrorIs(t, err, task.ErrForeign)
	for _, want := range []string{"sub-topology visits, partition 0, changelog app--visits-changelog",
		`aggregate "total"`, `aggregate "minutes"`, "windows: was tumbling 1min, is tumbling 2min",
		"aggregates: new max int; gone sum int", "another name (As)", "OnPlanChange",
		"give the application another name"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "of-shop", "what is gone is no reason")
	d.Restart(before)
	d.AddRaw("visits", visited(2, 2000))
	require.Equal(t, `{"shop":"A","N":7}`, newest(d, "minutes"))

	b := dsl.New("app")
	dsl.PartitionBy(dsl.Stream[visit](b, "visits"), func(v *visit) int64 { return v.N }).Repartition("numbers",
		0).To("out")
	summed("total", windows.Minutes(1))(b, dsl.Stream[visit](b, "other"))
	b.Dropped("total", "minutes", "of-shop")
	_, err = b.Build()
	require.ErrorContains(t, err, `Dropped: aggregate "total" is in the plan`)
	b = dsl.New("app")
	dsl.PartitionBy(dsl.Stream[visit](b, "visits"), func(v *visit) int64 { return v.N }).Repartition("numbers",
		0).To("out")
	summed("total", windows.Minutes(1))(b, dsl.Stream[visit](b, "other"))
	linked, err := b.Build()
	require.NoError(t, err)
	mayGo(linked, "total", "minutes", "of-shop")
	d.Restart(linked)
	d.AddRaw("visits", visited(3, 3000))
	b = dsl.New("app")
	type named struct{ N string }
	dsl.PartitionBy(dsl.Map(dsl.Stream[visit](b, "visits"),
		func(v *visit) (named, error) { return named{fmt.Sprint(v.N)}, nil }), func(v *named) string { return v.N }).
		Repartition("numbers", 0).To("out")
	linked, err = b.Build()
	require.NoError(t, err)
	mayGo(linked, "total")
	err = d.TryRestart(linked)
	require.ErrorContains(t, err, `internal topic "app--numbers"`, "rows with other columns may wait in it")
	require.ErrorContains(t, err, "column N: was int64, is string")
	require.ErrorContains(t, err, "a rebuild (OnPlanChange) is not possible here")
}

// rebuilt is a plan with one step that changes and one that does not.
func rebuilt(t testing.TB, spec windows.Spec) *topology.Plan {
	return visits(t, summed("total", windows.Unbounded()), func(_ *dsl.Builder, s *dsl.StreamOf[visit]) {
		dsl.Aggregate(dsl.GroupByKey[string](s), spec.Grace(0), func(g dsl.Group[string, visit]) visit {
			return visit{g.Key(), aggregates.Sum(g, func(v *visit) int64 { return v.N })}
		}).As("minutes").Final()
	})
}

// A rebuild is as if the new plan had run from the start, whatever was cut short before.
func TestRebuild(t *testing.T) {
	for _, kept := range []bool{false, true} {
		o := enginetest.Options{Rebuild: true, KeepStores: kept, CheckpointEvery: 0}
		d := enginetest.NewWith(t, rebuilt(t, windows.Minutes(1)), o)
		want := enginetest.NewWith(t, rebuilt(t, windows.Minutes(2)), o)
		add := func(n int) {
			for _, d := range []*enginetest.Driver{d, want} {
				d.AddRaw("visits", visited(n, windows.Time(n)*25_000))
			}
		}
		for n := range 10 {
			add(n)
		}
		before := len(d.Partition("visits_1min_final", 0))
		require.NotZero(t, before)
		d.Restart(rebuilt(t, windows.Minutes(2)))
		d.Crash()
		for n := 10; n < 20; n++ {
			add(n)
		}
		require.Equal(t, want.Partition("visits_2min_final", 0), d.Partition("visits_2min_final", 0))
		require.Equal(t, lastOf(want.Partition("total", 0)), lastOf(d.Partition("total", 0)))
		require.Len(t, d.Partition("visits_1min_final", 0), before)
	}
}

// The change of a plan is cut short at each commit of it, and then gone on with or taken back:
// either is as if nothing had been cut.
func TestPlanChangeCutShort(t *testing.T) {
	before := visits(t, summed("total", windows.Unbounded()), most("most"), paired)
	after := visits(t, summed("minutes", windows.Minutes(1)), summed("total", windows.Unbounded()))
	for _, kept := range []bool{false, true} {
		for commits := range 4 {
			for _, back := range []bool{false, true} {
				t.Run(fmt.Sprintf("stores kept %v, cut after %d commits, taken back %v", kept, commits, back),
					func(t *testing.T) {
						d := enginetest.NewWith(t, before, enginetest.Options{KeepStores: kept, Manual: true})
						d.AddRaw("visits", visited(5, 1000), visited(3, 2000))
						d.AddRaw("shops", visited(70, 0))
						d.Commit()
						d.Restart(after)
						for n := range commits {
							if n > 0 {
								d.AddRaw("visits", visited(1, 3000))
							}
							d.Commit()
						}
						d.FailCommits(task.ErrAborted)
						d.Queue("visits", visited(1, 4000))
						require.ErrorIs(t, d.TryCommit(), task.ErrAborted)
						if back {
							d.Restart(before)
						} else {
							d.Crash()
						}
						d.AddRaw("visits", visited(2, 5000))
						d.Commit()
						all := 8 + max(commits-1, 0) + 1 + 2
						require.Equal(t, fmt.Sprintf(`{"shop":"A","N":%d}`, all), newest(d, "total"))
						switch {
						case !back:
							require.Equal(t, fmt.Sprintf(`{"shop":"A","N":%d}`, all-8), newest(d, "minutes"))
							require.Len(t, d.Partition("paired", 0), 0)
						case commits == 0:
							require.Equal(t, `{"shop":"A","N":5}`, newest(d, "most"))
							require.Equal(t, `{"shop":"A","N":70}`, newest(d, "paired"))
						default:
							require.Equal(t, `{"shop":"A","N":2}`, newest(d, "most"), "it has gone in between")
							require.Equal(t, `{"shop":"A","N":70}`, newest(d, "paired"), "the table is filled again")
						}
					})
			}
		}
	}
}

// rowsIn is how many rows of operators a changelog has, after compaction, and its store.
func rowsIn(t *testing.T, d *enginetest.Driver, store stores.Store) (logged, stored int) {
	left := map[string]bool{}
	for _, r := range d.Partition("app--visits-changelog", 0) {
		if r.Value == nil {
			delete(left, string(r.Key))
		} else if _, _, _, err := stores.ParseRowKey(r.Key); err == nil {
			left[string(r.Key)] = true
		}
	}
	from, _ := stores.OperatorBounds(0)
	for e, err := range store.Scan(from, nil) {
		require.NoError(t, err)
		if _, _, _, err := stores.ParseRowKey(e.Key); err == nil {
			stored++
		}
	}
	return len(left), stored
}
