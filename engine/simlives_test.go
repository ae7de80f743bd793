package engine_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// simLives are faults of who is who: a store that is of another partition or of an earlier life,
// another application whose name runs into this one's, a function that hangs, and, after the day,
// topics that are made again or grow. They draw from numbers of their own, so that older seeds meet
// what they met.
type simLives struct {
	r     *rand.Rand
	older map[string]stores.Store // a disk that a member had once
	other *simOther               // nil: there is none
}

func newSimLives(seed uint64) *simLives { return &simLives{r: rand.New(rand.NewPCG(seed, 13))} }

func (l *simLives) begin(s *simulation) {
	if !s.calm && l.r.IntN(3) == 0 {
		l.other = newSimOther(s)
	}
}

// mishap gives a member the wrong disk.
func (l *simLives) mishap(s *simulation) {
	if l.r.IntN(6) > 0 {
		return
	}
	m := s.members[l.r.IntN(len(s.members))]
	kept := m.crash(l.r)
	if names := slices.Sorted(maps.Keys(kept)); l.r.IntN(2) == 0 && len(names) > 1 {
		l.r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		s.logf("member %d finds %s and %s in each other's place", m.name, names[0], names[1])
		s.mishaps["finds its folders swapped"]++
		kept[names[0]], kept[names[1]] = kept[names[1]], kept[names[0]]
	} else {
		kept, l.older = l.older, copyStores(s.t, kept)
		s.logf("member %d has an older disk, of %d stores", m.name, len(kept))
		s.mishaps["has an older disk"]++
	}
	m.disk = newSimDisk(kept)
	m.start()
}

func copyStores(t testing.TB, of map[string]stores.Store) map[string]stores.Store {
	all := map[string]stores.Store{}
	for name, from := range of {
		b := &stores.Batch{}
		for e, err := range from.Scan(nil, nil) {
			require.NoError(t, err)
			b.Put(bytes.Clone(e.Key), bytes.Clone(e.Value))
		}
		to := memory.New()
		require.NoError(t, to.Write(b))
		all[name] = to
	}
	return all
}

// simGate is where the functions of all plans come by.
var simGate simGateway

// simGateway holds up one function that comes by while it is armed. Seeds run one after another,
// and the oracle's driver when nothing is armed.
type simGateway struct {
	mu    sync.Mutex
	armed chan struct{} // nil: it is not; closed when who was held may go on
	held  bool
}

func (g *simGateway) pass() {
	g.mu.Lock()
	wait := g.armed
	if wait != nil && g.held {
		wait = nil
	}
	g.held = g.held || wait != nil
	g.mu.Unlock()
	if wait != nil {
		<-wait
	}
}

// hang lets a function of the plan hang from now on, for as long as the day lasts: its member must
// end without it.
func (l *simLives) hang(s *simulation) {
	if s.calm || l.r.IntN(16) > 0 {
		return
	}
	simGate.mu.Lock()
	defer simGate.mu.Unlock()
	if simGate.armed != nil {
		return
	}
	s.logf("a function hangs")
	simGate.armed = make(chan struct{})
}

// release lets a function that hangs return: what its task makes of that is nobody's any more.
func (l *simLives) release(s *simulation) {
	simGate.mu.Lock()
	defer simGate.mu.Unlock()
	if simGate.armed != nil {
		close(simGate.armed)
		if simGate.held {
			s.mishaps["has a function that hangs"]++
		}
	}
	simGate.armed, simGate.held = nil, false
}

// all is the members of both applications.
func (s *simulation) all() []*simMember {
	if s.lives.other == nil {
		return s.members
	}
	return append(slices.Clip(s.members), s.lives.other.member)
}

func (s *simulation) plans() []*topology.Plan {
	all := []*topology.Plan{s.plan.plan}
	if s.lives.other != nil {
		all = append(all, s.lives.other.plan)
	}
	return all
}

// simOther is another application on the same cluster. Its name and that of its sub-topology, with
// a hyphen between, are those of this one. It has a step without state too, whose topic grows.
type simOther struct {
	plan    *topology.Plan
	member  *simMember
	topic   string // that it counts
	growing int32  // partitions of otherSteps
	rows    []simRow
	copied  []string // IDs of rows of otherSteps
}

const otherSteps = "steps"

func newSimOther(s *simulation) *simOther {
	i := slices.IndexFunc(s.plan.plan.Subs, func(sub *topology.SubTopology) bool {
		return strings.Contains(sub.Name,
			"-")
	})
	sub := s.plan.plan.Subs[i].Name
	cut := strings.LastIndex(sub, "-")
	o := &simOther{topic: sub[cut+1:], growing: 1}
	b := dsl.New(s.plan.plan.Name + "-" + sub[:cut])
	dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[simRow](b, o.topic)), windows.Minutes(1).Grace(simGrace),
		simStatOf).As("others").
		Final().Named(func(windows.Kind) string { return "others" })
	dsl.Stream[simRow](b, otherSteps).Filter(func(*simRow) (bool, error) { return true, nil }).To("copied")
	var err error
	o.plan, err = b.Build()
	require.NoError(s.t, err)
	require.True(s.t, slices.ContainsFunc(o.plan.Subs, func(other *topology.SubTopology) bool {
		return o.plan.Name+"-"+other.Name == s.plan.plan.Name+"-"+sub
	}), "names that run into each other")
	for topic, partitions := range map[string]int32{o.topic: s.partitions, otherSteps: o.growing} {
		s.cluster.Topic(s.t, topic, partitions)
		s.broker.inputs = append(s.broker.inputs, s.broker.kfake.TopicInfo(topic).TopicID)
	}
	o.member = &simMember{sim: s, plan: o.plan, name: 9, disk: newSimDisk(nil)}
	o.member.start()
	return o
}

// feed writes what the other application reads in a phase, and lets its topic grow.
func (l *simLives) feed(s *simulation) {
	o := l.other
	if o == nil {
		return
	}
	if l.r.IntN(6) == 0 && o.growing < 5 {
		o.growing += 1 + l.r.Int32N(2)
		s.logf("topic %s has %d partitions", otherSteps, o.growing)
		s.mishaps["sees a topic grow"]++
		require.NoError(s.t, s.cluster.Admin().Grow(s.t.Context(), otherSteps, o.growing))
	}
	if l.r.IntN(8) == 0 {
		o.member.disk = newSimDisk(o.member.crash(l.r))
		o.member.start()
	}
	for range l.r.IntN(6) {
		o.write(s, simRow{ID: fmt.Sprint("o", l.r.IntN(9)), N: l.r.Int64N(100),
			At: s.next.Add(time.Duration(l.r.Int64N(60_000)) * time.Millisecond)})
	}
}

func (o *simOther) write(s *simulation, row simRow) {
	value, err := s.plan.inputs[0].encode(nil, &row)
	require.NoError(s.t, err)
	record := task.Output{Key: []byte(row.ID), Value: value, Timestamp: windows.At(row.At)}
	s.cluster.Write(s.t, o.topic, s.partitions, record)
	s.cluster.Write(s.t, otherSteps, o.growing, record)
	o.rows, o.copied = append(o.rows, row), append(o.copied, string(value))
}

// end closes the other's windows.
func (l *simLives) end(s *simulation) {
	if l.other == nil {
		return
	}
	for i := range 40 {
		l.other.write(s, simRow{ID: fmt.Sprint("end", i), At: s.next.Add(time.Hour)})
	}
	s.settle()
}

// compare holds the other application's results against its rows.
func (l *simLives) compare(s *simulation) {
	if l.other == nil {
		return
	}
	want, have := map[string]int64{}, map[string]int64{}
	for _, row := range l.other.rows {
		if !strings.HasPrefix(row.ID, "end") {
			want[fmt.Sprint(row.ID, " ", windows.At(row.At.Truncate(time.Minute)))]++
		}
	}
	for _, records := range committed(s.t, s.cluster.Config(), "others") {
		for _, r := range records {
			var stat simStat
			require.NoError(s.t, codecs.JSON[simStat]().Decode(r.Value, &stat))
			name := fmt.Sprint(stat.Key, " ", windows.At(stat.Start))
			if s.exact() {
				require.NotContains(s.t, have, name, "a window is final once")
			}
			have[name] = max(have[name], stat.Rows)
		}
	}
	var copied []string
	for _, records := range committed(s.t, s.cluster.Config(), "copied") {
		for _, r := range records {
			copied = append(copied, string(r.Value))
		}
	}
	slices.Sort(copied)
	wanted := slices.Sorted(slices.Values(l.other.copied))
	if !s.exact() {
		for name, n := range want {
			require.GreaterOrEqual(s.t, have[name], n, name)
		}
		require.Equal(s.t, slices.Compact(wanted), slices.Compact(copied))
		return
	}
	require.Equal(s.t, want, have, "results of the other application")
	require.Equal(s.t, wanted, copied, "rows of the other application")
	s.mishaps["has a neighbour whose name runs into its own"]++
}

// simAfterlife is what happens to a topic when the day is over, which the engine must not take for
// what it knows.
type simAfterlife struct {
	name string
	do   func(s *simulation, sub *topology.SubTopology) bool // false: it cannot happen to this one
	want error
	live bool // while members run
}

var simAfterlives = []simAfterlife{
	{"finds a changelog made again", func(s *simulation, sub *topology.SubTopology) bool {
		changelog := topology.ChangelogName(s.plan.plan.Name, sub.Name)
		require.NoError(s.t, s.cluster.Admin().Delete(s.t.Context(), changelog))
		if s.lives.r.IntN(2) == 0 {
			s.cluster.Topic(s.t, changelog, s.partitions, "cleanup.policy", "compact")
		}
		return true
	}, task.ErrLogLost, false},
	{"finds an input made again", func(s *simulation, sub *topology.SubTopology) bool {
		topic := s.lives.inputOf(s, sub)
		if topic == "" {
			return false
		}
		require.NoError(s.t, s.cluster.Admin().Delete(s.t.Context(), topic))
		require.NoError(s.t, s.cluster.Admin().Ensure(s.t.Context(),
			kafka.TopicSpec{Name: topic, Partitions: s.partitions, Replication: -1}))
		s.lives.feedAgain(s, topic)
		return true
	}, task.ErrOtherTopic, false},
	{"sees its input grow", func(s *simulation, sub *topology.SubTopology) bool {
		topic := s.lives.inputOf(s, sub)
		if topic == "" || !sub.Stateful() { // without state it follows
			return false
		}
		require.NoError(s.t, s.cluster.Admin().Grow(s.t.Context(), topic, s.partitions+1))
		s.lives.feedAgain(s, topic)
		return true
	}, engine.ErrExpanded, true},
}

// inputOf is an input of a sub-topology that the test writes; empty: it has none.
func (l *simLives) inputOf(s *simulation, sub *topology.SubTopology) string {
	for _, topic := range sub.Topics() {
		if slices.ContainsFunc(s.plan.inputs, func(in *simTopic) bool { return in.name == topic }) {
			return topic
		}
	}
	return ""
}

// feedAgain writes rows that would close windows, and change tables.
func (l *simLives) feedAgain(s *simulation, topic string) {
	in := s.plan.inputs[slices.IndexFunc(s.plan.inputs, func(in *simTopic) bool { return in.name == topic })]
	var records []task.Output
	for i := range 30 {
		row := simRow{ID: fmt.Sprint("k", i), Group: fmt.Sprint("g", i), N: 5, At: s.next.Add(time.Minute)}
		value, err := in.encode(nil, &row)
		require.NoError(s.t, err)
		records = append(records, task.Output{Topic: topic, Key: []byte(row.ID), Value: value,
			Timestamp: windows.At(s.next)})
	}
	s.cluster.Write(s.t, topic, s.partitions, records...)
}

// afterlife lets members meet a topic that is not what they know, with their disks or without: a
// member ends, and says why, and nothing is written to any result.
func (l *simLives) afterlife(s *simulation) {
	if !s.exact() || s.calm || l.r.IntN(3) > 0 {
		return
	}
	a, sub := simAfterlives[l.r.IntN(len(simAfterlives))], s.plan.plan.Subs[l.r.IntN(len(s.plan.plan.Subs))]
	before := l.results(s)
	restart := func() {
		for _, m := range s.members {
			if l.r.IntN(2) == 0 {
				m.disk = newSimDisk(nil)
			}
			m.start()
		}
	}
	if a.live {
		restart()
		s.settle()
	}
	if !a.do(s, sub) {
		return
	}
	s.logf("sub-topology %s %s", sub.Name, a.name)
	s.mishaps[a.name]++
	if !a.live {
		restart()
	}
	l.requireEnd(s, a)
	require.Equal(s.t, before, l.results(s), "results after %s", a.name)
}

// requireEnd waits until all members have ended with the error, or as ones that it does not
// concern.
func (l *simLives) requireEnd(s *simulation, a simAfterlife) {
	ended := 0
	for began := time.Now(); ended == 0; time.Sleep(10 * time.Second) { // of the bubble
		require.Less(s.t, time.Since(began), 2*time.Hour, "no member says that it %s", a.name)
		for _, m := range s.members {
			select {
			case err := <-m.done:
				require.ErrorIs(s.t, err, a.want, "member %d", m.name)
				m.done <- err // for who stops it
				ended++
			default:
			}
		}
	}
	for _, m := range s.members {
		m.stop()
	}
}

// results is how many rows each result has.
func (l *simLives) results(s *simulation) map[string]int {
	n := map[string]int{}
	for _, out := range s.plan.outputs {
		for p, records := range committed(s.t, s.cluster.Config(), out.topic) {
			n[fmt.Sprint(out.topic, "/", p)] = len(records)
		}
	}
	return n
}
