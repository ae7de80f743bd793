package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// ENT-3: a loop over a stream yields what is there, waits for more, and ends when it is left, or
// with the error of its context.
func TestRows(t *testing.T) {
	c := kafkatest.Start(t)
	b := dsl.New(c.Name("rows"))
	positions := dsl.Stream[position](b, c.Topic(t, "positions", 2))
	positions.To(c.Name("copies"))
	plan, err := b.Build()
	require.NoError(t, err)
	e, err := engine.New(plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	sum, n := int64(0), 0
	add := func() {
		require.NoError(t, engine.Add(ctx, e, positions, position{fmt.Sprint("a", n), int64(n)}))
		n++
	}
	for range 10 {
		add()
	}
	got := 0
	for row, err := range engine.Rows(ctx, e, positions) {
		require.NoError(t, err)
		sum += row.Amount
		if got++; got == 15 {
			break
		}
		if got >= 10 {
			add() // what comes while the loop runs is yielded too
		}
	}
	require.EqualValues(t, 15*14/2, sum)

	short, end := context.WithCancel(ctx)
	defer end()
	var failed error
	got = 0
	for _, err := range engine.Rows(short, e, positions) {
		if failed = err; err == nil {
			got++
			end()
		}
	}
	require.ErrorIs(t, failed, context.Canceled)
	require.Positive(t, got)

	// A loop that is left when its context has ended too is not told so.
	for _, err := range engine.Rows(short, e, positions) {
		require.ErrorIs(t, err, context.Canceled)
		break
	}
	left, leave := context.WithCancel(ctx)
	defer leave()
	for _, err := range engine.Rows(left, e, positions) {
		require.NoError(t, err)
		leave()
		break
	}

	missing := dsl.Stream[position](dsl.New("missing"), c.Name("nothing"))
	for _, err := range engine.Rows(ctx, e, missing) {
		require.ErrorContains(t, err, "does not exist")
	}
	for _, err := range engine.Rows(ctx, e, dsl.Map(positions, func(p *position) (position, error) {
		return *p,
			nil
	})) {
		require.ErrorContains(t, err, "is not in a topic")
	}

	// The handler's own error is what ForEach returns, also where the context has ended meanwhile.
	full := errors.New("full")
	again, stop := context.WithCancel(ctx)
	defer stop()
	require.ErrorIs(t, engine.ForEach(again, e, positions, func(position) error { stop(); return full }), full)
}

// What is passed over is counted by topic and reason, in the metrics and in the status, before
// anything else is as well.
func TestPassedOver(t *testing.T) {
	c := kafkatest.Start(t)
	b := dsl.New(c.Name("passed"))
	topic := c.Topic(t, "positions", 1)
	positions := dsl.Stream[position](b, topic)
	positions.To(c.Name("copies"))
	plan, err := b.Build()
	require.NoError(t, err)
	e, err := engine.New(plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	require.Nil(t, e.Status().PassedOver)
	require.Empty(t, gathered(t, e)["ashi_passed_over_records_total"])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var outputs []task.Output
	for _, value := range [][]byte{[]byte("{"), nil, []byte("[]"), []byte(`{"account":"a","Amount":5}`)} {
		outputs = append(outputs, task.Output{Topic: topic, Key: []byte("a"), Value: value})
	}
	c.Write(t, topic, 1, outputs...)
	for range 2 { // each reader counts
		for row, err := range engine.Rows(ctx, e, positions) {
			require.NoError(t, err)
			require.EqualValues(t, 5, row.Amount)
			break
		}
	}
	require.Equal(t, map[string]map[string]int64{topic: {"null_value": 2, "undecodable": 4}}, e.Status().PassedOver)
	metrics := gathered(t, e)["ashi_passed_over_records_total"]
	require.EqualValues(t, 6, total(metrics, "topic", topic))
	require.EqualValues(t, 4, total(metrics, "reason", "undecodable"))
	page := httptest.NewRecorder()
	e.StatusHandler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/status.html", nil))
	require.Contains(t, page.Body.String(),
		"readers of "+topic+"</td><td></td><td></td><td>null_value: 2<br>undecodable: 4<br></td>")
}

type remark struct {
	_    struct{} `ashi:"relaxed"`
	ID   string   `ashi:"id,key"`
	Text string   `ashi:"text,maxlen=3"`
}

// What relaxed validation changes is counted, and is in the log at the latest when Run ends.
func TestAdjustedValues(t *testing.T) {
	c := kafkatest.Start(t)
	b := dsl.New(c.Name("remarks"))
	remarks := dsl.Table[string, remark](b, c.Topic(t, "remarks", 1))
	plan, err := b.Build()
	require.NoError(t, err)
	var text bytes.Buffer
	e, err := engine.New(plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial,
		Log: slog.New(slog.NewTextHandler(&text, nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	require.NoError(t, engine.AddAndWait(ctx, e, remarks, remark{ID: "1", Text: "abcd"}, remark{ID: "2", Text: "abc"}))
	table, err := engine.Table(e, remarks)
	require.NoError(t, err)
	require.NoError(t, e.WaitReady(ctx))
	row, ok, err := table.Get(ctx, "1")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "abc", row.Text)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(e.Collector()))
	families, err := registry.Gather()
	require.NoError(t, err)
	var counts []string
	for _, f := range families {
		if f.GetName() == "ashi_adjusted_values_total" {
			counts = append(counts, f.GetMetric()[0].String())
		}
	}
	require.Len(t, counts, 1)
	require.Regexp(t, `name:"column"\s+value:"text".*name:"row"\s+value:"engine_test.remark".*counter:{value:1\b`,
		counts[0])
	cancel()
	require.NoError(t, <-done)
	require.Contains(t, text.String(),
		`msg="values were cut or rounded to fit their column" component=core row=engine_test.remark column=text values=1`)
}
