package kafka

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// hands is what is in a member's hands; what is not named does not matter.
type hands struct {
	owned     []int32
	standbys  []int32
	positions map[int32]int64
}

func (h hands) contender() contender {
	c := contender{owned: make(map[int32]bool), standbys: make(map[int32]bool), positions: h.positions}
	for _, p := range h.owned {
		c.owned[p] = true
	}
	for _, p := range h.standbys {
		c.standbys[p] = true
	}
	return c
}

func dividing(n int32, standbys int, members ...hands) division {
	var list []contender
	for _, h := range members {
		list = append(list, h.contender())
	}
	return divide(list, n, standbys, noSpares(len(list)))
}

func noSpares(members int) []*int {
	var s spares
	list := make([]int, members)
	for m := range list {
		list[m] = m
	}
	return s.of(list)
}

// at is one position for several partitions.
func at(position int64, partitions ...int32) map[int32]int64 {
	m := make(map[int32]int64)
	for _, p := range partitions {
		m[p] = position
	}
	return m
}

const much = 1_000_000 // records of a changelog, far more than are quickly restored

func TestDivision(t *testing.T) {
	all := []int32{0, 1, 2, 3}
	for _, c := range []struct {
		name     string
		n        int32
		copies   int
		members  []hands
		active   []int
		standbys [][]int
	}{
		{name: "nobody has anything: balance", n: 5, members: make([]hands, 2), active: []int{0, 1, 0, 1, 0}},
		{name: "more members than partitions", n: 2, members: make([]hands, 3), active: []int{0, 1}},
		{name: "nothing moves that need not", n: 4, members: []hands{{owned: []int32{1, 2}}, {owned: []int32{0, 3}}},
			active: []int{1, 0, 0, 1}},
		{name: "one more than the others may stay", n: 3, members: []hands{{owned: []int32{2}}, {owned: []int32{0, 1}}},
			active: []int{1, 1, 0}},
		{name: "a partition without an owner goes to who has the newest state", n: 2,
			members: []hands{{positions: at(much, 0)}, {positions: at(2*much, 0)}, {}}, active: []int{1, 0}},
		{name: "and moves there from an owner that has to restore", n: 1,
			members: []hands{{owned: all[:1], positions: at(5, 0)}, {positions: at(much, 0)}}, active: []int{1},
			standbys: [][]int{nil}},
		{name: "a new member without state copies it first", n: 4,
			members: []hands{{owned: all, positions: at(much, all...)}, {}}, active: []int{0, 0, 0, 0},
			standbys: [][]int{nil, nil, {1}, {1}}},
		{name: "goes on copying what it has begun", n: 4,
			members: []hands{{owned: all, positions: at(much, all...)},
				{standbys: []int32{0, 1}, positions: at(7, 0, 1)}},
			active: []int{0, 0, 0, 0}, standbys: [][]int{{1}, {1}, nil, nil}},
		{name: "and takes over what it has", n: 4,
			members: []hands{{owned: all, positions: at(much, all...)},
				{standbys: []int32{0, 1}, positions: map[int32]int64{0: 7, 1: much - acceptableLag}}},
			active: []int{0, 1, 0, 0}, standbys: [][]int{{1}, nil, nil, nil}},
		{name: "one record more is too far behind", n: 2,
			members: []hands{{owned: all[:2], positions: at(much, 0, 1)}, {positions: at(much-acceptableLag-1, 0, 1)}},
			active:  []int{0, 0}, standbys: [][]int{nil, {1}}},
		{name: "little state is no reason to wait", n: 2,
			members: []hands{{owned: all[:2], positions: at(acceptableLag, 0, 1)}, {}}, active: []int{0, 1},
			standbys: [][]int{nil, nil}},
		{name: "standbys are with others", n: 2, copies: 1, members: []hands{{owned: all[:1]}, {owned: all[1:2]}},
			active: []int{0, 1}, standbys: [][]int{{1}, {0}}},
		{name: "as many as there are members for", n: 1, copies: 3, members: make([]hands, 3), active: []int{0},
			standbys: [][]int{{1, 2}}},
		{name: "none for a member alone", n: 2, copies: 1, members: make([]hands, 1), active: []int{0, 0},
			standbys: [][]int{nil, nil}},
		{name: "standbys stay, or are where state is", n: 3, copies: 1,
			members: []hands{{owned: all[:1], standbys: []int32{2}, positions: at(much, 0, 2)},
				{owned: all[1:2], positions: at(much, 0, 1, 2)}, {owned: all[2:3], positions: at(much, 2)}},
			active: []int{0, 1, 2}, standbys: [][]int{{1}, {2}, {0}}},
		{name: "warming up comes on top of standbys", n: 2, copies: 1,
			members: []hands{{owned: all[:2], positions: at(much, 0, 1)}, {standbys: all[:1], positions: at(much, 0)},
				{standbys: all[1:2], positions: at(much, 1)}},
			active: []int{0, 2}, standbys: [][]int{{1}, {0}}},
		{name: "a standby takes over from a member that is gone, and what runs stays", n: 2, copies: 1,
			members: []hands{{owned: all[:1], standbys: all[1:2], positions: at(much, 0, 1)},
				{standbys: all[:1], positions: at(much, 0)}},
			active: []int{0, 0}, standbys: [][]int{{1}, {1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dividing(c.n, c.copies, c.members...)
			require.Equal(t, c.active, d.active)
			if c.standbys != nil {
				require.Equal(t, c.standbys, d.standbys)
			}
		})
	}
}

// Whatever the members come with, a division keeps the rules, and once they have the state that it
// asks them to copy, the next is balanced and the last.
func TestDivisionSettles(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n, copies := int32(rng.IntN(12)+1), rng.IntN(4)
		members := make([]contender, rng.IntN(5)+1)
		for m := range members {
			members[m] = hands{positions: make(map[int32]int64)}.contender()
		}
		for p := range n {
			if owner := rng.IntN(len(members) + 1); owner < len(members) {
				members[owner].owned[p] = true
			}
			for _, c := range members {
				if rng.IntN(2) == 0 {
					c.positions[p] = int64(rng.IntN(4)) * much
				}
				c.standbys[p] = rng.IntN(3) == 0 && !c.owned[p]
			}
		}
		var last division
		for round := range 6 {
			d := divide(members, n, copies, noSpares(len(members)))
			requireRules(t, members, d, copies, seed)
			if round == 5 {
				require.Equal(t, last, d, "seed %d: it goes on moving", seed)
				require.Equal(t, d.goal, d.active, "seed %d", seed)
			}
			last = d
			settle(members, d)
		}
	}
}

func requireRules(t *testing.T, members []contender, d division, copies int, seed uint64) {
	t.Helper()
	actives, goals, standbys := make([]int, len(members)), make([]int, len(members)), make([]int, len(members))
	for p := range d.active {
		highest := int64(0)
		for _, c := range members {
			highest = max(highest, c.positions[int32(p)])
		}
		a := d.active[p]
		require.LessOrEqual(t, highest-members[a].positions[int32(p)], int64(acceptableLag), "seed %d partition %d",
			seed, p)
		require.NotContains(t, d.standbys[p], a, "seed %d partition %d", seed, p)
		want := min(copies, len(members)-1)
		if d.goal[p] != a {
			require.Contains(t, d.standbys[p], d.goal[p], "seed %d partition %d", seed, p)
			want = min(want+1, len(members)-1)
		}
		require.Len(t, d.standbys[p], want, "seed %d partition %d", seed, p)
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(d.standbys[p]))), want, "seed %d partition %d", seed,
			p)
		actives[a]++
		goals[d.goal[p]]++
		for _, m := range d.standbys[p] {
			standbys[m]++
		}
	}
	require.LessOrEqual(t, slices.Max(goals)-slices.Min(goals), 1, "seed %d", seed)
	if slices.Equal(d.goal, d.active) {
		require.LessOrEqual(t, slices.Max(actives)-slices.Min(actives), 1, "seed %d", seed)
		require.LessOrEqual(t, slices.Max(standbys)-slices.Min(standbys), 1, "seed %d: %v", seed, d)
	}
}

// settle is what members are after a division, when everyone has caught up. What moves has no owner
// then, and is given in the next.
func settle(members []contender, d division) {
	for p := range int32(len(d.active)) {
		free := true
		for m, c := range members {
			if c.owned[p] && m != d.active[p] {
				free = false
				delete(c.owned, p)
				c.positions[p] = 4 * much
			}
		}
		copying := d.standbys[p]
		if free {
			members[d.active[p]].owned[p] = true
			members[d.active[p]].positions[p] = 4 * much
		} else {
			copying = append(slices.Clone(copying), d.active[p])
		}
		for m, c := range members {
			if c.standbys[p] = slices.Contains(copying, m); c.standbys[p] {
				c.positions[p] = 4*much - int64(m)
			}
		}
	}
}

// joined is a member's join as a leader sees it.
func joined(id string, a *assignor, owned map[string][]int32, generation int32) kmsg.JoinGroupResponseMember {
	m := kmsg.NewJoinGroupResponseMember()
	var topics []string
	for _, s := range a.gc.Subs {
		topics = append(topics, s.Topics...)
	}
	m.MemberID, m.ProtocolMetadata = id, a.JoinGroupMetadata(topics, owned, generation)
	return m
}

// balanced is what the leader tells each member: its partitions of each topic, and its standbys by
// sub-topology.
func balanced(t *testing.T, a *assignor, topics map[string]int32,
	members ...kmsg.JoinGroupResponseMember) (given map[string]map[string][]int32,
	standbys map[string]map[string][]int32) {
	t.Helper()
	b, named, err := a.MemberBalancer(members)
	require.NoError(t, err)
	require.Len(t, named, len(topics))
	plan, err := b.(kgo.GroupMemberBalancerOrError).BalanceOrError(topics)
	require.NoError(t, err)
	given, standbys = make(map[string]map[string][]int32), make(map[string]map[string][]int32)
	for _, g := range plan.IntoSyncAssignment() {
		told := newAssignor(a.gc, slog.Default())
		given[g.MemberID], err = told.ParseSyncAssignment(g.MemberAssignment)
		require.NoError(t, err)
		standbys[g.MemberID] = told.placed()
	}
	return given, standbys
}

func assigning(subs ...SubTopology) *assignor {
	return newAssignor(&GroupConfig{ID: "app", Subs: subs}, slog.New(slog.DiscardHandler))
}

func TestAssignment(t *testing.T) {
	topics := map[string]int32{"x": 2, "y": 2}
	a := assigning(SubTopology{Name: "xy", Topics: []string{"x", "y"}})
	both := map[string][]int32{"x": {0, 1}, "y": {0, 1}}

	t.Run("what moves is revoked first, and copied until it is given", func(t *testing.T) {
		given, standbys := balanced(t, a, topics, joined("a", a, both, 3), joined("b", a, nil, -1))
		require.Equal(t, map[string]map[string][]int32{"a": {"x": {0}, "y": {0}}, "b": {}}, given)
		require.Equal(t, []int32{1}, standbys["b"]["xy"])
		given, standbys = balanced(t, a, topics, joined("a", a, map[string][]int32{"x": {0}, "y": {0}}, 4),
			joined("b", a, nil, 4))
		require.Equal(t, map[string]map[string][]int32{"a": {"x": {0}, "y": {0}}, "b": {"x": {1}, "y": {1}}}, given)
		require.Empty(t, standbys["b"]["xy"])
	})
	t.Run("a claim of an older generation is none", func(t *testing.T) {
		given, _ := balanced(t, a, topics, joined("a", a, both, 3), joined("b", a, both, 4))
		require.Empty(t, given["a"], "b has them, and gives one back first")
	})
	t.Run("a member whose user data is not ours is given nothing", func(t *testing.T) {
		rich := assigning(SubTopology{Name: "xy", Topics: []string{"x", "y"},
			Positions: func() map[int32]int64 { return at(much, 0, 1) }})
		good := appendStates(nil, []subState{{name: "xy", topics: []string{"x", "y"}, positions: at(9*much, 0)}})
		for _, data := range [][]byte{nil, {}, {1}, {9, 1}, {userVersion}, {userVersion, 200}, {userVersion, 1, 0, 128},
			{userVersion, 1, 1, 'x', 0, 0, 0}, good[:len(good)-1], append(slices.Clone(good), 7)} {
			given, standbys := balanced(t, a, topics, joined("a", rich, both, 3), saying("b", []string{"x", "y"}, data))
			require.Equal(t, map[string]map[string][]int32{"a": both, "b": {}}, given, "%v", data)
			require.Empty(t, standbys["b"]["xy"], "%v", data)
		}
	})
	t.Run("a sub-topology whose inputs the member does not subscribe to is none of its", func(t *testing.T) {
		data := appendStates(nil, []subState{{name: "xy", topics: []string{"x", "y"}}})
		given, _ := balanced(t, a, topics, joined("a", a, both, 3), saying("b", []string{"x"}, data))
		require.Equal(t, map[string]map[string][]int32{"a": both, "b": {}}, given)
	})
	t.Run("an assignment with foreign user data has no standbys", func(t *testing.T) {
		assignment := kmsg.ConsumerMemberAssignment{UserData: []byte{userVersion, 3, 1}}
		_, err := a.ParseSyncAssignment(assignment.AppendTo(nil))
		require.NoError(t, err)
		require.Empty(t, a.placed()["xy"])
	})
	t.Run("state is read as it was written", func(t *testing.T) {
		states := []subState{{name: "xy", topics: []string{"x", "y"}, positions: map[int32]int64{0: 0, 7: 1 << 40,
			300: -1}, standbys: []int32{2, 1000}},
			{name: "z", topics: []string{"z"}, positions: map[int32]int64{}}}
		read, err := readStates(appendStates(nil, states))
		require.NoError(t, err)
		require.Equal(t, states, read)
	})
}

// saying is a member's join with made-up user data.
func saying(id string, topics []string, data []byte) kmsg.JoinGroupResponseMember {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics, meta.UserData = 1, topics, data
	m := kmsg.NewJoinGroupResponseMember()
	m.MemberID, m.ProtocolMetadata = id, meta.AppendTo(nil)
	return m
}

// Each sub-topology is shared out evenly, and so are all of them together: nobody has all that is
// left over.
func TestAssignmentOfManySubTopologies(t *testing.T) {
	topics := map[string]int32{}
	var subs []SubTopology
	for i := range 5 {
		name := fmt.Sprintf("t%d", i)
		topics[name] = int32(i%3 + 1)
		subs = append(subs, SubTopology{Name: name, Topics: []string{name}})
	}
	a := assigning(subs...)
	owned := map[string]map[string][]int32{"a": nil, "b": nil}
	owned["a"] = map[string][]int32{}
	for topic, n := range topics {
		for p := range n {
			owned["a"][topic] = append(owned["a"][topic], p)
		}
	}
	for generation := int32(3); generation < 6; generation++ {
		owned, _ = balanced(t, a, topics, joined("a", a, owned["a"], generation),
			joined("b", a, owned["b"], generation))
	}
	sizes := map[string]int{}
	for topic, n := range topics {
		sizes["a"] += len(owned["a"][topic])
		sizes["b"] += len(owned["b"][topic])
		require.LessOrEqual(t, max(len(owned["a"][topic]), len(owned["b"][topic]))-min(len(owned["a"][topic]),
			len(owned["b"][topic])), 1, topic)
		require.Len(t, append(slices.Clone(owned["a"][topic]), owned["b"][topic]...), int(n), topic)
	}
	require.InDelta(t, sizes["a"], sizes["b"], 1)
	again, _ := balanced(t, a, topics, joined("a", a, owned["a"], 6), joined("b", a, owned["b"], 6))
	require.Equal(t, owned, again, "nothing moves any more")
}

// Two versions of a program in one group: what both have is shared, what one has is its own, and a
// topic that they read in different sub-topologies goes to the version that more members have.
func TestAssignmentOfDifferentPlans(t *testing.T) {
	topics := map[string]int32{"x": 2, "y": 2, "z": 2}
	old := assigning(SubTopology{Name: "x", Topics: []string{"x"}}, SubTopology{Name: "y", Topics: []string{"y", "z"}})
	changed := assigning(SubTopology{Name: "x", Topics: []string{"x"}}, SubTopology{Name: "y", Topics: []string{"y"}},
		SubTopology{Name: "z", Topics: []string{"z"}})
	for _, leader := range []*assignor{old, changed} {
		given, _ := balanced(t, leader, topics, joined("a", old, nil, -1), joined("b", changed, nil, -1),
			joined("c", changed, nil, -1))
		require.Equal(t, map[string][]int32{"x": {0}}, given["a"])
		require.Len(t, append(slices.Clone(given["b"]["y"]), given["c"]["y"]...), 2)
		require.Len(t, append(slices.Clone(given["b"]["z"]), given["c"]["z"]...), 2)
	}
}
