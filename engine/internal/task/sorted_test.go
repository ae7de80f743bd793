package task

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores/memory"
)

// nowhere is a Producer of which nothing comes.
type nowhere struct{}

func (nowhere) Produce(context.Context, *Output) {}
func (nowhere) Commit(context.Context) error     { return nil }
func (nowhere) Close() error                     { return nil }

// bareTask has what rows need of a task, and no plan.
func bareTask() *Task {
	return &Task{cfg: Config{Store: memory.New(), Producer: nowhere{}}, pulse: new(Pulse)}
}

// Rows by the beginning of their keys, against a map: each once, in order, whether it is in memory,
// in the store or in both, and none that was deleted.
func TestRowsByPrefix(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		tk := bareTask()
		k := newSorted(tk, "rows", 0x0100)
		want := map[string]string{}
		for range r.IntN(400) {
			key := strings.Repeat("a", r.IntN(3)) + string(rune('\xff'-r.IntN(3))) + strings.Repeat("b", r.IntN(3))
			switch x := r.IntN(20); {
			case x < 8:
				want[key] = fmt.Sprint(x)
				require.NoError(t, k.put([]byte(key), []byte(want[key])))
			case x < 15:
				delete(want, key)
				require.NoError(t, k.delete([]byte(key)))
			case x == 15: // a commit, a checkpoint, and rows are dropped from memory
				k.log(t.Context())
				k.save()
				require.NoError(t, tk.cfg.Store.Write(&tk.pending))
				tk.pending.Reset()
				drop := r.IntN(3) > 0
				k.evict(func() bool { return !drop })
			default:
				prefix := key[:r.IntN(len(key)+1)]
				var got []string
				require.NoError(t, k.prefix([]byte(prefix), func(key, value []byte) error {
					got = append(got, string(key)+"="+string(value))
					return nil
				}))
				var wanted []string
				for _, key := range slices.Sorted(maps.Keys(want)) {
					if strings.HasPrefix(key, prefix) {
						wanted = append(wanted, key+"="+want[key])
					}
				}
				require.Equal(t, wanted, got, "prefix %q", prefix)
			}
		}
	}
}

// What each returns ends the scan, in memory and in the store.
func TestRowsByPrefixStop(t *testing.T) {
	tk := bareTask()
	k := newSorted(tk, "rows", 0x0100)
	for i := range 10 {
		require.NoError(t, k.put(fmt.Appendf(nil, "k%d", i), []byte{1}))
	}
	stop := func([]byte, []byte) error { return context.Canceled }
	require.ErrorIs(t, k.prefix([]byte("k"), stop), context.Canceled)
	k.log(t.Context())
	k.save()
	require.NoError(t, tk.cfg.Store.Write(&tk.pending))
	k.evict(func() bool { return false })
	require.ErrorIs(t, k.prefix([]byte("k"), stop), context.Canceled)
}
