package dsl_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

// Finals of hopping windows made of slices are those of windows kept one by one: for any size and
// advance, out of order, late, over jumps of time and crashes, with rows in memory and in the
// store.
func TestSlicedEqualsBucketed(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range 60 {
		advance := time.Duration(1+r.IntN(8)) * time.Second
		size := advance + time.Duration(r.IntN(30))*time.Second
		hopping := windows.Hopping(size, advance).Grace(time.Duration(r.IntN(5)) * time.Second)
		var finals [2][]Bar
		var late [2]int64
		inputs := randomRates(r, 400)
		crash := r.IntN(4)
		for i, sliced := range []bool{true, false} {
			b := dsl.New("fx")
			rates := dsl.Stream[Rate](b, "rates")
			bars := dsl.Aggregate(dsl.GroupByKey[string](rates), hopping, bar)
			final := bars.Final()
			if !sliced {
				bars.Changes()
			}
			plan, err := b.Build()
			require.NoError(t, err)
			o := enginetest.Options{Partitions: 2}
			if crash%2 == 1 {
				o.Memory = 1 // everything in the store after each commit
			}
			d := enginetest.NewWith(t, plan, o)
			for j := 0; j < len(inputs); j += 40 {
				enginetest.Add(d, rates, inputs[j:j+40]...)
				if crash > 1 {
					d.Crash()
				}
			}
			finals[i] = enginetest.Rows(d, final.Of(hopping))
			late[i] = d.Dropped("late")
		}
		require.NotEmpty(t, finals[0])
		for i := range min(len(finals[0]), len(finals[1])) {
			require.Equal(t, finals[1][i], finals[0][i], "program %d, crash %d: %v: row %d", n, crash, hopping, i)
		}
		require.Equal(t, len(finals[1]), len(finals[0]), "program %d: %v: rows", n, hopping)
		require.Equal(t, late[1], late[0], "program %d: %v: late records are counted per window", n, hopping)
	}
}

// randomRates is n rates of a few pairs, out of order, with a jump now and then.
func randomRates(r *rand.Rand, n int) []Rate {
	rates := make([]Rate, n)
	at := noon
	for i := range rates {
		at = at.Add(time.Duration(r.IntN(1500)) * time.Millisecond)
		if r.IntN(100) == 0 {
			at = at.Add(time.Duration(r.IntN(1_000_000)) * time.Second)
		}
		rates[i] = Rate{Pair: fmt.Sprint("P", r.IntN(6)), Bid: float64(r.IntN(64)) / 4,
			At: at.Add(-time.Duration(r.IntN(r.IntN(20_000)+1)) * time.Millisecond)}
	}
	return rates
}
