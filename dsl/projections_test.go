package dsl_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/windows"
)

// A projection that would end the application when the first group of another kind comes is a
// mistake of the plan.
func TestProjectionsThatBranchOrPanic(t *testing.T) {
	type row struct {
		Customer *string
		Amount   *float64
		At       time.Time `ashi:"at,timestamp"`
	}
	type result struct {
		Text string
		N    int64
	}
	amount := func(r *row) *float64 { return r.Amount }
	customer := func(r *row) *string { return r.Customer }
	for name, c := range map[string]struct {
		project func(g dsl.Group[string, row]) result
		want    string
	}{
		"by number": {func(g dsl.Group[string, row]) (r result) {
			if r.N = aggregates.Count(g); r.N > 1 {
				r.N = int64(*aggregates.Max(g, amount))
			}
			return r
		}, "on a group of several rows"},
		"by a large number": {func(g dsl.Group[string, row]) (r result) {
			if r.N = aggregates.Count(g); r.N > 100 {
				r.N = aggregates.CountOf(g, amount)
			}
			return r
		}, "on a group of many rows"},
		"by value": {func(g dsl.Group[string, row]) (r result) {
			if max := aggregates.Max(g, amount); max != nil && *max < 0 {
				r.N = aggregates.Count(g)
			}
			return r
		}, "negative"},
		"by key": {func(g dsl.Group[string, row]) (r result) {
			if r.N = aggregates.Count(g); g.Key() != "" {
				r.N += aggregates.CountOf(g, amount)
			}
			return r
		}, "does not make the same aggregate calls"},
		"by window": {func(g dsl.Group[string, row]) (r result) {
			if r.N = aggregates.Count(g); g.WindowStart().Year() > 2000 {
				r.N += aggregates.CountOf(g, amount)
			}
			return r
		}, "does not make the same aggregate calls"},
		"list without elements": {func(g dsl.Group[string, row]) (r result) {
			if l := aggregates.TopK(g, 3, customer); aggregates.Count(g) > 0 {
				r.Text = fmt.Sprint(l[0])
			}
			return r
		}, "null"},
		"null that is not looked at": {func(g dsl.Group[string, row]) (r result) {
			n := aggregates.Count(g)
			if max := aggregates.Max(g, amount); n > 0 {
				r.N = int64(*max)
			}
			return r
		}, "the projection panicked on a group of rows all of whose values are null"},
		"fixed names": {func(g dsl.Group[string, row]) (r result) {
			r.Text = []string{"none", "one", "two", "three", "four", "five"}[aggregates.Count(g)]
			return r
		}, "the projection panicked on a group of many rows"},
	} {
		t.Run(name, func(t *testing.T) {
			b := dsl.New("shop")
			dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[row](b, "rows")), windows.Minutes(1), c.project).Final()
			_, err := b.Build()
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "projections_test.go:")
		})
	}
}

// Key columns of a result have the types of the group's key, or none of them could be read.
func TestKeyColumnsOfResults(t *testing.T) {
	type text struct {
		K string `ashi:"k,key"`
		N int64
	}
	type short struct {
		K int32 `ashi:"k,key"`
		N int64
	}
	type long struct {
		K int64 `ashi:"k,key"`
		N int64
	}
	type both struct {
		A string `ashi:"a,key"`
		B int64  `ashi:"b,key"`
		N int64
	}
	type swapped struct {
		B int64  `ashi:"b,key=1"`
		A string `ashi:"a,key=2"`
		N int64
	}
	type ab struct {
		A string `ashi:"a"`
		B int64  `ashi:"b"`
	}
	type none struct{ N int64 }
	numbered := func(b *dsl.Builder) *dsl.GroupedOf[int64, order] {
		return dsl.GroupBy(dsl.Stream[order](b, "orders"), func(o *order) int64 { return int64(o.Amount) })
	}
	paired := func(b *dsl.Builder) *dsl.GroupedOf[ab, order] {
		return dsl.GroupTable(dsl.Table[string, order](b, "orders"), func(o *order) ab { return ab{o.Customer, 1} })
	}
	all := func(b *dsl.Builder) *dsl.GroupedOf[dsl.All, order] {
		return dsl.GroupAll(dsl.Stream[order](b, "orders"))
	}
	for name, c := range map[string]struct {
		plan func(*dsl.Builder)
		want string
	}{
		"the same": {func(b *dsl.Builder) { counted[int64, long](numbered(b)) }, ""},
		"none":     {func(b *dsl.Builder) { counted[int64, none](numbered(b)) }, ""},
		"text": {func(b *dsl.Builder) { counted[int64, text](numbered(b)) },
			"is 8 bytes, a whole number, but the key columns of result dsl_test.text are text"},
		"shorter": {func(b *dsl.Builder) { counted[int64, short](numbered(b)) },
			"are 4 bytes, a whole number"},
		"more": {func(b *dsl.Builder) { counted[int64, both](numbered(b)) },
			"are JSON of a (text) b (8 bytes, a whole number)"},
		"both":             {func(b *dsl.Builder) { counted[ab, both](paired(b)) }, ""},
		"one of two":       {func(b *dsl.Builder) { counted[ab, text](paired(b)) }, "are text"},
		"in another order": {func(b *dsl.Builder) { counted[ab, swapped](paired(b)) }, "are JSON of b"},
		"of all": {func(b *dsl.Builder) { counted[dsl.All, text](all(b)) },
			"the one group of GroupAll has no key"},
	} {
		t.Run(name, func(t *testing.T) {
			b := dsl.New("shop")
			c.plan(b)
			_, err := b.Build()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

// counted is an aggregation whose rows are zero.
func counted[K, R any](g *dsl.GroupedOf[K, order]) {
	dsl.Aggregate(g, windows.Unbounded(), func(g dsl.Group[K, order]) (r R) {
		_ = aggregates.Count(g)
		return r
	}).Changes()
}
