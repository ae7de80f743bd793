package task_test

import (
	"maps"
	"slices"
)

// slide puts a row into the sliding windows that have it, and makes those that are there because of
// it, unless they are closed: all windows of the group are found anew, from all of its rows [L1]
// [L2]. of is the group.
func (o *oracle) slide(of span, diff, at int64, e event) {
	closing := o.time[of.partition] - o.p.grace
	if max(at, diff) < closing { // the window that ends at the row, or the first of all
		o.drops["late"]++
		o.isLate = true
	}
	if at+diff < closing {
		return
	}
	if o.points[of] == nil {
		o.points[of] = &held{}
	}
	all := o.points[of]
	all.add(e, o.seq, at)
	starts := map[int64]bool{}
	for _, one := range all.times {
		starts[max(0, one-diff)] = true
		if slices.ContainsFunc(all.times, func(other int64) bool { return one+1 <= other && other <= one+1+diff }) {
			starts[one+1] = true
		}
	}
	for _, start := range slices.Sorted(maps.Keys(starts)) {
		s := of
		s.start, s.end = start, start+diff
		has := func(t int64) bool { return s.start <= t && t <= s.end }
		if s.end < closing || o.rows[s] != nil && !has(at) {
			continue
		}
		again := &held{}
		if before := o.rows[s]; before != nil {
			again.shown = before.shown
		}
		o.rows[s] = again
		for i, t := range all.times {
			if has(t) {
				o.rows[s].add(all.rows[i], all.seqs[i], t)
			}
		}
		o.updated(s)
	}
}
