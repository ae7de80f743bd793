package engine

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// collector is what an Engine knows of itself as Prometheus wants it; docs/metrics.md explains
// every name.
type collector struct {
	e *Engine

	ready, dropped, letters, tasks, restoring, remaining, lag, streamTime *prometheus.Desc
	call, memory, stateRows, stateBytes, standbys, standbyLag             *prometheus.Desc
	tableReady, tableRows, tableBytes, tableLag, duplicates               *prometheus.Desc
	adjusted, passedOver                                                  *prometheus.Desc
	all                                                                   []*prometheus.Desc
}

// Collector is the Engine's metrics, to be registered with a Prometheus registry. Engines of
// different applications go into one registry; the label application tells them apart. Figures of
// tasks are of their last commits, those of stores of their last checkpoints. Collecting asks no
// broker and waits for no task.
func (e *Engine) Collector() prometheus.Collector {
	c := &collector{e: e}
	desc := func(name, help string, by ...string) *prometheus.Desc {
		d := prometheus.NewDesc(name, help, by, prometheus.Labels{"application": e.plan.Name})
		c.all = append(c.all, d)
		return d
	}
	c.ready = desc("ashi_ready", "1 when all tables can be read.")
	c.dropped = desc("ashi_dropped_records_total", "Records dropped; late ones count once per window.", "sub_topology",
		"reason")
	c.letters = desc("ashi_dead_letters_total",
		"Records sent to the dead letters; they are not among the dropped ones.", "sub_topology", "reason")
	c.tasks = desc("ashi_tasks", "Tasks that this process works on.", "sub_topology")
	c.restoring = desc("ashi_tasks_restoring", "Tasks of this process that are not open yet.", "sub_topology")
	c.remaining = desc("ashi_restore_remaining_records",
		"Offsets of the changelog that a task which is being restored has still to read.", "sub_topology", "partition")
	c.lag = desc("ashi_input_lag_records", "Committed records of an input that a task has not committed yet.",
		"sub_topology", "topic", "partition")
	c.streamTime = desc("ashi_stream_time_seconds", "Stream time of a step, since 1970.", "sub_topology", "partition",
		"operator")
	c.call = desc("ashi_call_seconds",
		"How long the call of the program's code that a task is in now has been seen; 0 where it is in none.",
		"sub_topology", "partition")
	c.memory = desc("ashi_task_memory_bytes", "Rows, sessions and groups of a task in memory.", "sub_topology",
		"partition")
	c.stateRows = desc("ashi_state_rows", "Rows in a task's store, roughly.", "sub_topology", "partition")
	c.stateBytes = desc("ashi_state_bytes", "Size of a task's store, where it is on disk, roughly.", "sub_topology",
		"partition")
	c.standbys = desc("ashi_standbys", "Copies of other processes' tasks that this process keeps.", "sub_topology")
	c.standbyLag = desc("ashi_standby_lag_records", "Offsets of the changelog that a copy has still to read.",
		"sub_topology", "partition")
	c.tableReady = desc("ashi_table_ready", "1 when the table has caught up with its topic.", "table")
	c.tableRows = desc("ashi_table_rows", "Rows of a table, roughly.", "table")
	c.tableBytes = desc("ashi_table_bytes", "Size of a table's store, where it is on disk, roughly.", "table")
	c.tableLag = desc("ashi_table_lag_records",
		"Records that a table is behind its topic, of the partition that is furthest behind.", "table")
	c.duplicates = desc("ashi_table_duplicate_rows_total",
		"Final rows that came a second time, with the same bytes or with others.", "table", "same")
	c.adjusted = desc("ashi_adjusted_values_total",
		"Values that were cut or rounded to fit their column, of types that are tagged relaxed.", "row", "column")
	c.passedOver = desc("ashi_passed_over_records_total", "Records of a topic that ForEach and Rows passed over.",
		"topic", "reason")
	return c
}

// Describe sends the descriptions of all metrics.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range c.e.meters.vectors {
		v.Describe(ch)
	}
	for _, d := range c.all {
		ch <- d
	}
}

// send is one way of making a metric of a value.
type send func(d *prometheus.Desc, v int64, labels ...string)

// Collect sends the present values.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, v := range c.e.meters.vectors {
		v.Collect(ch)
	}
	of := func(kind prometheus.ValueType) send {
		return func(d *prometheus.Desc, v int64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, kind, float64(v), labels...)
		}
	}
	counter, gauge := of(prometheus.CounterValue), of(prometheus.GaugeValue)
	gauge(c.ready, number(c.e.readiness.err() == nil))
	restoring := map[*subState]int64{}
	for _, v := range c.e.tasks.all() {
		c.task(v, time.Now(), gauge)
		if !v.open.Load() {
			restoring[v.state]++
		}
	}
	for _, s := range c.e.subs {
		c.sub(s, counter, gauge)
		gauge(c.restoring, restoring[s], s.sub.Name)
	}
	for topic, t := range c.e.tables {
		c.table(topic, t, counter, gauge)
	}
	for v, n := range c.e.adjustedValues() {
		counter(c.adjusted, n, v.row, v.column)
	}
	for topic, reasons := range c.e.listened.counts() {
		for reason, n := range reasons {
			counter(c.passedOver, n, topic, reason)
		}
	}
}

func (c *collector) sub(s *subState, counter, gauge send) {
	sub := s.sub.Name
	for _, r := range task.Reasons() {
		counter(c.dropped, s.drops.Count(r), sub, r.String())
		counter(c.letters, s.drops.Letters(r), sub, r.String())
	}
	gauge(c.tasks, int64(s.owned.Load()), sub)
	standbys := s.keeper.standbys()
	gauge(c.standbys, int64(len(standbys)), sub)
	for _, p := range standbys {
		if p.Lag != unknown {
			gauge(c.standbyLag, p.Lag, sub, strconv.Itoa(int(p.Partition)))
		}
	}
}

func (c *collector) task(v *taskView, now time.Time, gauge send) {
	sub, partition := v.state.sub.Name, strconv.Itoa(int(v.partition))
	var took time.Duration
	if call, ok := v.pulse.Look(now); ok {
		took = now.Sub(call.Since)
	}
	gauge(c.call, int64(took/time.Second), sub, partition)
	if !v.open.Load() {
		gauge(c.remaining, v.remaining.Load(), sub, partition)
		return
	}
	st := v.status()
	for _, p := range st.Inputs {
		if p.Lag != unknown {
			gauge(c.lag, p.Lag, sub, p.Topic, partition)
		}
	}
	for operator, at := range st.StreamTimes {
		gauge(c.streamTime, at.Unix(), sub, partition, operator)
	}
	gauge(c.memory, v.memory.Load(), sub, partition)
	if n := v.rows.Load(); n != unknown {
		gauge(c.stateRows, n, sub, partition)
	}
	if n := v.bytes.Load(); n != unknown {
		gauge(c.stateBytes, n, sub, partition)
	}
}

func (c *collector) table(topic string, t *table, counter, gauge send) {
	st := t.status()
	gauge(c.tableReady, number(st.Ready), topic)
	gauge(c.tableLag, st.Lag, topic)
	if st.Rows != unknown {
		gauge(c.tableRows, st.Rows, topic)
	}
	if st.Bytes != unknown {
		gauge(c.tableBytes, st.Bytes, topic)
	}
	counter(c.duplicates, st.Duplicates, topic, "true")
	counter(c.duplicates, st.Contradictions, topic, "false")
}

// number is 1 for true.
func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
