package aggregates_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
)

// One aggregate of one record: the columns, and the Add. Columns have 100 different values, 10 of
// the strings. The bytes are of the row at the end, as it is stored.
func BenchmarkEach(b *testing.B) {
	for _, c := range []struct {
		name    string
		project func(rows)
	}{
		{"Count", func(g rows) { aggregates.Count(g) }},
		{"CountOf", func(g rows) { aggregates.CountOf(g, f) }},
		{"Sum", func(g rows) { aggregates.Sum(g, f) }},
		{"Sum_decimal", func(g rows) { aggregates.Sum(g, d) }},
		{"SumDecimal", func(g rows) { aggregates.SumDecimal(g, 30, 2, d) }},
		{"SumList", func(g rows) { aggregates.SumList(g, list) }},
		{"Avg", func(g rows) { aggregates.Avg(g, f) }},
		{"Avg_int", func(g rows) { aggregates.Avg(g, n) }},
		{"Max", func(g rows) { aggregates.Max(g, f) }},
		{"Max_string", func(g rows) { aggregates.Max(g, s) }},
		{"LatestByOffset", func(g rows) { aggregates.LatestByOffset(g, f) }},
		{"LatestByOffset_string", func(g rows) { aggregates.LatestByOffset(g, s) }},
		{"LatestByOffsetWithNulls", func(g rows) { aggregates.LatestByOffsetWithNulls(g, pf) }},
		{"LastByTime", func(g rows) { aggregates.LastByTime(g, f) }},
		{"TimeOfMax", func(g rows) { aggregates.TimeOfMax(g, f) }},
		{"StdDevSample", func(g rows) { aggregates.StdDevSample(g, f) }},
		{"Correlation", func(g rows) { aggregates.Correlation(g, f, n) }},
		{"WeightedMean", func(g rows) { aggregates.WeightedMean(g, f, n) }},
		{"EarliestByOffsetN_10", func(g rows) { aggregates.EarliestByOffsetN(g, 10, f) }},
		{"LatestByOffsetN_10", func(g rows) { aggregates.LatestByOffsetN(g, 10, f) }},
		{"CollectList_1000", func(g rows) { aggregates.CollectList(g, 1000, f) }},
		{"CollectSet_1000", func(g rows) { aggregates.CollectSet(g, 1000, f) }},
		{"CountDistinct", func(g rows) { aggregates.CountDistinct(g, f) }},
		{"CountDistinct_string", func(g rows) { aggregates.CountDistinct(g, s) }},
		{"CountDistinctApprox", func(g rows) { aggregates.CountDistinctApprox(g, f) }},
		{"TopK_10", func(g rows) { aggregates.TopK(g, 10, f) }},
		{"TopKDistinct_10", func(g rows) { aggregates.TopKDistinct(g, 10, f) }},
		{"TopKBy_10", func(g rows) { aggregates.TopKBy(g, 10, f, n) }},
		{"Histogram", func(g rows) { aggregates.Histogram(g, s) }},
		{"Attr", func(g rows) { aggregates.Attr(g, s) }},
		{"Quantile", func(g rows) { aggregates.Quantile(g, 0.5, f) }},
		{"Custom", func(g rows) { aggregates.Custom(g, product, n) }},
		{"Custom_map", func(g rows) { aggregates.Custom(g, letters, ps) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := over(b, plain, func(g rows) int { c.project(g); return 0 })
			state, qs := aggregates.NewState(p.program), benchRows()
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				q := &qs[i%len(qs)]
				if err := p.program.Eval(p.cells, q); err != nil {
					b.Fatal(err)
				}
				if err := p.program.Add(state, p.cells, aggregates.At{Time: int64(i), Seq: int64(i)}); err != nil {
					b.Fatal(err)
				}
				i++
			}
			stored, err := p.program.Append(nil, state)
			require.NoError(b, err)
			b.ReportMetric(float64(len(stored)), "row-bytes")
		})
	}
}

// What tables pay for results that forget: a row added and another one undone, of 100 in the group.
func BenchmarkUndo(b *testing.B) {
	for _, c := range []struct {
		name    string
		project func(rows)
	}{
		{"Count", func(g rows) { aggregates.Count(g) }},
		{"Sum", func(g rows) { aggregates.Sum(g, f) }},
		{"Sum_decimal", func(g rows) { aggregates.Sum(g, d) }},
		{"Avg", func(g rows) { aggregates.Avg(g, f) }},
		{"Avg_int", func(g rows) { aggregates.Avg(g, n) }},
		{"StdDevSample", func(g rows) { aggregates.StdDevSample(g, f) }},
		{"Correlation", func(g rows) { aggregates.Correlation(g, f, n) }},
		{"WeightedMean", func(g rows) { aggregates.WeightedMean(g, f, n) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := over(b, undoes, func(g rows) int { c.project(g); return 0 })
			qs := benchRows()
			for i := range qs {
				qs[i].f /= 3
			}
			state, i := p.of(0, qs...), 0
			b.ReportAllocs()
			for b.Loop() {
				q := &qs[i%len(qs)]
				if err := p.program.Eval(p.cells, q); err != nil {
					b.Fatal(err)
				}
				if err := p.program.Undo(state, p.cells, aggregates.At{}); err != nil {
					b.Fatal(err)
				}
				if err := p.program.Add(state, p.cells, aggregates.At{}); err != nil {
					b.Fatal(err)
				}
				i++
			}
			stored, err := p.program.Append(nil, state)
			require.NoError(b, err)
			b.ReportMetric(float64(len(stored)), "row-bytes")
		})
	}
}

func benchRows() []quote {
	qs := make([]quote, 100)
	for i := range qs {
		text, v := "EUR/USD "+strconv.Itoa(i%10), float64(i*37%100)+1
		qs[i] = quote{f: v, n: int32(i), s: text, ps: &text, pf: &v, list: []int64{1, 2, 3}}
		qs[i].d.SetFinite(int64(v)*100+int64(i), -2)
	}
	return qs
}

// No allocation per record: fixed-size aggregates, and what an object has seen before.
func TestNoAllocationPerRecord(t *testing.T) {
	for name, project := range map[string]func(rows){
		"fixed, mergeable": func(g rows) {
			aggregates.Count(g)
			aggregates.CountOf(g, pf)
			aggregates.Sum(g, f)
			aggregates.Avg(g, n)
			aggregates.Min(g, f)
			aggregates.Max(g, n)
			aggregates.EarliestByOffset(g, f)
			aggregates.LatestByOffset(g, s)
			aggregates.LatestByOffsetWithNulls(g, ps)
			aggregates.FirstByTime(g, f)
			aggregates.LastByTime(g, s)
			aggregates.TimeOfMax(g, f)
			aggregates.TimeOfMin(g, s)
			aggregates.VarianceSample(g, f)
			aggregates.Correlation(g, f, n)
			aggregates.WeightedMean(g, f, n)
			aggregates.SumList(g, list)
		},
		"objects": func(g rows) {
			aggregates.LatestByOffsetN(g, 10, f)
			aggregates.CollectSet(g, 1000, s)
			aggregates.CountDistinct(g, s)
			aggregates.TopK(g, 10, f)
			aggregates.Histogram(g, s)
			aggregates.Attr(g, f)
			aggregates.Quantile(g, 0.5, f)
			aggregates.Custom(g, product, n)
		},
	} {
		p := over(t, merges, func(g rows) int { project(g); return 0 })
		state, qs := aggregates.NewState(p.program), benchRows()
		seq := int64(0)
		all := func() {
			for i := range qs {
				seq++
				_ = p.program.Eval(p.cells, &qs[i])
				_ = p.program.Add(state, p.cells, aggregates.At{Time: seq, Seq: seq})
			}
		}
		all()
		require.Zero(t, testing.AllocsPerRun(10, all), name)
	}
}

// Merging states, as finals of hopping windows do for each slice: seven fixed-size aggregates, then
// objects of 100 values.
func BenchmarkMerge(b *testing.B) {
	for _, c := range []struct {
		name    string
		project func(rows)
	}{
		{"seven", func(g rows) {
			aggregates.EarliestByOffset(g, f)
			aggregates.Max(g, f)
			aggregates.Min(g, f)
			aggregates.LatestByOffset(g, f)
			aggregates.Sum(g, f)
			aggregates.Avg(g, f)
			aggregates.Count(g)
		}},
		{"CountDistinct", func(g rows) { aggregates.CountDistinct(g, f) }},
		{"CountDistinctApprox", func(g rows) { aggregates.CountDistinctApprox(g, f) }},
		{"LatestByOffsetN_10", func(g rows) { aggregates.LatestByOffsetN(g, 10, f) }},
		{"TopK_10", func(g rows) { aggregates.TopK(g, 10, f) }},
		{"Histogram", func(g rows) { aggregates.Histogram(g, s) }},
		{"Quantile", func(g rows) { aggregates.Quantile(g, 0.5, f) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := over(b, merges, func(g rows) int { c.project(g); return 0 })
			src, dst := p.of(0, benchRows()...), p.of(100, benchRows()...)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.program.Merge(dst, src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Encoding and decoding a row, as commits and restarts do.
func BenchmarkStore(b *testing.B) {
	for _, c := range []struct {
		name    string
		project func(rows)
	}{
		{"CountDistinct", func(g rows) { aggregates.CountDistinct(g, f) }},
		{"CountDistinctApprox", func(g rows) { aggregates.CountDistinctApprox(g, f) }},
		{"CollectSet", func(g rows) { aggregates.CollectSet(g, aggregates.Unlimited, f) }},
		{"Histogram", func(g rows) { aggregates.Histogram(g, s) }},
		{"Quantile", func(g rows) { aggregates.Quantile(g, 0.5, f) }},
	} {
		p := over(b, merges, func(g rows) int { c.project(g); return 0 })
		state := p.of(0, benchRows()...)
		stored, err := p.program.Append(nil, state)
		require.NoError(b, err)
		b.Run("Append/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				stored, err = p.program.Append(stored[:0], state)
			}
		})
		b.Run("Load/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				err = p.program.Load(state, stored)
			}
		})
		require.NoError(b, err)
	}
}
