package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
)

const (
	firstPoll  = 2 * time.Millisecond  // for the first record: the clock's precision
	endPoll    = 50 * time.Millisecond // for the last: asking takes a tenth of a millisecond, and the offsets come later anyway
	scrapeEach = time.Second           // with -metrics
	offsetPoll = 25 * time.Millisecond // for the group's offsets
)

// sample is a moment.
type sample struct {
	at  time.Time
	cpu float64 // seconds of the whole process so far
}

func now() sample { return sample{time.Now(), cpuSeconds()} }

// meter follows a run.
type meter struct {
	admin    *kafka.Admin
	group    string
	ends     map[string]map[int32]int64 // of the inputs, by topic
	tasks    int
	total    int64
	registry *prometheus.Registry
}

func newMeter(ctx context.Context, o *options) (*meter, error) {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: o.brokerList()})
	if err != nil {
		return nil, err
	}
	m := &meter{admin: admin, group: o.app + "-" + o.topic, ends: map[string]map[int32]int64{}, registry: prometheus.NewRegistry()}
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
			offsets, err := m.admin.CommittedOffsets(ctx, m.group, topic)
			for p, end := range ends {
				if err != nil || end > 0 && offsets[p] < end {
					return false, err
				}
			}
		}
		return true, nil
	})
}

func until(ctx context.Context, poll time.Duration, done func() (bool, error)) (sample, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return now(), err
		}
		select {
		case <-ctx.Done():
			return sample{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// changelogRows is the length of the changelog: what a restore reads.
func (m *meter) changelogRows(ctx context.Context) (int64, error) {
	ends, err := m.admin.Ends(ctx, m.group+"-changelog", false)
	var n int64
	for _, end := range ends {
		n += end
	}
	return n, err
}

// openings counts the tasks that are opened, restored and ready, by the engine's log line about each: there is no other sign
// of that outside of the engine.
type openings struct {
	slog.Handler
	count *atomic.Int32
}

const openedLine = "task opened"

// Enabled lets the line pass whatever the level of the log is.
func (h openings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle counts, and hands warnings and errors on.
func (h openings) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == openedLine {
		h.count.Add(1)
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the count.
func (h openings) WithAttrs(a []slog.Attr) slog.Handler {
	return openings{h.Handler.WithAttrs(a), h.count}
}

// WithGroup keeps the count.
func (h openings) WithGroup(name string) slog.Handler {
	return openings{h.Handler.WithGroup(name), h.count}
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprintf("e2e: getrusage: %v", err)) // it has no way to fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// maxRSS is the most memory that the process had, in MB; -1 where the system does not tell.
func maxRSS() int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, err := strconv.Atoi(f[1])
			if err == nil {
				return kb / 1024
			}
		}
	}
	return -1
}
