package enginetest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

type sale struct {
	Shop   string    `ashi:"shop,key"`
	Amount int64     `ashi:"amount"`
	At     time.Time `ashi:"at,timestamp"`
}

type total struct {
	Shop string `ashi:"shop,key"`
	Sum  int64
}

type limit struct {
	Shop string `ashi:"shop,key"`
	Most int64
}

// shops is a program with all that a driver works on: a stream, changes, finals, a table and a
// topic of rows.
type shops struct {
	*enginetest.Driver
	sales  *dsl.StreamOf[sale]
	totals *dsl.WindowedOf[string, total]
	limits *dsl.TableOf[string, limit]
}

func newShops(t *testing.T, o enginetest.Options) shops {
	b := dsl.New("shops")
	s := shops{sales: dsl.Stream[sale](b, "sales"), limits: dsl.Table[string, limit](b, "limits")}
	s.totals = dsl.Aggregate(dsl.GroupByKey[string](s.sales), windows.Minutes(1).Grace(0),
		func(g dsl.Group[string, sale]) total {
			return total{g.Key(), aggregates.Sum(g, func(r *sale) int64 { return r.Amount })}
		})
	s.totals.Final()
	s.totals.Changes()
	plan, err := b.Build()
	require.NoError(t, err)
	s.Driver = enginetest.NewWith(t, plan, o)
	return s
}

func (s shops) add(shop string, amount int64, second int) {
	enginetest.Add(s.Driver, s.sales, sale{shop, amount, time.Unix(int64(second), 0)})
}

func (s shops) finals() []total {
	return enginetest.Rows(s.Driver, s.totals.Final().Size(time.Minute))
}

func (s shops) changes() []total {
	return enginetest.Read(s.Driver, s.totals.Changes().Stream(time.Minute))
}

func TestEveryAddCommits(t *testing.T) {
	s := newShops(t, enginetest.Options{})
	s.add("a", 1, 0)
	s.add("a", 2, 59)
	require.Equal(t, []total{{"a", 1}, {"a", 3}}, s.changes())
	require.Empty(t, s.changes(), "read already")
	require.Empty(t, s.finals())
	s.add("b", 5, 60)
	require.Equal(t, []total{{"a", 3}}, s.finals())
	s.Crash()
	require.Equal(t, []total{{"a", 3}}, s.finals())
	require.Equal(t, []total{{"b", 5}}, s.changes())
	s.add("a", 1, 0)
	require.EqualValues(t, 1, s.Dropped("late"))
}

func TestManualCommits(t *testing.T) {
	s := newShops(t, enginetest.Options{Manual: true})
	s.add("a", 1, 0)
	s.add("a", 2, 1)
	require.Empty(t, s.changes())
	s.Commit()
	require.Equal(t, []total{{"a", 3}}, s.changes(), "the last row of each key and window")
	s.add("a", 4, 60)
	gone := errors.New("broker gone")
	s.FailCommits(gone)
	require.ErrorIs(t, s.TryCommit(), gone)
	require.Empty(t, s.changes())
	s.Crash()
	s.Commit()
	require.Equal(t, []total{{"a", 4}}, s.changes())
	require.Equal(t, []total{{"a", 3}}, s.finals())
}

func TestCommitBatches(t *testing.T) {
	s := newShops(t, enginetest.Options{Batch: 1, CommitBatches: 2})
	enginetest.Add(s.Driver, s.sales, sale{"a", 1, time.Unix(0, 0)}, sale{"a", 2, time.Unix(0, 0)},
		sale{"a", 3, time.Unix(0, 0)})
	require.Equal(t, []total{{"a", 3}}, s.changes())
	s.Commit()
	require.Equal(t, []total{{"a", 6}}, s.changes())
}

func TestTables(t *testing.T) {
	s := newShops(t, enginetest.Options{Partitions: 3})
	enginetest.Add(s.Driver, s.limits, limit{"b", 2}, limit{"a", 1}, limit{"b", 3})
	require.Equal(t, []limit{{"a", 1}, {"b", 3}}, enginetest.Rows(s.Driver, s.limits))
	n := 0
	for p := range int32(3) {
		n += len(s.Partition("limits", p))
	}
	require.Equal(t, 3, n)
	require.Len(t, s.ReadRaw("limits"), 3)
	s.AddRaw("limits", enginetest.Record{Key: []byte("a")})
	require.Equal(t, []limit{{"b", 3}}, enginetest.Rows(s.Driver, s.limits))
}
