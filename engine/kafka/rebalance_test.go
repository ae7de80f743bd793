package kafka_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// journal is what happens to one member, in order: "opening 1", "open 1", "closed 1", "standby [2
// 3]".
type journal struct {
	mu        sync.Mutex
	events    []string
	positions map[int32]int64
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

// of is the events of one partition.
func (j *journal) of(partition int32) []string {
	return slices.DeleteFunc(j.all(), func(e string) bool {
		return strings.HasPrefix(e, "standby") || !strings.HasSuffix(e, fmt.Sprint(" ", partition))
	})
}

// before says that both happened, the last time in this order.
func (j *journal) before(first, second string) bool {
	events := j.all()
	slices.Reverse(events)
	i, k := slices.Index(events, first), slices.Index(events, second)
	return i >= 0 && k >= 0 && k < i
}

// owned is the partitions that are open.
func (j *journal) owned() []int32 {
	owned := make(map[int32]bool)
	for _, e := range j.all() {
		var p int32
		if n, _ := fmt.Sscanf(e, "open %d", &p); n == 1 {
			owned[p] = true
		}
		if n, _ := fmt.Sscanf(e, "closed %d", &p); n == 1 {
			delete(owned, p)
		}
	}
	return slices.Sorted(maps.Keys(owned))
}

func (j *journal) has(position int64, partitions ...int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range partitions {
		j.positions[p] = position
	}
}

func (j *journal) state() map[int32]int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.positions)
}

// noted is a toy whose life is noted.
type noted struct {
	*toy
	journal *journal
}

func (w *noted) Open(ctx context.Context) (map[string]int64, error) {
	w.journal.note("opening %d", w.partition)
	start, err := w.toy.Open(ctx)
	w.journal.note("open %d", w.partition)
	return start, err
}

func (w *noted) Close(ctx context.Context, clean bool) error {
	err := w.toy.Close(ctx, clean)
	w.journal.note("closed %d", w.partition)
	return err
}

// join runs a member whose life is noted.
func (b *bench) join(cfg kafka.Config, change func(*kafka.GroupConfig)) (*kafka.Group, *journal, func() error) {
	j := &journal{positions: make(map[int32]int64)}
	gc := kafka.GroupConfig{
		ID: b.id, Tick: b.tick,
		Subs: []kafka.SubTopology{{
			Name: "toys", Topics: b.topics, Changelog: b.changelog,
			NewWorker: func(partition int32) kafka.Worker {
				return &noted{toy: &toy{bench: b, cfg: cfg, partition: partition}, journal: j}
			},
			Positions: j.state,
			OnStandby: func(partitions []int32) { j.note("standby %v", partitions) },
		}},
	}
	if change != nil {
		change(&gc)
	}
	g, err := kafka.NewGroup(cfg, gc)
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return g, j, func() error {
		cancel()
		return <-done
	}
}

func eventually(t *testing.T, condition func() bool, j ...*journal) {
	t.Helper()
	for range 3000 {
		if condition() {
			return
		}
		require.NoError(t, pause(t.Context(), 10*time.Millisecond))
	}
	for _, j := range j {
		t.Log(j.all())
	}
	t.Fatal("it does not happen")
}

// A member comes and goes: the others give it what is its share, take it back, and do not touch
// what stays.
func TestUnaffectedPartitionsGoOn(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 4, "a", "b")
	_, first, stopFirst := b.join(b.config(), nil)
	eventually(t, func() bool { return len(first.owned()) == 4 }, first)
	b.fill(100)
	_, second, stopSecond := b.join(b.config(), nil)
	eventually(t, func() bool { return len(first.owned()) == 2 && len(second.owned()) == 2 }, first, second)
	stayed := first.owned()
	b.fill(100)
	b.await(200)
	require.NoError(t, stopSecond())
	eventually(t, func() bool { return len(first.owned()) == 4 }, first)
	b.fill(100)
	b.await(300)
	for p := range int32(4) {
		want := []string{fmt.Sprintf("opening %d", p), fmt.Sprintf("open %d", p)}
		if !slices.Contains(stayed, p) {
			want = append(want, fmt.Sprintf("closed %d", p), want[0], want[1])
		}
		require.Equal(t, want, first.of(p))
	}
	require.NoError(t, stopFirst())
	b.await(300)
}

// What a worker releases when its partition is given up is told to the group before the next owner
// opens it.
func TestLastOffsetsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, kafkatest.StartVirtual(t), 2, "a")
		b.every = time.Hour // commits when it is closed
		var taken atomic.Int32
		b.onRecord = func(string, *task.Record) { taken.Add(1) }
		_, first, stopFirst := b.join(b.config(), nil)
		b.fill(100)
		eventually(t, func() bool { return taken.Load() == 200 }, first)
		told := make(chan int64, 2)
		b.onOpen = func(ctx context.Context, w *toy) error {
			offsets, err := b.cluster.Admin().CommittedOffsets(ctx, b.id, b.topics[0])
			told <- offsets[w.partition]
			return err
		}
		_, _, stopSecond := b.join(b.config(), nil)
		require.Equal(t, int64(100), <-told)
		require.NoError(t, stopFirst())
		require.NoError(t, stopSecond())
	})
}

// A worker whose transactions fail is opened anew, without those beside it, and its records are
// fetched again at once, although the broker holds a fetch of all partitions for 5 s.
func TestWorkerFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, kafkatest.StartVirtual(t), 2, "a")
		var failures atomic.Int32
		b.onCommit = func(w *toy) error {
			if w.partition == 0 && failures.Add(1) <= 3 {
				return task.ErrAborted
			}
			return nil
		}
		_, j, stop := b.join(b.config(), nil)
		eventually(t, func() bool { return len(j.owned()) == 2 }, j)
		require.NoError(t, pause(t.Context(), 30*time.Second))
		began := time.Now()
		b.fill(1)
		b.await(1)
		require.Less(t, time.Since(began), 2*time.Second)
		require.Len(t, j.of(0), 2+3*3)
		require.Equal(t, []string{"opening 1", "open 1"}, j.of(1))
		require.NoError(t, stop())
	})
}

// A partition that takes long to open holds up nobody, and gives up when it is wanted elsewhere.
func TestSlowOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, kafkatest.StartVirtual(t), 2, "a")
		b.onOpen = func(ctx context.Context, w *toy) error {
			if w.partition == 0 {
				<-ctx.Done()
			}
			return ctx.Err()
		}
		_, j, stop := b.join(b.config(), nil)
		b.fill(10)
		eventually(t, func() bool { return readState(t.Context(), b, 1).Count[b.topics[0]] == 10 }, j)
		require.Equal(t, []string{"opening 0"}, j.of(0))
		began := time.Now()
		require.NoError(t, stop())
		require.Less(t, time.Since(began), time.Second)
	})
}

// A new member copies the state first, asks for an assignment, and takes over; the old one keeps a
// copy. Who owns a partition is never its standby at the same time.
func TestStandbyTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, kafkatest.StartVirtual(t), 4, "a")
		change := func(gc *kafka.GroupConfig) { gc.Standbys = 1 }
		_, old, stopOld := b.join(b.config(), change)
		eventually(t, func() bool { return len(old.owned()) == 4 }, old)
		old.has(1_000_000, 0, 1, 2, 3)
		g, fresh, stopFresh := b.join(b.config(), change)
		eventually(t, func() bool { return slices.Contains(fresh.all(), "standby [0 1 2 3]") }, fresh)
		require.NoError(t, pause(t.Context(), time.Minute))
		require.Equal(t, []string{"standby [0 1 2 3]"}, fresh.all(), "it has not caught up")
		require.Len(t, old.all(), 8, "nothing has closed")

		fresh.has(999_000, 2, 3)
		g.Rejoin()
		eventually(t, func() bool { return slices.Equal(fresh.owned(), []int32{2, 3}) }, old, fresh)
		require.Equal(t, []int32{0, 1}, old.owned())
		require.True(t, fresh.before("standby [0 1]", "opening 2"), fresh.all())
		require.True(t, fresh.before("standby [0 1]", "opening 3"), fresh.all())
		eventually(t, func() bool { return slices.Contains(old.all(), "standby [2 3]") }, old)
		require.True(t, old.before("closed 2", "standby [2 3]"), old.all())
		require.True(t, old.before("closed 3", "standby [2 3]"), old.all())

		require.NoError(t, stopFresh())
		require.Contains(t, fresh.all(), "standby []")
		eventually(t, func() bool { return len(old.owned()) == 4 }, old)
		require.True(t, old.before("standby []", "opening 2"), old.all())
		require.Len(t, old.of(0), 2)
		require.Len(t, old.of(1), 2)
		require.NoError(t, stopOld())
	})
}

// A member that has caught up and did not say so is found out by the leader.
func TestLeaderProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, kafkatest.StartVirtual(t), 2, "a")
		_, old, stopOld := b.join(b.config(), nil)
		eventually(t, func() bool { return len(old.owned()) == 2 }, old)
		old.has(1_000_000, 0, 1)
		_, fresh, stopFresh := b.join(b.config(), nil)
		eventually(t, func() bool { return slices.Contains(fresh.all(), "standby [1]") }, fresh)
		fresh.has(1_000_000, 1)
		require.NoError(t, pause(t.Context(), 9*time.Minute))
		require.Empty(t, fresh.owned())
		require.NoError(t, pause(t.Context(), 2*time.Minute))
		require.Equal(t, []int32{1}, fresh.owned())
		require.Equal(t, []int32{0}, old.owned())
		require.Len(t, old.of(0), 2)
		require.NoError(t, stopOld())
		require.NoError(t, stopFresh())
	})
}

// A member with an Instance comes back to its partitions, and the others do not notice.
func TestStaticMemberRestarts(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 4, "a")
	named := func(name string) func(*kafka.GroupConfig) { return func(gc *kafka.GroupConfig) { gc.Instance = name } }
	_, other, stopOther := b.join(b.config(), named("other"))
	_, first, stopFirst := b.join(b.config(), named("restarted"))
	eventually(t, func() bool { return len(other.owned()) == 2 && len(first.owned()) == 2 }, other, first)
	b.fill(100)
	b.await(100)
	before, had := other.all(), first.owned()
	require.NoError(t, stopFirst())
	_, second, stopSecond := b.join(b.config(), named("restarted"))
	eventually(t, func() bool { return len(second.owned()) == 2 }, other, second)
	require.Equal(t, had, second.owned())
	b.fill(100)
	b.await(200)
	require.Equal(t, before, other.all())
	require.NoError(t, stopSecond())
	require.NoError(t, stopOther())
}

// A second member with the same Instance takes the first one's place, whose Run ends.
func TestInstanceTwice(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 2, "a")
	named := func(gc *kafka.GroupConfig) { gc.Instance = "twice" }
	_, first, stopFirst := b.join(b.config(), named)
	eventually(t, func() bool { return len(first.owned()) == 2 }, first)
	_, second, stopSecond := b.join(b.config(), named)
	eventually(t, func() bool { return len(second.owned()) == 2 && len(first.owned()) == 0 }, first, second)
	require.ErrorContains(t, stopFirst(), "FENCED_INSTANCE_ID")
	b.fill(10)
	b.await(10)
	require.NoError(t, stopSecond())
}
