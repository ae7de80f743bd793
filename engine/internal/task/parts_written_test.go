package task_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/storetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// A checkpoint is written in parts. Wherever it is cut short, for every operator with state, the
// task that is opened on what there is puts out what it would have, and ends with the same store.
func TestCheckpointCutShort(t *testing.T) {
	for name, plan := range largePlans(t) {
		out := plan.Subs[0].Sinks()[0].Topic
		for _, bound := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, memory %d", name, bound), func(t *testing.T) {
				whole := newLarge(t, plan, bound)
				most := 0
				for n := range largeRounds {
					for _, topic := range plan.Subs[0].Topics() {
						before := whole.store.Calls(storetest.CallWrite)
						require.NoError(t, whole.round(n, topic))
						most = max(most, whole.store.Calls(storetest.CallWrite)-before)
					}
				}
				require.GreaterOrEqual(t, most, 2, "writes of a checkpoint")
				step := 1
				if testing.Short() {
					step = 7
				}
				for cut := 1; cut < whole.store.Calls(storetest.CallWrite); cut += step {
					l := newLarge(t, plan, bound)
					l.store.Fail(storetest.CallWrite, cut, errDisk)
					failed := 0
					for n := range largeRounds {
						for _, topic := range plan.Subs[0].Topics() {
							if err := l.round(n, topic); err != nil {
								require.ErrorIs(t, err, errDisk)
								failed++
								l.crash()
							}
						}
					}
					require.Equal(t, 1, failed)
					require.Equal(t, whole.d.Partition(out, 0), l.d.Partition(out, 0), "write %d", cut)
					require.Equal(t, whole.rows(), l.rows(), "write %d", cut)
				}
			})
		}
	}
}

// largePlans are plans with one operator each.
func largePlans(t *testing.T) map[string]*topology.Plan {
	plans := map[string]*topology.Plan{}
	build := func(name string, declare func(b *dsl.Builder)) {
		b := dsl.New("large")
		declare(b)
		plan, err := b.Build()
		require.NoError(t, err)
		plans[name] = plan
	}
	for name, spec := range map[string]windows.Spec{"tumbling": windows.Tumbling(10 * time.Second),
		"hopping": windows.Hopping(20*time.Second, 5*time.Second), "session": windows.Session(10 * time.Second),
		"sliding": windows.Sliding(10 * time.Second)} {
		build(name, func(b *dsl.Builder) {
			quotes := dsl.Stream[quote](b, "quotes").Codec(codecs.Fixed[quote]())
			dsl.Aggregate(dsl.GroupByKey[string](quotes), spec, high).Codec(codecs.Fixed[quote]()).Final()
		})
	}
	build("table", func(b *dsl.Builder) {
		dsl.Table[string, quote](b, "quotes").Codec(codecs.Fixed[quote]()).To("out").Codec(codecs.Fixed[quote]())
	})
	for name, join := range map[string]func(left, right *dsl.StreamOf[quote], span dsl.Span,
		f func(*quote, *quote) (quote, error)) *dsl.StreamOf[quote]{
		"join": dsl.OuterJoin[quote, quote, quote], "as of": dsl.LeftAsOf[quote, quote, quote]} {
		build(name, func(b *dsl.Builder) {
			left, right := dsl.Stream[quote](b, "quotes").Codec(codecs.Fixed[quote]()),
				dsl.Stream[quote](b, "others").Codec(codecs.Fixed[quote]())
			either := func(l, r *quote) (quote, error) { return *cmp.Or(l, r), nil }
			join(left, right, dsl.Back(10*time.Second).Grace(time.Second),
				either).To("out").Codec(codecs.Fixed[quote]())
		})
	}
	return plans
}

// large is a task whose rows fill several parts of a checkpoint.
type large struct {
	t     *testing.T
	d     *enginetest.Driver
	store *storetest.Faulty
	inner *memory.Store
}

func newLarge(t *testing.T, plan *topology.Plan, bound int) *large {
	l := &large{t: t, inner: memory.New()}
	var err error
	l.store, err = storetest.NewFaulty(l.inner)
	require.NoError(t, err)
	l.d = enginetest.NewWith(t, plan, enginetest.Options{Start: time.UnixMilli(0), Memory: bound, KeepStores: true,
		Store: func(string, int32) (stores.Store, error) { return l.store, nil }})
	return l
}

// crash opens the task anew. Where nothing says what the rows in the store stand for, they are
// thrown away, as an engine does.
func (l *large) crash() {
	if _, _, err := task.NewRestorer(l.store, task.LogID{}).Position(); err != nil {
		require.ErrorIs(l.t, err, task.ErrDamaged)
		var all stores.Batch
		all.DeleteRange(nil, []byte{0xff})
		require.NoError(l.t, l.inner.Write(&all))
	}
	l.d.Crash()
}

// rows is what the store holds, but for the note that the index of sessions is right: where rows
// were restored it waits for the next checkpoint.
func (l *large) rows() map[string]string {
	rows := map[string]string{}
	for e, err := range l.inner.Scan(nil, nil) {
		require.NoError(l.t, err)
		rows[string(e.Key)] = string(e.Value)
	}
	delete(rows, string(stores.MetaKey("indexed")))
	return rows
}

const (
	largeRounds = 6
	largeGroups = 16
)

// round adds records of one topic and commit: all groups, half of them again, half of them when the
// others' windows have closed, and one when all have.
func (l *large) round(n int, topic string) error {
	first, last := 0, largeGroups
	at := []windows.Time{0, 6000, 21_000, 32_000, 90_000, 91_000}[n]
	switch n {
	case 1, 3:
		last = largeGroups / 2
	case 2:
		first = largeGroups / 2
	case 4:
		last = 1
	}
	var records []enginetest.Record
	for i := first; i < last; i++ {
		r := quoteOf(l.t, fmt.Sprintf("%02d", i)+strings.Repeat("x", 100<<10), float64(n), at+windows.Time(i))
		if n == 3 && i%3 == 0 {
			r.Value = nil // deletes it from a table
		}
		records = append(records, r)
	}
	return l.d.TryRaw(topic, records...)
}
