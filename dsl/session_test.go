package dsl_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type visit struct {
	Pair        string `ashi:"pair,key"`
	Start, End  int64
	First, Last float64
	Ticks       int64
}

func visits(t *testing.T, w windows.Spec, changes bool) (*topology.Plan, *dsl.StreamOf[Rate],
	*dsl.WindowedOf[string, visit]) {
	b := dsl.New("fx")
	rates := dsl.Stream[Rate](b, "rates")
	v := dsl.Aggregate(dsl.GroupByKey[string](rates), w, func(g dsl.Group[string, Rate]) visit {
		bid := func(r *Rate) float64 { return r.Bid }
		return visit{Pair: g.Key(), Start: g.WindowStart().UnixMilli(), End: g.WindowEnd().UnixMilli(),
			First: aggregates.EarliestByOffset(g, bid), Last: aggregates.LatestByOffset(g, bid),
			Ticks: aggregates.Count(g)}
	})
	v.Final()
	if changes {
		v.Changes()
	}
	plan, err := b.Build()
	require.NoError(t, err)
	return plan, rates, v
}

// lines is records as "[start,end] ticks @timestamp", a tombstone without ticks.
func lines(t *testing.T, records []enginetest.Record) (text []string) {
	for _, r := range records {
		n := len(r.Key) - 16
		end, start := binary.BigEndian.Uint64(r.Key[n:]), binary.BigEndian.Uint64(r.Key[n+8:])
		line := fmt.Sprintf("[%d,%d]", start, end)
		if r.Value != nil {
			var ticks int
			_, err := fmt.Sscanf(string(r.Value[slices.Index(r.Value, 'T'):]), `Ticks":%d`, &ticks)
			require.NoError(t, err)
			line += fmt.Sprintf(" %d", ticks)
		}
		text = append(text, fmt.Sprintf("%s @%d", line, r.Timestamp))
	}
	return text
}

// Worked traces 3 and 4 of the semantics reference.
func TestSessionChanges(t *testing.T) {
	gap := windows.Session(30 * time.Second)
	plan, rates, _ := visits(t, gap.Grace(time.Minute), true)
	d := enginetest.NewWith(t, plan, enginetest.Options{EveryUpdate: true})
	changes := func() []string { return lines(t, d.ReadRaw("rates_session_30s_window_raw")) }
	enginetest.Add(d, rates, at("P", 0))
	require.Equal(t, []string{"[0,0] 1 @0"}, changes())
	enginetest.Add(d, rates, at("P", 0))
	require.Equal(t, []string{"[0,0] 2 @0"}, changes(), "the same instant: no tombstone")
	enginetest.Add(d, rates, at("P", 10_009))
	require.Equal(t, []string{"[0,0] @0", "[0,10009] 3 @10009"}, changes())
	enginetest.Add(d, rates, at("P", 70_019), at("P", 40_009))
	require.Equal(t, []string{"[70019,70019] 1 @70019", "[0,10009] @10009", "[0,40009] 4 @40009"}, changes(),
		"exactly the gap on one side, more on the other")
	enginetest.Add(d, rates, at("P", 55_000))
	require.Equal(t, []string{"[0,40009] @40009", "[70019,70019] @70019", "[0,70019] 6 @70019"}, changes(),
		"one record joins two sessions")

	plan, rates, _ = visits(t, gap.Grace(time.Minute), true)
	d = enginetest.NewWith(t, plan, enginetest.Options{EveryUpdate: true})
	enginetest.Add(d, rates, at("P", 100_010), at("P", 10_009))
	require.EqualValues(t, 1, d.Dropped("late"))
	enginetest.Add(d, rates, at("P", 10_010))
	require.EqualValues(t, 1, d.Dropped("late"),
		"a session closes when stream time is past its end by more than gap and grace")
}

// Worked trace 6.
func TestSessionFinals(t *testing.T) {
	plan, rates, _ := visits(t, windows.Session(5*time.Millisecond).Grace(6*time.Millisecond), false)
	d := enginetest.New(t, plan)
	for _, ms := range []int64{0, 4, 8, 12, 14, 30, 29, 17, 42} {
		enginetest.Add(d, rates, at("P", ms))
		d.Crash()
	}
	require.Equal(t, []string{"[0,14] 5 @14", "[29,30] 2 @30"}, lines(t, d.ReadRaw("rates_session_5ms_final")))
	require.EqualValues(t, 1, d.Dropped("late"))
}

// sessionOracle is the finals of one partition: a slow program after semantics.md [S1] to [S9].
func sessionOracle(rates []Rate, gap, grace int64) (finals []visit, late int64) {
	type open struct {
		visit
		firstAt, lastAt int // place in the input of First and Last
	}
	var all []*open
	now := int64(0)
	for i, r := range rates {
		ts := r.At.UnixMilli()
		now = max(now, ts)
		v := &open{visit{Pair: r.Pair, Start: ts, End: ts}, i, i}
		v.First, v.Last, v.Ticks = r.Bid, r.Bid, 1
		var kept []*open
		var joined []*open
		for _, o := range all {
			closed := o.End < now-gap-grace
			if o.Pair == r.Pair && !closed && o.End >= ts-gap && o.Start <= ts+gap {
				joined = append(joined, o)
				continue
			}
			if closed {
				finals = append(finals, o.visit)
				continue
			}
			kept = append(kept, o)
		}
		for _, o := range joined {
			v.Start, v.End, v.Ticks = min(v.Start, o.Start), max(v.End, o.End), v.Ticks+o.Ticks
			if o.firstAt < v.firstAt {
				v.First, v.firstAt = o.First, o.firstAt
			}
			if o.lastAt > v.lastAt {
				v.Last, v.lastAt = o.Last, o.lastAt
			}
		}
		if v.End < now-gap-grace {
			late++
			all = append(kept, joined...)
			continue
		}
		all = append(kept, v)
	}
	for _, o := range all {
		if o.End < now-gap-grace {
			finals = append(finals, o.visit)
		}
	}
	slices.SortFunc(finals, func(a, b visit) int {
		// a late record may begin one where another ended
		return cmp.Or(cmp.Compare(a.Pair, b.Pair), cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	return finals, late
}

func TestSessionsAgainstOracle(t *testing.T) {
	// the second once had two sessions with one start
	for _, seed := range []uint64{rand.Uint64(), 7839604386161806773} {
		againstSessionOracle(t, seed)
	}
}

func againstSessionOracle(t *testing.T, seed uint64) {
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range 150 {
		gap, grace := int64(1+r.IntN(6000)), int64(r.IntN(8000))
		w := windows.Session(time.Duration(gap) * time.Millisecond)
		plan, rates, v := visits(t, w.Grace(time.Duration(grace)*time.Millisecond), r.IntN(2) == 0)
		inputs := randomRates(r, 200)
		d := enginetest.NewWith(t, plan, enginetest.Options{KeepStores: r.IntN(2) == 0,
			CheckpointEvery: time.Duration(r.IntN(2)) * time.Hour})
		for j := 0; j < len(inputs); j += 20 {
			enginetest.Add(d, rates, inputs[j:j+20]...)
			if n%3 == 0 {
				d.Crash()
			}
		}
		want, late := sessionOracle(inputs, gap, grace)
		got := enginetest.Rows(d, v.Final().Of(w))
		for i := range min(len(got), len(want)) {
			require.Equal(t, want[i], got[i], "program %d: gap %d grace %d: row %d", n, gap, grace, i)
		}
		require.Equal(t, len(want), len(got), "program %d: rows", n)
		require.Equal(t, late, d.Dropped("late"), "program %d: late", n)
	}
}
