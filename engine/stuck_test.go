package engine_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

// hanging lets one piece of a plan's own code hang, which looks at no context, from when it is
// armed until it is woken.
type hanging struct {
	where string
	armed atomic.Bool
	held  atomic.Int32
	awake chan struct{}
}

func newHanging(t *testing.T, where string) *hanging {
	h := &hanging{where: where, awake: make(chan struct{})}
	t.Cleanup(func() {
		close(h.awake)
		require.Eventually(t, func() bool { return h.held.Load() == 0 }, patience, time.Millisecond)
	})
	return h
}

func (h *hanging) at(where string) {
	if where == h.where && h.armed.Load() {
		h.held.Add(1)
		<-h.awake
		h.held.Add(-1)
	}
}

// hangingCodec is JSON that may hang.
type hangingCodec struct {
	codecs.Codec[Rate]
	h *hanging
}

func (c hangingCodec) Decode(data []byte, v *Rate) error {
	c.h.at("codec")
	return c.Codec.Decode(data, v)
}

// newHangingPlan has the program's code in every kind of place.
func newHangingPlan(t *testing.T, app, topic string, h *hanging) *pipeline {
	b := dsl.New(app)
	rates := dsl.Stream[Rate](b, topic).Codec(hangingCodec{codecs.JSON[Rate](), h})
	seen := rates.Peek(func(*Rate) error { h.at("function"); return nil })
	total := aggregates.Definition[float64, float64, float64]{Name: "total",
		Add:    func(s, v float64) float64 { h.at("aggregate"); return s + v },
		Encode: func(dst []byte, s float64) []byte { return binary.BigEndian.AppendUint64(dst, math.Float64bits(s)) },
		Decode: func(b []byte) (float64, error) { return math.Float64frombits(binary.BigEndian.Uint64(b)), nil },
		Result: func(s float64) float64 { return s }}
	bars := dsl.Aggregate(dsl.GroupBy(seen, func(r *Rate) string { h.at("key"); return r.Pair }), windows.Minutes(1),
		func(g dsl.Group[string, Rate]) Bar {
			h.at("projection")
			return Bar{Pair: g.Key(), Start: g.WindowStart(), Close: aggregates.Custom(g, total,
				func(r *Rate) float64 { return r.Bid })}
		}).As("bars").Having(func(*Bar) bool { h.at("having"); return true })
	p := &pipeline{rates: rates, final: bars.Final().Named(func(k windows.Kind) string { return app + "-" + k.Name() })}
	var err error
	p.plan, err = b.Build()
	require.NoError(t, err)
	return p
}

// The program's code hangs, wherever it is: first that is reported, with the step and the record,
// then Run ends without it, and a successor goes on from the last commit as if nothing had been.
func TestProgramCodeHangs(t *testing.T) {
	for where, step := range map[string]string{"function": "", "codec": "", "key": "", "aggregate": "bars",
		"projection": "bars", "having": "bars"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			c := kafkatest.Start(t)
			app, topic := c.Name("hang"), c.Topic(t, "rates", 1)
			h := newHanging(t, where)
			p := newHangingPlan(t, app, topic, h)
			rates := []Rate{{Pair: "P", Bid: 1, At: dayStart}, {Pair: "P", Bid: 2, At: dayStart.Add(time.Second)}}
			rates = append(rates, endRates(rates, 1)...)
			write(t, c.Config(), p, rates[:1])
			lines := &logLines{}
			cfg := engine.Config{Brokers: c.Brokers, Dial: c.Dial, CommitInterval: 10 * time.Millisecond,
				SlowAfter: 500 * time.Millisecond, StuckAfter: 4 * time.Second,
				Log: slog.New(slog.NewTextHandler(lines, nil))}
			e, err := engine.New(p.plan, cfg)
			require.NoError(t, err)
			ended := make(chan error, 1)
			go func() { ended <- e.Run(context.Background()) }()
			require.NoError(t, e.WaitReady(t.Context()))
			require.Eventually(t, func() bool {
				for _, s := range e.Status().SubTopologies {
					if len(s.Tasks) != 1 || s.Tasks[0].Commits == 0 {
						return false
					}
				}
				return true
			}, patience, 5*time.Millisecond)
			h.armed.Store(true)
			write(t, c.Config(), p, rates[1:])

			place := "record at offset"
			require.Eventually(t, func() bool { return e.Readiness().Causes != nil }, patience, 5*time.Millisecond)
			cause := e.Readiness().Causes[0]
			require.Equal(t, engine.TaskStuck, cause.Reason)
			require.ErrorContains(t, cause.Err, place)
			require.Contains(t, lines.String(), "a task stands still")
			answer := httptest.NewRecorder()
			e.StatusHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			require.Equal(t, http.StatusServiceUnavailable, answer.Code)
			require.Contains(t, answer.Body.String(), "task_stuck")

			select {
			case err = <-ended:
			case <-time.After(time.Minute):
				t.Fatal("Run does not end")
			}
			require.ErrorIs(t, err, engine.ErrStuck)
			require.ErrorContains(t, err, "step "+step)
			require.ErrorContains(t, err, place)

			r := start(t, newHangingPlan(t, app, topic, newHanging(t, "nowhere")).plan,
				engine.Config{Brokers: c.Brokers, Dial: c.Dial, CommitInterval: 10 * time.Millisecond})
			require.Eventually(t, func() bool { return len(committed(t, c.Config(), app+"-1min")[0]) == 1 }, patience,
				20*time.Millisecond)
			require.NoError(t, r.stop())
		})
	}
}

// A function that is slow, and comes back, is reported and forgiven.
func TestSlowFunctionIsForgiven(t *testing.T) {
	c := kafkatest.Start(t)
	app, topic := c.Name("slow"), c.Topic(t, "rates", 1)
	release := make(chan struct{})
	p := newPipeline(t, app, topic, func(r *Rate) error {
		if r.Bid == 7 {
			<-release
		}
		return nil
	})
	cfg := engine.Config{Brokers: c.Brokers, Dial: c.Dial, CommitInterval: 10 * time.Millisecond,
		SlowAfter: 300 * time.Millisecond}
	r := start(t, p.plan, cfg)
	require.NoError(t, r.WaitReady(t.Context()))
	write(t, c.Config(), p, []Rate{{Pair: "P", Bid: 7, At: dayStart}})
	require.Eventually(t, func() bool { return !r.Readiness().Ready }, patience, 5*time.Millisecond)
	close(release)
	require.NoError(t, r.WaitReady(t.Context()))
	require.NoError(t, r.stop())
}

// The codec of a table's keys hangs: the end of Run does not wait for it for ever, and says which
// table it was.
func TestKeyCodecOfATableHangs(t *testing.T) {
	c := kafkatest.Start(t)
	plan, topic, _ := slowTable(t, c, 1)
	h := newHanging(t, "key codec")
	h.armed.Store(true)
	plan.Tables[0].PlainKey = func(key []byte) ([]byte, error) {
		h.at("key codec")
		return key, nil
	}
	r := start(t, plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, SlowAfter: 500 * time.Millisecond,
		StuckAfter: time.Second})
	require.Eventually(t, func() bool { return h.held.Load() == 1 }, patience, time.Millisecond)
	r.cancel()
	select {
	case err := <-r.done:
		require.ErrorIs(t, err, engine.ErrStuck)
		require.ErrorContains(t, err, "table "+topic)
	case <-time.After(time.Minute):
		t.Fatal("Run does not end")
	}
}
