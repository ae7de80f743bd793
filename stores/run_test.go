package stores_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores"
)

// A run gives the last operation of each key, in order of keys, whatever keys have in common: also
// ends that look like zeros.
func TestRunAgainstMap(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		prefix := bytes.Repeat([]byte{byte(seed)}, r.IntN(12))
		var run stores.Run
		for range 2 { // the second time its memory is used again
			run.Reset()
			want := map[string]string{}
			for i := range r.IntN(300) {
				key := append([]byte(nil), prefix...)
				if r.IntN(20) == 0 {
					key = append(key[:0], byte(r.IntN(256)))
				}
				for range 1 + r.IntN(20) {
					key = append(key, byte(r.IntN(3))*127)
				}
				if r.IntN(4) == 0 {
					run.Delete(key)
					want[string(key)] = "deleted"
					continue
				}
				value := fmt.Appendf(nil, "%d", i)[:r.IntN(2)]
				run.Put(key, value)
				want[string(key)] = "put " + string(value)
			}
			var keys []string
			for op := range run.Ops() {
				got := "deleted"
				if op.Kind == stores.OpPut {
					got = "put " + string(op.Value)
				}
				require.Equal(t, want[string(op.Key)], got, "seed %d, key %x", seed, op.Key)
				keys = append(keys, string(op.Key))
			}
			require.Equal(t, slices.Sorted(maps.Keys(want)), keys, "seed %d", seed)
			var b stores.Batch
			run.Batch(&b)
			require.Equal(t, len(want), b.Len())
		}
	}
}

func TestRunIsLeftInTheMiddle(t *testing.T) {
	var run stores.Run
	run.Put([]byte("b"), nil)
	run.Put([]byte("a"), []byte("1"))
	for op := range run.Ops() {
		require.Equal(t, "a", string(op.Key))
		break
	}
	require.Equal(t, 2, run.Len())
	require.Greater(t, run.Size(), 3)
}

// BenchmarkRun collects and sorts rows of a window in the order of a million keys that come at
// random: ns a row.
func BenchmarkRun(b *testing.B) {
	const rows = 250_000
	perm := rand.New(rand.NewPCG(1, 2)).Perm(rows)
	value := make([]byte, 64)
	var run stores.Run
	var key []byte
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		key = stores.AppendRowKey(key[:0], 256, 1_700_006_400_000, fmt.Appendf(key[len(key):], "k%07d", perm[n]))
		run.Put(key, value)
		if n++; n == rows {
			for range run.Ops() {
				break
			}
			run.Reset()
			n = 0
		}
	}
}
