package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// member is a group member on two franz-go clients: membership is a group client whose topics are
// all paused, so that it heartbeats, is assigned and commits offsets, but fetches nothing; data is
// the fetcher's. A rebalance begins and ends tenures of the partitions that it moves, and does not
// touch the others.
type member struct {
	group      *Group
	cfg        Config
	assignor   *assignor
	membership *kgo.Client
	data       *kgo.Client
	fetcher    *fetcher // of all partitions
	marks      *marks   // of all partitions
	fatal      chan error
	made       chan struct{}  // closed when the fields above are set: franz-go may call before its client is there
	serving    sync.WaitGroup // tenures
	short      atomic.Bool    // the last Refresh found that the assignment knows of too few partitions

	mu      sync.Mutex
	tenures map[taskID]*tenure
	ending  bool      // no tenure begins any more
	moving  time.Time // when partitions were taken away in the rebalance under way; zero: none were

	telling  sync.Mutex         // OnAssigned and OnStandby are called one at a time
	standbys map[string][]int32 // by sub-topology, as of the last OnStandby
}

// taskID is a task of a group: a partition of the inputs of one of its sub-topologies.
type taskID struct {
	sub       *SubTopology
	partition int32
}

func compareTasks(a, b taskID) int {
	return cmp.Or(cmp.Compare(a.sub.Name, b.sub.Name), cmp.Compare(a.partition, b.partition))
}

// newMember joins the group.
func newMember(g *Group) (*member, error) {
	m := &member{
		group: g, cfg: g.cfg, assignor: newAssignor(&g.gc, g.cfg.Logger), fatal: make(chan error, 1),
		made: make(chan struct{}), tenures: make(map[taskID]*tenure), standbys: make(map[string][]int32),
	}
	var err error
	if m.data, err = g.cfg.connect(kgo.MaxVersions(byName())); err != nil {
		return nil, err
	}
	m.fetcher = newFetcher(m.data, g.cfg.Logger, g.cfg.FetchWait, g.gc.Ahead)
	m.fetcher.resume = true
	m.fetcher.told = func(topic string, partition int32, end int64, _ time.Time) {
		if s := g.reader(topic); s.End != nil {
			s.End(topic, partition, end)
		}
	}
	m.marks = newMarks(m.commit)
	opts := []kgo.Opt{
		kgo.ConsumerGroup(g.gc.ID),
		kgo.ConsumeTopics(g.inputs()...),
		kgo.Balancers(m.assignor),
		kgo.DisableAutoCommit(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(g.cfg.SessionTimeout),
		kgo.HeartbeatInterval(g.cfg.HeartbeatInterval),
		kgo.RebalanceTimeout(g.cfg.RebalanceTimeout),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client,
			claims map[string][]int32) {
			m.onAssigned(claims)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, claims map[string][]int32) {
			m.onOver(claims, (*tenure).giveBack)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, claims map[string][]int32) {
			m.onOver(claims,
				(*tenure).abandon)
		}),
	}
	if g.gc.Instance != "" {
		opts = append(opts, kgo.InstanceID(g.gc.Instance))
	}
	if m.membership, err = g.cfg.connect(opts...); err != nil {
		m.data.Close()
		return nil, err
	}
	m.membership.PauseFetchTopics(g.inputs()...)
	close(m.made)
	return m, nil
}

// run works until ctx is done or something is fatal, which it returns, and leaves the group.
func (m *member) run(ctx context.Context) (err error) {
	aiding, stop := context.WithCancel(context.Background())
	var aids sync.WaitGroup
	aids.Go(func() { m.poll(aiding) })
	aids.Go(func() { m.marks.run(aiding, m.cfg.Logger) })
	aids.Go(func() { m.probe(aiding) })
	aids.Go(func() {
		if err := m.fetcher.run(aiding); err != nil {
			m.fail(err)
		}
	})
	select {
	case <-ctx.Done():
	case err = <-m.fatal:
	}
	m.end()
	m.leave()
	stop()
	m.membership.Close()
	m.data.Close()
	aids.Wait()
	select {
	case late := <-m.fatal: // a worker that could not be closed
		if err == nil {
			err = late
		}
	default:
	}
	return err
}

// fail ends the member; the first error counts.
func (m *member) fail(err error) {
	select {
	case m.fatal <- err:
	default:
	}
}

// end closes all workers. What the group does meanwhile begins nothing new.
func (m *member) end() {
	m.mu.Lock()
	m.ending = true
	all := slices.SortedFunc(maps.Keys(m.tenures), compareTasks)
	m.mu.Unlock()
	m.keep(nil)
	m.drop(all, (*tenure).giveBack)
	m.serving.Wait()
}

func (m *member) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := m.membership.LeaveGroupContext(ctx); err != nil {
		m.cfg.Logger.Warn("kafka: left without saying so, the others wait for the session timeout",
			"group", m.group.gc.ID, "error", err)
	}
}

// onAssigned is called by franz-go when the group has divided its partitions, with those that are
// new here, and after onOver for those that are not any more. It starts heartbeats by itself, so a
// long restore is no risk.
func (m *member) onAssigned(claims map[string][]int32) {
	<-m.made
	added, err := m.group.tasksOf(claims)
	if err != nil {
		m.fail(err)
		return
	}
	m.rebalanced()
	m.keep(m.assignor.placed())
	var fresh []*tenure
	m.mu.Lock()
	for _, id := range added {
		if m.ending || m.tenures[id] != nil {
			continue
		}
		t := newTenure(m, id)
		m.tenures[id] = t
		fresh = append(fresh, t)
	}
	m.serving.Add(len(fresh))
	m.mu.Unlock()
	m.tell()
	for _, t := range fresh {
		go func() {
			defer m.serving.Done()
			if err := t.run(); err != nil {
				m.fail(fmt.Errorf("sub-topology %s: %w", t.sub.Name, err))
			}
		}()
	}
}

// rebalanced says that a rebalance is over.
func (m *member) rebalanced() {
	m.mu.Lock()
	began := m.moving
	m.moving = time.Time{}
	m.mu.Unlock()
	if began.IsZero() {
		began = time.Now()
	}
	if m.group.gc.OnRebalance != nil {
		m.group.gc.OnRebalance(began)
	}
}

// onOver is called by franz-go with partitions that are not this member's any more; the rebalance
// goes on when it returns.
func (m *member) onOver(claims map[string][]int32, end func(*tenure)) {
	<-m.made
	var over []taskID
	for topic, partitions := range claims {
		for _, p := range partitions {
			over = append(over, taskID{m.group.reader(topic), p})
		}
	}
	if slices.SortFunc(over, compareTasks); len(over) > 0 {
		m.mu.Lock()
		if m.moving.IsZero() {
			m.moving = time.Now()
		}
		m.mu.Unlock()
		m.drop(slices.Compact(over), end)
	}
}

// drop ends tenures and waits until nothing is left of them, and until the group knows their
// offsets: later it would not take them.
func (m *member) drop(tasks []taskID, end func(*tenure)) {
	var ended []*tenure
	m.mu.Lock()
	for _, id := range tasks {
		if t := m.tenures[id]; t != nil {
			end(t)
			ended = append(ended, t)
		}
	}
	m.mu.Unlock()
	kept := false
	for _, t := range ended {
		<-t.done
		kept = kept || !t.isLost()
	}
	if kept {
		m.tellLast()
	}
	m.mu.Lock()
	for _, t := range ended {
		if m.tenures[t.id()] == t {
			delete(m.tenures, t.id())
		}
		for _, topic := range t.sub.Topics {
			m.marks.forget(topic, t.partition)
		}
	}
	m.mu.Unlock()
	m.tell()
}

// tellLast commits what was released last. A rebalance under way may refuse it for a moment.
func (m *member) tellLast() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var b backoff
	err := m.marks.tell(ctx)
	for errors.Is(err, kerr.RebalanceInProgress) && b.wait(ctx) == nil {
		err = m.marks.tell(ctx)
	}
	if err != nil {
		m.cfg.Logger.Warn("kafka: last offsets not committed", "group", m.group.gc.ID, "error", err)
	}
}

// tell says which partitions the member has.
func (m *member) tell() {
	m.telling.Lock()
	defer m.telling.Unlock()
	m.mu.Lock()
	tasks := slices.SortedFunc(maps.Keys(m.tenures), compareTasks)
	m.mu.Unlock()
	claims := 0
	for _, id := range tasks {
		claims += len(id.sub.Topics)
	}
	m.fetcher.expect(claims)
	for i := range m.group.gc.Subs {
		s := &m.group.gc.Subs[i]
		if s.OnAssigned == nil {
			continue
		}
		var partitions []int32
		for _, id := range tasks {
			if id.sub == s {
				partitions = append(partitions, id.partition)
			}
		}
		s.OnAssigned(partitions)
	}
}

// keep names the partitions, by sub-topology, of which the member is to keep copies, where they
// have changed.
func (m *member) keep(standbys map[string][]int32) {
	m.telling.Lock()
	defer m.telling.Unlock()
	m.mu.Lock()
	if m.ending {
		standbys = nil
	}
	m.mu.Unlock()
	for _, s := range m.group.gc.Subs {
		now := standbys[s.Name]
		if slices.Equal(now, m.standbys[s.Name]) {
			continue
		}
		m.standbys[s.Name] = now
		if s.OnStandby != nil {
			s.OnStandby(slices.Clone(now))
		}
	}
}

// poll takes the errors of group management; franz-go retries by itself what time can heal.
func (m *member) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := m.membership.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if hopeless(e.Err) {
				m.fail(e.Err)
				return
			}
		}
	}
}

// probe asks for a new assignment some time after one of which this member, the leader, knows that
// it is not balanced: members that copy state ask by themselves when they have it, but may have
// fallen behind again by the time that all have joined.
func (m *member) probe(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.assignor.unsettled:
		}
		if pause(ctx, probeEvery) == nil {
			m.membership.ForceRebalance()
		}
	}
}

func hopeless(err error) bool {
	for _, e := range []error{
		kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.SaslAuthenticationFailed,
		kerr.InvalidSessionTimeout, kerr.InvalidGroupID, kerr.InconsistentGroupProtocol, kerr.FencedInstanceID,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// tasksOf is the tasks whose partitions are claimed, in order.
func (g *Group) tasksOf(claims map[string][]int32) ([]taskID, error) {
	var tasks []taskID
	for i := range g.gc.Subs {
		s := &g.gc.Subs[i]
		partitions, err := coPartitioned(claims, s.Topics)
		if err != nil {
			return nil, err
		}
		for _, p := range partitions {
			tasks = append(tasks, taskID{s, p})
		}
	}
	slices.SortFunc(tasks, compareTasks)
	return tasks, nil
}

// coPartitioned is the partitions that are claimed, of every topic the same.
func coPartitioned(claims map[string][]int32, topics []string) ([]int32, error) {
	first := slices.Sorted(slices.Values(claims[topics[0]]))
	for _, topic := range topics {
		if other := slices.Sorted(slices.Values(claims[topic])); !slices.Equal(first, other) {
			return nil,
				fmt.Errorf(
					"%w: of %s partitions %v are assigned, of %s %v: the topics must have the same number of partitions", ErrTopicMismatch, topics[0], first, topic, other)
		}
	}
	return first, nil
}

// commit tells the group how far its partitions are. It does not go through franz-go's commits:
// those wait until a member that is joining has joined, and here partitions go on meanwhile.
func (m *member) commit(ctx context.Context, positions map[string]map[int32]int64) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = m.group.gc.ID
	req.MemberID, req.Generation = m.membership.GroupMetadata()
	if m.group.gc.Instance != "" {
		req.InstanceID = &m.group.gc.Instance
	}
	for topic, partitions := range positions {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = topic
		for partition, offset := range partitions {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.Metadata = partition, offset, kmsg.StringPtr(m.group.reader(topic).Notes[topic])
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, m.data)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	return err
}

// byName keeps commits of offsets at the last version that names topics: the next one wants their
// ids, which nobody else here does.
func byName() *kversion.Versions {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), 9)
	return versions
}

// probeEvery is Kafka Streams' probing.rebalance.interval.ms.
const probeEvery = 10 * time.Minute

// commitEvery is how often the group hears of positions while batches are being released, and
// commitQuiet how soon after the last of a burst.
const (
	commitEvery = time.Second
	commitQuiet = 50 * time.Millisecond
)
