package engine_test

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

func TestMain(m *testing.M) {
	if os.Getenv(memberEnvironment) != "" {
		beMember()
		return
	}
	goleak.VerifyTestMain(m)
}

var dayStart = time.Date(2014, 5, 1, 0, 0, 0, 0, time.UTC)

// From ticks to finals, tables and back, over a broker.
func TestPipeline(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const partitions = 3
	c := kafkatest.Start(t)
	topic := c.Topic(t, "rates", partitions)
	p := newPipeline(t, c.Name("fx"), topic)
	rates := randomRates(rand.New(rand.NewPCG(seed, 0)), dayStart, 5000, 400*time.Millisecond)
	rates = append(rates, endRates(rates, partitions)...)

	cfg := engine.Config{Brokers: c.Brokers, Dial: c.Dial, StateDir: t.TempDir(),
		CommitInterval: 100 * time.Millisecond}
	r := start(t, p.plan, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	require.ErrorContains(t, r.Run(ctx), "Run was called before")
	half := len(rates) / 2
	write(t, c.Config(), p, rates[:half])
	require.NoError(t, engine.Add(ctx, r.Engine, p.rates, rates[half]))
	write(t, c.Config(), p, rates[half+1:])
	awaitRows(t, r.Engine, p, rates, partitions)

	bars, err := engine.Table(r.Engine, p.final.Size(time.Minute))
	require.NoError(t, err)
	n := 0
	for bar, err := range bars.Range(ctx, "P03", dayStart, dayStart.Add(10*time.Minute)) {
		require.NoError(t, err)
		require.Equal(t, "P03", bar.Pair)
		require.Equal(t, dayStart.Add(time.Duration(n)*time.Minute), bar.Start)
		n++
	}
	require.Equal(t, 10, n)

	seen := 0
	errEnough := context.Canceled
	err = engine.ForEach(ctx, r.Engine, p.final.Stream(time.Minute), func(Bar) error {
		if seen++; seen == 100 {
			return errEnough
		}
		return nil
	})
	require.ErrorIs(t, err, errEnough)
	require.NoError(t, r.stop(), "cancelling Run is no error")
	requireFinals(t, c.Config(), p, rates, partitions, time.Minute)
	requireFinals(t, c.Config(), p, rates, partitions, 5*time.Minute)
	require.ErrorIs(t, r.WaitReady(t.Context()), engine.ErrClosed)
	require.ErrorIs(t, engine.Add(ctx, r.Engine, p.rates, rates[0]), engine.ErrClosed)
	require.ErrorIs(t, r.Run(ctx), engine.ErrClosed)

	over, end := context.WithCancel(t.Context())
	end()
	none := newPipeline(t, c.Name("over"), topic)
	e, err := engine.New(none.plan, engine.Config{Brokers: []string{"127.0.0.1:1"}})
	require.NoError(t, err)
	defer e.Close()
	require.ErrorContains(t, engine.Add(over, e, none.rates, rates[0]), topic+": context canceled",
		"the context is the first thing to be said")
	require.Equal(t, context.Canceled, engine.ForEach(over, e, none.rates, func(Rate) error { return nil }))
}

// What was open goes on after a restart, and what was closed stays closed: with the state on disk,
// and without it.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		t.Run(map[bool]string{true: "state kept", false: "state lost"}[keep], func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			const partitions = 2
			c := kafkatest.Start(t)
			topic := c.Topic(t, "rates", partitions)
			p := newPipeline(t, c.Name("fx"), topic)
			rates := randomRates(rand.New(rand.NewPCG(seed, 0)), dayStart, 3000, 400*time.Millisecond)
			dir := t.TempDir()
			for i := range 3 {
				if !keep {
					dir = t.TempDir()
				}
				r := start(t, p.plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, StateDir: dir,
					CommitInterval: 50 * time.Millisecond})
				upTo := rates[:(i+1)*1000]
				write(t, c.Config(), p, rates[i*1000:(i+1)*1000])
				awaitRows(t, r.Engine, p, upTo, partitions)
				require.NoError(t, r.stop())
				requireFinals(t, c.Config(), p, upTo, partitions, time.Minute)
			}
			requireFinals(t, c.Config(), p, rates, partitions, 5*time.Minute)
		})
	}
}
