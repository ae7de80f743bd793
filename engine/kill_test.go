package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// memberEnvironment makes the test program a member of an application, described in JSON, in place
// of running tests.
const memberEnvironment = "ASHI_TEST_MEMBER"

type memberSpec struct {
	Brokers         []string
	App, Topic, Dir string
	Refunds         string        // the second topic of a relay; empty: the plan is a pipeline
	Policy          string        // of a poisoned pipeline; empty: the plan is another one
	Pause           time.Duration // for each record, so that a kill hits the middle of the input
	Standbys        int
	Instance        string
	Doom            *doom // where it dies; nil: it does not die by itself
}

// beMember runs until it is told to end, or is killed. It prints a line when it sees its first
// record.
func beMember() {
	var spec memberSpec
	if err := json.Unmarshal([]byte(os.Getenv(memberEnvironment)), &spec); err != nil {
		panic(err)
	}
	var first sync.Once
	seen := func() {
		if spec.Doom == nil {
			first.Do(func() { fmt.Println("first record") })
		}
		time.Sleep(spec.Pause) // work that takes its time; nothing waits for it
	}
	var plan *topology.Plan
	if spec.Policy != "" {
		plan = newPoisoned(panicking{}, spec.App, spec.Topic, spec.Policy, seen).plan
	} else if spec.Refunds != "" {
		plan = newRelay(panicking{}, spec.App, spec.Topic, spec.Refunds, seen).plan
	} else {
		plan = newPipeline(panicking{}, spec.App, spec.Topic, func(*Rate) error { seen(); return nil }).plan
	}
	cfg := engine.Config{Brokers: spec.Brokers, StateDir: spec.Dir, CommitInterval: 30 * time.Millisecond,
		CheckpointInterval: 100 * time.Millisecond, SessionTimeout: time.Second, Standbys: spec.Standbys,
		InstanceID: spec.Instance}
	if spec.Doom != nil {
		cfg.Dial, cfg.StateDir, cfg.WithoutTables = spec.Doom.dial, "", "the test is about a task"
	}
	e, err := engine.New(plan, cfg)
	if err != nil {
		panic(err)
	}
	if spec.Doom != nil {
		engine.OpenStores(e, spec.Doom.open(spec.Dir))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := e.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		os.Exit(1)
	}
}

// panicking is a testing.TB where there is no test.
type panicking struct{ testing.TB }

func (panicking) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panicking) FailNow()                          { panic("failed") }
func (panicking) Helper()                           {}

// process is a member in a process of its own.
type process struct {
	cmd   *exec.Cmd
	first chan struct{} // closed at its first record, or at its end
}

func spawn(t *testing.T, spec memberSpec) *process {
	t.Helper()
	return spawnTo(t, spec, t.Output())
}

// spawnTo is spawn with what the process says in said.
func spawnTo(t *testing.T, spec memberSpec, said io.Writer) *process {
	t.Helper()
	b, err := json.Marshal(spec)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memberEnvironment+"="+string(b))
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{cmd: cmd, first: make(chan struct{})}
	go func() {
		bufio.NewScanner(out).Scan()
		close(p.first)
	}()
	t.Cleanup(func() { cmd.Process.Kill() }) // fails where it has ended already
	return p
}

// kill is kill -9.
func (p *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	require.Error(t, p.cmd.Wait(), "killed")
}

func (p *process) terminate(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait(), "a clean end")
}

// awaitEnd returns when the application has committed the whole input.
func awaitEnd(t *testing.T, c *kafkatest.Cluster, app, topic string) {
	t.Helper()
	awaitRead(t, c, app, topic)
}

// awaitRead returns when a group has committed all that a topic holds.
func awaitRead(t *testing.T, c *kafkatest.Cluster, group, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends, err := c.Admin().Ends(ctx, topic, false)
	for err != nil && ctx.Err() == nil { // its leader may just have been killed
		ends, err = c.Admin().Ends(ctx, topic, false)
	}
	require.NoError(t, err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		at, err := c.Admin().CommittedOffsets(ctx, group, topic)
		done := err == nil // a group that loses members all the time may have no answer for a while
		for p, end := range ends {
			done = done && at[p] >= end // a transaction's marker may come a moment later than its end was told
		}
		if done {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has committed %s up to %v (%v), want %v", group, topic, at, err, ends)
		case <-tick.C:
		}
	}
}

// killRig is an input topic, and what an undisturbed application makes of it.
type killRig struct {
	cluster    *kafkatest.Cluster
	topic      string
	partitions int32
	rates      []Rate
	seed       uint64
	random     *rand.Rand
	calm       *pipeline
}

const killPartitions = 3

func newKillRig(t *testing.T) *killRig { return newLongRig(t, 12_000) }

// newLongRig is a rig of n records.
func newLongRig(t *testing.T, n int) *killRig {
	k := newRig(t, killPartitions, n, 200*time.Millisecond)
	write(t, k.cluster.Config(), k.calm, k.rates)
	k.undisturbed(t)
	return k
}

// newRig has written nothing yet.
func newRig(t *testing.T, partitions int32, n int, step time.Duration) *killRig {
	k := &killRig{cluster: kafkatest.Start(t), seed: rand.Uint64(), partitions: partitions}
	t.Logf("seed %d", k.seed)
	k.random = rand.New(rand.NewPCG(k.seed, 2))
	k.topic = k.cluster.Topic(t, "rates", partitions)
	k.rates = randomRates(k.random, dayStart, n, step)
	k.rates = append(k.rates, endRates(k.rates, partitions)...)
	k.calm = newPipeline(t, k.cluster.Name("calm"), k.topic)
	return k
}

// undisturbed runs an application to which nothing happens.
func (k *killRig) undisturbed(t *testing.T) {
	r := start(t, k.calm.plan, engine.Config{Brokers: k.cluster.Brokers})
	awaitEnd(t, k.cluster, k.calm.plan.Name, k.topic)
	require.NoError(t, r.stop())
	requireFinals(t, k.cluster.Config(), k.calm, k.rates, k.partitions, time.Minute)
}

// requireSame compares what app has written with what the undisturbed one has: byte for byte, in
// order, nothing twice.
func (k *killRig) requireSame(t *testing.T, app string) {
	t.Helper()
	p := newPipeline(t, app, k.topic)
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		want := committed(t, k.cluster.Config(), k.calm.final.Stream(size).Topic)
		got := committed(t, k.cluster.Config(), p.final.Stream(size).Topic)
		for i := range want {
			require.Equal(t, len(want[i]), len(got[i]), "rows of %v, partition %d", size, i)
			for j := range want[i] {
				w, g := want[i][j], got[i][j]
				w.Offset, g.Offset = 0, 0 // transaction markers take offsets too
				require.Equal(t, w, g, "row %d of %v, partition %d", j, size, i)
			}
		}
	}
}

// Kill -9 in the middle of the input, ten times, or fifty in make soak, and start again: with the
// state that the dead process left, and as often without it.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 10
	switch {
	case soakMinutes(t) > 0:
		kills = 50
	case testing.Short():
		kills = 3
	}
	k := newLongRig(t, 1200*kills)
	for _, keep := range []bool{true, false} {
		t.Run(map[bool]string{true: "state kept", false: "state lost"}[keep], func(t *testing.T) {
			spec := memberSpec{Brokers: k.cluster.Brokers, App: k.cluster.Name(fmt.Sprintf("killed-%v", keep)),
				Topic: k.topic, Dir: t.TempDir(), Pause: 300 * time.Microsecond}
			for range kills {
				m := spawn(t, spec)
				<-m.first
				// a random point, not a wait for something
				time.Sleep(time.Duration(k.random.Int64N(int64(200 * time.Millisecond))))
				m.kill(t)
				if !keep {
					require.NoError(t, os.RemoveAll(spec.Dir))
				}
			}
			spec.Pause = 0
			m := spawn(t, spec)
			awaitEnd(t, k.cluster, spec.App, k.topic)
			m.terminate(t)
			k.requireSame(t, spec.App)
			did(t, "%d kills", kills)
		})
	}
}

// Two processes share the work; one is killed, and the other takes over.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	k := newKillRig(t)
	spec := memberSpec{Brokers: k.cluster.Brokers, App: k.cluster.Name("pair"), Topic: k.topic, Dir: t.TempDir(),
		Pause: 300 * time.Microsecond}
	first := spawn(t, spec)
	<-first.first
	spec.Dir = t.TempDir()
	second := spawn(t, spec)
	<-second.first
	first.kill(t)
	awaitEnd(t, k.cluster, spec.App, k.topic)
	second.terminate(t)
	k.requireSame(t, spec.App)
}
