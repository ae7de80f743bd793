package aggregates_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/aggregates/aggregatetest"
)

// quote is the row of these tests: each kind of value, and each that can be null.
type quote struct {
	f    float64 // whole numbers: their sums do not depend on the order of additions
	x    float64 // NaN, infinities, both zeroes
	n    int32
	u    uint64
	s    string
	at   time.Time
	d    apd.Decimal
	ok   bool
	pf   *float64
	pn   *int32
	ps   *string
	pat  *time.Time
	pd   *apd.Decimal
	pok  *bool
	list []int64
	pl   []*float64
}

func random(r *rand.Rand) quote {
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1, -1, math.MaxFloat64}
	q := quote{f: float64(r.IntN(20) - 10), x: odd[r.IntN(len(odd))], n: int32(r.IntN(9) - 4),
		u: r.Uint64() >> r.IntN(64), s: text(r), at: moment(r), d: decimal(r), ok: r.IntN(2) == 0}
	q.pf, q.pn, q.ps, q.pat = maybe(r, float64(r.IntN(6))), maybe(r, int32(r.IntN(6))), maybe(r, text(r)),
		maybe(r, moment(r))
	q.pok = maybe(r, r.IntN(2) == 0)
	if r.IntN(3) > 0 {
		d := decimal(r)
		q.pd = &d
	}
	for range r.IntN(3) {
		q.list = append(q.list, r.Int64())
		q.pl = append(q.pl, maybe(r, float64(r.IntN(5))))
	}
	return q
}

func text(r *rand.Rand) string { return []string{"", "a", "b", "ab", "é", "a\x00", "null"}[r.IntN(7)] }

func moment(r *rand.Rand) time.Time { return time.UnixMilli(1_400_000_000_000 + r.Int64N(5)).UTC() }

func decimal(r *rand.Rand) apd.Decimal {
	var d apd.Decimal
	d.SetFinite(r.Int64N(2000)-1000, -2)
	return d
}

func maybe[V any](r *rand.Rand, v V) *V {
	if r.IntN(3) == 0 {
		return nil
	}
	return &v
}

// Columns, one for each kind and one for each that can be null.
func f(q *quote) float64              { return q.f }
func x(q *quote) float64              { return q.x }
func n(q *quote) int32                { return q.n }
func u(q *quote) uint64               { return q.u }
func s(q *quote) string               { return q.s }
func at(q *quote) time.Time           { return q.at }
func d(q *quote) apd.Decimal          { return q.d }
func ok(q *quote) bool                { return q.ok }
func pf(q *quote) *float64            { return q.pf }
func pn(q *quote) *int32              { return q.pn }
func ps(q *quote) *string             { return q.ps }
func pat(q *quote) *time.Time         { return q.pat }
func pd(q *quote) *apd.Decimal        { return q.pd }
func pok(q *quote) *bool              { return q.pok }
func list(q *quote) []int64           { return q.list }
func plist(q *quote) []*float64       { return q.pl }
func show(v ...any) string            { return fmt.Sprint(readable(v)...) }
func asFloats(v ...float64) []float64 { return v }

type rows = aggregates.Rows[quote]

// readable puts what pointers point to in their place, so that results compare as text: NaN with
// NaN, decimals with their scale.
func readable(vs []any) []any {
	out := make([]any, 0, 2*len(vs))
	for _, v := range vs {
		switch p := v.(type) {
		case apd.Decimal:
			v = p.String()
		case *apd.Decimal:
			v = fmt.Sprint(p) // <nil> or the number
		case *float64:
			v = deref(p)
		case *int32:
			v = deref(p)
		case *string:
			v = deref(p)
		case *time.Time:
			v = deref(p)
		case *bool:
			v = deref(p)
		case string:
			v = fmt.Sprintf("%q", p)
		}
		out = append(out, v, "|")
	}
	return out
}

func deref[V any](p *V) any {
	if p == nil {
		return "nil"
	}
	return fmt.Sprintf("%#v", *p)
}

// each shows the elements of a list.
func each[V any](vs []V) string {
	all := make([]any, len(vs))
	for i := range vs {
		all[i] = vs[i]
	}
	return "[" + show(all...) + "]"
}

// exact is the aggregates whose results are equal to the last bit.
var exact = map[string]func(rows) string{
	"count": func(g rows) string {
		return show(aggregates.Count(g), aggregates.CountOf(g, pf), aggregates.CountOf(g, ps), aggregates.CountOf(g, d))
	},
	"sum": func(g rows) string {
		return show(aggregates.Sum(g, f), aggregates.Sum(g, n), aggregates.Sum(g, u), aggregates.Sum(g, d),
			aggregates.Sum(g, pf), aggregates.Sum(g, pn), aggregates.Sum(g, pd))
	},
	"sum list": func(g rows) string { return show(aggregates.SumList(g, list), aggregates.SumList(g, plist)) },
	"avg": func(g rows) string {
		return show(aggregates.Avg(g, f), aggregates.Avg(g, n), aggregates.Avg(g, u), aggregates.Avg(g, d),
			aggregates.Avg(g, pf), aggregates.Avg(g, pd))
	},
	"min": func(g rows) string {
		return show(aggregates.Min(g, x), aggregates.Min(g, n), aggregates.Min(g, u), aggregates.Min(g, s),
			aggregates.Min(g, at), aggregates.Min(g, d), aggregates.Min(g, pf), aggregates.Min(g, pn),
			aggregates.Min(g, ps), aggregates.Min(g, pat), aggregates.Min(g, pd))
	},
	"max": func(g rows) string {
		return show(aggregates.Max(g, x), aggregates.Max(g, n), aggregates.Max(g, u), aggregates.Max(g, s),
			aggregates.Max(g, at), aggregates.Max(g, d), aggregates.Max(g, pf), aggregates.Max(g, pn),
			aggregates.Max(g, ps), aggregates.Max(g, pat), aggregates.Max(g, pd))
	},
	"earliest": func(g rows) string {
		return show(aggregates.EarliestByOffset(g, x), aggregates.EarliestByOffset(g, s), aggregates.EarliestByOffset(g,
			at),
			aggregates.EarliestByOffset(g, d), aggregates.EarliestByOffset(g, ok), aggregates.EarliestByOffset(g, pf),
			aggregates.EarliestByOffset(g, ps), aggregates.EarliestByOffset(g, pd), aggregates.EarliestByOffset(g, pok))
	},
	"latest": func(g rows) string {
		return show(aggregates.LatestByOffset(g, x), aggregates.LatestByOffset(g, s), aggregates.LatestByOffset(g, at),
			aggregates.LatestByOffset(g, d), aggregates.LatestByOffset(g, ok), aggregates.LatestByOffset(g, pf),
			aggregates.LatestByOffset(g, ps), aggregates.LatestByOffset(g, pd), aggregates.LatestByOffset(g, pok))
	},
	"earliest with nulls": func(g rows) string {
		return show(aggregates.EarliestByOffsetWithNulls(g, pf), aggregates.EarliestByOffsetWithNulls(g, ps),
			aggregates.EarliestByOffsetWithNulls(g, pd), aggregates.EarliestByOffsetWithNulls(g, pat),
			aggregates.EarliestByOffsetWithNulls(g, pok))
	},
	"latest with nulls": func(g rows) string {
		return show(aggregates.LatestByOffsetWithNulls(g, pf), aggregates.LatestByOffsetWithNulls(g, ps),
			aggregates.LatestByOffsetWithNulls(g, pd), aggregates.LatestByOffsetWithNulls(g, pat),
			aggregates.LatestByOffsetWithNulls(g, pok))
	},
	"first by time": func(g rows) string {
		return show(aggregates.FirstByTime(g, x), aggregates.FirstByTime(g, s), aggregates.FirstByTime(g, d),
			aggregates.FirstByTime(g, pf), aggregates.FirstByTime(g, ps), aggregates.FirstByTime(g, pok))
	},
	"last by time": func(g rows) string {
		return show(aggregates.LastByTime(g, x), aggregates.LastByTime(g, s), aggregates.LastByTime(g, d),
			aggregates.LastByTime(g, pf), aggregates.LastByTime(g, ps), aggregates.LastByTime(g, pok))
	},
	"times of extremes": func(g rows) string {
		return show(aggregates.TimeOfMin(g, x), aggregates.TimeOfMax(g, x), aggregates.TimeOfMin(g, s),
			aggregates.TimeOfMax(g, pd), aggregates.TimeOfMin(g, pn), aggregates.TimeOfMax(g, ps))
	},
	"earliest n": func(g rows) string {
		return each(aggregates.EarliestByOffsetN(g, 3, x)) + each(aggregates.EarliestByOffsetN(g, 1, s)) +
			each(aggregates.EarliestByOffsetN(g, 4, pd)) +
			each(aggregates.EarliestByOffsetNWithNulls(g, 3, pf)) + each(aggregates.EarliestByOffsetNWithNulls(g, 2,
			ps))
	},
	"latest n": func(g rows) string {
		return each(aggregates.LatestByOffsetN(g, 3, x)) + each(aggregates.LatestByOffsetN(g, 1, s)) +
			each(aggregates.LatestByOffsetN(g, 4, pd)) +
			each(aggregates.LatestByOffsetNWithNulls(g, 3, pf)) + each(aggregates.LatestByOffsetNWithNulls(g, 2, ps))
	},
	"collect list": func(g rows) string {
		return each(aggregates.CollectList(g, aggregates.Unlimited, x)) +
			each(aggregates.CollectList(g, aggregates.Unlimited, ps))
	},
	"collect set": func(g rows) string {
		return each(aggregates.CollectSet(g, aggregates.Unlimited, x)) + each(aggregates.CollectSet(g, 2, ps)) +
			each(aggregates.CollectSet(g, 3, pd)) + each(aggregates.CollectSet(g, aggregates.Unlimited, u))
	},
	"count distinct": func(g rows) string {
		return show(aggregates.CountDistinct(g, x), aggregates.CountDistinct(g, ps), aggregates.CountDistinct(g, d),
			aggregates.CountDistinct(g, pf))
	},
	"count distinct approx": func(g rows) string {
		return show(aggregates.CountDistinctApprox(g, x), aggregates.CountDistinctApprox(g, ps),
			aggregates.CountDistinctApprox(g, d))
	},
	"top k": func(g rows) string {
		return each(aggregates.TopK(g, 3, x)) + each(aggregates.TopK(g, 1, ps)) + each(aggregates.TopK(g, 4, d)) +
			each(aggregates.TopKDistinct(g, 3, x)) + each(aggregates.TopKDistinct(g, 2, ps)) +
			each(aggregates.TopKDistinct(g, 4, pd))
	},
	"top k by": func(g rows) string {
		out := ""
		for _, r := range aggregates.TopKBy(g, 3, pn, ps) {
			out += show(r.By, r.Value)
		}
		for _, r := range aggregates.TopKBy(g, 2, s, x) {
			out += show(r.By, r.Value)
		}
		return out
	},
	"histogram": func(g rows) string { return show(aggregates.Histogram(g, s), aggregates.Histogram(g, ps)) },
	"attr": func(g rows) string {
		return show(aggregates.Attr(g, ok), aggregates.Attr(g, pok), aggregates.Attr(g, pf), aggregates.Attr(g, ps),
			aggregates.Attr(g, d))
	},
	"quantile": func(g rows) string {
		return show(aggregates.Quantile(g, 0.5, f), aggregates.Quantile(g, 0, x),
			aggregates.Quantiles(g, asFloats(0, 0.1, 0.9, 1), pf))
	},
	"sum decimal": func(g rows) string {
		return show(aggregates.SumDecimal(g, 10, 1, d), aggregates.SumDecimal(g, 12, 4, pd))
	},
	"refused": func(g rows) string {
		return show(aggregates.SumDecimal(g, 4, 2, d), aggregates.Count(g), aggregates.Custom(g, moody, n))
	},
	"custom": func(g rows) string {
		return show(aggregates.Custom(g, product, n), aggregates.Custom(g, letters, ps),
			aggregates.Custom(g, extent, f))
	},
}

// undoable is those of exact that tables can have, one by one.
var undoable = []string{"count", "sum", "sum list", "avg", "collect list", "histogram", "attr", "sum decimal"}

// product is a custom aggregate whose State is copied by assigning it.
var product = aggregates.Definition[int32, int64, int64]{
	Name:   "product",
	Init:   func() int64 { return 1 },
	Add:    func(s int64, v int32) int64 { return s * int64(2*v+1) }, // odd: never 0
	Undo:   func(s int64, v int32) int64 { return s / int64(2*v+1) },
	Merge:  func(a, b int64) int64 { return a * b },
	Encode: func(dst []byte, s int64) []byte { return binary.AppendVarint(dst, s) },
	Decode: func(b []byte) (int64, error) { s, _ := binary.Varint(b); return s, nil },
	Result: func(s int64) int64 { return s },
}

// letters is one whose State is a map, and whose values may be null.
var letters = aggregates.Definition[*string, map[rune]bool, string]{
	Name: "letters",
	Init: func() map[rune]bool { return map[rune]bool{} },
	Add: func(s map[rune]bool, v *string) map[rune]bool {
		if v != nil {
			for _, r := range *v {
				s[r] = true
			}
		}
		return s
	},
	Merge: func(a, b map[rune]bool) map[rune]bool {
		for r := range b {
			a[r] = true
		}
		return a
	},
	Encode: func(dst []byte, s map[rune]bool) []byte { return append(dst, sorted(s)...) },
	Decode: func(b []byte) (map[rune]bool, error) {
		s := map[rune]bool{}
		for _, r := range string(b) {
			s[r] = true
		}
		return s, nil
	},
	Result: func(s map[rune]bool) string { return sorted(s) },
}

func sorted(s map[rune]bool) string {
	var all []rune
	for r := range s {
		all = append(all, r)
	}
	slices.Sort(all)
	return string(all)
}

// moody panics on some values, when it has already changed its State.
var moody = func() aggregates.Definition[int32, []byte, int] {
	return aggregates.Definition[int32, []byte, int]{
		Name: "moody",
		Add: func(s []byte, v int32) []byte {
			for i := range s {
				s[i]++
			}
			if v == 4 {
				panic("4")
			}
			return append(s, byte(v))
		},
		Merge:  func(a, b []byte) []byte { return append(a, b...) },
		Encode: func(dst, s []byte) []byte { return append(dst, s...) },
		Decode: func(b []byte) ([]byte, error) { return slices.Clone(b), nil },
		Result: func(s []byte) int { return len(s) },
	}
}()

func TestLawsOfExactAggregates(t *testing.T) {
	for name, project := range exact {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			aggregatetest.Laws[quote, string]{Project: project, Row: random, Runs: 100,
				Ordered: name == "collect list"}.Check(t)
		})
	}
}

// What has no number, or takes others along, leaves nothing behind: for everything that can undo,
// to the last bit.
func TestLawsOfUndoAfterSpecialValues(t *testing.T) {
	row := func(r *rand.Rand) quote {
		q := random(r)
		if r.IntN(2) == 0 {
			q.x = []float64{0.1, 1e17, -1e17, 1e-300, math.SmallestNonzeroFloat64}[r.IntN(5)]
		}
		q.pf, q.list = maybe(r, q.x), []int64{math.MinInt64, r.Int64()}
		q.pl = []*float64{q.pf, maybe(r, 0.2)}
		q.d = *apd.New(r.Int64N(9)-4, int32(r.IntN(80)-40))
		if q.pd = nil; r.IntN(3) > 0 {
			q.pd = &q.d
		}
		return q
	}
	for name, project := range map[string]func(rows) string{
		"counts": func(g rows) string { return show(aggregates.Count(g), aggregates.CountOf(g, pf)) },
		"sums": func(g rows) string {
			return show(aggregates.Sum(g, x), aggregates.Sum(g, pf), aggregates.SumList(g, plist),
				aggregates.SumList(g, list), aggregates.Sum(g, func(q *quote) float32 { return float32(q.x) }),
				aggregates.Sum(g, d), aggregates.Sum(g, pd))
		},
		"means": func(g rows) string {
			return show(aggregates.Avg(g, x), aggregates.Avg(g, pf), aggregates.Avg(g, u), aggregates.Avg(g, d),
				aggregates.Avg(g, pd))
		},
		"spread": func(g rows) string {
			return show(aggregates.VarianceSample(g, x), aggregates.StdDevSample(g, pf),
				aggregates.VariancePopulation(g, u), aggregates.StdDevPopulation(g, x))
		},
		"correlation": func(g rows) string {
			return show(aggregates.Correlation(g, x, f), aggregates.Correlation(g, pf, pn),
				aggregates.Correlation(g, u, x))
		},
		"weighted mean": func(g rows) string {
			return show(aggregates.WeightedMean(g, x, f), aggregates.WeightedMean(g, n, x),
				aggregates.WeightedMean(g, pf, pf), aggregates.WeightedMean(g, u, u))
		},
		"values": func(g rows) string {
			return show(aggregates.Attr(g, x), aggregates.Attr(g, pd), aggregates.Histogram(g, ps))
		},
		"sum decimal": func(g rows) string { return show(aggregates.SumDecimal(g, 38, 0, d)) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			aggregatetest.Laws[quote, string]{Project: project, Row: row, NoMerge: true, Runs: 40}.Check(t)
		})
	}
}

// Sums of squares round: equal to nine digits.
func TestLawsOfRoundedAggregates(t *testing.T) {
	for name, project := range map[string]func(rows) []float64{
		"spread": func(g rows) []float64 {
			return asFloats(aggregates.VarianceSample(g, f), aggregates.StdDevSample(g, n),
				aggregates.VariancePopulation(g, pf), aggregates.StdDevPopulation(g, pn),
				aggregates.VarianceSample(g, pn))
		},
		"correlation": func(g rows) []float64 {
			return asFloats(aggregates.Correlation(g, f, n), aggregates.Correlation(g, pf, pn))
		},
		"weighted mean": func(g rows) []float64 {
			return asFloats(aggregates.WeightedMean(g, f, n), aggregates.WeightedMean(g, pf, pn))
		},
	} {
		t.Run(name, func(t *testing.T) {
			aggregatetest.Laws[quote, []float64]{Project: project, Row: random, Equal: close}.Check(t)
		})
	}
}

func close(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(a, b float64) bool {
		return a == b || a != a && b != b || math.Abs(a-b) <= 1e-6 // roots of what rounding leaves of 0 are that large
	})
}

func TestCheckUndoNamesTheCulprits(t *testing.T) {
	for name, project := range exact {
		p, err := aggregates.Record(func(r *aggregates.Recorder[quote]) { project(group{r}) }, plain)
		require.NoError(t, err)
		if slices.Contains(undoable, name) {
			require.NoError(t, p.CheckUndo(), name)
		} else {
			require.Error(t, p.CheckUndo(), name)
		}
	}
	p, err := aggregates.Record(func(r *aggregates.Recorder[quote]) {
		aggregates.Count(group{r})
		aggregates.Max(group{r}, f)
		aggregates.Custom(group{r}, letters, ps)
	}, plain)
	require.NoError(t, err)
	require.EqualError(t, p.CheckUndo(),
		"aggregates: no undo, so not over a table: max float, custom letters map[int32]bool")
}

type group struct{ r *aggregates.Recorder[quote] }

func (g group) Recorder() *aggregates.Recorder[quote] { return g.r }
