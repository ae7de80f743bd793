package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meters are the metrics that are counted as things happen: once for each batch, commit or
// checkpoint, never for each record. Those that somebody knows anyway are read when they are asked
// for (metrics.go).
type meters struct {
	vectors []prometheus.Collector

	process, commit, checkpoint, restore, endToEnd *prometheus.HistogramVec

	rebalance prometheus.Histogram

	consumedRecords, consumedBytes, producedRecords, producedBytes *prometheus.CounterVec
	restoredRecords, restoredBytes, checkpointBytes, aborted       *prometheus.CounterVec
	purges                                                         *prometheus.CounterVec
}

const (
	leastSeconds = 0.000_1 // where the first bucket of a histogram of durations ends
	mostSeconds  = 100     // where the last but one does
	timeBuckets  = 13      // so that each is some three times as long as the one before
)

func newMeters(application string) *meters {
	m := &meters{}
	labels := prometheus.Labels{"application": application}
	buckets := prometheus.ExponentialBucketsRange(leastSeconds, mostSeconds, timeBuckets)
	seconds := func(name, help string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: labels,
			Buckets: buckets}, []string{"sub_topology"})
		m.vectors = append(m.vectors, v)
		return v
	}
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, by)
		m.vectors = append(m.vectors, v)
		return v
	}
	m.process = seconds("ashi_process_seconds",
		"Time that a task took for a batch of records, without commits and checkpoints.")
	m.commit = seconds("ashi_commit_seconds",
		"Time of a commit, from putting changed rows out to the end of the transaction.")
	m.checkpoint = seconds("ashi_checkpoint_seconds", "Time in which changed rows were written to a task's store.")
	m.restore = seconds("ashi_restore_seconds", "Time in which a task's store was brought to the end of its changelog.")
	m.endToEnd = seconds("ashi_end_to_end_seconds",
		"Time from the timestamp of a batch's last record to the commit of all that the batch led to.")
	m.rebalance = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ashi_rebalance_seconds", ConstLabels: labels,
		Buckets: buckets,
		Help:    "Time from the first partition taken away to the new assignment; 0 where none was taken away."})
	m.vectors = append(m.vectors, m.rebalance)
	m.consumedRecords = counter("ashi_consumed_records_total", "Records read.", "sub_topology", "topic")
	m.consumedBytes = counter("ashi_consumed_bytes_total", "Bytes of record batches read, as they came over the wire.",
		"sub_topology", "topic")
	m.producedRecords = counter("ashi_produced_records_total",
		"Records written and committed; the changelog is one of the topics.", "sub_topology", "topic")
	m.producedBytes = counter("ashi_produced_bytes_total", "Bytes of keys and values written and committed.",
		"sub_topology", "topic")
	m.restoredRecords = counter("ashi_restored_records_total",
		"Records of the changelog that tasks read when they were opened.", "sub_topology")
	m.restoredBytes = counter("ashi_restored_bytes_total", "Bytes of keys and values of those.", "sub_topology")
	m.checkpointBytes = counter("ashi_checkpoint_bytes_total", "Bytes written to stores by checkpoints.",
		"sub_topology")
	m.aborted = counter("ashi_aborted_transactions_total",
		"Transactions of tasks that did not go through; each is done again.", "sub_topology")
	m.purges = counter("ashi_purges_total", "Deletions from internal topics of what has been read.", "outcome")
	for _, outcome := range []string{purgeDone, purgeFailed} {
		m.purges.WithLabelValues(outcome)
	}
	return m
}

// subMeters are the meters of one sub-topology, looked up once.
type subMeters struct {
	process, commit, checkpoint, restore, endToEnd                 prometheus.Observer
	restoredRecords, restoredBytes, checkpointBytes, aborted       prometheus.Counter
	consumedRecords, consumedBytes, producedRecords, producedBytes map[string]prometheus.Counter // by topic
}

// of looks the meters of a sub-topology up. All of them are shown from the start: a counter that
// comes into being with its first event hides that from rate().
func (m *meters) of(s *subState) subMeters {
	sub := s.sub.Name
	read := s.sub.Topics()
	written := []string{s.changelog}
	for _, k := range s.sub.Sinks() {
		written = append(written, k.Topic)
	}
	byTopic := func(v *prometheus.CounterVec, topics []string) map[string]prometheus.Counter {
		of := map[string]prometheus.Counter{}
		for _, topic := range topics {
			of[topic] = v.WithLabelValues(sub, topic)
		}
		return of
	}
	return subMeters{
		process: m.process.WithLabelValues(sub), commit: m.commit.WithLabelValues(sub),
		checkpoint: m.checkpoint.WithLabelValues(sub), restore: m.restore.WithLabelValues(sub),
		endToEnd: m.endToEnd.WithLabelValues(sub), restoredRecords: m.restoredRecords.WithLabelValues(sub),
		restoredBytes: m.restoredBytes.WithLabelValues(sub), checkpointBytes: m.checkpointBytes.WithLabelValues(sub),
		aborted: m.aborted.WithLabelValues(sub), consumedRecords: byTopic(m.consumedRecords, read),
		consumedBytes: byTopic(m.consumedBytes, read), producedRecords: byTopic(m.producedRecords, written),
		producedBytes: byTopic(m.producedBytes, written),
	}
}

// consumed counts a batch.
func (m *subMeters) consumed(topic string, records, bytes int) {
	m.consumedRecords[topic].Add(float64(records))
	m.consumedBytes[topic].Add(float64(bytes))
}

// produced counts what a commit has made visible of one topic. Topics that the plan does not name,
// which a task should not write to, are left out.
func (m *subMeters) produced(topic string, records, bytes int) {
	if c := m.producedRecords[topic]; c != nil {
		c.Add(float64(records))
		m.producedBytes[topic].Add(float64(bytes))
	}
}

func since(o prometheus.Observer, began time.Time) { o.Observe(time.Since(began).Seconds()) }
