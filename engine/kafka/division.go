package kafka

import (
	"cmp"
	"math"
	"slices"
)

// acceptableLag is how many records of the changelog a member's state may lack to count as caught
// up: restoring them takes less than moving the partition twice. It is Kafka Streams'
// acceptable.recovery.lag (KIP-441).
const acceptableLag = 10_000

// contender is what is known of a member when partitions are shared out.
type contender struct {
	owned     map[int32]bool
	standbys  map[int32]bool
	positions map[int32]int64 // up to where it has the partition's state; none is 0
}

// division says for each partition which member works on it, which one is to do so for balance, and
// which keep copies: indexes of contenders. Where active is not goal, the goal has too little of
// the state yet: it is among the standbys, comes back when it has caught up, and is given the
// partition then.
type division struct {
	active   []int
	goal     []int
	standbys [][]int
}

// divider makes a division. The same contenders in the same order give the same division.
type divider struct {
	members []contender
	highest []int64 // by partition, of all positions named
	owner   []int   // by partition; -1: nobody's
	extra   []*int  // by member, how many spares it has of all sub-topologies so far
	division
}

// spares is how many partitions more than the even share each member of a group has, over the
// sub-topologies divided so far.
type spares []*int

// of is the counts of some members.
func (s *spares) of(members []int) (counts []*int) {
	for _, m := range members {
		for len(*s) <= m {
			*s = append(*s, new(int))
		}
		counts = append(counts, (*s)[m])
	}
	return counts
}

// divide shares out n partitions of a sub-topology, with so many standbys each. Where they cannot
// be shared evenly, the members take one more by turns over the sub-topologies of the group: extra
// counts how many each has so far, and is brought up to date.
func divide(members []contender, n int32, standbys int, extra []*int) division {
	if len(members) == 0 {
		return division{}
	}
	d := &divider{members: members, highest: make([]int64, n), owner: fill(n, -1), extra: extra}
	d.active, d.goal, d.standbys = fill(n, -1), fill(n, -1), make([][]int, n)
	for p := range n {
		for m, c := range members {
			d.highest[p] = max(d.highest[p], c.positions[p])
			if c.owned[p] && d.owner[p] < 0 {
				d.owner[p] = m
			}
		}
	}
	d.setGoals()
	d.setActive()
	d.setStandbys(min(standbys, len(members)-1))
	return d.division
}

func fill(n int32, v int) []int { return slices.Repeat([]int{v}, int(n)) }

func (d *divider) caughtUp(m int, p int32) bool {
	return d.highest[p]-d.members[m].positions[p] <= acceptableLag
}

// rank is how well a member is prepared for a partition: 3 caught up, 2 copying, 1 with some state,
// 0 without.
func (d *divider) rank(m int, p int32) int {
	switch {
	case d.caughtUp(m, p):
		return 3
	case d.members[m].standbys[p]:
		return 2
	case d.members[m].positions[p] > 0:
		return 1
	}
	return 0
}

// better orders members by how well they would take a partition over.
func (d *divider) better(p int32, load []int) func(a, b int) int {
	return func(a, b int) int {
		return cmp.Or(
			cmp.Compare(d.rank(b, p), d.rank(a, p)),
			cmp.Compare(d.members[b].positions[p], d.members[a].positions[p]),
			cmp.Compare(load[a], load[b]),
			cmp.Compare(a, b),
		)
	}
}

// quota is what is left of an even share: everyone may take base, and spare members one more: those
// who have the fewest spares of other sub-topologies, so that over all of them the members differ
// by one partition at most.
type quota struct {
	load        []int
	base, spare int
	extra       []*int
	total       []int // load and the spares of other sub-topologies
}

func newQuota(n int, extra []*int) *quota {
	q := &quota{load: make([]int, len(extra)), base: n / len(extra), spare: n % len(extra), extra: extra}
	for _, spares := range extra {
		q.total = append(q.total, *spares)
	}
	return q
}

func (q *quota) room(m int) bool {
	return q.load[m] < q.base || q.load[m] == q.base && q.spare > 0 && *q.extra[m] == q.fewest()
}

// fewest is the least number of spares of those who have none of this sub-topology.
func (q *quota) fewest() int {
	least := math.MaxInt
	for m, extra := range q.extra {
		if q.load[m] <= q.base {
			least = min(least, *extra)
		}
	}
	return least
}

func (q *quota) take(m int) {
	if q.load[m] == q.base {
		q.spare--
		*q.extra[m]++
	}
	q.load[m]++
	q.total[m]++
}

// setGoals shares evenly: what a member works on and has the state of it keeps, as far as its share
// goes; the rest goes to who is best prepared, beginning with the partitions for which the fewest
// are.
func (d *divider) setGoals() {
	n := len(d.goal)
	q := newQuota(n, d.extra)
	kept := d.keepers(q)
	for m := range kept {
		for _, p := range kept[m][:min(q.base, len(kept[m]))] {
			d.goal[p] = m
			q.take(m)
		}
	}
	for m := range kept {
		if len(kept[m]) > q.base && q.room(m) {
			d.goal[kept[m][q.base]] = m
			q.take(m)
		}
	}
	var open []int32
	prepared := make([]int, n)
	for p := range int32(n) {
		if d.goal[p] >= 0 {
			continue
		}
		open = append(open, p)
		for m := range d.members {
			if q.room(m) && d.caughtUp(m, p) {
				prepared[p]++
			}
		}
	}
	slices.SortStableFunc(open, func(a, b int32) int { return cmp.Compare(prepared[a], prepared[b]) })
	for _, p := range open {
		d.goal[p] = d.best(p, q.total, q.room)
		q.take(d.goal[p])
	}
}

// keepers is, by member, what it owns and is caught up with, what it had best give away last: that
// for which one of those who have less than their share is best prepared, as it may be copying it
// already.
func (d *divider) keepers(q *quota) [][]int32 {
	kept := make([][]int32, len(d.members))
	for p, m := range d.owner {
		if m >= 0 && d.caughtUp(m, int32(p)) {
			kept[m] = append(kept[m], int32(p))
		}
	}
	wanted := func(p int32) (rank int) {
		for m := range d.members {
			if len(kept[m]) < q.base || len(kept[m]) == q.base && q.spare > 0 && *q.extra[m] == q.fewest() {
				rank = max(rank, d.rank(m, p))
			}
		}
		return rank
	}
	for m := range kept {
		slices.SortStableFunc(kept[m], func(a, b int32) int { return cmp.Compare(wanted(a), wanted(b)) })
	}
	return kept
}

// best is the member that is best prepared for a partition, of those that may have it; -1 if none
// may.
func (d *divider) best(p int32, load []int, may func(m int) bool) int {
	better, first := d.better(p, load), -1
	for m := range d.members {
		if may(m) && (first < 0 || better(m, first) < 0) {
			first = m
		}
	}
	return first
}

// setActive gives each partition to its goal, if that is caught up; else to one that is: its owner
// if possible. Who has the highest position always is.
func (d *divider) setActive() {
	load := make([]int, len(d.members))
	for p := range int32(len(d.goal)) {
		m := d.goal[p]
		if !d.caughtUp(m, p) {
			if m = d.owner[p]; m < 0 || !d.caughtUp(m, p) {
				m = d.best(p, load, func(m int) bool { return d.caughtUp(m, p) })
			}
			d.standbys[p] = append(d.standbys[p], d.goal[p])
		}
		d.active[p] = m
		load[m]++
	}
}

// setStandbys places n copies of each partition beside those of goals that catch up: where there is
// one now, then where most of the state is, evenly.
func (d *divider) setStandbys(n int) {
	partitions := int32(len(d.goal))
	load, count := make([]int, len(d.members)), make([]int, partitions)
	share := (int(partitions)*n + len(d.members) - 1) / len(d.members)
	place := func(p int32, may func(m int) bool) {
		for count[p] < n {
			m := d.best(p, load, func(m int) bool { return d.free(m, p) && may(m) })
			if m < 0 {
				return
			}
			d.standbys[p] = append(d.standbys[p], m)
			count[p]++
			load[m]++
		}
	}
	for _, may := range []func(m int, p int32) bool{
		func(m int, p int32) bool { return d.members[m].standbys[p] && load[m] < share },
		func(m int, _ int32) bool { return load[m] < share },
		func(int, int32) bool { return true },
	} {
		for p := range partitions {
			place(p, func(m int) bool { return may(m, p) })
		}
	}
	for d.level(load) {
	}
}

// free says that a member has nothing to do with a partition yet.
func (d *divider) free(m int, p int32) bool {
	return d.active[p] != m && !slices.Contains(d.standbys[p], m)
}

// level moves one copy from a member to one that has at least two less, and says whether it could.
func (d *divider) level(load []int) bool {
	for from := range d.members {
		for to := range d.members {
			if load[from]-load[to] < 2 {
				continue
			}
			for p := range int32(len(d.goal)) {
				i := slices.Index(d.standbys[p], from)
				if i < 0 || d.goal[p] == from || !d.free(to, p) {
					continue
				}
				d.standbys[p][i] = to
				load[from]--
				load[to]++
				return true
			}
		}
	}
	return false
}
