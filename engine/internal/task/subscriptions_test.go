package task_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

func foreignPlan(t testing.TB) *topology.Plan {
	b := dsl.New("many")
	l, r := dsl.Table[string, entry](b, "l"), dsl.Table[string, entry](b, "r")
	dsl.JoinForeign(l, r, func(*entry) (string, bool) { return "f", true },
		func(l, _ *entry) (entry, error) { return *l, nil }).To("out")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 2)
	return plan
}

// answers counts what goes to the topic of answers, by key.
type answers struct {
	discard
	byKey map[string]int
}

func (a *answers) Produce(_ context.Context, o *task.Output) {
	if o.Topic != "log" {
		a.byKey[string(o.Key)]++
	}
}

// 10,000 rows have ordered one row. Each of its changes is an answer to each of them, and to nobody
// who has taken the order back; the bound of memory holds all the time.
func TestManySubscribers(t *testing.T) {
	const n = 10_000
	plan := foreignPlan(t)
	out := &answers{byKey: map[string]int{}}
	cfg := taskConfig(plan, memory.New(), out)
	cfg.Sub, cfg.Sinks, cfg.Memory = plan.Subs[1], map[string]int32{"many--l-r-foreign-answers": 2}, 100_000
	tk, err := task.New(cfg)
	require.NoError(t, err)
	next := map[string]int64{}
	process := func(topic string, records ...task.Record) {
		for i := range records {
			records[i].Offset = next[topic]
			next[topic]++
		}
		require.NoError(t, tk.Process(t.Context(), &task.Batch{Topic: topic, Records: records, Next: next[topic]},
			func() {}))
		require.LessOrEqual(t, tk.Memory(), cfg.Memory)
	}
	order := func(on byte, i int) task.Record {
		return task.Record{Key: []byte("f"), Value: fmt.Appendf([]byte{on, byte(i % 2)}, "k%05d", i)}
	}
	requireAnswers := func(key func(i int) int) {
		t.Helper()
		require.NoError(t, tk.Commit(t.Context()))
		for i := range n {
			require.Equal(t, key(i), out.byKey[fmt.Sprintf("k%05d", i)], i)
		}
		clear(out.byKey)
	}
	for i := 0; i < n; i += 500 {
		var records []task.Record
		for j := range 500 {
			records = append(records, order(1, i+j))
		}
		process("many--l-r-foreign-orders", records...)
	}
	requireAnswers(func(int) int { return 1 })
	process("r", task.Record{Key: []byte("f"), Value: []byte(`{"K":"f"}`)}, task.Record{Key: []byte("g"),
		Value: []byte(`{"K":"g"}`)})
	requireAnswers(func(int) int { return 1 })
	for i := 0; i < n; i += 2 {
		process("many--l-r-foreign-orders", order(0, i))
	}
	process("r", task.Record{Key: []byte("f")})
	requireAnswers(func(i int) int { return i % 2 })
}

// What somebody else wrote to an internal topic is dropped and counted.
func TestForeignOrders(t *testing.T) {
	plan := foreignPlan(t)
	out := &answers{byKey: map[string]int{}}
	cfg := taskConfig(plan, memory.New(), out)
	tk, err := task.New(cfg)
	require.NoError(t, err)
	records := []task.Record{{Key: []byte("k"), Value: []byte{9}}, {Value: []byte{0, 0}, Offset: 1},
		{Key: []byte("k"), Value: []byte{1, 'f', 0}, Offset: 2}}
	require.NoError(t, tk.Process(t.Context(), &task.Batch{Topic: "many--l-r-foreign-answers", Records: records,
		Next: 3}, func() {}))
	require.EqualValues(t, 2, cfg.Drops.Count(task.Undecodable), "the last one is about a row that is not there")

	cfg.Sub, cfg.Sinks, cfg.Store = plan.Subs[1], map[string]int32{"many--l-r-foreign-answers": 2}, memory.New()
	tk, err = task.New(cfg)
	require.NoError(t, err)
	records = []task.Record{{Key: []byte("f"), Value: []byte{}}, {Value: []byte{1, 0}, Offset: 1},
		{Key: []byte("f"), Value: []byte{1, 2, 'k'}, Offset: 2}}
	require.NoError(t, tk.Process(t.Context(), &task.Batch{Topic: "many--l-r-foreign-orders", Records: records,
		Next: 3}, func() {}))
	require.EqualValues(t, 5, cfg.Drops.Count(task.Undecodable))
	require.Empty(t, out.byKey)
}

// What came in at another machine, whose clock is ahead, is not dropped on the way.
func TestInternalTimesAreNotHeldAgainstTheClock(t *testing.T) {
	plan := foreignPlan(t)
	out := &answers{byKey: map[string]int{}}
	cfg := taskConfig(plan, memory.New(), out)
	cfg.Sub, cfg.Sinks = plan.Subs[1], map[string]int32{"many--l-r-foreign-answers": 2}
	cfg.Now, cfg.Ahead = func() time.Time { return time.UnixMilli(1000) }, time.Second
	tk, err := task.New(cfg)
	require.NoError(t, err)
	one := func(topic string, r task.Record) {
		require.NoError(t, tk.Process(t.Context(), &task.Batch{Topic: topic, Records: []task.Record{r}, Next: 1},
			func() {}))
	}
	one("many--l-r-foreign-orders", task.Record{Key: []byte("f"), Value: []byte{1, 0, 'k'}, Timestamp: 2001})
	require.Zero(t, cfg.Drops.Count(task.Ahead))
	require.Equal(t, map[string]int{"k": 1}, out.byKey)
	one("r", task.Record{Key: []byte("f"), Value: []byte(`{"K":"f"}`), Timestamp: 2001})
	require.EqualValues(t, 1, cfg.Drops.Count(task.Ahead))
}
