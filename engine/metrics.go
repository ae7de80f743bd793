package engine

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// collector is an Engine's counters as Prometheus wants them.
type collector struct{ e *Engine }

var (
	recordsDesc = prometheus.NewDesc("ashi_records_total", "Records read.", []string{"application", "sub_topology"}, nil)
	droppedDesc = prometheus.NewDesc("ashi_dropped_records_total", "Records dropped; late ones count once per window.",
		[]string{"application", "sub_topology", "reason"}, nil)
	lettersDesc = prometheus.NewDesc("ashi_dead_letters_total", "Records sent to the dead letters; they are not among the dropped ones.",
		[]string{"application", "sub_topology", "reason"}, nil)
	ownedDesc     = prometheus.NewDesc("ashi_tasks", "Tasks that this process works on.", []string{"application", "sub_topology"}, nil)
	readyDesc     = prometheus.NewDesc("ashi_table_ready", "1 when the table has caught up with its topic.", []string{"application", "table"}, nil)
	duplicateDesc = prometheus.NewDesc("ashi_table_duplicate_rows_total", "Final rows that came a second time, with the same bytes or with others.",
		[]string{"application", "table", "same"}, nil)
	adjustedDesc = prometheus.NewDesc("ashi_adjusted_values_total", "Values that were cut or rounded to fit their column, of types that are tagged relaxed.",
		[]string{"application", "row", "column"}, nil)
)

// Collector is the Engine's metrics, to be registered with a Prometheus registry.
func (e *Engine) Collector() prometheus.Collector { return collector{e} }

// Describe sends the descriptions of all metrics.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{recordsDesc, droppedDesc, lettersDesc, ownedDesc, readyDesc, duplicateDesc, adjustedDesc} {
		ch <- d
	}
}

// Collect sends the present values.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	app := c.e.plan.Name
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{app}, labels...)...)
	}
	for _, s := range c.e.subs {
		counter(recordsDesc, s.records.Load(), s.sub.Name)
		for _, r := range task.Reasons() {
			counter(droppedDesc, s.drops.Count(r), s.sub.Name, r.String())
			counter(lettersDesc, s.drops.Letters(r), s.sub.Name, r.String())
		}
		ch <- prometheus.MustNewConstMetric(ownedDesc, prometheus.GaugeValue, float64(s.owned.Load()), app, s.sub.Name)
	}
	for topic, t := range c.e.tables {
		ready := 0.0
		if t.ready.Load() {
			ready = 1
		}
		ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready, app, topic)
		counter(duplicateDesc, t.mirror.Duplicates.Load(), topic, "true")
		counter(duplicateDesc, t.mirror.Contradictions.Load(), topic, "false")
	}
	for v, n := range c.e.adjustedValues() {
		counter(adjustedDesc, n, v.row, v.column)
	}
}
