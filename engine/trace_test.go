package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// spansOf is the spans that an engine makes for some rates, and its log.
func spansOf(t *testing.T) (tracetest.SpanStubs, string, int) {
	t.Helper()
	const partitions = 2
	c := kafkatest.Start(t)
	topic := c.Topic(t, "rates", partitions)
	p := newPipeline(t, c.Name("fx"), topic)
	rates := randomRates(rand.New(rand.NewPCG(1, 2)), dayStart, 500, time.Second)
	rates = append(rates, endRates(rates, partitions)...)
	kept := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept))
	lines := &lockedBuffer{}
	e, err := engine.New(p.plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, StateDir: t.TempDir(),
		CommitInterval: 50 * time.Millisecond, CheckpointInterval: 10 * time.Millisecond, TracerProvider: provider,
		Log: slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	write(t, c.Config(), p, rates)
	c.Write(t, topic, 1, task.Output{Key: []byte("P"), Value: []byte("{"), Timestamp: 5})
	awaitRows(t, e, p, rates, partitions)
	cancel()
	require.NoError(t, <-done)
	return kept.GetSpans(), lines.String(), len(rates) + 1
}

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Each span has the parent that docs/metrics.md says, and ends within the time of it where it is a
// part; each line names its component.
func TestSpansAndComponents(t *testing.T) {
	spans, lines, records := spansOf(t)
	parents := map[string]string{"ashi.open": "", "ashi.restore": "ashi.open", "ashi.transaction": "",
		"ashi.process": "ashi.transaction", "ashi.commit": "ashi.transaction", "ashi.checkpoint": "ashi.transaction",
		"ashi.rebalance": ""}
	byID := map[[8]byte]tracetest.SpanStub{}
	for _, s := range spans {
		byID[s.SpanContext.SpanID()] = s
	}
	seen := map[string]int{}
	processed := 0
	for _, s := range spans {
		seen[s.Name]++
		require.Contains(t, parents, s.Name)
		require.Equal(t, parents[s.Name], byID[s.Parent.SpanID()].Name, s.Name)
		require.False(t, s.EndTime.Before(s.StartTime), s.Name)
		require.Equal(t, codes.Unset, s.Status.Code, "%s: %s", s.Name, s.Status.Description)
		about := attribute.NewSet(s.Attributes...)
		require.True(t, about.HasValue("ashi.application"))
		ofTask := s.Name != "ashi.rebalance" // a rebalance is the application's
		require.Equal(t, ofTask, about.HasValue("ashi.sub_topology"), s.Name)
		require.Equal(t, ofTask, about.HasValue("ashi.partition"), s.Name)
		if s.Name == "ashi.process" {
			n, _ := about.Value("ashi.records")
			processed += int(n.AsInt64())
			require.False(t, s.StartTime.Before(byID[s.Parent.SpanID()].StartTime))
		}
	}
	for name := range parents {
		require.Positive(t, seen[name], name)
	}
	require.Equal(t, 2, seen["ashi.open"])
	require.Equal(t, records, processed)
	require.GreaterOrEqual(t, seen["ashi.commit"], seen["ashi.transaction"]-2,
		"but for those that the end has cut short")

	components := map[string]int{}
	for line := range bytes.Lines([]byte(lines)) {
		require.Equal(t, 1, bytes.Count(line, []byte(`"component":`)), "%s", line)
		var l struct{ Component, Msg string }
		require.NoError(t, json.Unmarshal(line, &l))
		components[l.Component]++
		if l.Msg == "records dropped" && bytes.Contains(line, []byte("undecodable")) {
			require.Equal(t, "serialization", l.Component)
		}
	}
	require.Len(t, components, 3)
	for _, name := range []string{"core", "messaging", "serialization"} {
		require.Positive(t, components[name], name)
	}
}

// A transaction that another producer has fenced off is counted, has its error in its span, and is
// done again.
func TestFencedTransactionIsSeen(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipeline(t, app, topic)
	kept := tracetest.NewInMemoryExporter()
	e := start(t, p.plan, engine.Config{Brokers: c.Brokers, StateDir: t.TempDir(),
		CommitInterval: 50 * time.Millisecond, TracerProvider: sdk.NewTracerProvider(sdk.WithSyncer(kept))})
	rates := randomRates(rand.New(rand.NewPCG(1, 2)), dayStart, 300, time.Second)
	write(t, c.Config(), p, rates)
	committed := func() bool { return total(gathered(t, e.Engine)["ashi_commit_seconds"], "", "") > 0 }
	require.Eventually(t, committed, patience, 10*time.Millisecond)
	usurper, err := kafka.NewProducer(t.Context(), c.Config(),
		kafka.ProducerConfig{TransactionalID: topology.TransactionalID(app, p.plan.Subs[0].Name, 0)})
	require.NoError(t, err)
	require.NoError(t, usurper.Close())
	end := endRates(rates, 1)
	write(t, c.Config(), p, end)
	awaitRows(t, e.Engine, p, append(rates, end...), 1)
	require.Positive(t, total(gathered(t, e.Engine)["ashi_aborted_transactions_total"], "", ""))
	require.NoError(t, e.stop())
	failed := map[string]int{}
	for _, s := range kept.GetSpans() {
		if s.Status.Code == codes.Error {
			failed[s.Name]++
			require.Contains(t, s.Status.Description, task.ErrFenced.Error())
		}
	}
	require.Positive(t, failed["ashi.transaction"])
}
