package task_test

import (
	"errors"
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

// statePlans are plans of one aggregate over the golden trades: their rows are all of one operator.
func statePlans(t testing.TB) (plans []*topology.Plan) {
	for _, spec := range []windows.Spec{windows.Minutes(1), windows.Session(time.Minute),
		windows.Hopping(time.Minute, 10*time.Second), windows.Days(time.UTC, 0)} {
		b := dsl.New("golden")
		dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[trade](b, "trades")), spec,
			func(g dsl.Group[string, trade]) volume {
				return volume{N: aggregates.Count(g),
					High: float64(len(aggregates.CollectList(g, 3, func(r *trade) float64 { return r.Price })))}
			}).Final()
		plan, err := b.Build()
		require.NoError(t, err)
		plans = append(plans, plan)
	}
	return plans
}

// written is what a task wrote to its changelog.
func written(t testing.TB, plan *topology.Plan) (log []task.Record) {
	d := enginetest.New(t, plan)
	d.AddRaw("trades", goldenTrades()...)
	for i, r := range d.Partition(changelog, 0) {
		log = append(log, task.Record{Key: r.Key, Value: r.Value, Offset: int64(i)})
	}
	return log
}

// A store may have any row under any key of the aggregate: the task works with it, or says that the
// store is damaged, so that it is built anew. It never panics, hangs, or blames another.
func FuzzState(f *testing.F) {
	plans := statePlans(f)
	var logs [][]task.Record
	for i, plan := range plans {
		logs = append(logs, written(f, plan))
		for _, r := range logs[i] {
			if from, _ := stores.OperatorBounds(1 << 8); len(r.Key) > len(from) && r.Value != nil {
				f.Add(byte(i), r.Key[len(from):], r.Value)
				f.Add(byte(i), r.Key[len(from):], r.Value[:len(r.Value)-1])
			}
		}
		f.Add(byte(i), []byte("\xff\xff\xff\xff\xff\xff\xff\xffEUR"), []byte{})
		f.Add(byte(i), []byte("\x7f\xff\xff\xff\xff\xff\xff\xffEUR"), make([]byte, 40))
		f.Add(byte(i), []byte("short"), []byte{})
	}
	f.Fuzz(func(t *testing.T, which byte, key, value []byte) {
		i := int(which) % len(plans)
		from, _ := stores.OperatorBounds(1 << 8)
		log := append(logs[i][:len(logs[i]):len(logs[i])], task.Record{Key: append(from, key...),
			Value: append([]byte{}, value...)})
		store := memory.New()
		require.NoError(t, task.NewRestorer(store, ownerOf(plans[i])).Apply(log, int64(len(log))))
		if err := useState(t, plans[i], store); err != nil {
			require.True(t, errors.Is(err, task.ErrDamaged) || errors.Is(err, stores.ErrCorrupt), "%v", err)
		}
	})
}

// useState opens a task, adds to what is open, closes it, and commits.
func useState(t *testing.T, plan *topology.Plan, store stores.Store) error {
	cfg := ownConfig(plan, store, &discard{})
	tk, err := task.New(cfg)
	if err != nil {
		return err
	}
	first := goldenTrades()[0]
	for i, at := range []windows.Time{first.Timestamp + 1, first.Timestamp + 1_000_000_000} {
		batch := &task.Batch{Topic: "trades", Next: int64(3 + i),
			Records: []task.Record{{Key: first.Key, Value: first.Value, Timestamp: at, Offset: int64(2 + i)}}}
		if err := tk.Process(t.Context(), batch, func() {}); err != nil {
			return err
		}
	}
	return tk.Commit(t.Context())
}
