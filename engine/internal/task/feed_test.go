package task_test

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// inhabitants is a table of people, which every plan of these tests has, and what else it declares.
func inhabitants(t testing.TB, name string, more ...func(*dsl.Builder, *dsl.TableOf[string, resident])) *topology.Plan {
	plan := planOf(t, func(b *dsl.Builder) {
		people := dsl.Table[string, resident](b, "people").As(name)
		people.To("copied")
		for _, declare := range more {
			declare(b, people)
		}
	})
	mayGo(plan, "residents", "counted", "billed")
	return plan
}

type headcount struct {
	City string `ashi:"city,key"`
	N    int64
}

func headcounts(name string, inPlace bool, of func(*dsl.TableOf[string, resident]) *dsl.TableOf[string, resident]) func(
	*dsl.Builder, *dsl.TableOf[string, resident]) {
	return func(_ *dsl.Builder, people *dsl.TableOf[string, resident]) {
		g := dsl.GroupTable(of(people), func(r *resident) string { return r.City })
		if inPlace {
			g = g.AssumeCopartitioned()
		}
		dsl.Aggregate(g, windows.Unbounded(), func(g dsl.Group[string, resident]) headcount {
			return headcount{g.Key(), aggregates.Count(g)}
		}).As(name).Changes().Named(func(windows.Kind) string { return name + "-rows" })
	}
}

func whole(people *dsl.TableOf[string, resident]) *dsl.TableOf[string, resident] { return people }

func notBern(people *dsl.TableOf[string, resident]) *dsl.TableOf[string, resident] {
	return people.Filter(func(r *resident) (bool, error) { return r.City != "Bern", nil })
}

func suppressed(people *dsl.TableOf[string, resident]) *dsl.TableOf[string, resident] {
	return people.Suppress(time.Millisecond, 0).As("holding")
}

func billed(name string) func(*dsl.Builder, *dsl.TableOf[string, resident]) {
	return func(b *dsl.Builder, people *dsl.TableOf[string, resident]) {
		cities := dsl.Table[string, headcount](b, "cities").As("towns")
		dsl.LeftJoinForeign(people, cities, func(r *resident) (string, bool) { return r.City, r.City != "" },
			func(r *resident, c *headcount) (headcount, error) {
				if c == nil {
					return headcount{r.City, -1}, nil
				}
				return headcount{r.City, c.N}, nil
			}).As(name).To(name + "-rows")
	}
}

// citiesRead is a plan that has read both tables.
func citiesRead(b *dsl.Builder, _ *dsl.TableOf[string, resident]) {
	dsl.Table[string, headcount](b, "cities").As("towns").To("cities-copied")
}

// lastOfEach is the last value of each key, of all partitions of a topic.
func lastOfEach(d *enginetest.Driver, topic string, partitions int32) map[string]string {
	last := map[string]string{}
	for p := range partitions {
		for _, r := range d.Partition(topic, p) {
			if last[string(r.Key)] = string(r.Value); r.Value == nil {
				delete(last, string(r.Key))
			}
		}
	}
	return last
}

// changer changes people at random, and knows what is there.
type changer struct {
	r     *rand.Rand
	at    windows.Time
	lives map[string]string
}

func (c *changer) change(d *enginetest.Driver, n int) {
	for range n {
		c.at++
		key := fmt.Sprint(c.r.IntN(12))
		if c.r.IntN(4) == 0 {
			d.AddRaw("people", record(key, "", c.at))
			delete(c.lives, key)
			continue
		}
		c.lives[key] = []string{"Bern", "Ulm", "Rom", "Graz"}[c.r.IntN(4)]
		d.AddRaw("people", record(key, fmt.Sprintf(`{"City":%q}`, c.lives[key]), c.at))
	}
}

// counts are the rows of headcounts that have anybody.
func (c *changer) counts(not string) map[string]string {
	n := map[string]int{}
	for _, city := range c.lives {
		if city != not {
			n[city]++
		}
	}
	all := map[string]string{}
	for city, n := range n {
		all[city] = fmt.Sprintf(`{"city":%q,"N":%d}`, city, n)
	}
	return all
}

func withoutNobody(rows map[string]string) map[string]string {
	for key, row := range rows {
		if strings.HasSuffix(row, `"N":0}`) {
			delete(rows, key)
		}
	}
	return rows
}

// New groups and foreign key joins over a table that was read before have the results of all its
// rows, wherever the plan is changed and whatever crashes; so have those over a table that has
// another name.
func TestNewStepsHaveTheRowsOfTheirTable(t *testing.T) {
	from := rand.Uint64N(1 << 40)
	if *seed != 0 {
		from = *seed
	}
	for at := from; at < from+8; at++ {
		for _, name := range []string{"residents", "renamed"} {
			for _, keep := range []bool{false, true} {
				t.Run(fmt.Sprintf("seed %d, table %s, stores kept %v", at, name, keep), func(t *testing.T) {
					c := &changer{r: rand.New(rand.NewPCG(at, 4)), lives: map[string]string{}}
					d := enginetest.NewWith(t, inhabitants(t, "residents", citiesRead),
						enginetest.Options{KeepStores: keep, Partitions: 2})
					inOne := enginetest.NewWith(t, inhabitants(t, "residents"), enginetest.Options{KeepStores: keep})
					d.AddRaw("cities", record("Ulm", `{"N":1}`, 1), record("Bern", `{"N":2}`, 2))
					one := &changer{r: rand.New(rand.NewPCG(at, 5)), lives: map[string]string{}}
					c.change(d, c.r.IntN(30)+1)
					one.change(inOne, 20)
					d.Restart(inhabitants(t, name, billed("billed"), headcounts("counted", false, whole),
						headcounts("some", false, notBern)))
					inOne.Restart(inhabitants(t, name, headcounts("counted", true, whole),
						headcounts("some", true, notBern), headcounts("late", true, suppressed)))
					require.Equal(t, c.counts(""), withoutNobody(lastOfEach(d, "counted-rows", 2)),
						"before anything comes")
					if c.r.IntN(2) == 0 {
						d.Crash()
						inOne.Crash()
					}
					c.change(d, 20)
					one.change(inOne, 20)
					d.AddRaw("cities", record("Rom", `{"N":3}`, 3), record("Ulm", `{"N":4}`, 4))
					require.Equal(t, c.counts(""), withoutNobody(lastOfEach(d, "counted-rows", 2)))
					require.Equal(t, c.counts("Bern"), withoutNobody(lastOfEach(d, "some-rows", 2)))
					bills := map[string]string{}
					for key, city := range c.lives {
						bills[key] = fmt.Sprintf(`{"city":%q,"N":%d}`, city, map[string]int{"Rom": 3, "Ulm": 4,
							"Bern": 2, "Graz": -1}[city])
					}
					require.Equal(t, bills, lastOfEach(d, "billed-rows", 2))
					inOne.AddRaw("people", record("end", "", 1000), record("end", `{"City":"End"}`, 1001),
						record("end", "", 2000))
					require.Equal(t, one.counts(""), withoutNobody(lastOfEach(inOne, "counted-rows", 1)))
					require.Equal(t, one.counts("Bern"), withoutNobody(lastOfEach(inOne, "some-rows", 1)))
					inOne.AddRaw("people", record("end", `{"City":"End"}`, 3000), record("end", "", 4000))
					require.Equal(t, one.counts(""), withoutNobody(lastOfEach(inOne, "late-rows", 1)))
				})
			}
		}
	}
}

// failing is a store whose scans fail from one on.
type failing struct {
	stores.Store
	scans int
	err   error
}

func (f *failing) Scan(from, to []byte) iter.Seq2[stores.Entry, error] {
	if f.scans--; f.err != nil && f.scans < 0 {
		return func(yield func(stores.Entry, error) bool) { yield(stores.Entry{}, f.err) }
	}
	return f.Store.Scan(from, to)
}

// A crash while a step is given the rows of its table neither repeats nor skips one.
func TestGivingRowsIsCutShort(t *testing.T) {
	const rows = 50_000
	store := &failing{Store: memory.New()}
	d := enginetest.NewWith(t, inhabitants(t, "residents"), enginetest.Options{KeepStores: true,
		Store: func(string, int32) (stores.Store, error) { return store, nil }})
	records := make([]enginetest.Record, rows)
	for i := range records {
		records[i] = record(fmt.Sprint(i), `{"City":"Ulm"}`, windows.Time(i))
	}
	d.AddRaw("people", records...)
	plan := inhabitants(t, "residents", headcounts("counted", true, whole))
	store.scans, store.err = 40, errors.New("disk lost")
	require.ErrorContains(t, d.TryRestart(plan), "giving the rows of table residents to counted: disk lost")
	require.NotEmpty(t, valuesOf(d, "counted-rows"), "it was cut short behind a commit")
	store.err = nil
	d.Restart(plan)
	require.Equal(t, map[string]string{"Ulm": fmt.Sprintf(`{"city":"Ulm","N":%d}`, rows)}, lastOfEach(d, "counted-rows",
		1))
	d.AddRaw("people", record("7", `{"City":"Bern"}`, rows))
	require.Equal(t, fmt.Sprintf(`{"city":"Ulm","N":%d}`, rows-1), lastOfEach(d, "counted-rows", 1)["Ulm"])
}

// What cannot be given the rows of before is refused, and the plan of before goes on.
func TestNewStepsThatCannotHaveTheRowsOfTheirTable(t *testing.T) {
	type declare = func(*dsl.Builder, *dsl.TableOf[string, resident])
	first := func(l, _ *resident) (resident, error) { return *l, nil }
	joined := func(more func(*dsl.TableOf[string, resident])) declare {
		return func(b *dsl.Builder, people *dsl.TableOf[string, resident]) {
			pets := dsl.Table[string, resident](b, "pets").As("animals")
			both := dsl.JoinTables(people, pets, first).As("pairs")
			both.To("both")
			if more != nil {
				more(both)
			}
		}
	}
	group := func(name string) func(*dsl.TableOf[string, resident]) {
		return func(of *dsl.TableOf[string, resident]) { headcounts(name, true, whole)(nil, of) }
	}
	held := func(names ...string) declare {
		return func(b *dsl.Builder, people *dsl.TableOf[string, resident]) {
			of := people.Suppress(time.Hour, 0).As("holding")
			of.To("late")
			for _, name := range names {
				group(name)(of)
			}
		}
	}
	two := func(names ...string) declare {
		return func(b *dsl.Builder, people *dsl.TableOf[string, resident]) {
			g := dsl.GroupTable(people, func(r *resident) string { return r.City })
			for _, name := range names {
				dsl.Aggregate(g, windows.Unbounded(), func(g dsl.Group[string, resident]) headcount {
					return headcount{g.Key(), aggregates.Count(g)}
				}).As(name).Changes().Named(func(windows.Kind) string { return name + "-rows" })
			}
		}
	}
	for _, c := range []struct {
		name          string
		before, after declare
		want          string
	}{
		{"a group of a join of tables", joined(nil), joined(group("new")),
			"new: it is new, and stands below people-pets-join, which does not keep its rows"},
		{"a table of a join of tables", joined(nil),
			joined(func(both *dsl.TableOf[string, resident]) {
				dsl.JoinTables(both, both,
					first).As("triples").To("twice")
			}), "it is new, and stands below people-pets-join, which does not keep its rows"},
		{"a group behind Suppress", held(), held("new"),
			"new: it is new, and stands below holding, which holds rows back"},
		{"a second aggregate of a group", two("a"), two("a", "new"),
			"new: it is new, and stands below shop--people-regroup, which does not keep its rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := inhabitants(t, "residents", c.before)
			d := enginetest.New(t, before)
			d.AddRaw("people", record("7", `{"City":"Ulm"}`, 1))
			err := d.TryRestart(inhabitants(t, "residents", c.after))
			require.ErrorIs(t, err, task.ErrForeign)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "an application of another name")
			d.Restart(before)
		})
		t.Run(c.name+", before anything was read", func(t *testing.T) {
			d := enginetest.New(t, inhabitants(t, "residents", c.before))
			d.Commit()
			d.Restart(inhabitants(t, "residents", c.after))
		})
	}
}

// A group whose topic of changes was left out for a while has missed some: it does not just go on.
func TestChangesWithAGap(t *testing.T) {
	with, none := inhabitants(t, "residents", headcounts("counted", false, whole)), inhabitants(t, "residents")
	d := enginetest.New(t, with)
	d.AddRaw("people", record("7", `{"City":"Ulm"}`, 1))
	d.Restart(none)
	d.Restart(none)
	d.AddRaw("people", record("7", `{"City":"Bern"}`, 2))
	err := d.TryRestart(with)
	require.ErrorIs(t, err, task.ErrForeign)
	require.ErrorContains(t, err, "kind: was changes with a gap, is changes")
}

// A new join of tables, and a new Suppress, keep nothing that they would have had to be given:
// results of before are all that is missing.
func TestNewStepsThatNeedNoRows(t *testing.T) {
	pets := func(b *dsl.Builder, _ *dsl.TableOf[string, resident]) {
		dsl.Table[string, resident](b, "pets").As("animals").To("pets-copied")
	}
	both := func(b *dsl.Builder, people *dsl.TableOf[string, resident]) {
		pets := dsl.Table[string, resident](b, "pets").As("animals")
		pets.To("pets-copied")
		dsl.LeftJoinTables(people, pets, func(l, r *resident) (resident,
			error) {
			return resident{City: fmt.Sprint(l.City, r == nil)}, nil
		}).To("both")
		people.Suppress(time.Millisecond, 0).As("holding").To("held")
	}
	d := enginetest.New(t, inhabitants(t, "residents", pets))
	d.AddRaw("people", record("7", `{"City":"Ulm"}`, 1), record("8", `{"City":"Rom"}`, 2))
	d.AddRaw("pets", record("7", `{"City":"x"}`, 3))
	d.Restart(inhabitants(t, "residents", both))
	d.AddRaw("people", record("7", `{"City":"Bern"}`, 10), record("8", "", 11), record("9", `{"City":"Graz"}`, 20))
	d.AddRaw("pets", record("9", `{"City":"y"}`, 21), record("7", "", 22))
	require.Equal(t, map[string]string{"7": `{"id":"","City":"Berntrue"}`, "9": `{"id":"","City":"Grazfalse"}`},
		lastOfEach(d, "both", 1))
	require.Equal(t, "8=", valuesOf(d, "both")[strings.Index(valuesOf(d, "both"), "8="):][:2],
		"a row of before is deleted")
	require.Equal(t, `7={"id":"7","City":"Bern"}`, strings.Split(valuesOf(d, "held"), "\n")[0])
}
