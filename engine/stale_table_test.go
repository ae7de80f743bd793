package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// holders is a table of a topic of its own, and processes that keep it on disks.
type holders struct {
	*kafkatest.Cluster
	plan  *topology.Plan
	table *dsl.TableOf[string, holder]
}

func newHolders(t *testing.T, partitions int32, settings ...string) *holders {
	h := &holders{Cluster: kafkatest.StartVirtual(t)}
	b := dsl.New("stale")
	h.table = dsl.Table[string, holder](b, h.Topic(t, "holders", partitions, settings...))
	var err error
	h.plan, err = b.Build()
	require.NoError(t, err)
	return h
}

// start runs a process with its state in dir, and returns it when its table is ready.
func (h *holders) start(t *testing.T, dir string) (*running, *logLines) {
	lines := &logLines{}
	e, err := engine.New(h.plan, engine.Config{Brokers: h.Brokers, Dial: h.Dial, StateDir: dir,
		Log: slog.New(slog.NewTextHandler(lines, nil))})
	require.NoError(t, err)
	c := engine.Connection(e)
	// more often than a table may be silent; idle hours cost little
	c.FetchWait, c.WatchInterval = 14*time.Second, 30*time.Second
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Engine: e, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- e.Run(ctx) }()
	require.NoError(t, e.WaitReady(t.Context()))
	return r, lines
}

// put writes a row for each account.
func (h *holders) put(t *testing.T, accounts ...string) {
	for _, a := range accounts {
		value, err := h.table.StreamRef().Encode(nil, &holder{a, "desk"})
		require.NoError(t, err)
		h.write(t, a, value)
	}
}

// bury writes that accounts are gone.
func (h *holders) bury(t *testing.T, accounts ...string) {
	for _, a := range accounts {
		h.write(t, a, nil)
	}
}

func (h *holders) write(t *testing.T, account string, value []byte) {
	producer, err := kafka.NewProducer(t.Context(), h.Config(), kafka.ProducerConfig{})
	require.NoError(t, err)
	ref := h.table.StreamRef()
	key, err := ref.Key(nil, &holder{Account: account})
	require.NoError(t, err)
	producer.Produce(t.Context(), &task.Output{Topic: ref.Topic, Partition: task.OnKey, Key: key, Value: value,
		Timestamp: windows.At(time.Now())})
	require.NoError(t, producer.Commit(t.Context()))
	require.NoError(t, producer.Close())
}

func (h *holders) accounts(t *testing.T, r *running) (all []string) {
	time.Sleep(time.Minute) // of the bubble: what was written is followed
	table, err := engine.Table(r.Engine, h.table)
	require.NoError(t, err)
	rows, err := table.ToList(t.Context())
	require.NoError(t, err)
	for _, row := range rows {
		all = append(all, row.Account)
	}
	return all
}

// A machine is switched off for days. Meanwhile a row of a table is deleted, and compaction takes
// the deletion away too: the row must not stay, so the table is read anew. Nothing of that is
// needed after an hour, where deletions stay in the topic, and where nothing was written.
func TestStaleTable(t *testing.T) {
	for name, x := range map[string]struct {
		away     time.Duration
		settings []string
		quiet    bool
		stale    bool
	}{
		"three days": {away: 72 * time.Hour, settings: []string{"cleanup.policy", "compact"},
			stale: true},
		"three days, and retention": {away: 72 * time.Hour, settings: []string{"cleanup.policy",
			"compact,delete", "retention.ms", "-1"}, stale: true},
		"three days, in which nothing came": {away: 72 * time.Hour, settings: []string{"cleanup.policy", "compact"},
			quiet: true},
		"three days, deletions kept a year": {away: 72 * time.Hour, settings: []string{"cleanup.policy", "compact",
			"delete.retention.ms", "31536000000"}},
		"three days, not compacted": {away: 72 * time.Hour, settings: []string{"cleanup.policy", "delete",
			"retention.ms", "-1"}},
		"an hour": {away: time.Hour, settings: []string{"cleanup.policy", "compact"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHolders(t, 2, x.settings...)
				dir := t.TempDir()
				r, _ := h.start(t, dir)
				h.put(t, "a", "b", "c", "d")
				require.Equal(t, []string{"a", "b", "c", "d"}, h.accounts(t, r))
				require.NoError(t, r.stop())

				want := []string{"a", "b", "c", "d"}
				if !x.quiet {
					h.bury(t, "b", "c")
					h.put(t, "e", "f", "g", "h") // the last batch of a partition is not compacted
					want = []string{"a", "d", "e", "f", "g", "h"}
				}
				time.Sleep(x.away) // of the bubble: the embedded broker compacts once an hour

				r, lines := h.start(t, dir)
				require.Equal(t, want, h.accounts(t, r))
				require.NoError(t, r.stop())
				if x.stale {
					require.Contains(t, lines.String(), "its topic keeps deletions for 24h0m0s")
				} else {
					require.NotContains(t, lines.String(), "rebuilt")
				}
			})
		})
	}
}

// A table whose topic is quiet for longer than half of the time that it keeps deletions, or has
// rows all the time, has missed nothing: it is not read anew at the next start, wherever its
// process was stopped or killed.
func TestIdleTable(t *testing.T) {
	for name, x := range map[string]struct{ busy, killed bool }{"stopped": {}, "killed": {killed: true},
		"busy and killed": {busy: true, killed: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHolders(t, 1, "cleanup.policy", "compact")
				dir := t.TempDir()
				r, _ := h.start(t, dir)
				h.put(t, "a")
				time.Sleep(time.Minute) // of the bubble
				require.NoError(t, r.stop())
				r, lines := h.start(t, dir)
				for until := time.Now().Add(14 * time.Hour); time.Now().Before(until); {
					time.Sleep(time.Minute) // of the bubble
					if x.busy {
						h.put(t, "b")
					}
				}
				if x.killed {
					dir = leftBehind(t, dir)
				}
				require.NoError(t, r.stop())
				require.NotContains(t, lines.String(), "rebuilt")

				h.put(t, "c")
				r, lines = h.start(t, dir)
				h.accounts(t, r)
				require.NoError(t, r.stop())
				require.NotContains(t, lines.String(), "rebuilt")
			})
		})
	}
}

// leftBehind is a copy of a folder at a moment at which nobody wrote to it: what a process leaves
// there that is killed. RocksDB's own threads know nothing of the bubble.
func leftBehind(t *testing.T, dir string) string {
	t.Helper()
	synctest.Wait()
	for {
		left, before := t.TempDir(), listing(t, dir)
		err := os.CopyFS(left, os.DirFS(dir))
		if slices.Equal(before, listing(t, dir)) {
			require.NoError(t, err)
			return left
		}
	}
}

// listing is the files of a folder, with their sizes and times.
func listing(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went meanwhile
		} else if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		files = append(files, fmt.Sprint(path, info.Size(), info.ModTime()))
		return nil
	})
	require.NoError(t, err)
	return files
}
