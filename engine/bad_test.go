package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// run is what Run returns where it should fail within a minute.
func run(t *testing.T, plan *topology.Plan, cfg engine.Config) error {
	t.Helper()
	e, err := engine.New(plan, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = e.Run(ctx)
	require.NoError(t, ctx.Err(), "Run did not end by itself")
	return err
}

func TestNoBroker(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	began := time.Now()
	err = run(t, newPipeline(t, "fx", "rates").plan, engine.Config{Brokers: []string{addr},
		StartTimeout: 2 * time.Second})
	require.ErrorContains(t, err, addr)
	require.Less(t, time.Since(began), 30*time.Second)
}

// A start without a broker says so at once, not only when StartTimeout is over: with one warning,
// and in the readiness cause.
func TestSilentBrokersAtStart(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Listener){
		"refuses": func(l net.Listener) { _ = l.Close() },
		"hangs up": func(l net.Listener) {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				_ = conn.Close()
			}
		},
		"is silent": func(l net.Listener) {
			var open []net.Conn
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				open = append(open, conn)
			}
			for _, conn := range open {
				_ = conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var serving sync.WaitGroup
			defer serving.Wait()
			defer l.Close()
			serving.Go(func() { serve(l) })
			lines := &logLines{}
			e, err := engine.New(newPipeline(t, "fx", "rates").plan, engine.Config{Brokers: []string{l.Addr().String()},
				StartTimeout: time.Minute, Log: slog.New(slog.NewTextHandler(lines, nil))})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- e.Run(ctx) }()
			var cause engine.Cause
			for now := range e.ReadinessChanges(ctx) {
				if cause = now.Causes[0]; cause.Err != nil {
					break
				}
			}
			require.Equal(t, engine.Starting, cause.Reason)
			require.ErrorIs(t, cause.Err, kafka.ErrUnavailable)
			require.ErrorContains(t, cause.Err, l.Addr().String())
			cancel()
			require.NoError(t, <-done)
			require.Equal(t, 1, strings.Count(lines.String(), "no broker answers at start"), lines)
		})
	}
}

func TestMissingTopic(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Name("nowhere")
	err := run(t, newPipeline(t, c.Name("fx"), topic).plan, engine.Config{Brokers: c.Brokers})
	require.ErrorContains(t, err, "do not exist: "+topic)
	require.ErrorContains(t, err, "create them first")
}

func TestPartitionsChanged(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 2), c.Name("fx")
	require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: topology.ChangelogName(app, topic),
		Partitions: 3, Replication: -1, Config: map[string]string{"cleanup.policy": "compact"}}))
	err := run(t, newPipeline(t, app, topic).plan, engine.Config{Brokers: c.Brokers})
	require.ErrorIs(t, err, kafka.ErrTopicMismatch)
	require.ErrorContains(t, err, "has 3 partitions, 2 are wanted")
	require.ErrorContains(t, err, "give the application another name")
}

func TestStateDirectory(t *testing.T) {
	p := newPipeline(t, "fx", "rates")
	dir := t.TempDir()
	open := func(path string) error {
		e, err := engine.New(p.plan, engine.Config{Brokers: []string{"127.0.0.1:1"}, StateDir: path})
		if err == nil {
			require.NoError(t, e.Close())
		}
		return err
	}
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, open(file), "is a file")
	require.ErrorContains(t, open(filepath.Join(file, "below")), "cannot be made")
	require.ErrorContains(t, open("/proc/ashi"), "cannot be made", "nobody can write there, not even root")

	mine := filepath.Join(dir, "mine")
	require.NoError(t, open(mine))
	require.NoError(t, open(mine), "again")
	other := newPipeline(t, "other", "rates")
	_, err := engine.New(other.plan, engine.Config{Brokers: []string{"127.0.0.1:1"}, StateDir: mine})
	require.ErrorContains(t, err, `belongs to application "fx", not "other"`)
	require.NoError(t, os.WriteFile(filepath.Join(mine, "ashi.json"), []byte("{"), 0o600))
	require.ErrorContains(t, open(mine), "cannot be read")
}

// A step that is not what it was is refused: its rows would be read as something else.
func TestOtherPlan(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipeline(t, app, topic)
	r := start(t, p.plan, engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond})
	write(t, c.Config(), p, []Rate{{Pair: "P", Bid: 1, At: dayStart}})
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())

	b := dsl.New(app)
	bars := dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[Rate](b, topic)), windows.Minutes(2),
		func(g dsl.Group[string, Rate]) Bar { return Bar{Pair: g.Key(), Ticks: countOf(g)} })
	bars.Final()
	plan, err := b.Build()
	require.NoError(t, err)
	err = run(t, plan, engine.Config{Brokers: c.Brokers})
	require.ErrorIs(t, err, task.ErrForeign)
	for _, want := range []string{`aggregate "` + topic + `-aggregate"`,
		"windows: was tumbling 1min,tumbling 5min, is tumbling 2min", "aggregates: ", "another name (As)",
		"set OnPlanChange to Rebuild", "give the application another name"} {
		require.ErrorContains(t, err, want)
	}
}

func TestBadConfig(t *testing.T) {
	p := newPipeline(t, "fx", "rates")
	_, err := engine.New(p.plan, engine.Config{Brokers: []string{"localhost"}, CommitInterval: -1, MaxAhead: -5,
		Memory: -1, Guarantee: 7, OnPlanChange: 3, Standbys: -1})
	for _, want := range []string{`"localhost": want host:port`, "CommitInterval", "MaxAhead", "Memory",
		"Guarantee of 7", "OnPlanChange of 3", "Standbys"} {
		require.ErrorContains(t, err, want, "every mistake at once")
	}
	_, err = engine.New(nil, engine.Config{})
	require.ErrorContains(t, err, "plan is nil")
}

// logLines keeps what is logged.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Values that are null, empty, truncated or 10 MB, and times that are 0, negative or in the year
// 9999: each is dropped, counted and logged, and the bars of the good records around them come out
// as if they had not been there.
func TestBadRecords(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1, "max.message.bytes", "20971520"), c.Name("fx")
	p := newPipeline(t, app, topic)
	good := []Rate{{Pair: "P", Bid: 1, At: dayStart}, {Pair: "P", Bid: 2, At: dayStart.Add(time.Second)}}
	good = append(good, endRates(good, 1)...)

	lines := &logLines{}
	e, err := engine.New(p.plan, engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(lines, nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	write(t, c.Config(), p, good[:1])
	c.Write(t, topic, 1,
		task.Output{Key: []byte("P"), Timestamp: 5},
		task.Output{Key: []byte("P"), Value: []byte{}, Timestamp: 5},
		task.Output{Key: []byte("P"), Value: []byte(`{"pair":"P","bid":1,"a`), Timestamp: 5},
		task.Output{Key: []byte("P"), Value: bytes.Repeat([]byte("x"), 10<<20), Timestamp: 5},
		task.Output{Key: []byte("P"), Value: []byte(`{"pair":"P","bid":9,"at":"2014-05-01T00:00:02Z"}`),
			Headers: make([]task.Header, 100_000), Timestamp: 5},
		task.Output{Key: nil, Value: []byte(`{"pair":"P","bid":7,"at":"2014-05-01T00:00:02Z"}`), Timestamp: 5},
		task.Output{Key: []byte("P"), Value: []byte(`{"pair":"P","bid":1,"at":"1960-01-01T00:00:00Z"}`), Timestamp: 5},
		task.Output{Key: []byte("P"), Value: []byte(`{"pair":"P","bid":1,"at":"9999-12-31T23:59:59Z"}`), Timestamp: 5},
	)
	write(t, c.Config(), p, good[1:])
	awaitRows(t, e, p, good, 1)
	cancel()
	require.NoError(t, <-done)
	requireFinals(t, c.Config(), p, good, 1, time.Minute)
	for _, reason := range []string{"null_value", "undecodable", "null_key", "negative_time", "ahead_of_clock"} {
		require.Contains(t, lines.String(), "reason="+reason)
	}
	require.Equal(t, map[string]float64{"null_value": 2, "undecodable": 3, "null_key": 1, "negative_time": 1,
		"ahead_of_clock": 1, "late": 0, "failed": 0, "too_large": 0, "refused": 0, "misplaced": 0},
		droppedBy(t, e))
}

// droppedBy is the counts of dropped records by reason, as Prometheus sees them.
func droppedBy(t *testing.T, e *engine.Engine) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(e.Collector()))
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "ashi_dropped_records_total" {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "reason" {
					counts[l.GetValue()] = m.Counter.GetValue()
				}
			}
		}
	}
	return counts
}

func countOf(g dsl.Group[string, Rate]) int64 { return aggregates.Count(g) }
