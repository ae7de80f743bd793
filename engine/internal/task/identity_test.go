package task_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
)

var ownLog = task.LogID{Cluster: "c1", Application: "golden", Sub: "trades", Partition: 3, Topic: task.TopicID{1}}

// Each part of a log's identity tells it from another, but what is not known of either.
func TestOtherLogs(t *testing.T) {
	store := memory.New()
	require.NoError(t, task.NewRestorer(store, ownLog).Apply(nil, 7))
	for name, x := range map[string]struct {
		change      func(*task.LogID)
		other, life bool
	}{
		"the same":            {change: func(*task.LogID) {}},
		"cluster not known":   {change: func(id *task.LogID) { id.Cluster = "" }},
		"topic not known":     {change: func(id *task.LogID) { id.Topic = task.TopicID{} }},
		"another cluster":     {change: func(id *task.LogID) { id.Cluster = "c2" }, other: true},
		"another application": {change: func(id *task.LogID) { id.Application = "other" }, other: true},
		"another sub":         {change: func(id *task.LogID) { id.Sub = "other" }, other: true},
		"another partition":   {change: func(id *task.LogID) { id.Partition++ }, other: true},
		"another life":        {change: func(id *task.LogID) { id.Topic[15]++ }, other: true, life: true},
	} {
		want := ownLog
		x.change(&want)
		offset, ok, err := task.NewRestorer(store, want).Position()
		if !x.other {
			require.NoError(t, err, name)
			require.True(t, ok)
			require.EqualValues(t, 7, offset)
			continue
		}
		require.ErrorIs(t, err, task.ErrDamaged, name)
		var other *task.OtherLogError
		require.ErrorAs(t, err, &other, name)
		require.Equal(t, x.life, other.OtherLife(), name)
		require.ErrorContains(t, err, ownLog.String(), name)
		require.ErrorContains(t, err, want.String(), name)
	}
}

// A commit record of another task ends a task that finds it in its changelog, with the owner's
// name; a rebuild does not get over that. One of another topic of the changelog's name, or with
// other inputs, is for a rebuild.
func TestCommitRecordOfAnother(t *testing.T) {
	input := map[string]task.TopicID{"trades": {9}}
	for name, x := range map[string]struct {
		change  func(*task.Progress)
		is      error
		says    string
		rebuild bool // mends it
	}{
		"application": {func(p *task.Progress) { p.Log.Application = "other" }, task.ErrOwner, `application "other"`,
			false},
		"sub":       {func(p *task.Progress) { p.Log.Sub = "other" }, task.ErrOwner, `sub-topology "other"`, false},
		"partition": {func(p *task.Progress) { p.Log.Partition = 4 }, task.ErrOwner, "partition 4", false},
		"cluster":   {func(p *task.Progress) { p.Log.Cluster = "c2" }, task.ErrOtherTopic, "in cluster c2", true},
		"life": {func(p *task.Progress) { p.Log.Topic[0]++ }, task.ErrOtherTopic, "deleted under way, or copied",
			true},
		"input": {func(p *task.Progress) { p.Topics["trades"] = task.TopicID{8} }, task.ErrOtherTopic,
			"topic trades had id", true},
	} {
		for _, rebuild := range []bool{false, true} {
			p := task.Progress{Log: ownLog, Sequence: 3, Next: 256, Inputs: map[string]int64{"trades": 40},
				Topics: map[string]task.TopicID{"trades": {9}}}
			x.change(&p)
			store := memory.New()
			require.NoError(t, task.NewRestorer(store,
				ownLog).Apply([]task.Record{{Key: task.ProgressKey, Value: p.Append(nil)}}, 7))
			var said strings.Builder
			cfg := taskConfig(goldenPlan(t), store, nobody{})
			cfg.Partition, cfg.ID, cfg.Topics, cfg.Rebuild, cfg.Log = 3, ownLog, input, rebuild,
				slog.New(slog.NewTextHandler(&said, nil))
			tk, err := task.New(cfg)
			if !rebuild || !x.rebuild {
				require.ErrorIs(t, err, x.is, name)
				require.ErrorContains(t, err, x.says, name)
				continue
			}
			require.NoError(t, err, name)
			require.Empty(t, tk.Positions(), name)
			require.Contains(t, said.String(), "level=WARN", name)
			require.Equal(t, ownLog, tk.Progress().Log)
			require.Equal(t, input, tk.Progress().Topics)
			require.EqualValues(t, 3, tk.Progress().Sequence, "commits are numbered on")
		}
	}
}

// A position without an id, as brokers without ids leave it, is taken up, and has one from then on.
func TestInputBecomesKnown(t *testing.T) {
	p := task.Progress{Log: ownLog, Sequence: 3, Next: 256, Inputs: map[string]int64{"trades": 40}}
	store := memory.New()
	require.NoError(t, task.NewRestorer(store,
		ownLog).Apply([]task.Record{{Key: task.ProgressKey, Value: p.Append(nil)}}, 7))
	cfg := taskConfig(goldenPlan(t), store, nobody{})
	cfg.Partition, cfg.ID, cfg.Topics = 3, ownLog, map[string]task.TopicID{"trades": {9}}
	tk, err := task.New(cfg)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"trades": 40}, tk.Positions())
	require.Equal(t, task.TopicID{9}, tk.Progress().Topics["trades"])
}

// Bytes that are no position are damage, as is a position of another length.
func TestDamagedPosition(t *testing.T) {
	for _, bad := range [][]byte{{}, {1}, make([]byte, 8), make([]byte, 16),
		append((&task.Position{Since: time.UnixMilli(1), Log: ownLog}).Append(nil), 1)} {
		var b stores.Batch
		b.Put(stores.MetaKey("position"), bad)
		store := memory.New()
		require.NoError(t, store.Write(&b))
		_, _, err := task.NewRestorer(store, ownLog).Position()
		require.ErrorIs(t, err, task.ErrDamaged, "%x", bad)
	}
}
