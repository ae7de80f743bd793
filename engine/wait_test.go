package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// ENT-4: what was added is read once the table has come to it. A table that finds everything in its
// store has come to it too.
func TestAddAndWait(t *testing.T) {
	const partitions = 3
	c := kafkatest.Start(t)
	b := dsl.New(c.Name("positions"))
	positions := dsl.Table[string, position](b, c.Topic(t, "positions", partitions))
	plan, err := b.Build()
	require.NoError(t, err)
	cfg := engine.Config{Brokers: c.Brokers, Dial: c.Dial, StateDir: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e := start(t, plan, cfg)
	table, err := engine.Table(e.Engine, positions)
	require.NoError(t, err)
	for i := range int64(20) {
		account := fmt.Sprint("a", i%7)
		require.NoError(t, engine.AddAndWait(ctx, e.Engine, positions, position{account, i}))
		got, ok, err := table.Get(ctx, account)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, i, got.Amount)
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, engine.WaitOffset(short, e.Engine, positions, 0, 1000), context.DeadlineExceeded)
	require.NoError(t, e.stop())
	require.ErrorIs(t, engine.WaitOffset(ctx, e.Engine, positions, 0, 1000), engine.ErrClosed)
	require.ErrorIs(t, engine.AddAndWait(ctx, e.Engine, positions, position{"a", 1}), engine.ErrClosed)

	e = start(t, plan, cfg) // nothing is new in any partition
	require.NoError(t, engine.WaitApplied(ctx, e.Engine, positions))
	require.NoError(t, e.stop())

	e = start(t, plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial})
	// while no table of cfg's state follows
	require.NoError(t, engine.Add(ctx, e.Engine, positions, position{"a0", 100}))
	require.NoError(t, e.stop())
	e = start(t, plan, cfg) // one partition has something new, the others nothing
	require.NoError(t, e.WaitReady(ctx))
	require.NoError(t, engine.WaitApplied(ctx, e.Engine, positions))
	table, err = engine.Table(e.Engine, positions)
	require.NoError(t, err)
	got, _, err := table.Get(ctx, "a0")
	require.NoError(t, err)
	require.EqualValues(t, 100, got.Amount)
	require.NoError(t, e.stop())
}
