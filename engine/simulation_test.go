package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

var (
	simMinutes = flag.Int("sim.minutes", 0, "run TestSimulation for so many minutes")
	simSeeds   = flag.Int("sim.seeds", 0, "run TestSimulation for so many seeds")
	simFirst   = flag.Uint64("sim.first", 0, "the first seed of them; 0: a random one")
	simLeast   = flag.Bool("sim.least", false,
		"all seeds of TestSimulation run at least once, not only those that draw it")
)

var errSimRow = errors.New("a row that cannot be joined")

const (
	simDay   = 24 * time.Hour
	simGrace = 3 * time.Minute // more than two phases of tame topics that follow each other span
)

// Random plans on random input over a day each, with members and brokers that fail in all ways that
// a seed draws, in virtual time: what is committed in the end is what the driver of enginetest
// makes of the same input without any fault, and the log keeps its invariants. Some seeds run at
// least once: simleast_test.go.
//
// ASHI_SIM_SEED runs one seed again.
func TestSimulation(t *testing.T) {
	if os.Getenv("ASHI_SIM_SEED") != "" {
		runSimulation(t, simSeed(t), newSimTally())
		return
	}
	first, seeds, minutes := *simFirst, *simSeeds, *simMinutes
	if first == 0 {
		first = rand.Uint64()
	}
	tally := newSimTally()
	if seeds == 0 && minutes == 0 {
		kept := simKept(t)
		if seeds = 4; testing.Short() {
			seeds, kept = 1, []uint64{kept[rand.IntN(len(kept))]} // the long form runs all
		}
		for _, seed := range kept {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { runSimulation(t, seed, tally) })
		}
	}
	last := time.Now()
	for n := 0; (seeds == 0 || n < seeds) &&
		(minutes == 0 || time.Since(tally.began) < time.Duration(minutes)*time.Minute); n++ {
		seed := first + uint64(n)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { runSimulation(t, seed, tally) }) {
			t.Fatalf(
				"seed %d of %d failed: run it again with ASHI_SIM_SEED=%d go test ./engine -run '^TestSimulation$' "+
					"-v -sim.least=%v", n+1, n+1, seed, *simLeast)
		}
		if (*simMinutes > 0 || *simSeeds > 0) && time.Since(last) > time.Minute {
			last = time.Now()
			fmt.Fprintf(os.Stderr, "simulate: %d seeds from %d on, no difference, %v\n", n+1, first,
				time.Since(tally.began).Round(time.Second))
		}
	}
	t.Logf("seeds from %d on: %v", first, tally)
	if *simMinutes > 0 || *simSeeds > 0 {
		fmt.Fprintf(os.Stderr, "simulate: %v\n", tally)
	}
}

// simKept is the seeds that have failed once, or that cannot but meet something rare: a line each,
// with what it was.
func simKept(t testing.TB) (seeds []uint64) {
	text, err := os.ReadFile("testdata/simulation.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if number, _, _ := strings.Cut(strings.TrimSpace(line), " "); number != "" && number != "#" {
			seed, err := strconv.ParseUint(number, 10, 64)
			require.NoError(t, err)
			seeds = append(seeds, seed)
		}
	}
	return seeds
}

// simTally is what seeds have come to.
type simTally struct {
	began                                 time.Time
	seeds, records, rows, commits, stalls int
	least, calm                           int // of the seeds
	virtual                               time.Duration
	mishaps                               map[string]int
}

func newSimTally() *simTally { return &simTally{began: time.Now(), mishaps: map[string]int{}} }

// String says it in a line.
func (a *simTally) String() string {
	var used syscall.Rusage
	cpu := "unknown"
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		cpu = time.Duration(used.Utime.Nano() + used.Stime.Nano()).Round(time.Second).String()
	}
	var mishaps []string
	for _, name := range slices.Sorted(maps.Keys(a.mishaps)) {
		mishaps = append(mishaps, fmt.Sprintf("%s: %d", name, a.mishaps[name]))
	}
	return fmt.Sprintf(
		"%d seeds (%d at least once, %d of them without faults), %v of virtual time, %d records in, %d rows "+
			"compared, %d commits, %d stalls, %s of CPU, in %v; a member %s", a.seeds, a.least, a.calm,
		a.virtual.Round(time.Minute), a.records, a.rows, a.commits, a.stalls, cpu,
		time.Since(a.began).Round(time.Second), strings.Join(mishaps, ", "))
}

func runSimulation(t *testing.T, seed uint64, tally *simTally) {
	t.Logf("ASHI_SIM_SEED=%d", seed)
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, seed)
		for end := s.next.Add(simDay); s.next.Before(end); {
			s.phase()
			s.silence(min(s.between(time.Minute, 8*time.Hour), end.Sub(s.next)))
		}
		s.end()
		s.compare()
		s.lives.compare(s)
		s.lives.afterlife(s)
		s.count(tally)
	})
}

// simPace is the clocks of a seed's members, over orders of magnitude: which of them is first
// decides what a fault leads to.
type simPace struct{ commit, checkpoint, session, heartbeat, fetch, watch, idle, metadata time.Duration }

func newSimPace(r *rand.Rand) simPace {
	p := simPace{commit: between(r, time.Second, 30*time.Second), session: between(r, 30*time.Second, 10*time.Minute),
		fetch: between(r, 20*time.Second, 10*time.Minute), watch: between(r, time.Minute, 5*time.Minute),
		idle: between(r, time.Minute, 15*time.Minute), metadata: between(r, 5*time.Minute, 15*time.Minute)}
	p.checkpoint = between(r, p.commit, 30*p.commit)
	// who hears later of a rebalance than it takes is out
	p.heartbeat = min(p.session/3, between(r, 8*time.Second, 20*time.Second))
	return p
}

// of sets what is no setting of an Engine.
func (p simPace) of(c *kafka.Config) {
	c.HeartbeatInterval, c.FetchWait, c.WatchInterval = p.heartbeat, p.fetch, p.watch
	c.Client.IdleTimeout, c.Client.MetadataMaxAge = p.idle, p.metadata
}

// between draws a duration, each order of magnitude as often.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), r.Float64()))
}

// simulation is an application under faults. Its members are in simfaults_test.go.
type simulation struct {
	t          *testing.T
	r          *rand.Rand
	plan       *simPlan
	broker     *simBroker
	cluster    *kafkatest.Cluster
	client     *kgo.Client
	partitions int32
	pace       simPace
	standbys   int
	static     bool // members have an InstanceID
	guarantee  engine.Guarantee
	calm       bool // nothing goes wrong
	members    []*simMember
	mishaps    map[string]int // by kind
	stalls     int
	rows       int // compared
	commits    int
	lives      *simLives
	next       time.Time  // where the next phase begins, at the earliest
	fed        []simBatch // all input, in order
}

// simBatch is what was written to one topic in one phase.
type simBatch struct {
	at      time.Time // on the clock
	topic   string
	records []task.Output
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{t: t, r: rand.New(rand.NewPCG(seed, 5)), next: time.Now(), mishaps: map[string]int{}}
	s.plan = newSimPlan(t, s.r)
	s.partitions = 1 + s.r.Int32N(4)
	s.pace = newSimPace(s.r)
	more := rand.New(rand.NewPCG(seed, 9)) // of its own, so that older seeds stay what they were
	s.standbys, s.static = more.IntN(3), more.IntN(4) == 0
	s.guarantee, s.calm = simGuarantee(seed)
	s.lives = newSimLives(seed)
	t.Logf("%q, %d partitions, %d standbys, static %v, %v, calm %v, %+v", s.plan.parts, s.partitions, s.standbys,
		s.static, s.guarantee, s.calm, s.pace)
	ports := []int{9092}
	if s.guarantee == engine.AtLeastOnce {
		ports = []int{9092, 9093, 9094} // requests to one may be lost, and those to another not
	}
	s.broker = startSimBroker(t, ports...)
	s.broker.log, s.broker.eviction = s.logf, s.pace.session+3*time.Minute // more than the rebalance timeout
	s.cluster = kafkatest.Dialed(t, s.broker.network.DialContext, s.broker.kfake.ListenAddrs()...)
	var err error
	s.client, err = kgo.NewClient(kgo.SeedBrokers(s.cluster.Brokers...), kgo.Dialer(s.cluster.Dial))
	require.NoError(t, err)
	t.Cleanup(s.client.Close)
	for _, in := range s.plan.inputs {
		s.cluster.Topic(t, in.name, s.partitions)
		s.broker.inputs = append(s.broker.inputs, s.broker.kfake.TopicInfo(in.name).TopicID)
	}
	for i := range 1 + s.r.IntN(3) {
		m := &simMember{sim: s, plan: s.plan.plan, name: i, disk: newSimDisk(nil)}
		s.members = append(s.members, m)
		m.start()
	}
	s.lives.begin(s)
	return s
}

// phase writes to each topic, a topic at a time, while things go wrong.
func (s *simulation) phase() {
	if now := time.Now(); now.After(s.next) {
		s.next = now
	}
	s.next = s.next.Truncate(time.Millisecond)
	s.lives.feed(s)
	for _, in := range s.plan.inputs {
		records := s.plan.records(s.t, in, s.next)
		s.lives.hang(s)
		switch x := s.r.IntN(4); {
		case s.calm, x == 0:
			s.feed(in.name, records)
		// at least once, who is late and not alone may undo what another has written
		case x == 1 && s.guarantee == engine.ExactlyOnce:
			s.takeOver(in.name, records)
		default:
			s.feed(in.name, records)
			s.sleep(2 * s.pace.commit)
			s.mishap()
			s.lives.mishap(s)
		}
		s.settle()
	}
}

// silence lets time go by, in which nothing is written and things go wrong nevertheless, until the
// next phase.
func (s *simulation) silence(d time.Duration) {
	s.next = s.next.Add(max(d, time.Minute))
	for range s.r.IntN(3) {
		s.sleep(time.Until(s.next))
		s.revive()
		s.mishap()
	}
	time.Sleep(time.Until(s.next)) // of the bubble
}

func (s *simulation) between(least, most time.Duration) time.Duration {
	return between(s.r, least, most)
}

// end lets everything heal, writes what closes windows in most partitions, and ends the members.
func (s *simulation) end() {
	s.next = s.next.Add(20 * time.Minute)
	time.Sleep(time.Until(s.next)) // of the bubble
	for _, in := range s.plan.inputs {
		var records []task.Output
		for i := range 12 {
			row := simRow{ID: fmt.Sprint("end", i), Group: fmt.Sprint("end", i), At: s.next}
			value, err := in.encode(nil, &row)
			require.NoError(s.t, err)
			records = append(records, task.Output{Topic: in.name, Key: []byte(row.ID), Value: value, Timestamp: 1})
		}
		s.feed(in.name, records)
		s.settle()
	}
	s.lives.end(s)
	s.broker.heal()
	for _, m := range s.all() {
		m.wire.heal()
	}
	s.lives.release(s)
	s.settle()
	for _, m := range s.all() {
		m.stop()
	}
	s.broker.heal()
}

func (s *simulation) feed(topic string, records []task.Output) {
	s.fed = append(s.fed, simBatch{time.Now(), topic, records})
	if len(records) > 0 {
		s.cluster.Write(s.t, topic, s.partitions, records...)
	}
}

func (s *simulation) sleep(most time.Duration) {
	time.Sleep(time.Duration(s.r.Float64() * float64(most))) // of the bubble
}

// settle returns when what was written has gone through all stages, starting members anew that have
// ended.
func (s *simulation) settle() {
	s.t.Helper()
	began, most := time.Now(), time.Hour+6*s.broker.eviction // longer than all timeouts in a row
	calm, stalled, wait := 0, false, time.Second
	for was := ""; calm < 2; {
		s.revive()
		behind, ends := s.behind()
		if behind == "" && ends == was {
			calm++
		} else {
			calm = 0
		}
		was = ends
		s.broker.evict(s.t, s.client, s.plan.plan.Name, len(s.members))
		if other := s.lives.other; other != nil {
			s.broker.evict(s.t, s.client, other.plan.Name, 1)
		}
		if at := time.Since(began); at > most/2 && !stalled {
			stalled = true
			s.stall(behind)
		}
		if time.Since(began) > most {
			s.t.Fatalf("after %v: %s", most, behind)
		}
		time.Sleep(wait) // of the bubble
		wait = min(wait*3/2, 30*time.Second)
	}
}

// stall empties the group once: it may be kfake that lost a member and does not know, as a
// coordinator would that is elected anew. It is counted, and told, since it may be ours.
func (s *simulation) stall(behind string) {
	s.stalls++
	s.logf("stalled: %s", behind)
	for _, sub := range s.plan.plan.Subs {
		for p, records := range committed(s.t, s.cluster.Config(), topology.ChangelogName(s.plan.plan.Name, sub.Name)) {
			if len(records) > 0 {
				last, err := task.ParseProgress(records[len(records)-1].Value)
				require.NoError(s.t, err)
				s.logf("log of %s/%d: %+v", sub.Name, p, last)
				for topic, at := range last.Inputs {
					ends, err := s.cluster.Admin().Ends(s.t.Context(), topic, false)
					require.NoError(s.t, err)
					require.LessOrEqual(s.t, at, ends[int32(p)], "%s/%d is beyond the end of %s", sub.Name, p, topic)
				}
			}
		}
	}
	if info := s.broker.kfake.GroupInfo(s.plan.plan.Name); info != nil {
		s.logf("%+v", *info)
		s.broker.empty(s.t, s.client, info)
	}
}

// behind is what is not yet done, and where topics end.
func (s *simulation) behind() (behind, ends string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for _, plan := range s.plans() {
		for _, sub := range plan.Subs {
			for _, topic := range sub.Topics() {
				end, err := s.cluster.Admin().Ends(ctx, topic, false)
				if err != nil {
					return err.Error(), ""
				}
				at, err := s.cluster.Admin().CommittedOffsets(ctx, plan.Name, topic)
				for p := range end {
					if err != nil || at[p] != end[p] {
						behind = fmt.Sprintf("%s has committed %s up to %v (%v), want %v", plan.Name, topic, at, err,
							end)
					}
				}
				ends += fmt.Sprint(topic, end)
			}
		}
	}
	return behind, ends
}

// count adds this seed to the tally.
func (s *simulation) count(a *simTally) {
	a.seeds++
	if s.guarantee == engine.AtLeastOnce {
		a.least++
	}
	if s.calm {
		a.calm++
	}
	a.virtual += time.Since(s.fed[0].at)
	a.rows, a.commits, a.stalls = a.rows+s.rows, a.commits+s.commits, a.stalls+s.stalls
	for _, batch := range s.fed {
		a.records += len(batch.records)
	}
	mishaps := 0
	for name, n := range s.mishaps {
		a.mishaps[name] += n
		mishaps += n
	}
	s.t.Logf("%d rows, %d commits, %d mishaps, %d stalls in %v", s.rows, s.commits, mishaps, s.stalls,
		time.Since(s.fed[0].at).Round(time.Second))
}
