package engine_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
)

var simMinutes = flag.Int("sim.minutes", 0, "run TestSimulation for so many minutes")

var errSimRow = errors.New("a row that cannot be joined")

const (
	simGrace  = 3 * time.Minute // more than two phases of tame topics that follow each other span
	simSettle = time.Hour       // of virtual time: longer than all timeouts in a row

	simStall = 20 * time.Minute

	simSession  = 20 * time.Second
	simEviction = 3 * time.Minute // more than the rebalance timeout, which is five of these
)

// Random plans on random input, with members and brokers that fail in all ways that a seed draws, in virtual time: what is committed in the
// end is what the driver of enginetest makes of the same input without any fault, and the log keeps its invariants.
//
// ASHI_SIM_SEED runs one seed again.
func TestSimulation(t *testing.T) {
	if os.Getenv("ASHI_SIM_SEED") != "" {
		runSimulation(t, simSeed(t))
		return
	}
	first, seeds := rand.Uint64(), 12
	if testing.Short() {
		seeds = 2
	}
	began := time.Now()
	last := began
	for n := 0; ; n++ {
		if *simMinutes == 0 && n == seeds || *simMinutes > 0 && time.Since(began) > time.Duration(*simMinutes)*time.Minute {
			t.Logf("%d seeds from %d on", n, first)
			return
		}
		seed := first + uint64(n)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { runSimulation(t, seed) }) {
			t.Fatalf("seed %d of %d failed: run it again with ASHI_SIM_SEED=%d go test ./engine -run '^TestSimulation$' -v", n+1, n+1, seed)
		}
		if *simMinutes > 0 && time.Since(last) > time.Minute {
			last = time.Now()
			fmt.Fprintf(os.Stderr, "simulate: %d seeds from %d on, no difference, %v\n", n+1, first, time.Since(began).Round(time.Second))
		}
	}
}

func runSimulation(t *testing.T, seed uint64) {
	t.Logf("ASHI_SIM_SEED=%d", seed)
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, seed)
		for range 4 + s.r.IntN(12) {
			s.phase()
		}
		s.end()
		s.compare()
	})
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
	commit     time.Duration // interval
	standbys   int
	static     bool // members have an InstanceID
	members    []*simMember
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
	s := &simulation{t: t, r: rand.New(rand.NewPCG(seed, 5)), next: time.Now()}
	s.plan = newSimPlan(t, s.r)
	s.partitions = 1 + s.r.Int32N(4)
	s.commit = []time.Duration{200 * time.Millisecond, time.Second, 5 * time.Second}[s.r.IntN(3)]
	more := rand.New(rand.NewPCG(seed, 9)) // of its own, so that older seeds stay what they were
	s.standbys, s.static = more.IntN(3), more.IntN(4) == 0
	t.Logf("%q, %d partitions, commits each %v, %d standbys, static %v", s.plan.parts, s.partitions, s.commit, s.standbys, s.static)
	s.broker = startSimBroker(t)
	s.broker.log = s.logf
	s.cluster = kafkatest.Dialed(t, s.broker.network.DialContext, s.broker.kfake.ListenAddrs()...)
	var err error
	s.client, err = kgo.NewClient(kgo.SeedBrokers(s.cluster.Brokers...), kgo.Dialer(s.cluster.Dial))
	require.NoError(t, err)
	t.Cleanup(s.client.Close)
	for _, in := range s.plan.inputs {
		s.cluster.Topic(t, in.name, s.partitions)
	}
	for i := range 1 + s.r.IntN(3) {
		m := &simMember{sim: s, name: i, disk: newSimDisk(nil)}
		s.members = append(s.members, m)
		m.start()
	}
	return s
}

// phase writes to each topic, a topic at a time, while things go wrong.
func (s *simulation) phase() {
	if now := time.Now(); now.After(s.next) {
		s.next = now
	}
	s.next = s.next.Truncate(time.Millisecond)
	for _, in := range s.plan.inputs {
		s.feed(in.name, s.plan.records(s.t, in, s.next))
		for range s.r.IntN(3) {
			s.sleep(2 * s.commit)
			s.mishap()
		}
		s.settle()
	}
	s.next = s.next.Add(time.Minute)
	if s.r.IntN(6) == 0 {
		s.next = s.next.Add(time.Duration(s.r.Int64N(int64(30 * time.Minute))))
	}
	time.Sleep(time.Until(s.next))
}

// end lets everything heal, writes what closes windows in most partitions, and ends the members.
func (s *simulation) end() {
	s.next = s.next.Add(20 * time.Minute)
	time.Sleep(time.Until(s.next))
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
	s.broker.heal()
	for _, m := range s.members {
		m.wire.heal()
	}
	s.settle()
	for _, m := range s.members {
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

func (s *simulation) sleep(most time.Duration) { time.Sleep(time.Duration(s.r.Int64N(int64(most)))) }

// settle returns when what was written has gone through all stages, starting members anew that have ended.
func (s *simulation) settle() {
	s.t.Helper()
	began := time.Now()
	calm, stalled := 0, false
	for was := ""; calm < 2; {
		s.revive()
		behind, ends := s.behind()
		if behind == "" && ends == was {
			calm++
		} else {
			calm = 0
		}
		was = ends
		for _, sub := range s.plan.plan.Subs {
			s.broker.evict(s.t, s.client, s.plan.plan.Name+"-"+sub.Name, len(s.members))
		}
		if at := time.Since(began); at > simStall && !stalled {
			stalled = true
			s.stall(behind)
		}
		if time.Since(began) > simSettle {
			s.t.Fatalf("after %v: %s", simSettle, behind)
		}
		time.Sleep(min(s.commit, time.Second))
	}
}

// stall empties all groups once: it may be kfake that lost a member and does not know, as a coordinator would that is elected anew. It is
// counted, and told, since it may be ours.
func (s *simulation) stall(behind string) {
	s.broker.stalls++
	s.logf("stalled: %s", behind)
	for _, sub := range s.plan.plan.Subs {
		for p, records := range committed(s.t, s.cluster.Config(), s.plan.plan.Name+"-"+sub.Name+"-changelog") {
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
		if info := s.broker.kfake.GroupInfo(s.plan.plan.Name + "-" + sub.Name); info != nil {
			s.logf("%+v", *info)
			s.broker.empty(s.t, s.client, info)
		}
	}
}

// behind is what is not yet done, and where topics end.
func (s *simulation) behind() (behind, ends string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for _, sub := range s.plan.plan.Subs {
		group := s.plan.plan.Name + "-" + sub.Name
		for _, topic := range sub.Topics() {
			end, err := s.cluster.Admin().Ends(ctx, topic, false)
			if err != nil {
				return err.Error(), ""
			}
			at, err := s.cluster.Admin().CommittedOffsets(ctx, group, topic)
			for p := range end {
				if err != nil || at[p] != end[p] {
					behind = fmt.Sprintf("%s has committed %s up to %v (%v), want %v", group, topic, at, err, end)
				}
			}
			ends += fmt.Sprint(topic, end)
		}
	}
	return behind, ends
}

// compare holds outputs against the driver's, and the log against what it must be.
func (s *simulation) compare() {
	d := enginetest.NewWith(s.t, s.plan.plan, enginetest.Options{Partitions: s.partitions, Start: s.fed[0].at, Ahead: time.Hour})
	now := s.fed[0].at
	for _, batch := range s.fed {
		d.Advance(batch.at.Sub(now))
		now = batch.at
		var records []enginetest.Record
		for _, r := range batch.records {
			records = append(records, enginetest.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp})
		}
		d.AddRaw(batch.topic, records...)
	}
	rows := 0
	for _, out := range s.plan.outputs {
		for p, got := range committed(s.t, s.cluster.Config(), out.topic) {
			want := d.Partition(out.topic, int32(p))
			rows += len(want)
			var have []enginetest.Record
			for _, r := range got {
				have = append(have, enginetest.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp})
			}
			require.Equal(s.t, simRows(want, out.last), simRows(have, out.last), "%s, partition %d", out.topic, p)
		}
	}
	commits := 0
	for _, sub := range s.plan.plan.Subs {
		changelog := s.plan.plan.Name + "-" + sub.Name + "-changelog"
		for p, records := range committed(s.t, s.cluster.Config(), changelog) {
			commits += s.checkLog(changelog, int32(p), records)
		}
	}
	s.t.Logf("%d rows, %d commits, %d mishaps, %d stalls in %v", rows, commits, s.broker.mishaps, s.broker.stalls, time.Since(s.fed[0].at).Round(time.Second))
}

// simRows is rows in an order of their own, as text: all of them, with their times, or the last of each key.
func simRows(records []enginetest.Record, last bool) []string {
	if last {
		rows := map[string]enginetest.Record{}
		for _, r := range records {
			if rows[string(r.Key)] = r; r.Value == nil {
				delete(rows, string(r.Key))
			}
		}
		records = nil
		for _, r := range rows {
			r.Timestamp = 0
			records = append(records, r)
		}
	}
	slices.SortFunc(records, func(a, b enginetest.Record) int {
		return cmp.Or(bytes.Compare(a.Key, b.Key), bytes.Compare(a.Value, b.Value), cmp.Compare(a.Timestamp, b.Timestamp))
	})
	text := make([]string, len(records))
	for i, r := range records {
		text[i] = fmt.Sprintf("%q %s %d", r.Key, r.Value, r.Timestamp)
	}
	return text
}

// checkLog holds a changelog against its invariants, and against the stores that were closed well: commits are numbered without a gap,
// which no row of a fenced task can keep to; positions never go back; and a store holds what the log says.
func (s *simulation) checkLog(changelog string, partition int32, records []task.Record) (commits int) {
	var last task.Progress
	open := 0 // rows since the last commit record
	for _, r := range records {
		if open++; !bytes.Equal(r.Key, task.ProgressKey) {
			continue
		}
		p, err := task.ParseProgress(r.Value)
		require.NoError(s.t, err)
		require.Equal(s.t, last.Sequence+1, p.Sequence, "%s/%d: the commit at offset %d", changelog, partition, r.Offset)
		require.GreaterOrEqual(s.t, p.Rows, last.Rows, "%s/%d: rows at offset %d", changelog, partition, r.Offset)
		for topic, at := range last.Inputs {
			require.GreaterOrEqual(s.t, p.Inputs[topic], at, "%s/%d: %s at offset %d", changelog, partition, topic, r.Offset)
		}
		for name, at := range last.StreamTimes {
			require.GreaterOrEqual(s.t, p.StreamTimes[name], at, "%s/%d: stream time of %s at offset %d", changelog, partition, name, r.Offset)
		}
		last, open = *p, 0
		commits++
	}
	require.Zero(s.t, open, "%s/%d: rows without a commit record", changelog, partition)
	s.checkStores(changelog, partition, records)
	return commits
}

func (s *simulation) checkStores(changelog string, partition int32, records []task.Record) {
	for _, m := range s.members {
		kept := m.disk.left(changelog, partition)
		if kept == nil {
			continue
		}
		at, ok, err := task.NewRestorer(kept).Position()
		require.NoError(s.t, err)
		if !ok {
			continue
		}
		restored := memory.New()
		here := records // others may have gone on
		for len(here) > 0 && here[len(here)-1].Offset >= at {
			here = here[:len(here)-1]
		}
		require.NoError(s.t, task.NewRestorer(restored).Apply(here, at))
		require.Equal(s.t, storedRows(s.t, restored), storedRows(s.t, kept), "%s/%d: the store of member %d at %d", changelog, partition, m.name, at)
		require.NoError(s.t, restored.Close())
	}
}

// storedRows is what a store holds, without what a task notes there for itself: the index of sessions, whose rows have no values, and since
// when its position stands, which is behind that.
func storedRows(t testing.TB, s stores.Store) map[string]string {
	rows := map[string]string{}
	for e, err := range s.Scan(nil, nil) {
		require.NoError(t, err)
		if bytes.Equal(e.Key, stores.MetaKey("position")) {
			e.Value = e.Value[:8]
		}
		if len(e.Value) > 0 {
			rows[fmt.Sprintf("%x", e.Key)] = fmt.Sprintf("%x", e.Value)
		}
	}
	return rows
}
