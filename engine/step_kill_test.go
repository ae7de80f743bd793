package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
)

// doom numbers the steps of a member's commits and checkpoints, and kills the process with one of
// them. Steps are the requests that a producer makes, the commits of offsets, and the writes,
// flushes and closes of stores.
type doom struct {
	At    int  // the step at which the process dies; 0: it lives, and tells each step
	After bool // the step is taken: a request is sent, and its answer not seen
	taken atomic.Int32
}

// stepRequests are those that are steps.
var stepRequests = []kmsg.Key{kmsg.Produce, kmsg.OffsetCommit, kmsg.InitProducerID, kmsg.AddPartitionsToTxn,
	kmsg.EndTxn}

// step takes a step, or dies before or after it.
func (d *doom) step(name string, take func()) {
	n := int(d.taken.Add(1))
	if d.At == 0 || n == d.At {
		fmt.Println(name) // to the test
	}
	if n == d.At && !d.After {
		die()
	}
	take()
	if n == d.At {
		die()
	}
}

func die() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until it has come
}

// dial opens connections whose requests are steps. franz-go writes a request at once: its length,
// and then its kind.
func (d *doom) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &doomedConn{c, d}, err
}

type doomedConn struct {
	net.Conn
	doom *doom
}

func (c *doomedConn) Write(b []byte) (n int, err error) {
	if key := kmsg.Key(binary.BigEndian.Uint16(b[4:])); slices.Contains(stepRequests, key) {
		c.doom.step(key.Name(), func() { n, err = c.Conn.Write(b) })
		return n, err
	}
	return c.Conn.Write(b)
}

// open opens the stores of tasks, whose writes are steps.
func (d *doom) open(dir string) func(string, int32, bool) (stores.Store, error) {
	return func(changelog string, partition int32, empty bool) (stores.Store, error) {
		path := filepath.Join(dir, changelog, fmt.Sprint(partition))
		if empty {
			if err := rocksdb.Destroy(path); err != nil {
				return nil, err
			}
		}
		s, err := rocksdb.Open(path, rocksdb.Options{})
		return &doomedStore{s, d}, err
	}
}

type doomedStore struct {
	stores.Store
	doom *doom
}

func (s *doomedStore) Write(b *stores.Batch) (err error) {
	s.doom.step("store write", func() { err = s.Store.Write(b) })
	return err
}

func (s *doomedStore) Flush() (err error) {
	s.doom.step("store flush", func() { err = s.Store.Flush() })
	return err
}

func (s *doomedStore) Close() (err error) {
	s.doom.step("store close", func() { err = s.Store.Close() })
	return err
}

// A process is killed at each numbered step of its commits and checkpoints in turn, before it and
// right after it, from its first to its clean end; each time another goes on with the state that
// the dead one has left. Keys are long, so that a checkpoint is written in parts. Some steps are
// drawn each time; make soak takes all.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	k := &stepRig{cluster: kafkatest.Start(t), random: rand.New(rand.NewPCG(seed, 10))}
	k.topic = k.cluster.Topic(t, "rates", 1)
	k.calm, k.app = newPipeline(t, k.cluster.Name("calm"), k.topic), k.cluster.Name("steps")
	dir := t.TempDir()
	all := k.live(t, dir, &doom{})
	t.Logf("%d steps: %s", len(all), strings.Join(all, ", "))
	var deaths []*doom
	for n := range all {
		deaths = append(deaths, &doom{At: n + 1}, &doom{At: n + 1, After: true})
	}
	k.random.Shuffle(len(deaths), func(i, j int) { deaths[i], deaths[j] = deaths[j], deaths[i] })
	switch {
	case soakMinutes(t) > 0:
	case testing.Short():
		deaths = deaths[:4]
	default:
		deaths = deaths[:min(16, len(deaths))]
	}
	died := map[string]int{}
	for i := range deaths {
		if last := k.live(t, dir, deaths[i]); len(last) > 0 {
			died[last[0]]++
		}
		if i%20 == 19 {
			t.Logf("%d of %d: %v", i+1, len(deaths), died)
		}
	}
	did(t, "%d processes died, at %v", len(deaths), died)
	require.NotEmpty(t, died)
	k.end(t, dir)
}

// stepRig is an application that lives many times, and its input.
type stepRig struct {
	cluster    *kafkatest.Cluster
	random     *rand.Rand
	topic, app string
	calm       *pipeline
	rates      []Rate
}

// stepRates are enough for two commits and a checkpoint each second time.
const stepRates = 400

// live feeds a process until it has died, or has come to the end of the input and closed. It
// returns the names of the steps that were told.
func (k *stepRig) live(t *testing.T, dir string, d *doom) []string {
	t.Helper()
	at := dayStart.Add(time.Duration(len(k.rates)) * 100 * time.Millisecond)
	batch := randomRates(k.random, at, stepRates, 100*time.Millisecond)
	k.feed(t, batch)
	b, err := json.Marshal(memberSpec{Brokers: k.cluster.Brokers, App: k.app, Topic: k.topic, Dir: dir,
		Pause: 200 * time.Microsecond, Doom: d})
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memberEnvironment+"="+string(b))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, t.Output()
	require.NoError(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	err = k.awaitDeathOrEnd(t, cmd, done)
	told := strings.Split(strings.TrimSpace(out.String()), "\n")
	if err != nil {
		require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(), "%v: %s", err,
			out.String())
		require.Len(t, told, 1)
		return told
	}
	if d.At > 0 {
		require.Empty(t, out.String(), "it lives on")
		return nil
	}
	return told
}

// awaitDeathOrEnd returns how the process has ended, by itself or told to at the end of the input.
func (k *stepRig) awaitDeathOrEnd(t *testing.T, cmd *exec.Cmd, done chan error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ends, err := k.cluster.Admin().Ends(ctx, k.topic, false)
	require.NoError(t, err)
	told := false
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			cmd.Process.Kill()
			t.Fatalf("it neither died nor came to the end of the input: %v", <-done)
		case <-tick.C:
		}
		at, err := k.cluster.Admin().CommittedOffsets(ctx, k.app, k.topic)
		if err == nil && !told && maps.Equal(at, ends) {
			told = true
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		}
	}
}

func (k *stepRig) feed(t *testing.T, batch []Rate) {
	for i := range batch {
		batch[i].Pair = fmt.Sprintf("P%03d%s", k.random.IntN(200), strings.Repeat(".", 4000))
	}
	k.rates = append(k.rates, batch...)
	write(t, k.cluster.Config(), k.calm, batch)
}

// end lets a last process come to the end, and compares what it and those before it have committed
// with the oracle, and with an undisturbed application, byte for byte.
func (k *stepRig) end(t *testing.T, dir string) {
	end := endRates(k.rates, 1)
	k.rates = append(k.rates, end...)
	write(t, k.cluster.Config(), k.calm, end)
	k.live(t, dir, &doom{})
	r := start(t, k.calm.plan, engine.Config{Brokers: k.cluster.Brokers, WithoutTables: "the test is about tasks"})
	awaitEnd(t, k.cluster, k.calm.plan.Name, k.topic)
	require.NoError(t, r.stop())
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		requireFinals(t, k.cluster.Config(), k.calm, k.rates, 1, size)
	}
	same := &killRig{cluster: k.cluster, topic: k.topic, calm: k.calm}
	same.requireSame(t, k.app)
}
