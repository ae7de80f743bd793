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
	"github.com/ashi-stream/ashi/windows"
)

type hourly struct {
	K            string `ashi:"k,key"`
	Start        int64
	N, Sum, High int64
}

// Hours that are made of the final rows of minutes are those that are made of the records, in every
// setting.
func TestHoursFromMinutes(t *testing.T) {
	b := dsl.New("spans")
	in := dsl.Stream[entry](b, "in")
	v := func(e *entry) int64 { return e.V }
	minutes := dsl.Aggregate(dsl.GroupByKey[string](in), windows.Tumbling(time.Minute, time.Hour).Grace(2*time.Minute),
		func(g dsl.Group[string, entry]) hourly {
			return hourly{K: g.Key(), Start: g.WindowStart().UnixMilli(), N: aggregates.Count(g),
				Sum: aggregates.Sum(g, v), High: aggregates.Max(g, v)}
		})
	ofMinutes := minutes.Final().ToStream(windows.Tumbling(time.Minute))
	hours := dsl.Aggregate(dsl.GroupByKey[string](ofMinutes), windows.Tumbling(time.Hour).Grace(0),
		func(g dsl.Group[string, hourly]) hourly {
			return hourly{K: g.Key(), Start: g.WindowStart().UnixMilli(),
				N:    aggregates.Sum(g, func(s *hourly) int64 { return s.N }),
				Sum:  aggregates.Sum(g, func(s *hourly) int64 { return s.Sum }),
				High: aggregates.Max(g, func(s *hourly) int64 { return s.High })}
		}).As("hours")
	again := hours.Final().Named(func(windows.Kind) string { return "again" })
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 1, "a group's rows are where they have to be")
	for _, s := range settings() {
		for _, partitions := range []int32{1, 3} {
			t.Run(fmt.Sprint(s.name, partitions), func(t *testing.T) {
				at := rand.Uint64()
				t.Log("seed", at)
				r := rand.New(rand.NewPCG(at, 0))
				s.options.Partitions, s.options.Store = partitions, s.stores(t, r)
				d := enginetest.NewWith(t, plan, s.options)
				now := int64(windows.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
				for i := range 200 {
					now += r.Int64N(120_000)
					d.AddRaw("in", minuteRecord(fmt.Sprint("k", r.IntN(5)), r.IntN(100), now-r.Int64N(100_000)))
					if s.crashes > 0 && i%40 == 39 {
						d.Crash()
					}
				}
				for _, ahead := range []int64{3, 6} { // closes all hours, of minutes too
					for k := range 40 {
						d.AddRaw("in", minuteRecord(fmt.Sprint("z", k), 0, now+ahead*3_600_000))
					}
				}
				d.Commit()
				direct := map[hourly]bool{}
				for _, h := range enginetest.Rows[string, hourly](d, minutes.Final().Size(time.Hour)) {
					if h.Start < now+3_600_000 {
						direct[h] = true
					}
				}
				n := 0
				for _, h := range enginetest.Rows[string, hourly](d, again.Size(time.Hour)) {
					if h.Start < now+3_600_000 {
						n++
						require.Contains(t, direct, h)
					}
				}
				require.Len(t, direct, n)
			})
		}
	}
}

func minuteRecord(key string, v int, at int64) enginetest.Record {
	return enginetest.Record{Key: []byte(key), Value: fmt.Appendf(nil, `{"V":%d}`, v), Timestamp: windows.Time(at)}
}
