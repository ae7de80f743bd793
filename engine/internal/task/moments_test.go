package task_test

import (
	"math"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/aggregates"
)

// tame is a column whose sums are exact, and weight another: what is computed from them differs by
// little whatever the order.
func tame(e *event) float64   { return float64(e.Small%100) / 4 }
func weight(e *event) float64 { return float64(e.Big % 64) }

// maybeTame is null where Maybe is.
func maybeTame(e *event) *float64 {
	if e.Maybe == nil {
		return nil
	}
	v := tame(e)
	return &v
}

// momentParts are the aggregates of several numbers, and those that go by event time.
func momentParts() []part {
	parts := slices.Concat(
		sums("tame", tame, sumOf, meanOf),
		byTime("price", price), byTime("note", noteOf), byTime("few", fewOf),
		extremeTimes("few", fewOf, less[int32]), extremeTimes("price", price, lessFloat),
		extremeTimes("note", noteOf, func(a, b *string) bool { return *a < *b }))
	for _, spread := range []struct {
		name string
		live func(aggregates.Rows[event], func(*event) *float64) float64
		slow func(m2, n float64) float64
	}{
		{"variance sample", aggregates.VarianceSample[event, *float64],
			func(m2, n float64) float64 { return m2 / max(1, n-1) }},
		{"deviation sample", aggregates.StdDevSample[event, *float64],
			func(m2, n float64) float64 { return math.Sqrt(m2 / max(1, n-1)) }},
		{"variance all", aggregates.VariancePopulation[event, *float64],
			func(m2, n float64) float64 { return m2 / max(1, n) }},
		{"deviation all", aggregates.StdDevPopulation[event, *float64],
			func(m2, n float64) float64 { return math.Sqrt(m2 / max(1, n)) }},
	} {
		parts = append(parts, part{spread.name,
			func(g aggregates.Rows[event]) string { return "~" + show(spread.live(g, maybeTame)) },
			func(rows []event) string {
				m2, n := squares(values(rows, maybeTame))
				return "~" + show(spread.slow(m2, n))
			}})
	}
	return append(parts,
		part{"weighted", func(g aggregates.Rows[event]) string {
			return "~" + show(aggregates.WeightedMean(g, maybeTame, weight))
		},
			func(rows []event) string { return "~" + show(weightedMean(rows)) }},
		part{"correlation", func(g aggregates.Rows[event]) string {
			return "~" +
				show(aggregates.Correlation(g, maybeTame, weight))
		},
			func(rows []event) string { return "~" + show(correlation(rows)) }},
		part{"median", func(g aggregates.Rows[event]) string { return "?" + show(aggregates.Quantile(g, 0.5, weight)) },
			func(rows []event) string {
				vs := column(rows, weight)
				slices.Sort(vs)
				return "?" + show(vs[(len(vs)-1)/2])
			}},
		part{"sumlist", func(g aggregates.Rows[event]) string { return show(aggregates.SumList(g, pair)) },
			func(rows []event) string {
				sum := int64(0)
				for i := range rows {
					for _, v := range pair(&rows[i]) {
						sum += v
					}
				}
				return show(sum)
			}})
}

func pair(e *event) []int64 {
	if e.OK == nil {
		return nil
	}
	return []int64{int64(e.Small), int64(e.Big)}
}

// squares is the sum of squared distances from the mean, in two passes.
func squares(vs []*float64) (m2, n float64) {
	mean := 0.0
	for _, v := range vs {
		mean += *v / float64(len(vs))
	}
	for _, v := range vs {
		m2 += (*v - mean) * (*v - mean)
	}
	if slices.IndexFunc(vs, func(v *float64) bool { return *v != *vs[0] }) < 0 {
		m2 = 0 // the mean has been rounded
	}
	return m2, float64(len(vs))
}

func weightedMean(rows []event) float64 {
	sum, weights := 0.0, 0.0
	for i := range rows {
		if v := maybeTame(&rows[i]); v != nil {
			sum, weights = sum+*v*weight(&rows[i]), weights+weight(&rows[i])
		}
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}

func correlation(rows []event) float64 {
	var n, x, y, xx, yy, xy float64 // exact: quarters below 2^40
	for i := range rows {
		if v, w := maybeTame(&rows[i]), weight(&rows[i]); v != nil {
			n, x, y, xx, yy, xy = n+1, x+*v, y+w, xx+*v**v, yy+w*w, xy+*v*w
		}
	}
	if n < 2 {
		return math.NaN()
	}
	return (n*xy - x*y) / math.Sqrt((n*xx-x*x)*(n*yy-y*y))
}

func byTime[V aggregates.Value](name string, of func(*event) V) []part {
	best := func(takes func(at, best int64) bool) func([]event) string {
		return func(rows []event) string {
			var found V
			at, any := int64(0), false
			for i := range rows {
				if v := values(rows[i:i+1], of); len(v) == 1 && (!any || takes(rows[i].At, at)) {
					found, at, any = v[0], rows[i].At, true
				}
			}
			return show(found)
		}
	}
	return []part{
		{"first " + name, func(g aggregates.Rows[event]) string { return show(aggregates.FirstByTime(g, of)) },
			best(func(at, best int64) bool { return at < best })},
		{"last " + name, func(g aggregates.Rows[event]) string { return show(aggregates.LastByTime(g, of)) },
			best(func(at, best int64) bool { return at >= best })},
	}
}

func extremeTimes[V aggregates.Ordered](name string, of func(*event) V, less func(a, b V) bool) []part {
	best := func(better func(a, b V) bool) func([]event) string {
		return func(rows []event) string {
			var found []V
			var at time.Time
			for i := range rows {
				v, t := values(rows[i:i+1], of), time.UnixMilli(rows[i].At)
				if len(v) == 1 && (found == nil || better(v[0], found[0]) || !better(found[0], v[0]) && t.Before(at)) {
					found, at = v, t
				}
			}
			return show(at)
		}
	}
	return []part{
		{"timeofmin " + name, func(g aggregates.Rows[event]) string { return show(aggregates.TimeOfMin(g, of)) },
			best(less)},
		{"timeofmax " + name, func(g aggregates.Rows[event]) string { return show(aggregates.TimeOfMax(g, of)) },
			best(func(a, b V) bool { return less(b, a) })},
	}
}
