package kafka

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// protocol is the name of the assignment: all members of a group must have it.
	protocol = "ashi"
	// userVersion is the first byte of what members tell each other beside what Kafka's consumers
	// do.
	userVersion = 2
)

// assignor is the group's balancer. Cooperative: what moves is revoked in one rebalance and given
// in the next, and all else continues. Members say when they join which sub-topologies they have,
// and what state of their tasks; the leader divides the tasks of each (division.go); each member
// reads its standbys from its assignment.
type assignor struct {
	gc        *GroupConfig
	log       *slog.Logger
	unsettled chan struct{} // a token: this member has divided, and not as it would be balanced

	mu       sync.Mutex
	standbys map[string][]int32 // of the last assignment: ascending, by sub-topology
	divided  map[string]int32   // into how many tasks it divides each sub-topology
}

var _ kgo.GroupBalancer = (*assignor)(nil)

func newAssignor(gc *GroupConfig, log *slog.Logger) *assignor {
	return &assignor{gc: gc, log: log, unsettled: make(chan struct{}, 1)}
}

// ProtocolName is kgo's.
func (a *assignor) ProtocolName() string { return protocol }

// IsCooperative is kgo's.
func (a *assignor) IsCooperative() bool { return true }

// JoinGroupMetadata is kgo's.
func (a *assignor) JoinGroupMetadata(topics []string, owned map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics, meta.Generation = 2, topics, generation
	for _, topic := range slices.Sorted(maps.Keys(owned)) {
		o := kmsg.NewConsumerMemberMetadataOwnedPartition()
		o.Topic, o.Partitions = topic, owned[topic]
		meta.OwnedPartitions = append(meta.OwnedPartitions, o)
	}
	standbys := a.placed()
	states := make([]subState, 0, len(a.gc.Subs))
	for _, s := range a.gc.Subs {
		state := subState{name: s.Name, topics: s.Topics, standbys: standbys[s.Name]}
		if s.Positions != nil {
			state.positions = s.Positions()
		}
		states = append(states, state)
	}
	meta.UserData = appendStates(nil, states)
	return meta.AppendTo(nil)
}

// ParseSyncAssignment is kgo's. The standbys are the member's to ask for, when what was revoked is
// closed.
func (a *assignor) ParseSyncAssignment(data []byte) (map[string][]int32, error) {
	var assignment kmsg.ConsumerMemberAssignment
	if err := assignment.ReadFrom(data); err != nil {
		return nil, err
	}
	claims := make(map[string][]int32, len(assignment.Topics))
	for _, t := range assignment.Topics {
		claims[t.Topic] = t.Partitions
	}
	shares, err := readShares(assignment.UserData)
	if err != nil {
		shares = nil
	}
	standbys, divided := make(map[string][]int32), make(map[string]int32)
	for _, s := range a.gc.Subs {
		standbys[s.Name] = slices.DeleteFunc(shares[s.Name].standbys,
			func(p int32) bool { return slices.Contains(claims[s.Topics[0]], p) })
		if of, ok := shares[s.Name]; ok { // a leader of another plan may not know it
			divided[s.Name] = of.tasks
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.standbys, a.divided = standbys, divided
	return claims, nil
}

// short reports that the last assignment divides a sub-topology into fewer tasks than its topics
// have partitions now. It may be one of before: a coordinator gives a static member that comes back
// what it had, and asks nobody to divide.
func (a *assignor) short(partitions map[string]int32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.gc.Subs {
		for _, topic := range s.Topics {
			if tasks, ok := a.divided[s.Name]; ok && tasks < partitions[topic] {
				return true
			}
		}
	}
	return false
}

// placed is the standbys of the last assignment, by sub-topology.
func (a *assignor) placed() map[string][]int32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.standbys
}

// MemberBalancer is kgo's.
func (a *assignor) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{},
	error) {
	b, err := kgo.NewConsumerBalancer(a, members)
	return b, b.MemberTopics(), err
}

// Balance is kgo's; the leader calls it. A partition of a topic that has fewer than the others goes
// with its number's others, and what is missing is found by the member (coPartitioned).
func (a *assignor) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	plan := &sharing{BalancePlan: b.NewPlan(), standbys: make(map[string]map[string][]int32)}
	var spares spares
	for _, s := range a.shared(membersOf(b)) {
		var n int32
		for _, topic := range s.topics {
			n = max(n, topics[topic])
		}
		s.division = divide(s.contenders, n, a.gc.Standbys, spares.of(s.members))
		if !slices.Equal(s.active, s.goal) {
			token(a.unsettled)
		}
		for p := range n {
			for _, topic := range s.topics {
				if p < topics[topic] {
					member, _ := b.MemberAt(s.members[s.active[p]])
					plan.AddPartition(member, topic, p)
				}
			}
			for _, m := range s.standbys[p] {
				plan.keep(b, s, m, p)
			}
		}
		plan.subs = append(plan.subs, s)
	}
	plan.AdjustCooperative(b)
	for _, s := range plan.subs {
		for p := range int32(len(s.active)) {
			if member, _ := b.MemberAt(s.members[s.active[p]]); !plan.gives(member.MemberID, s.topics[0], p) {
				plan.keep(b, s, s.active[p], p) // its owner gives it back first: the copy stays fresh
			}
		}
	}
	return plan
}

// sub is a sub-topology that is to be shared out by those members that have it.
type sub struct {
	name       string
	topics     []string
	members    []int // their indexes in the group, ascending
	contenders []contender
	division   // of indexes of members
}

// shared is the sub-topologies of all members, in the order of their names. Members of different
// versions of a program may differ in what reads a topic. No topic can be read twice in a group, so
// what more members have goes first, and the rest waits until the others have ended.
func (a *assignor) shared(all []joiner) []*sub {
	found := make(map[string]*sub)
	for _, j := range all {
		for _, state := range j.states {
			key := strings.Join(append([]string{state.name}, state.topics...), "\x00")
			if found[key] == nil {
				found[key] = &sub{name: state.name, topics: state.topics}
			}
			s := found[key]
			s.members = append(s.members, j.index)
			s.contenders = append(s.contenders, contenderOf(j, state, all))
		}
	}
	subs := slices.SortedFunc(maps.Values(found), func(a, b *sub) int {
		return cmp.Or(cmp.Compare(len(b.members), len(a.members)), cmp.Compare(a.name, b.name),
			slices.Compare(a.topics, b.topics))
	})
	taken := make(map[string]bool)
	subs = slices.DeleteFunc(subs, func(s *sub) bool {
		for _, name := range append([]string{"\x00" + s.name}, s.topics...) {
			if taken[name] {
				a.log.Warn(
					"kafka: members of the group have different plans: tasks of the fewer wait until the others "+
						"have ended", "group", a.gc.ID, "sub", s.name, "topics", s.topics)
				return true
			}
		}
		for _, name := range append([]string{"\x00" + s.name}, s.topics...) {
			taken[name] = true
		}
		return false
	})
	slices.SortFunc(subs, func(a, b *sub) int { return cmp.Compare(a.name, b.name) })
	return subs
}

// joiner is what a member said when it joined.
type joiner struct {
	index      int
	generation int32
	owned      map[string][]int32 // by topic
	states     []subState
}

// membersOf reads what the members said. One whose user data is not ours has no sub-topology, and
// is given nothing.
func membersOf(b *kgo.ConsumerBalancer) (all []joiner) {
	b.EachMember(func(_ *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		j := joiner{index: len(all), generation: meta.Generation, owned: make(map[string][]int32)}
		for _, t := range meta.OwnedPartitions {
			j.owned[t.Topic] = t.Partitions
		}
		states, err := readStates(meta.UserData)
		for _, s := range states {
			if err == nil && !slices.ContainsFunc(s.topics,
				func(topic string) bool { return !slices.Contains(meta.Topics, topic) }) {
				j.states = append(j.states, s)
			}
		}
		all = append(all, j)
	})
	return all
}

// contenderOf is a member's side of a sub-topology. A claim counts only if nobody claims the
// partition in a newer generation: who missed rebalances may claim what was given to another since.
func contenderOf(j joiner, state subState, all []joiner) contender {
	c := contender{owned: make(map[int32]bool), standbys: make(map[int32]bool), positions: state.positions}
	for _, topic := range state.topics {
		for _, p := range j.owned[topic] {
			c.owned[p] = !slices.ContainsFunc(all, func(other joiner) bool {
				return other.generation > j.generation && slices.Contains(other.owned[topic], p)
			})
		}
	}
	for _, p := range state.standbys {
		c.standbys[p] = true
	}
	return c
}

// sharing is a plan with standbys, by member and sub-topology.
type sharing struct {
	*kgo.BalancePlan
	subs     []*sub
	standbys map[string]map[string][]int32
}

// keep names member m of s for a copy of partition p.
func (s *sharing) keep(b *kgo.ConsumerBalancer, of *sub, m int, p int32) {
	member, _ := b.MemberAt(of.members[m])
	if s.standbys[member.MemberID] == nil {
		s.standbys[member.MemberID] = make(map[string][]int32)
	}
	s.standbys[member.MemberID][of.name] = append(s.standbys[member.MemberID][of.name], p)
}

func (s *sharing) gives(member, topic string, p int32) bool {
	return slices.Contains(s.AsMemberIDMap()[member][topic], p)
}

// IntoSyncAssignment is kgo's.
func (s *sharing) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	list := s.BalancePlan.IntoSyncAssignment()
	for i := range list {
		var assignment kmsg.ConsumerMemberAssignment
		if err := assignment.ReadFrom(list[i].MemberAssignment); err != nil {
			continue // kgo has written it a moment ago
		}
		shares := make(map[string]share)
		for _, sub := range s.subs {
			shares[sub.name] = share{int32(len(sub.active)), s.standbys[list[i].MemberID][sub.name]}
		}
		assignment.UserData = appendShares(nil, shares)
		list[i].MemberAssignment = assignment.AppendTo(nil)
	}
	return list
}
