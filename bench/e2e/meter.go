package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ashi-stream/ashi/bench/internal/rig"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

const (
	firstPoll = 2 * time.Millisecond // for the first record: the clock's precision
	// for the last: asking takes a tenth of a millisecond, and the offsets come later anyway
	endPoll    = 50 * time.Millisecond
	scrapeEach = time.Second           // with -metrics
	offsetPoll = 25 * time.Millisecond // for the group's offsets
)

// sample is a moment.
type sample struct {
	at  time.Time
	cpu float64 // seconds of the whole process so far
}

func now() sample { return sample{time.Now(), rig.CPU()} }

// meter follows a run.
type meter struct {
	admin            *kafka.Admin
	group, changelog string
	ends             map[string]map[int32]int64 // of the inputs, by topic
	tasks            int
	total            int64
	registry         *prometheus.Registry
}

func newMeter(ctx context.Context, o *options) (*meter, error) {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: o.brokerList()})
	if err != nil {
		return nil, err
	}
	m := &meter{admin: admin, group: topology.GroupName(o.app), changelog: topology.ChangelogName(o.app, o.topic),
		ends: map[string]map[int32]int64{}, registry: prometheus.NewRegistry()}
	for _, topic := range o.topics() {
		ends, err := admin.Ends(ctx, topic, false)
		if err != nil {
			admin.Close()
			return nil, err
		}
		m.ends[topic], m.tasks = ends, len(ends)
		for _, end := range ends {
			m.total += end
		}
	}
	return m, nil
}

func (m *meter) observe(e *engine.Engine) error { return m.registry.Register(e.Collector()) }

// records is how many the engine has read.
func (m *meter) records() (int64, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return 0, err
	}
	var n float64
	for _, f := range families {
		if f.GetName() == "ashi_consumed_records_total" {
			for _, v := range f.GetMetric() {
				n += v.GetCounter().GetValue()
			}
		}
	}
	return int64(n), nil
}

// scrape gathers all metrics and writes them as a scrape gets them, each second until it is ended.
func (m *meter) scrape(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var scraping sync.WaitGroup
	scraping.Go(func() {
		page := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
		tick := time.NewTicker(scrapeEach)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				page.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
			}
		}
	})
	return func() {
		stop()
		scraping.Wait()
	}
}

// read returns when n records have been read.
func (m *meter) read(ctx context.Context, n int64, poll time.Duration) (sample, error) {
	return until(ctx, poll, func() (bool, error) {
		read, err := m.records()
		return read >= n, err
	})
}

// committed returns when the group's offsets have reached the ends of the inputs.
func (m *meter) committed(ctx context.Context) (sample, error) {
	return until(ctx, offsetPoll, func() (bool, error) {
		for topic, ends := range m.ends {
			if all, err := rig.Reached(ctx, m.admin, m.group, topic, ends); !all {
				return false, err
			}
		}
		return true, nil
	})
}

func until(ctx context.Context, poll time.Duration, done func() (bool, error)) (sample, error) {
	err := rig.Await(ctx, poll, done)
	return now(), err
}

// changelogRows is the length of the changelog: what a restore reads.
func (m *meter) changelogRows(ctx context.Context) (int64, error) {
	ends, err := m.admin.Ends(ctx, m.changelog, false)
	var n int64
	for _, end := range ends {
		n += end
	}
	return n, err
}
