package task_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/windows"
)

// Rows of a step that is gone are removed from changelog and store, some with each commit.
func TestRowsOfGoneStepsAreRemoved(t *testing.T) {
	store := memory.New()
	d := enginetest.NewWith(t, visits(t, summed("total", windows.Unbounded()), most("most")),
		enginetest.Options{KeepStores: true,
			Store: func(string, int32) (stores.Store, error) { return store, nil }})
	const shops = 60_000
	records := make([]enginetest.Record, shops)
	for i := range records {
		records[i] = visited(1, 1000)
		records[i].Key = fmt.Appendf(nil, "%06d", i)
	}
	d.AddRaw("visits", records...)
	logged, stored := rowsIn(t, d, store)
	require.Equal(t, []int{2 * shops, 2 * shops}, []int{logged, stored})
	d.Restart(visits(t, most("most")))
	d.Commit()
	logged, _ = rowsIn(t, d, store)
	require.Equal(t, 2*shops, logged, "the first commit only says that they are gone")
	d.Commit()
	logged, _ = rowsIn(t, d, store)
	require.Equal(t, 2*shops-50_000, logged)
	d.Crash()
	d.Commit()
	logged, stored = rowsIn(t, d, store)
	require.Equal(t, []int{shops, shops}, []int{logged, stored})
	n := len(d.Partition("app--visits-changelog", 0))
	d.Commit()
	require.Len(t, d.Partition("app--visits-changelog", 0), n, "nothing is left to do")
}

// Rows of which no commit record tells are not taken for those of a step: a commit without
// transactions was cut short. Nor are those that only the store has, because the log has lost their
// tombstones.
func TestRowsOfNobody(t *testing.T) {
	d := enginetest.New(t, visits(t, summed("total", windows.Unbounded())))
	d.AddRaw("visits", visited(5, 1000))
	for _, recorded := range []bool{false, true} {
		store := memory.New()
		var log []task.Record
		for _, r := range d.Partition("app--visits-changelog", 0) {
			if recorded || !bytes.Equal(r.Key, task.ProgressKey) {
				log = append(log, task.Record{Key: r.Key, Value: r.Value})
			}
			if other := bytes.Clone(r.Key); other[0] == 1 && recorded {
				other[2] = 77 // number 256+77
				log = append(log, task.Record{Key: other, Value: r.Value})
			}
		}
		require.NoError(t, task.NewRestorer(store, visitsLog).Apply(log, 9))
		p := &kept{}
		cfg := ownConfig(visits(t, most("most"), summed("total", windows.Unbounded())), store, p)
		tk, err := task.New(cfg)
		require.NoError(t, err)
		one := visited(7, 2000)
		require.NoError(t, tk.Process(t.Context(), &task.Batch{Topic: "visits", Next: 1,
			Records: []task.Record{{Key: one.Key, Value: one.Value, Timestamp: one.Timestamp}}}, func() {}))
		require.NoError(t, tk.Commit(t.Context()))
		require.NoError(t, tk.Commit(t.Context()))
		require.NoError(t, tk.Checkpoint())
		total, tombstones := 7, 0
		if recorded {
			total = 12
		}
		for _, o := range p.all {
			if o.Topic == "log" && o.Value == nil {
				tombstones++
			}
			if o.Topic == "total" {
				require.Equal(t, fmt.Sprintf(`{"shop":"A","N":%d}`, total), string(o.Value))
			}
		}
		require.Equal(t, 1, tombstones)
		_, rows := rowsIn(t, d, store)
		require.Equal(t, 2, rows)
		progress, err := task.NewRestorer(store, task.LogID{}).Progress()
		require.NoError(t, err)
		require.Empty(t, progress.Removing)
	}
}

// visitsLog is the log of the only partition of visits.
var visitsLog = task.LogID{Application: "app", Sub: "visits"}

// kept keeps what is produced.
type kept struct {
	discard
	all []task.Output
}

func (k *kept) Produce(ctx context.Context, o *task.Output) {
	if k.all = append(k.all, *o); o.Offset != nil {
		*o.Offset = int64(len(k.all)) + 10
	}
}

// Rows that a newer version of ashi has written are refused by name, and so is a whole commit
// record; nothing of it is misread.
func TestNewerLayout(t *testing.T) {
	plan := visits(t, summed("total", windows.Unbounded()))
	d := enginetest.New(t, plan)
	d.AddRaw("visits", visited(5, 1000))
	open := func(change func(*task.Progress) []byte) error {
		store := memory.New()
		var log []task.Record
		for _, r := range d.Partition("app--visits-changelog", 0) {
			if bytes.Equal(r.Key, task.ProgressKey) {
				p, err := task.ParseProgress(r.Value)
				require.NoError(t, err)
				r.Value = change(p)
			}
			log = append(log, task.Record{Key: r.Key, Value: r.Value})
		}
		require.NoError(t, task.NewRestorer(store, visitsLog).Apply(log, 9))
		cfg := taskConfig(plan, store, &discard{})
		cfg.ID, cfg.Rebuild = visitsLog, true // of what changed, not of what is newer
		_, err := task.New(cfg)
		return err
	}
	require.NoError(t, open(func(p *task.Progress) []byte { return p.Append(nil) }))
	err := open(func(p *task.Progress) []byte { p.Operators[0].Layout = 2; return p.Append(nil) })
	require.ErrorIs(t, err, task.ErrNewer)
	require.ErrorContains(t, err, `aggregate "total": its rows have layout 2, this version of ashi knows 1`)
	err = open(func(p *task.Progress) []byte { return append([]byte{4}, p.Append(nil)[1:]...) })
	require.ErrorIs(t, err, task.ErrNewer)
	require.False(t, strings.Contains(err.Error(), "damaged"))
}
