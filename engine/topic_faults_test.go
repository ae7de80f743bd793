package engine_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// logged starts an engine whose lines are kept.
func logged(t *testing.T, p *pipeline, cfg engine.Config) (*running, *logLines) {
	t.Helper()
	lines := &logLines{}
	cfg.Log = slog.New(slog.NewTextHandler(lines, nil))
	e, err := engine.New(p.plan, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Engine: e, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- e.Run(ctx) }()
	return r, lines
}

// Records that are deleted before they were read are missed with a line that says which, and the
// work goes on from what is left.
func TestTopicTruncated(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipeline(t, app, topic)
	cfg := engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond}
	rates := []Rate{{Pair: "P", Bid: 1, At: dayStart}, {Pair: "P", Bid: 2, At: dayStart.Add(time.Second)},
		{Pair: "P", Bid: 3, At: dayStart.Add(2 * time.Second)}}
	r := start(t, p.plan, cfg)
	write(t, c.Config(), p, rates[:1])
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())

	write(t, c.Config(), p, rates[1:2])
	ends, err := c.Admin().Ends(t.Context(), topic, false)
	require.NoError(t, err)
	require.NoError(t, c.Admin().DeleteBefore(t.Context(), map[string]map[int32]int64{topic: ends}))
	left := append(rates[:1:1], rates[2])
	left = append(left, endRates(rates, 1)...)
	r, lines := logged(t, p, cfg)
	write(t, c.Config(), p, left[1:])
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())
	require.Contains(t, lines.String(), "records were deleted before they were read")
	requireFinals(t, c.Config(), p, left, 1, time.Minute)
}

// A topic that is deleted under a running engine is looked for, with a line that names it; Run goes
// on, as the topic may come back. The next Run says that it is missing. What was put out stays.
func TestTopicDeleted(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Name("rates"), c.Name("fx")
	require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: topic, Partitions: 1, Replication: -1}))
	p := newPipeline(t, app, topic)
	cfg := engine.Config{Brokers: c.Brokers, CommitInterval: 20 * time.Millisecond}
	r, lines := logged(t, p, cfg)
	rates := []Rate{{Pair: "P", Bid: 1, At: dayStart}}
	rates = append(rates, endRates(rates, 1)...)
	write(t, c.Config(), p, rates)
	awaitEnd(t, c, app, topic)
	require.NoError(t, c.Admin().Delete(t.Context(), topic))
	require.Eventually(t, func() bool { return strings.Contains(lines.String(), "topic="+topic) }, patience,
		20*time.Millisecond)
	require.NoError(t, r.stop())
	require.ErrorContains(t, run(t, p.plan, cfg), "do not exist: "+topic)
	requireFinals(t, c.Config(), p, rates, 1, time.Minute)
}
