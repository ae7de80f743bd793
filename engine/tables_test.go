package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

type position struct {
	Account string `ashi:"account,key"`
	Amount  int64
}

type holder struct {
	Account string `ashi:"account,key"`
	Desk    string
}

type deskTotal struct {
	Desk             string `ashi:"desk,key"`
	Accounts, Amount int64
}

// Two tables joined, in groups by way of an internal topic, over a broker: what is in the groups is
// what is in the tables, also after a restart that has lost the state.
func TestJoinedTablesInGroups(t *testing.T) {
	c := kafkatest.Start(t)
	b := dsl.New(c.Name("desks"))
	positions := dsl.Table[string, position](b, c.Topic(t, "positions", 3))
	holders := dsl.Table[string, holder](b, c.Topic(t, "holders", 3))
	type held struct {
		Desk   string
		Amount int64
	}
	joined := dsl.JoinTables(positions, holders, func(p *position, h *holder) (held,
		error) {
		return held{h.Desk, p.Amount}, nil
	})
	totals := dsl.Aggregate(dsl.GroupTable(joined, func(h *held) string { return h.Desk }), windows.Unbounded(),
		func(g dsl.Group[string, held]) deskTotal {
			return deskTotal{g.Key(), aggregates.Count(g), aggregates.Sum(g, func(h *held) int64 { return h.Amount })}
		}).Changes().Named(func(windows.Kind) string { return c.Name("totals") })
	plan, err := b.Build()
	require.NoError(t, err)

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	amounts, desks := map[string]int64{}, map[string]string{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 2 {
		e := start(t, plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, StateDir: t.TempDir(),
			CommitInterval: 50 * time.Millisecond})
		require.NoError(t, e.WaitReady(ctx))
		for range 200 {
			account := fmt.Sprint("a", r.IntN(20))
			if r.IntN(2) == 0 {
				amounts[account] = r.Int64N(100)
				require.NoError(t, engine.Add(ctx, e.Engine, positions, position{account, amounts[account]}))
			} else {
				desks[account] = fmt.Sprint("d", r.IntN(4))
				require.NoError(t, engine.Add(ctx, e.Engine, holders, holder{account, desks[account]}))
			}
		}
		want := map[string]deskTotal{}
		for account, amount := range amounts {
			if d := desks[account]; d != "" {
				want[d] = deskTotal{d, want[d].Accounts + 1, want[d].Amount + amount}
			}
		}
		table, err := engine.Table(e.Engine, totals.Of(windows.Unbounded()))
		require.NoError(t, err)
		tick := time.NewTicker(20 * time.Millisecond)
		for got := map[string]deskTotal(nil); !maps.Equal(got, want); {
			select {
			case <-ctx.Done():
				t.Fatalf("totals %v, want %v", got, want)
			case <-tick.C:
			}
			rows, err := table.ToList(ctx)
			require.NoError(t, err)
			got = map[string]deskTotal{}
			for _, row := range rows {
				if row.Accounts > 0 {
					got[row.Desk] = row
				}
			}
		}
		tick.Stop()
		require.NoError(t, e.stop())
	}
}
