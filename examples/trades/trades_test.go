package main

import (
	"bytes"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type minute struct {
	pair  string
	start int64
}

// bruteForce looks at all quotes for each trade.
func bruteForce(quotes []Quote, trades []Trade) map[minute]*Cost {
	all := map[minute]*Cost{}
	for _, t := range trades {
		i := -1
		for j, q := range quotes {
			if q.Pair == t.Pair && !q.At.After(t.At) && t.At.Sub(q.At) <= stale &&
				(i < 0 || !q.At.Before(quotes[i].At)) {
				i = j
			}
		}
		if i < 0 {
			continue
		}
		f, _ := fill(&t, &quotes[i])
		start := t.At.Truncate(time.Minute)
		c := all[minute{t.Pair, start.UnixMilli()}]
		if c == nil {
			c = &Cost{Pair: t.Pair, Start: start, WorstSlippage: f.Slippage}
			all[minute{t.Pair, start.UnixMilli()}] = c
		}
		c.Trades++
		c.Spread, c.Slippage, c.WorstSlippage = c.Spread+f.Spread, c.Slippage+f.Slippage,
			max(c.WorstSlippage, f.Slippage)
	}
	for _, c := range all {
		c.Spread, c.Slippage = c.Spread/float64(c.Trades), c.Slippage/float64(c.Trades)
	}
	return all
}

func TestCosts(t *testing.T) {
	for seed := range uint64(3) {
		quotes, trades := market(seed, opening, span)
		want := bruteForce(quotes, trades)
		met := int64(0)
		for _, c := range want {
			met += c.Trades
		}
		require.Less(t, met, int64(len(trades)), "some trades should meet no quote that is fresh")
		// Quotes within the grace of the join, out of order.
		for i := 0; i+3 < len(quotes); i += 7 {
			if quotes[i+3].At.Sub(quotes[i].At) < grace {
				slices.Reverse(quotes[i : i+4])
			}
		}
		require.NoError(t, costs(t.Context(), quotes, trades, func(c Cost) {
			at := minute{c.Pair, c.Start.UnixMilli()}
			w := want[at]
			require.NotNil(t, w, "%v", c)
			require.Equal(t, w.Trades, c.Trades, "%v", at)
			require.InDelta(t, w.Spread, c.Spread, 1e-12)
			require.InDelta(t, w.Slippage, c.Slippage, 1e-12)
			require.InDelta(t, w.WorstSlippage, c.WorstSlippage, 1e-12)
			delete(want, at)
		}))
		require.Empty(t, want)
	}
}

func TestPrints(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	for _, p := range pairs {
		require.Equal(t, int(span/time.Minute), strings.Count(out.String(), p.name))
	}
}

func TestArguments(t *testing.T) {
	var help strings.Builder
	require.NoError(t, parse(nil, &help))
	require.ErrorIs(t, parse([]string{"-h"}, &help), flag.ErrHelp)
	require.Contains(t, help.String(), "what trading cost")
	require.ErrorContains(t, parse([]string{"-pairs", "3"}, &help), "-pairs: there are no flags")
	require.ErrorContains(t, parse([]string{"eurusd"}, &help), `"eurusd" is given`)
}
