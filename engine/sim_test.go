package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// wire is a member's network, which can be cut: open connections break and new ones are refused.
type wire struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

var errCut = errors.New("the wire is cut")

func (w *wire) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := w.dial(ctx, network, addr) // without the lock: to wait for a mutex stops a bubble's clock
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		c.Close()
		return nil, errCut
	}
	w.conns = append(w.conns, c)
	return c, nil
}

func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, c := range w.conns {
		c.Close() // it may be closed already
	}
}

// A day in virtual time: two members share four partitions, ticks come every few seconds, and every
// hour one of the members is lost (its wire is cut in the middle of whatever it does) and replaced.
// The finals are the oracle's, each once.
//
// ASHI_SIM_SEED repeats a schedule.
func TestSimulatedDay(t *testing.T) {
	seed, hours := simSeed(t), 24
	if testing.Short() {
		hours = 1
	}
	synctest.Test(t, func(t *testing.T) { simulate(t, seed, hours) })
}

func simSeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if s := os.Getenv("ASHI_SIM_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("ASHI_SIM_SEED=%d", seed)
	return seed
}

func simulate(t *testing.T, seed uint64, hours int) {
	const partitions = 4
	r := rand.New(rand.NewPCG(seed, 1))
	c := kafkatest.StartVirtual(t)
	p := newPipeline(t, "sim", c.Topic(t, "rates", partitions))
	began := time.Now() // of the bubble's clock
	join := func() *member { return startMember(t, p.plan, c) }
	members := []*member{join(), join()}
	var rates []Rate
	lose := time.Duration(r.Int64N(int64(time.Hour)))
	for hour := range hours {
		next := time.Duration(hour)*time.Hour + lose
		for at := time.Duration(hour) * time.Hour; at < time.Duration(hour+1)*time.Hour; at += 5 * time.Second {
			time.Sleep(time.Until(began.Add(at))) // of the bubble
			if at >= next && next >= 0 {
				i := r.IntN(2)
				t.Logf("at %v: member %d is lost and replaced", at, i)
				members[i].lose()
				members[i] = join()
				next = -1
			}
			batch := randomRates(r, time.Now(), 1+r.IntN(4), time.Second)
			rates = append(rates, batch...)
			write(t, c.Config(), p, batch)
		}
		lose = time.Duration(r.Int64N(int64(time.Hour)))
	}
	end := endRates(rates, partitions)
	rates = append(rates, end...)
	write(t, c.Config(), p, end)
	time.Sleep(5 * time.Minute) // of the bubble: whatever take-over is under way ends
	for _, m := range members {
		require.NoError(t, m.stop())
	}
	requireFinals(t, c.Config(), p, rates, partitions, time.Minute)
	requireFinals(t, c.Config(), p, rates, partitions, 5*time.Minute)
	t.Logf("%d rates in %d simulated hours", len(rates), hours)
}

// member is an engine whose wire can be cut.
type member struct {
	wire *wire
	*running
}

func startMember(t *testing.T, plan *topology.Plan, c *kafkatest.Cluster, settings ...func(*engine.Config)) *member {
	w := &wire{dial: c.Dial}
	cfg := engine.Config{Brokers: c.Brokers, Dial: w.Dial, CommitInterval: 5 * time.Second,
		SessionTimeout: 30 * time.Second,
		Log: slog.New(noErrors{slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}),
			t})}
	for _, set := range settings {
		set(&cfg)
	}
	e, err := engine.New(plan, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	m := &member{wire: w, running: &running{Engine: e, cancel: cancel, done: make(chan error, 1)}}
	go func() { m.done <- e.Run(ctx) }()
	return m
}

// noErrors fails a test with what is logged as an error: whatever happens to a member's wire,
// nothing of its own may go wrong.
type noErrors struct {
	slog.Handler
	t *testing.T
}

func (h noErrors) Handle(ctx context.Context, r slog.Record) error {
	h.t.Errorf("logged as an error: %s", r.Message)
	return h.Handler.Handle(ctx, r)
}

func (h noErrors) WithAttrs(a []slog.Attr) slog.Handler { return noErrors{h.Handler.WithAttrs(a), h.t} }

func (h noErrors) WithGroup(name string) slog.Handler {
	return noErrors{h.Handler.WithGroup(name), h.t}
}

// lose cuts the member off, so that nothing that it does on its way out can reach the broker.
func (m *member) lose() {
	m.wire.sever()
	m.cancel()
	<-m.done // its error is that of the cut wire, or none
}
