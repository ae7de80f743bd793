package kafka

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// protocol is the name of the assignment: all members of a group must have it.
	protocol = "ashi"
	// userVersion is the first byte of what members tell each other beside what Kafka's consumers do.
	userVersion = 1
)

var errUserData = errors.New("kafka: user data of a member is not ours")

// assignor is the group's balancer. Cooperative: what moves is revoked in one rebalance and given in the next, and all else goes on.
// Members tell what state they have when they join; the leader divides (division.go); each is told its standbys with its assignment.
type assignor struct {
	gc        *GroupConfig
	unsettled chan struct{} // a token: this member has divided, and not as it would be balanced

	mu       sync.Mutex
	standbys []int32 // of the last assignment, ascending
}

var _ kgo.GroupBalancer = (*assignor)(nil)

func newAssignor(gc *GroupConfig) *assignor {
	return &assignor{gc: gc, unsettled: make(chan struct{}, 1)}
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
	var positions map[int32]int64
	if a.gc.Positions != nil {
		positions = a.gc.Positions()
	}
	meta.UserData = appendState(nil, positions, a.placed())
	return meta.AppendTo(nil)
}

// ParseSyncAssignment is kgo's. The standbys are the member's to ask for, when what was revoked is closed.
func (a *assignor) ParseSyncAssignment(data []byte) (map[string][]int32, error) {
	var assignment kmsg.ConsumerMemberAssignment
	if err := assignment.ReadFrom(data); err != nil {
		return nil, err
	}
	claims := make(map[string][]int32, len(assignment.Topics))
	for _, t := range assignment.Topics {
		claims[t.Topic] = t.Partitions
	}
	standbys, err := readStandbys(assignment.UserData)
	if err != nil {
		standbys = nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.standbys = slices.DeleteFunc(standbys, func(p int32) bool { return slices.Contains(claims[a.gc.Topics[0]], p) })
	return claims, nil
}

// placed is the standbys of the last assignment.
func (a *assignor) placed() []int32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.standbys
}

// MemberBalancer is kgo's.
func (a *assignor) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(a, members)
	return b, b.MemberTopics(), err
}

// Balance is kgo's; the leader calls it. A partition of a topic that has fewer than the others goes with its number's others, and
// what is missing is found by the member (member.added).
func (a *assignor) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	var n int32
	for _, count := range topics {
		n = max(n, count)
	}
	d := divide(contenders(b), n, a.gc.Standbys)
	if !slices.Equal(d.active, d.goal) {
		token(a.unsettled)
	}
	plan := &sharing{BalancePlan: b.NewPlan(), standbys: make(map[string][]int32)}
	for p := range n {
		member, _ := b.MemberAt(d.active[p])
		for topic, count := range topics {
			if p < count {
				plan.AddPartition(member, topic, p)
			}
		}
		for _, m := range d.standbys[p] {
			plan.keep(b, m, p)
		}
	}
	plan.AdjustCooperative(b)
	for p := range n {
		if member, _ := b.MemberAt(d.active[p]); !plan.gives(member.MemberID, p) {
			plan.keep(b, d.active[p], p) // its owner gives it back first: the copy stays fresh
		}
	}
	return plan
}

// contenders reads what the members say. What is no user data of ours is no state.
func contenders(b *kgo.ConsumerBalancer) []contender {
	newest := make(map[int32]int32) // by partition, the generation in which it was claimed last
	b.EachMember(func(_ *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		for _, t := range meta.OwnedPartitions {
			for _, p := range t.Partitions {
				if g, claimed := newest[p]; !claimed || meta.Generation > g {
					newest[p] = meta.Generation
				}
			}
		}
	})
	var list []contender
	b.EachMember(func(_ *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		c := contender{owned: make(map[int32]bool), standbys: make(map[int32]bool)}
		for _, t := range meta.OwnedPartitions {
			for _, p := range t.Partitions {
				c.owned[p] = meta.Generation == newest[p] // who missed rebalances may claim what was given to another since
			}
		}
		positions, standbys, err := readState(meta.UserData)
		if err == nil {
			c.positions = positions
			for _, p := range standbys {
				c.standbys[p] = true
			}
		}
		list = append(list, c)
	})
	return list
}

// sharing is a plan with standbys, by member.
type sharing struct {
	*kgo.BalancePlan
	standbys map[string][]int32
}

func (s *sharing) keep(b *kgo.ConsumerBalancer, m int, p int32) {
	member, _ := b.MemberAt(m)
	s.standbys[member.MemberID] = append(s.standbys[member.MemberID], p)
}

func (s *sharing) gives(member string, p int32) bool {
	for _, partitions := range s.AsMemberIDMap()[member] {
		if slices.Contains(partitions, p) {
			return true
		}
	}
	return false
}

// IntoSyncAssignment is kgo's.
func (s *sharing) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	list := s.BalancePlan.IntoSyncAssignment()
	for i := range list {
		var assignment kmsg.ConsumerMemberAssignment
		if err := assignment.ReadFrom(list[i].MemberAssignment); err != nil {
			continue // kgo has written it a moment ago
		}
		standbys := s.standbys[list[i].MemberID]
		slices.Sort(standbys)
		assignment.UserData = appendPartitions([]byte{userVersion}, standbys)
		list[i].MemberAssignment = assignment.AppendTo(nil)
	}
	return list
}

// appendState is what a member says of its state when it joins.
func appendState(b []byte, positions map[int32]int64, standbys []int32) []byte {
	b = append(b, userVersion)
	b = binary.AppendUvarint(b, uint64(len(positions)))
	for _, p := range slices.Sorted(maps.Keys(positions)) {
		b = binary.AppendUvarint(b, uint64(p))
		b = binary.AppendVarint(b, positions[p])
	}
	return appendPartitions(b, standbys)
}

func appendPartitions(b []byte, partitions []int32) []byte {
	b = binary.AppendUvarint(b, uint64(len(partitions)))
	for _, p := range partitions {
		b = binary.AppendUvarint(b, uint64(p))
	}
	return b
}

func readState(data []byte) (positions map[int32]int64, standbys []int32, err error) {
	r := userData{rest: data}
	r.version()
	positions = make(map[int32]int64)
	for range r.count() {
		p := r.partition()
		positions[p] = r.position()
	}
	standbys = r.partitions()
	return positions, standbys, r.end()
}

func readStandbys(data []byte) ([]int32, error) {
	r := userData{rest: data}
	r.version()
	standbys := r.partitions()
	return standbys, r.end()
}

// userData reads what another member wrote, or something else: bad is set by the first thing that cannot be, and all that follows
// is zero.
type userData struct {
	rest []byte
	bad  bool
}

func (r *userData) version() {
	r.bad = len(r.rest) == 0 || r.rest[0] != userVersion
	if !r.bad {
		r.rest = r.rest[1:]
	}
}

func (r *userData) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	return took(r, v, n)
}

func (r *userData) position() int64 {
	v, n := binary.Varint(r.rest)
	return took(r, v, n)
}

func took[T uint64 | int64](r *userData, v T, n int) T {
	if r.bad = r.bad || n <= 0; r.bad {
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count is of things that take a byte at least each.
func (r *userData) count() uint64 {
	v := r.number()
	if r.bad = r.bad || v > uint64(len(r.rest)); r.bad {
		return 0
	}
	return v
}

func (r *userData) partition() int32 {
	v := r.number()
	if r.bad = r.bad || v > 1<<31-1; r.bad {
		return 0
	}
	return int32(v)
}

func (r *userData) partitions() []int32 {
	var list []int32
	for range r.count() {
		list = append(list, r.partition())
	}
	return list
}

func (r *userData) end() error {
	if r.bad || len(r.rest) > 0 {
		return errUserData
	}
	return nil
}
