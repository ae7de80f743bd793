package engine_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/stores/storetest"
)

// copies is an engine that keeps standbys, on stores that are watched. The test is its group.
type copies struct {
	*engine.Engine
	engine.Keeper
	lines   *logLines
	rejoins atomic.Int32
	cancel  context.CancelFunc
	done    chan error

	mu     sync.Mutex
	kept   map[int32]stores.Store // to be opened first
	opened map[int32][]*storetest.Faulty
}

func startCopies(t *testing.T, p *pipeline, c *kafkatest.Cluster, kept map[int32]stores.Store) *copies {
	k := &copies{lines: &logLines{}, done: make(chan error, 1), kept: kept, opened: map[int32][]*storetest.Faulty{}}
	var err error
	k.Engine, err = engine.New(p.plan, engine.Config{Brokers: c.Brokers, Dial: c.Dial, Standbys: 1,
		WithoutTables: "the test is about standbys", Log: slog.New(slog.NewTextHandler(k.lines, nil))})
	require.NoError(t, err)
	engine.OpenStores(k.Engine, k.open)
	unhurried(k.Engine)
	k.Keeper = engine.KeeperOf(k.Engine, func() {
		k.rejoins.Add(1)
		go k.Positions() // as the group does that it joins again
	})
	ctx, cancel := context.WithCancel(t.Context())
	k.cancel = cancel
	go func() { k.done <- k.Keeper.Run(ctx) }()
	return k
}

func (k *copies) open(_ string, partition int32, empty bool) (stores.Store, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	inner := k.kept[partition]
	if all := k.opened[partition]; len(all) > 0 {
		var err error
		if inner, err = all[len(all)-1].Crash(0); err != nil {
			return nil, err
		}
	}
	if delete(k.kept, partition); inner == nil || empty {
		inner = memory.New()
	}
	f, err := storetest.NewFaulty(inner)
	k.opened[partition] = append(k.opened[partition], f)
	return f, err
}

func (k *copies) stop() error {
	k.cancel()
	return <-k.done
}

// last is the store of a partition that was opened last.
func (k *copies) last(partition int32) *storetest.Faulty {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := k.opened[partition]
	return all[len(all)-1]
}

func (k *copies) opens(partition int32) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.opened[partition])
}

const copiedChangelog = "virtual--%s-changelog"

// requireCopy holds a store against the log.
func requireCopy(t *testing.T, v *virtualRig, partition int32, s stores.Store) {
	t.Helper()
	restored := memory.New()
	log := committed(t, v.cluster.Config(), fmt.Sprintf(copiedChangelog, v.topic))[partition]
	require.NotEmpty(t, log)
	require.NoError(t, task.NewRestorer(restored, task.LogID{}).Apply(log, 0))
	want, got := storedRows(t, restored), storedRows(t, s)
	position := fmt.Sprintf("%x", stores.MetaKey("position"))
	delete(want, position)
	delete(got, position)
	require.Equal(t, want, got)
}

// A standby's store is a copy of the log, becomes a task's and a standby's again without being
// closed, and is closed when nobody has wanted it for a while.
func TestStandbyFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, 1)
		m := startMember(t, v.plan, v.cluster)
		v.feed(t, time.Minute)
		k := startCopies(t, v.pipeline, v.cluster, nil)
		k.Name(0, 1, 2)
		v.feed(t, 2*time.Minute)
		time.Sleep(time.Minute) // of the bubble
		ends, err := v.cluster.Admin().Ends(t.Context(), fmt.Sprintf(copiedChangelog, v.topic), true)
		require.NoError(t, err)
		standbys := k.Status().SubTopologies[0].Standbys
		require.Len(t, standbys, 3)
		for p, s := range standbys {
			require.Equal(t, engine.PositionStatus{Topic: fmt.Sprintf(copiedChangelog, v.topic), Partition: int32(p),
				Next: ends[int32(p)], End: ends[int32(p)]}, s)
			require.Equal(t, ends[int32(p)], k.Positions()[int32(p)])
			requireCopy(t, v, int32(p), k.last(int32(p)))
		}

		taken, err := k.Take(1)
		require.NoError(t, err)
		require.Same(t, k.last(1), taken, "as it was, open")
		k.Name(0, 2)
		writes := k.last(1).Calls(storetest.CallWrite)
		v.feed(t, time.Minute)
		time.Sleep(time.Minute) // of the bubble
		require.Len(t, k.Status().SubTopologies[0].Standbys, 2)
		require.Equal(t, writes, k.last(1).Calls(storetest.CallWrite), "its worker's alone")
		requireCopy(t, v, 2, k.last(2))
		k.Name(0, 1, 2)         // too early: the worker has it
		time.Sleep(time.Minute) // of the bubble
		require.Equal(t, writes, k.last(1).Calls(storetest.CallWrite))
		require.NoError(t, k.Give(1, taken))
		time.Sleep(time.Minute) // of the bubble
		requireCopy(t, v, 1, taken)

		k.Name(0)
		time.Sleep(20 * time.Second) // of the bubble
		k.Name(0, 2)
		time.Sleep(20 * time.Second) // of the bubble
		require.Equal(t, []int{0, 1, 0}, []int{k.last(0).Calls(storetest.CallClose),
			k.last(1).Calls(storetest.CallClose), k.last(2).Calls(storetest.CallClose)})
		require.Len(t, k.Positions(), 3, "what is closed is on disk still")
		require.Equal(t, []int{1, 1, 1}, []int{k.opens(0), k.opens(1), k.opens(2)})
		require.Zero(t, k.rejoins.Load(), "none was far behind")
		require.NoError(t, k.stop())
		require.Equal(t, 1, k.last(0).Calls(storetest.CallClose))
		v.finish(t, m)
	})
}

// A disk that does not take a standby's rows is fatal, as it is for a task.
func TestStandbyDiskFails(t *testing.T) {
	for _, call := range []storetest.Call{storetest.CallWrite, storetest.CallClose} {
		synctest.Test(t, func(t *testing.T) {
			v := newVirtualRig(t, 2)
			m := startMember(t, v.plan, v.cluster)
			k := startCopies(t, v.pipeline, v.cluster, nil)
			k.Name(3)
			v.feed(t, time.Minute)
			k.last(3).Fail(call, 1, errDisk)
			v.feed(t, time.Minute)
			if call == storetest.CallClose {
				k.Name()
			}
			require.ErrorIs(t, <-k.done, errDisk)
			k.cancel()
			v.finish(t, m)
		})
	}
}

// A store that cannot be a copy of the log is thrown away, with a log line, and made anew.
func TestStandbyIsRebuilt(t *testing.T) {
	of := func(position int64, age time.Duration) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(position)),
			uint64(time.Now().Add(-age).UnixMilli()))
	}
	at := func(position int64) []byte { return of(position, 0) }
	row, _ := stores.OperatorBounds(1 << 8)
	for name, rows := range map[string]func(v *virtualRig) map[string][]byte{
		"rows without a position": func(*virtualRig) map[string][]byte { return map[string][]byte{string(row): {1}} },
		"no position": func(*virtualRig) map[string][]byte {
			return map[string][]byte{string(
				stores.MetaKey("position")): {1}}
		},
		"no commit record": func(*virtualRig) map[string][]byte {
			return map[string][]byte{string(stores.MetaKey("position")): at(1), string(task.ProgressKey): {0}}
		},
		"too old": func(*virtualRig) map[string][]byte {
			return map[string][]byte{string(stores.MetaKey("position")): of(1, 13*time.Hour), string(row): {1}}
		},
		"past the end of the log": func(*virtualRig) map[string][]byte {
			return map[string][]byte{string(stores.MetaKey("position")): at(1 << 40), string(row): {1}}
		},
		"of a log with more commits": func(*virtualRig) map[string][]byte {
			return map[string][]byte{string(stores.MetaKey("position")): at(1), string(row): {1},
				string(task.ProgressKey): (&task.Progress{Sequence: 1 << 40}).Append(nil)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVirtualRig(t, 3)
				m := startMember(t, v.plan, v.cluster)
				v.feed(t, time.Minute)
				kept, b := memory.New(), &stores.Batch{}
				for key, value := range rows(v) {
					b.Put([]byte(key), value)
				}
				require.NoError(t, kept.Write(b))
				k := startCopies(t, v.pipeline, v.cluster, map[int32]stores.Store{0: kept})
				k.Name(0, 1)
				v.feed(t, 30*time.Second)
				time.Sleep(time.Minute) // of the bubble
				require.Contains(t, k.lines.String(), "local state cannot be used: it is rebuilt from its changelog")
				requireCopy(t, v, 0, k.last(0))
				requireCopy(t, v, 1, k.last(1))
				require.NoError(t, k.stop())
				v.finish(t, m)
			})
		})
	}
}

// A log in which nothing happens for longer than half of the time that it keeps deletions makes no
// standby too old.
func TestStandbyOfQuietLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, 6)
		owner, _ := startOnDisk(t, v.plan, v.cluster, newSimDisk(nil), seldom)
		k := startCopies(t, v.pipeline, v.cluster, nil)
		k.Name(0, 1, 2, 3)
		v.feed(t, time.Minute)
		time.Sleep(13 * time.Hour) // of the bubble
		for p := range int32(4) {
			r := task.NewRestorer(k.last(p), task.LogID{})
			_, _, err := r.Position()
			require.NoError(t, err)
			require.Less(t, time.Since(r.Since()), 15*time.Minute,
				"a task that takes the store over need not rebuild it")
			require.Less(t, k.last(p).Unflushed(), 10, "nor where the process was killed")
		}
		v.feed(t, time.Minute)
		require.NotContains(t, k.lines.String(), "rebuilt")
		require.NoError(t, k.stop())
		v.finish(t, &member{running: owner})
	})
}

// A standby that began far behind asks the group for a new assignment when it has caught up.
func TestStandbyWarmsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, 4)
		m := startMember(t, v.plan, v.cluster)
		v.rates = make([]Rate, 40_000) // 10,000 keys in each partition, in windows of two sizes
		for i := range v.rates {
			v.rates[i] = Rate{Pair: fmt.Sprintf("K%05d", i), Bid: 1, At: time.Now().UTC()}
		}
		write(t, v.cluster.Config(), v.pipeline, v.rates)
		time.Sleep(time.Minute) // of the bubble
		k := startCopies(t, v.pipeline, v.cluster, nil)
		k.Name(2)
		time.Sleep(time.Minute) // of the bubble
		require.Equal(t, int32(1), k.rejoins.Load())
		v.feed(t, time.Minute) // windows close, which are 10,000 records more
		told := k.rejoins.Load()
		k.Name(0, 2)
		time.Sleep(time.Minute) // of the bubble
		require.Equal(t, told+1, k.rejoins.Load(), "the other one, too")
		k.Name(0)
		time.Sleep(2 * time.Minute) // of the bubble
		k.Name(0, 2)
		time.Sleep(time.Minute) // of the bubble
		require.Equal(t, told+1, k.rejoins.Load(), "it was near all the time")
		require.NoError(t, k.stop())
		v.finish(t, m)
	})
}

// Positions of stores on disk are known before any is opened. That of a store of another log means
// nothing: folder 5 has the state of partition 4.
func TestPositionsAtStart(t *testing.T) {
	p := newPipeline(t, "fx", "rates")
	dir := t.TempDir()
	for folder, position := range map[int32]task.Position{
		0: {Offset: 17}, 5: {Offset: 9, Log: task.LogID{Partition: 4}}, 11: {Offset: 4, Log: task.LogID{Partition: 11}},
	} {
		position.Log.Application, position.Log.Sub = "fx", "rates"
		s, err := rocksdb.Open(filepath.Join(dir, "fx--rates-changelog", fmt.Sprint(folder), "main.db"),
			rocksdb.Options{})
		require.NoError(t, err)
		b := &stores.Batch{}
		b.Put(stores.MetaKey("position"), position.Append(nil))
		require.NoError(t, s.Write(b))
		require.NoError(t, s.Close())
	}
	e, err := engine.New(p.plan, engine.Config{Brokers: []string{"127.0.0.1:1"}, StateDir: dir,
		WithoutTables: "the test is about tasks"})
	require.NoError(t, err)
	k := engine.KeeperOf(e, func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, k.Run(ctx))
	require.Equal(t, map[int32]int64{0: 17, 11: 4}, k.Positions())
	require.NoError(t, e.Close())
}

// A store that could not be opened is nobody's: it is not closed when the slot has been idle for
// long.
func TestStoreThatCannotBeOpened(t *testing.T) {
	p := newPipeline(t, "fx", "rates")
	dir := t.TempDir()
	folder := filepath.Join(dir, "fx--rates-changelog", "0")
	require.NoError(t, os.MkdirAll(folder, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "main.db"), nil, 0o600))
	synctest.Test(t, func(t *testing.T) {
		e, err := engine.New(p.plan, engine.Config{Brokers: []string{"127.0.0.1:1"}, StateDir: dir,
			WithoutTables: "the test is about tasks"})
		require.NoError(t, err)
		k := engine.KeeperOf(e, func() {})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		_, err = k.Take(0)
		require.Error(t, err)
		require.NoError(t, k.Give(0, nil))
		time.Sleep(time.Minute) // of the bubble
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, e.Close())
	})
}

// Run ends with the error of a standby's store; the other member goes on.
func TestStandbyRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, 5)
		m := startMember(t, v.plan, v.cluster, withStandbys(1))
		k := &copies{lines: &logLines{}, opened: map[int32][]*storetest.Faulty{}}
		e, err := engine.New(v.plan, engine.Config{Brokers: v.cluster.Brokers, Dial: v.cluster.Dial, Standbys: 1,
			WithoutTables: "the test is about standbys", Log: slog.New(slog.NewTextHandler(k.lines, nil))})
		require.NoError(t, err)
		engine.OpenStores(e, k.open)
		done := make(chan error, 1)
		go func() { done <- e.Run(t.Context()) }()
		v.feed(t, time.Minute)
		standbys := e.Status().SubTopologies[0].Standbys
		require.NotEmpty(t, standbys)
		k.last(standbys[0].Partition).Fail(storetest.CallWrite, 1, errDisk)
		v.feed(t, time.Minute)
		require.ErrorIs(t, <-done, errDisk)
		v.finish(t, m)
	})
}
