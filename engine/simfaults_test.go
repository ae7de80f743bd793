package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/storetest"
	"github.com/ashi-stream/ashi/topology"
)

var errDisk = errors.New("the disk does not take it")

// simMishap is one of the things that go wrong, and how often beside the others.
type simMishap struct {
	name   string
	weight int
	do     func(*simulation, *simMember)
}

var simMishaps = []simMishap{
	{"is killed", 4, func(s *simulation, m *simMember) {
		m.kill()
		s.sleep(s.pace.session)
		m.start()
	}},
	{"is stopped", 2, func(s *simulation, m *simMember) {
		m.stop()
		s.sleep(s.pace.session)
		m.start()
	}},
	// For less than a session timeout, or for longer: then it is a zombie.
	{"is paused", 2, func(s *simulation, m *simMember) { m.wire.hold(s.between(time.Second, 2*s.pace.session)) }},
	{"is cut off", 2, func(s *simulation, m *simMember) { m.wire.cut(s.between(time.Second, 2*s.pace.session)) }},
	{"has a bad disk", 1, func(s *simulation, m *simMember) { m.disk.fail(storetest.CallWrite, 1+s.r.IntN(3)) }},
	{"has a bad flush", 1, func(_ *simulation, m *simMember) { m.disk.fail(storetest.CallFlush, 1) }},
	{"sees the broker fail", 2, func(s *simulation, _ *simMember) { s.broker.fail(s.r) }},
	{"sees the broker wait", 1, func(s *simulation, _ *simMember) {
		s.broker.delay(s.r,
			s.between(time.Second, time.Minute))
	}},
	{"sends late", 3, func(s *simulation, m *simMember) {
		for range 1 + s.r.IntN(2) {
			m.sendLate(s.lateRequest(), s.between(time.Second, 3*time.Minute))
		}
	}},
}

// takeOver feeds records, and lets the commit of a member be on its way while its partitions go to
// somebody else, who is slow: which of the two comes first at the broker is a matter of
// milliseconds anywhere else.
func (s *simulation) takeOver(topic string, records []task.Output) {
	m := s.members[s.r.IntN(len(s.members))]
	s.logf("member %d commits late", m.name)
	taken := m.wire.sendLate(kmsg.EndTxn, 1, s.between(10*time.Second, 40*time.Second))
	s.feed(topic, records)
	select {
	case <-taken:
		s.mishaps["commits late"]++
	case <-time.After(2 * s.pace.commit): // it has none of the partitions
	}
	for _, other := range s.members {
		kind := []kmsg.Key{kmsg.InitProducerID, kmsg.InitProducerID, kmsg.ListOffsets, kmsg.Fetch}[s.r.IntN(4)]
		other.wire.sendLate(kind, 8, s.between(10*time.Second, time.Minute))
	}
	simRebalances[s.r.IntN(len(simRebalances))](s, m)
}

// simRebalances take m's partitions away.
var simRebalances = []func(*simulation, *simMember){
	func(s *simulation, m *simMember) { m.wire.hold(s.between(s.pace.session, 2*s.pace.session)) },
	func(s *simulation, m *simMember) {
		for _, other := range s.members {
			if other != m {
				other.stop()
				other.start()
			}
		}
	},
	func(s *simulation, _ *simMember) {
		if info := s.broker.kfake.GroupInfo(s.plan.plan.Name); info != nil {
			s.broker.empty(s.t, s.client, info)
		}
	},
}

// mishap lets something go wrong, or several things at a time.
func (s *simulation) mishap() {
	if s.calm {
		return
	}
	weights := 0
	for _, k := range simMishaps {
		weights += k.weight
	}
	for again := true; again; again = s.r.IntN(3) == 0 {
		m, x := s.members[s.r.IntN(len(s.members))], s.r.IntN(weights)
		for _, k := range simMishaps {
			if x -= k.weight; x < 0 {
				s.logf("member %d %s", m.name, k.name)
				s.mishaps[k.name]++
				k.do(s, m)
				break
			}
		}
	}
}

// lateRequest is a kind of request.
func (s *simulation) lateRequest() kmsg.Key {
	kinds := append([]kmsg.Key{kmsg.ListOffsets, kmsg.Metadata, kmsg.FindCoordinator, kmsg.LeaveGroup}, simRequests...)
	return kinds[s.r.IntN(len(kinds))]
}

// logf notes something with the time of the bubble.
func (s *simulation) logf(format string, args ...any) {
	s.t.Logf(time.Now().Format("15:04:05.000")+" "+format, args...)
}

// revive starts members anew that have ended with an error.
func (s *simulation) revive() {
	for _, m := range s.all() {
		select {
		case err := <-m.done:
			require.NotErrorIs(s.t, err, task.ErrForeign)
			require.Error(s.t, err, "member %d ended by itself", m.name)
			s.logf("member %d ended: %v", m.name, err)
			m.disk = newSimDisk(m.disk.crash(s.r))
			m.start()
		default:
		}
	}
}

// simBroker is a broker that can be told to fail. A fault ends by itself after some requests.
type simBroker struct {
	kfake    *kfake.Cluster
	network  *kfake.VirtualNetwork
	eviction time.Duration        // of those who are gone
	unstable map[string]time.Time // groups, since when
	inputs   [][16]byte           // topics that only the test writes
	log      func(format string, args ...any)
	faults   []*kfake.FaultHandle

	mu     sync.Mutex
	delays map[int16]*simDelay
}

type simDelay struct {
	left  int
	by    time.Duration
	once  sync.Once
	begun chan struct{} // closed with the first; nil where nobody waits for it
}

// simRequests are those that members make and nobody else, or that others repeat.
var simRequests = []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.OffsetCommit, kmsg.JoinGroup, kmsg.SyncGroup,
	kmsg.Heartbeat, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.EndTxn}

// simErrors are what brokers answer to them.
var simErrors = map[kmsg.Key][]*kerr.Error{
	kmsg.Produce: {kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut,
		kerr.InvalidProducerEpoch, kerr.UnknownServerError},
	kmsg.Fetch: {kerr.NotLeaderForPartition, kerr.UnknownServerError},
	kmsg.OffsetCommit: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnknownServerError,
		kerr.RebalanceInProgress},
	kmsg.JoinGroup: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.CoordinatorNotAvailable},
	kmsg.SyncGroup: {kerr.NotCoordinator, kerr.RebalanceInProgress, kerr.UnknownMemberID},
	kmsg.Heartbeat: {kerr.NotCoordinator, kerr.RebalanceInProgress, kerr.UnknownMemberID,
		kerr.IllegalGeneration},
	kmsg.InitProducerID: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.ConcurrentTransactions},
	kmsg.AddPartitionsToTxn: {kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions, kerr.InvalidProducerEpoch,
		kerr.ProducerFenced},
	kmsg.EndTxn: {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.ConcurrentTransactions,
		kerr.InvalidProducerEpoch, kerr.UnknownServerError},
}

// startSimBroker starts brokers on so many ports.
func startSimBroker(t testing.TB, ports ...int) *simBroker {
	b := &simBroker{network: new(kfake.VirtualNetwork), delays: map[int16]*simDelay{}, unstable: map[string]time.Time{}}
	var err error
	b.kfake, err = kfake.NewCluster(kfake.NumBrokers(len(ports)), kfake.Ports(ports...),
		kfake.ListenFn(b.network.Listen), kfake.GroupMinSessionTimeout(100*time.Millisecond),
		kfake.GroupMaxSessionTimeout(time.Hour),
		// Compaction would take from the logs what is compared in the end.
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1", "log.cleaner.backoff.ms": "1000000000000"}))
	require.NoError(t, err)
	t.Cleanup(func() {
		time.Sleep(time.Minute) // of the bubble: kfake cannot close while requests wait in b.control
		b.kfake.Close()
	})
	for _, key := range simRequests {
		b.kfake.ControlKey(int16(key), b.control)
	}
	return b
}

// control lets requests wait.
func (b *simBroker) control(req kmsg.Request) (kmsg.Response, error, bool) {
	b.mu.Lock()
	d := b.delays[req.Key()]
	wait := d != nil && d.left > 0 && b.ofMember(req)
	if wait {
		d.left--
	}
	b.mu.Unlock()
	if wait {
		b.kfake.SleepControl(func() { time.Sleep(d.by) }) // of the bubble
	}
	return nil, nil, false
}

// ofMember leaves out the requests of those who write the input.
func (b *simBroker) ofMember(req kmsg.Request) bool {
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		return r.TransactionID != nil || slices.ContainsFunc(r.Topics, b.written)
	case *kmsg.InitProducerIDRequest:
		return r.TransactionalID != nil
	}
	return true
}

// written says that members without transactions write the topic.
func (b *simBroker) written(t kmsg.ProduceRequestTopic) bool {
	return !slices.Contains(b.inputs, t.TopicID)
}

func (b *simBroker) fail(r *rand.Rand) {
	key := simRequests[r.IntN(len(simRequests))]
	err := simErrors[key][r.IntN(len(simErrors[key]))]
	n := 1 + r.IntN(5)
	b.log("%d answers to %s: %s", n, key.Name(), err.Message)
	b.faults = append(b.faults, b.kfake.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: n, When: b.ofMember}))
}

func (b *simBroker) delay(r *rand.Rand, by time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key, d := simRequests[r.IntN(len(simRequests))], &simDelay{left: 1 + r.IntN(4), by: by}
	b.log("%d answers to %s wait for %v", d.left, key.Name(), d.by)
	b.delays[int16(key)] = d
}

// evict takes the members out of groups that have been rebalancing for longer than any member may
// take, or have had more members than there are processes, as a real coordinator does with those
// that are gone. kfake never gives up one that is lost while it joins. The others join again.
func (b *simBroker) evict(t testing.TB, client *kgo.Client, group string, processes int) {
	info := b.kfake.GroupInfo(group)
	if info == nil || info.State == "Stable" && len(info.Members) <= processes {
		delete(b.unstable, group)
		return
	}
	since, ok := b.unstable[group]
	if !ok {
		b.unstable[group] = time.Now()
	}
	if !ok || time.Since(since) < b.eviction {
		return
	}
	delete(b.unstable, group)
	b.empty(t, client, info)
}

// empty takes all members out of a group.
func (b *simBroker) empty(t testing.TB, client *kgo.Client, info *kfake.GroupInfo) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = info.Group
	for _, m := range info.Members {
		leave := kmsg.NewLeaveGroupRequestMember()
		leave.MemberID = m.MemberID
		req.Members = append(req.Members, leave)
	}
	b.log("group %s is %s: its %d members are evicted", info.Group, info.State, len(info.Members))
	_, err := req.RequestWith(t.Context(), client)
	require.NoError(t, err)
}

func (b *simBroker) heal() {
	for _, h := range b.faults {
		h.Remove()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.delays)
}

// simMember is a process: it has a wire and a disk, and lives more than once.
type simMember struct {
	sim  *simulation
	plan *topology.Plan
	name int
	wire *simWire
	disk *simDisk
	*running
}

func (m *simMember) start() {
	s := m.sim
	level := slog.LevelError + 1
	if os.Getenv("ASHI_SIM_SEED") != "" {
		level = slog.LevelInfo
	}
	m.wire = &simWire{dial: s.broker.network.DialContext}
	instance := ""
	if s.static {
		instance = fmt.Sprint("member", m.name)
	}
	e, err := engine.New(m.plan, engine.Config{Brokers: s.cluster.Brokers, Dial: m.wire.Dial,
		CommitInterval: s.pace.commit, CheckpointInterval: s.pace.checkpoint, Guarantee: s.guarantee,
		SessionTimeout: s.pace.session, WithoutTables: "simulation", Standbys: s.standbys, InstanceID: instance,
		Log: slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: level})).With("member", m.name)})
	require.NoError(s.t, err)
	engine.OpenStores(e, m.disk.open)
	s.pace.of(engine.Connection(e))
	ctx, cancel := context.WithCancel(context.Background())
	m.running = &running{Engine: e, cancel: cancel, done: make(chan error, 1)}
	s.t.Cleanup(cancel)
	done := m.done
	go func() { done <- e.Run(ctx) }()
}

// sendLate lets the next requests of a kind, one or two, be on their way for long.
func (m *simMember) sendLate(kind kmsg.Key, by time.Duration) {
	n := 1 + m.sim.r.IntN(2)
	m.sim.logf("member %d: %d %s come after %v", m.name, n, kind.Name(), by)
	m.wire.sendLate(kind, n, by)
}

// stop ends the member as a program ends that is told to. It may fail, but must end.
func (m *simMember) stop() {
	if err := m.running.stop(); err != nil {
		m.sim.logf("member %d stopped: %v", m.name, err)
		m.disk = newSimDisk(m.disk.crash(m.sim.r))
		return
	}
	m.disk = newSimDisk(m.disk.crash(nil))
}

// kill ends the member where it is: nothing that it does on its way out reaches the broker or the
// disk, which is kept, or lost.
func (m *simMember) kill() {
	kept := m.crash(m.sim.r)
	if m.sim.r.IntN(2) == 0 {
		kept = nil
	}
	m.disk = newSimDisk(kept)
}

// crash is kill without what becomes of the disk, which it returns.
func (m *simMember) crash(r *rand.Rand) map[string]stores.Store {
	m.wire.sever()
	kept := m.disk.crash(r)
	m.cancel()
	<-m.done
	return kept
}

// simDisk is where a process keeps its stores, for one life.
type simDisk struct {
	mu     sync.Mutex
	kept   map[string]stores.Store // of the life before, not yet opened
	stores map[string]*storetest.Faulty
	dead   bool
}

func newSimDisk(kept map[string]stores.Store) *simDisk {
	return &simDisk{kept: kept, stores: map[string]*storetest.Faulty{}}
}

func storeName(changelog string, partition int32) string {
	return fmt.Sprint(changelog, "/", partition)
}

func (d *simDisk) open(changelog string, partition int32, empty bool) (stores.Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errDisk
	}
	name := storeName(changelog, partition)
	inner := d.kept[name]
	if f := d.stores[name]; f != nil {
		var err error
		if inner, err = f.Crash(0); err != nil {
			return nil, err
		}
	}
	if inner == nil || empty {
		inner = memory.New()
	}
	f, err := storetest.NewFaulty(inner)
	d.stores[name] = f
	return f, err
}

// fail makes the n-th call of each store fail.
func (d *simDisk) fail(call storetest.Call, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.stores {
		f.Fail(call, n, errDisk)
	}
}

// crash ends this life, and returns what is left for the next: what was flushed, and if r is not
// nil some of what was not.
func (d *simDisk) crash(r *rand.Rand) map[string]stores.Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	keep := 0
	if r != nil {
		keep = r.IntN(4)
	}
	left := map[string]stores.Store{}
	for name, s := range d.kept {
		left[name] = s
	}
	for name, f := range d.stores {
		s, err := f.Crash(keep)
		if err != nil {
			panic(err) // memory stores do not fail
		}
		left[name] = s
	}
	return left
}

// left is a store of the life before that nobody has opened since.
func (d *simDisk) left(changelog string, partition int32) stores.Store {
	return d.kept[storeName(changelog, partition)]
}
