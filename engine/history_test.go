package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
)

// ahead makes stores say that they have a commit more than they do: as if their log had been cut
// behind that commit, and gone on without it.
func ahead(t *testing.T, all map[string]stores.Store) {
	for name, s := range all {
		p, err := task.NewRestorer(s, task.LogID{}).Progress()
		require.NoError(t, err)
		require.NotNil(t, p, name)
		p.Sequence++
		var b stores.Batch
		b.Put(task.ProgressKey, p.Append(nil))
		require.NoError(t, s.Write(&b))
	}
}

// A store with a commit that its log does not have, as the log goes on with another one of that
// number, is rebuilt: by a task, and by a standby.
func TestStoreOfAnotherPast(t *testing.T) {
	for name, x := range map[string]struct {
		another bool
		engine.Guarantee
	}{"another": {another: true}, "the same": {}, "another, at least once": {true, engine.AtLeastOnce}} {
		t.Run(name, func(t *testing.T) {
			guarantee := func(c *engine.Config) { c.Guarantee = x.Guarantee }
			synctest.Test(t, func(t *testing.T) {
				v := newVirtualRig(t, rand.Uint64())
				disk := newSimDisk(nil)
				r, _ := startOnDisk(t, v.plan, v.cluster, disk, guarantee)
				v.feed(t, 10*time.Minute)
				require.NoError(t, r.stop())
				kept := disk.crash(nil)
				if x.another {
					ahead(t, kept)
				}
				r, _ = startOnDisk(t, v.plan, v.cluster, newSimDisk(nil), guarantee)
				v.feed(t, time.Minute)
				require.NoError(t, r.stop())

				stood := newSimDisk(kept).left(fmt.Sprintf(copiedChangelog, v.topic), 0)
				require.NotNil(t, stood)
				twin, rows := memory.New(), &stores.Batch{}
				for e, err := range stood.Scan(nil, nil) {
					require.NoError(t, err)
					rows.Put(e.Key, e.Value)
				}
				require.NoError(t, twin.Write(rows))
				k := startCopies(t, v.pipeline, v.cluster, map[int32]stores.Store{0: twin})
				k.Name(0)
				time.Sleep(time.Minute) // of the bubble
				requireCopy(t, v, 0, k.last(0))
				require.NoError(t, k.stop())

				r, lines := startOnDisk(t, v.plan, v.cluster, newSimDisk(kept), guarantee)
				v.feed(t, time.Minute)
				v.finish(t, &member{running: r})
				for _, said := range []string{k.lines.String(), lines.String()} {
					if x.another {
						require.Contains(t, said, "has a broker lost the end of its log?")
					} else {
						require.NotContains(t, said, "rebuilt")
					}
				}
			})
		})
	}
}
