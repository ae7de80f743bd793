package engine_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/topology"
)

// tasksOf is the tasks of an engine's first sub-topology by partition.
func tasksOf(e *engine.Engine) map[int32]engine.TaskStatus {
	tasks := map[int32]engine.TaskStatus{}
	for _, s := range e.Status().SubTopologies[0].Tasks {
		tasks[s.Partition] = s
	}
	return tasks
}

func withStandbys(n int) func(*engine.Config) { return func(c *engine.Config) { c.Standbys = n } }

// Two members with a copy of each other's tasks. One is lost: the other goes on from its copies,
// and restores next to nothing.
func TestTakeOverFromStandby(t *testing.T) {
	seed := simSeed(t)
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, seed)
		members := []*member{startMember(t, v.plan, v.cluster, withStandbys(1)), startMember(t, v.plan, v.cluster,
			withStandbys(1))}
		for round := range 4 {
			v.feed(t, 10*time.Minute)
			logged := 0
			for _, records := range committed(t, v.cluster.Config(), fmt.Sprintf(copiedChangelog, v.topic)) {
				logged += len(records)
			}
			lost, left := members[round%2], members[1-round%2]
			own, copied := tasksOf(left.Engine), left.Status().SubTopologies[0].Standbys
			require.Len(t, own, stormPartitions/2, "the work is shared")
			require.Len(t, copied, stormPartitions/2, "a copy of each task of the other")
			w := httptest.NewRecorder()
			left.StatusHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status.html", nil))
			page := readPage(t, w.Body.String())["standbys"]
			for _, s := range copied {
				require.Contains(t, page, fmt.Sprintf("%s %d %d", s.Topic, s.Partition, s.Next))
			}
			lost.lose()
			v.feed(t, 2*time.Minute)
			taken := tasksOf(left.Engine)
			require.Len(t, taken, stormPartitions)
			restored := int64(0)
			for p, s := range taken {
				if _, before := own[p]; !before {
					restored += s.Restored
				}
			}
			t.Logf("%d records of the changelog, %d restored at the take-over", logged, restored)
			require.Greater(t, logged, 2000)
			require.Less(t, restored, int64(100), "what was committed and not yet copied when the member was lost")
			members[round%2] = startMember(t, v.plan, v.cluster, withStandbys(1))
		}
		v.finish(t, members...)
	})
}

// A member that joins copies the state of the tasks that it is to get, while the other works on
// them, and gets them when it has it.
func TestWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, 1)
		first := startMember(t, v.plan, v.cluster)
		v.rates = make([]Rate, 60_000) // 15,000 keys in each partition, in windows of two sizes
		for i := range v.rates {
			v.rates[i] = Rate{Pair: fmt.Sprintf("K%05d", i), Bid: 1, At: time.Now().UTC()}
		}
		write(t, v.cluster.Config(), v.pipeline, v.rates)
		time.Sleep(time.Minute) // of the bubble
		second := startMember(t, v.plan, v.cluster)
		v.feed(t, time.Minute)
		t.Logf("%+v", second.Status().SubTopologies[0].Standbys)
		v.feed(t, 5*time.Minute)
		t.Logf("%+v", second.Status().SubTopologies[0].Standbys)
		require.Len(t, tasksOf(second.Engine), stormPartitions/2)
		for _, s := range tasksOf(second.Engine) {
			require.Less(t, s.Restored, int64(20_000), "it had a copy")
		}
		require.Empty(t, second.Status().SubTopologies[0].Standbys)
		v.finish(t, first, second)
	})
}

// The ring: three processes with a copy of each task, of which one after the other is stopped and
// started, over 300,000 records in six partitions. What a store stands for never goes back, and the
// output is that of a process that nothing happens to.
func TestRing(t *testing.T) {
	t.Parallel()
	n, turns := 300_000, 12
	if testing.Short() {
		n, turns = 30_000, 6
	}
	k := newRig(t, 6, n, 50*time.Millisecond)
	spec := memberSpec{Brokers: k.cluster.Brokers, App: k.cluster.Name("ring"), Topic: k.topic, Standbys: 1}
	var ring [3]*process
	var dirs [3]string
	for i := range ring {
		dirs[i] = t.TempDir()
		spec.Dir = dirs[i]
		ring[i] = spawn(t, spec)
	}
	positions := map[string]int64{} // by store
	stop := func(i int) {
		ring[i].terminate(t)
		for name, at := range storedPositions(t, filepath.Join(dirs[i], topology.ChangelogName(spec.App, k.topic))) {
			require.GreaterOrEqual(t, at, positions[name], name)
			positions[name] = at
		}
	}
	for turn := range turns {
		awaitGroup(t, k.cluster, len(ring), spec.App)
		write(t, k.cluster.Config(), k.calm, k.rates[turn*len(k.rates)/turns:(turn+1)*len(k.rates)/turns])
		// a random point, not a wait for something
		time.Sleep(time.Duration(k.random.Int64N(int64(300 * time.Millisecond))))
		i := turn % len(ring)
		stop(i)
		spec.Dir = dirs[i]
		ring[i] = spawn(t, spec)
	}
	awaitEnd(t, k.cluster, spec.App, k.topic)
	awaitGroup(t, k.cluster, len(ring), spec.App)
	for i := range ring {
		stop(i)
	}
	require.Greater(t, len(positions), 6, "some partitions have been copied")
	k.undisturbed(t)
	k.requireSame(t, spec.App)
}

// storedPositions is how far the stores of a changelog are that nobody has open, by folder.
func storedPositions(t *testing.T, dir string) map[string]int64 {
	positions := map[string]int64{}
	folders, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range folders {
		name := filepath.Join(dir, f.Name(), "main.db")
		s, err := rocksdb.OpenReadOnly(name)
		require.NoError(t, err)
		at, ok, err := task.NewRestorer(s, task.LogID{}).Position()
		require.NoError(t, err)
		if ok {
			positions[name] = at
		}
		require.NoError(t, s.Close())
		_, err = strconv.Atoi(f.Name())
		require.NoError(t, err)
	}
	return positions
}

// How long a take-over lasts, from when the survivor is told that the task is its own until the
// first commit, of a task with 500,000 rows: with a copy and without. On a real broker it says what
// is in docs/reliability.md; on the embedded one it is smaller, and shows that it works.
func TestTakeOverWithStandby(t *testing.T) {
	t.Parallel()
	keys := 250_000 // in windows of two sizes
	if os.Getenv(kafkatest.Environment) == "" || testing.Short() {
		keys = 2_000
	}
	for _, standbys := range []int{1, 0} {
		t.Run(fmt.Sprintf("standbys %d", standbys), func(t *testing.T) { measureTakeOver(t, keys, standbys) })
	}
}

func measureTakeOver(t *testing.T, keys, standbys int) {
	const partitions = 2
	c := kafkatest.Start(t)
	app, topic := c.Name("takeover"), c.Topic(t, "rates", partitions)
	p := newPipeline(t, app, topic)
	rates := make([]Rate, partitions*keys)
	for i := range rates {
		rates[i] = Rate{Pair: fmt.Sprintf("K%07d", i), Bid: float64(i % 100),
			At: dayStart.Add(time.Duration(i%1000) * time.Millisecond)}
	}
	spec := memberSpec{Brokers: c.Brokers, App: app, Topic: topic, Dir: t.TempDir(), Standbys: standbys}
	victim := spawn(t, spec)
	write(t, c.Config(), p, rates)
	<-victim.first
	survivor := start(t, p.plan, engine.Config{Brokers: c.Brokers, StateDir: t.TempDir(),
		CommitInterval: 100 * time.Millisecond, SessionTimeout: time.Second, Standbys: standbys,
		WithoutTables: "the test is about tasks"})
	awaitEnd(t, c, app, topic)
	within := func(pass func(s engine.SubTopologyStatus) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return pass(survivor.Status().SubTopologies[0]) }, patience,
			2*time.Millisecond, "%+v", survivor.Status().SubTopologies[0])
	}
	within(func(s engine.SubTopologyStatus) bool {
		shared := len(s.Tasks) == 1 && s.Tasks[0].Open && len(s.Standbys) == standbys
		return shared && (standbys == 0 || s.Standbys[0].Lag == 0 && s.Standbys[0].Next > 0)
	})
	own := survivor.Status().SubTopologies[0].Tasks[0].Partition
	victim.kill(t)
	killed := time.Now()
	rates = append(rates, rates[:100]...)
	write(t, c.Config(), p, rates[partitions*keys:])
	ends, err := c.Admin().Ends(t.Context(), topic, false)
	require.NoError(t, err)
	var taken engine.TaskStatus
	within(func(engine.SubTopologyStatus) bool {
		taken = tasksOf(survivor.Engine)[1-own]
		return len(taken.Inputs) > 0 && taken.Inputs[0].Next == ends[1-own]
	})
	t.Logf(
		"about %d rows in a task, %d standbys: assigned %v after the kill, first commit %v later; %d records restored",
		2*keys, standbys, taken.Since.Sub(killed).Round(time.Millisecond),
		time.Since(taken.Since).Round(time.Millisecond), taken.Restored)
	if standbys == 0 {
		require.Greater(t, taken.Restored, int64(keys), "each has two rows, and about half of them are in either task")
	} else {
		require.Less(t, taken.Restored, int64(keys/10))
	}
	end := endRates(rates, partitions)
	write(t, c.Config(), p, end)
	awaitEnd(t, c, app, topic)
	require.NoError(t, survivor.stop())
	requireFinals(t, c.Config(), p, append(rates, end...), partitions, time.Minute)
}
