package engine_test

import (
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// Three processes; every second or two one of them leaves, in order or killed, and another comes,
// with the state of the one that went or without. Input comes all the time. Five minutes in make
// soak.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 13))
	long := 15 * time.Second
	switch {
	case soakMinutes(t) > 0:
		long = 5 * time.Minute
	case testing.Short():
		long = 4 * time.Second
	}
	const partitions = 6
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", partitions), c.Name("churn")
	p := newPipeline(t, app, topic)
	spec := memberSpec{Brokers: c.Brokers, App: app, Topic: topic, Pause: 200 * time.Microsecond}
	var members [3]*process
	var dirs [3]string
	join := func(i int, dir string) {
		dirs[i], spec.Dir = dir, dir
		members[i] = spawn(t, spec)
	}
	for i := range members {
		join(i, t.TempDir())
	}
	var rates []Rate
	feed := func() {
		batch := randomRates(r, dayStart.Add(time.Duration(len(rates))*100*time.Millisecond), 300, 100*time.Millisecond)
		rates = append(rates, batch...)
		write(t, c.Config(), p, batch)
	}
	left, killed := 0, 0
	onKafka := os.Getenv(kafkatest.Environment) != ""
	for began := time.Now(); time.Since(began) < long; {
		feed()
		// members come and go at random, not at an event
		time.Sleep(500*time.Millisecond + time.Duration(r.Int64N(int64(1500*time.Millisecond))))
		i := r.IntN(len(members))
		if r.IntN(2) == 0 && (onKafka || groupIsStable(t, c, app, len(members))) {
			members[i].kill(t)
			killed++
		} else {
			members[i].leave(t)
			left++
		}
		if r.IntN(3) == 0 {
			require.NoError(t, os.RemoveAll(dirs[i]))
		}
		join(i, dirs[i])
	}
	did(t, "%d left, %d were killed, %d rates", left, killed, len(rates))
	rates = append(rates, endRates(rates, partitions)...)
	write(t, c.Config(), p, rates[len(rates)-partitions:])
	awaitEnd(t, c, app, topic)
	for _, m := range members {
		m.leave(t)
	}
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		requireFinals(t, c.Config(), p, rates, partitions, size)
	}
}

// leave tells a process to end, which it does cleanly, unless it has not come so far as to listen.
func (p *process) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	if err := p.cmd.Wait(); err != nil {
		require.Equal(t, syscall.SIGTERM, p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(), "%v", err)
	}
}

// All brokers of a real Kafka are away when the program starts; then they are killed, come back,
// and are paused, for a minute in make soak, each time in the middle of its work.
func TestBrokersKilledAndPaused(t *testing.T) {
	m := kafkatest.StartMachines(t, 1)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 14))
	paused, rounds := 8*time.Second, 1
	if soakMinutes(t) > 0 {
		paused, rounds = time.Minute, 3
	}
	const partitions = 2
	topic, app := m.Topic(t, "rates", partitions), m.Name("brokers")
	p := newPipeline(t, app, topic, func(*Rate) error {
		// work that takes its time, so that a fault comes in the middle; nothing waits for it
		time.Sleep(200 * time.Microsecond)
		return nil
	})
	var rates []Rate
	feed := func() {
		batch := randomRates(r, dayStart.Add(time.Duration(len(rates))*100*time.Millisecond), 3000,
			100*time.Millisecond)
		rates = append(rates, batch...)
		write(t, m.Config(), p, batch)
		time.Sleep(time.Duration(r.Int64N(int64(500 * time.Millisecond)))) // a random point, not a wait for something
	}
	feed()
	m.Kill(t, m.IDs()...)
	e := start(t, p.plan, engine.Config{Brokers: m.Brokers, StateDir: t.TempDir(),
		CommitInterval: 50 * time.Millisecond, CheckpointInterval: 200 * time.Millisecond,
		SessionTimeout: 5 * time.Second, StartTimeout: time.Minute, WithoutTables: "the test is about tasks"})
	m.Revive(t, m.IDs()...)
	awaitEnd(t, m.Cluster, app, topic)
	for range rounds {
		feed()
		m.Kill(t, m.IDs()...)
		m.Revive(t, m.IDs()...)
		awaitEnd(t, m.Cluster, app, topic)
		feed()
		m.Pause(t, m.IDs()...)
		time.Sleep(paused) // as long as the pause is to be
		m.Resume(t, m.IDs()...)
		awaitEnd(t, m.Cluster, app, topic)
	}
	did(t, "%d kills, %d pauses of %v, %d rates", 1+rounds, rounds, paused, len(rates))
	rates = append(rates, endRates(rates, partitions)...)
	write(t, m.Config(), p, rates[len(rates)-partitions:])
	awaitEnd(t, m.Cluster, app, topic)
	require.NoError(t, e.stop())
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		requireFinals(t, m.Config(), p, rates, partitions, size)
	}
}
