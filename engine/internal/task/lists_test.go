package task_test

import (
	"fmt"
	"slices"
	"sort"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/aggregates"
)

// Columns that more than one part reads.
func noteOf(e *event) *string      { return e.Note }
func nameOf(e *event) string       { return e.Name }
func bigOf(e *event) uint64        { return e.Big }
func fewOf(e *event) int32         { return e.Small % 4 } // with many equal values
func owedOf(e *event) *apd.Decimal { return e.Owed }

// listParts are the aggregates that keep several values.
func listParts() []part {
	return []part{
		listed("earliest 2 note", func(g aggregates.Rows[event]) []*string {
			return aggregates.EarliestByOffsetN(g, 2,
				noteOf)
		},
			func(rows []event) []*string { return head(values(rows, noteOf), 2) }),
		listed("latest 3 note", func(g aggregates.Rows[event]) []*string {
			return aggregates.LatestByOffsetN(g, 3,
				noteOf)
		},
			func(rows []event) []*string { return tail(values(rows, noteOf), 3) }),
		listed("earliest 3 nulls owed", func(g aggregates.Rows[event]) []*apd.Decimal {
			return aggregates.EarliestByOffsetNWithNulls(g, 3, owedOf)
		},
			func(rows []event) []*apd.Decimal { return head(column(rows, owedOf), 3) }),
		listed("latest 2 nulls note",
			func(g aggregates.Rows[event]) []*string { return aggregates.LatestByOffsetNWithNulls(g, 2, noteOf) },
			func(rows []event) []*string { return tail(column(rows, noteOf), 2) }),
		listed("earliest nulls note", func(g aggregates.Rows[event]) []*string {
			return []*string{aggregates.EarliestByOffsetWithNulls(g, noteOf)}
		},
			func(rows []event) []*string { return head(column(rows, noteOf), 1) }),
		listed("latest nulls owed", func(g aggregates.Rows[event]) []*apd.Decimal {
			return []*apd.Decimal{aggregates.LatestByOffsetWithNulls(g, owedOf)}
		}, func(rows []event) []*apd.Decimal { return tail(column(rows, owedOf), 1) }),
		listed("collect 4 name", func(g aggregates.Rows[event]) []string {
			return aggregates.CollectList(g, 4,
				nameOf)
		},
			func(rows []event) []string { return head(column(rows, nameOf), 4) }),
		listed("collect note", func(g aggregates.Rows[event]) []*string {
			return aggregates.CollectList(g, aggregates.Unlimited, noteOf)
		},
			func(rows []event) []*string { return column(rows, noteOf) }),
		listed("collect big", func(g aggregates.Rows[event]) []uint64 {
			return aggregates.CollectList(g,
				aggregates.Unlimited, bigOf)
		},
			func(rows []event) []uint64 { return column(rows, bigOf) }),
		listed("set 3 name", func(g aggregates.Rows[event]) []string { return aggregates.CollectSet(g, 3, nameOf) },
			func(rows []event) []string { return head(different(column(rows, nameOf)), 3) }),
		listed("set note", func(g aggregates.Rows[event]) []*string {
			return aggregates.CollectSet(g, aggregates.Unlimited, noteOf)
		},
			func(rows []event) []*string { return different(column(rows, noteOf)) }),
		listed("set small", func(g aggregates.Rows[event]) []int32 {
			return aggregates.CollectSet(g,
				aggregates.Unlimited, small)
		},
			func(rows []event) []int32 { return different(column(rows, small)) }),
		listed("top 3 few", func(g aggregates.Rows[event]) []int32 { return aggregates.TopK(g, 3, fewOf) },
			func(rows []event) []int32 { return head(largest(column(rows, fewOf)), 3) }),
		listed("topdistinct 2 few", func(g aggregates.Rows[event]) []int32 {
			return aggregates.TopKDistinct(g, 2,
				fewOf)
		},
			func(rows []event) []int32 { return head(different(largest(column(rows, fewOf))), 2) }),
		listed("topby 3 few", func(g aggregates.Rows[event]) []aggregates.Ranked[int32, string] {
			return aggregates.TopKBy(g, 3, fewOf, nameOf)
		}, topNames),
		{"distinct owed", func(g aggregates.Rows[event]) string { return show(aggregates.CountDistinct(g, owedOf)) },
			func(rows []event) string {
				equal := different(values(rows, func(e *event) *string { return reduced(e.Owed) }))
				return show(len(equal))
			}},
		{"distinct big", func(g aggregates.Rows[event]) string { return show(aggregates.CountDistinct(g, bigOf)) },
			func(rows []event) string { return show(len(different(column(rows, bigOf)))) }},
		{"approx name", func(g aggregates.Rows[event]) string {
			return show(aggregates.CountDistinctApprox(g,
				nameOf))
		},
			func(rows []event) string { return show(len(different(column(rows, nameOf)))) }},
		{"histogram note", func(g aggregates.Rows[event]) string { return fmt.Sprint(aggregates.Histogram(g, noteOf)) },
			func(rows []event) string {
				counts := map[string]int64{}
				for _, v := range column(rows, noteOf) {
					counts[show(v)]++
				}
				return fmt.Sprint(counts)
			}},
		{"attr ok", func(g aggregates.Rows[event]) string {
			return show(aggregates.Attr(g, func(e *event) *bool { return e.OK }))
		},
			func(rows []event) string { return only(column(rows, func(e *event) *bool { return e.OK })) }},
		{"attr group", func(g aggregates.Rows[event]) string {
			return show(aggregates.Attr(g, func(e *event) string { return e.Group }))
		},
			func(rows []event) string {
				if vs := different(column(rows, func(e *event) string { return e.Group })); len(vs) == 1 {
					return vs[0]
				}
				return ""
			}},
		{"countof note", func(g aggregates.Rows[event]) string { return show(aggregates.CountOf(g, noteOf)) },
			func(rows []event) string { return show(len(values(rows, noteOf))) }},
	}
}

func listed[V any](name string, live func(aggregates.Rows[event]) []V, slow func([]event) []V) part {
	text := func(vs []V) string {
		texts := make([]string, len(vs))
		for i, v := range vs {
			texts[i] = show(v)
		}
		return fmt.Sprintf("%q", texts)
	}
	return part{name, func(g aggregates.Rows[event]) string { return text(live(g)) },
		func(rows []event) string { return text(slow(rows)) }}
}

// column is a column's values, nulls too.
func column[V any](rows []event, of func(*event) V) []V {
	vs := make([]V, len(rows))
	for i := range rows {
		vs[i] = of(&rows[i])
	}
	return vs
}

func head[V any](vs []V, n int) []V { return vs[:min(n, len(vs))] }
func tail[V any](vs []V, n int) []V { return vs[max(0, len(vs)-n):] }

// different keeps the first of equal values.
func different[V any](vs []V) (once []V) {
	seen := map[string]bool{}
	for _, v := range vs {
		text := fmt.Sprintf("%v", show(v))
		if any(v) != nil && text == "null" {
			text = "\x00null" // not the text of a value
		}
		if !seen[text] {
			once = append(once, v)
		}
		seen[text] = true
	}
	return once
}

func largest(vs []int32) []int32 {
	sort.SliceStable(vs, func(i, j int) bool { return vs[i] > vs[j] })
	return vs
}

// topNames is names by fewOf; of equal ones the first.
func topNames(rows []event) (top []aggregates.Ranked[int32, string]) {
	rows = slices.Clone(rows)
	sort.SliceStable(rows, func(i, j int) bool { return fewOf(&rows[i]) > fewOf(&rows[j]) })
	for i := range head(rows, 3) {
		top = append(top, aggregates.Ranked[int32, string]{By: fewOf(&rows[i]), Value: rows[i].Name})
	}
	return top
}

// only is the value if all are equal, null being one.
func only(vs []*bool) string {
	if one := different(vs); len(one) == 1 {
		return show(one[0])
	}
	return "null"
}

// reduced is a decimal without trailing zeroes.
func reduced(d *apd.Decimal) *string {
	if d == nil {
		return nil
	}
	var r apd.Decimal
	r.Reduce(d)
	text := r.String()
	return &text
}
