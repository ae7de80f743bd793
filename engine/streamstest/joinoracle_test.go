package streamstest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// result is a row that a join puts out; text is L7+R3, with null for a side that is not there, and
// empty for a deletion.
type result struct {
	key, text string
	at        int64
}

func (r result) String() string { return fmt.Sprintf("%s=%s@%d", r.key, r.text, r.at) }

// expect is what a join puts out after the rules of a side, computed slowly: those of
// docs/semantics.md, or Kafka Streams' own where they differ.
func (j *join) expect(side int) []result {
	var all []result
	for p := range j.partitions {
		facts := j.merged(p, side)
		switch j.kind() {
		case "streams":
			all = append(all, j.streams(facts, side)...)
		case "lookup":
			all = append(all, j.lookups(facts, side)...)
		case "tables":
			all = append(all, j.tables(facts, side)...)
		}
	}
	if j.kind() == "foreign" {
		all = j.foreign()
	}
	return j.comparable(side, all)
}

// comparable is results in an order that does not depend on partitions: of a stream sorted, of
// tables by key. Of a foreign join only the last row of a key counts, as the order of two topics
// that are repartitioned is not given [FK5], nor its time in Kafka Streams, nor in ashi without a
// right row, which may have been there and be deleted.
func (j *join) comparable(side int, all []result) []result {
	switch j.kind() {
	case "streams":
		slices.SortFunc(all, func(a, b result) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.at, b.at), cmp.Compare(a.text, b.text))
		})
	case "foreign":
		last := map[string]result{}
		for _, r := range all {
			if side == theirs || strings.HasSuffix(r.text, "+null") {
				r.at = 0
			}
			last[r.key] = r
		}
		maps.DeleteFunc(last, func(_ string, r result) bool { return r.text == "" })
		all = slices.Collect(maps.Values(last))
		fallthrough
	default:
		slices.SortStableFunc(all, func(a, b result) int { return cmp.Compare(a.key, b.key) })
	}
	return all
}

// merged is the records of a partition in the order in which a side takes them: the lower head
// first [T5]. Of equal ones Kafka Streams takes the one of the topic that was not the last, ashi a
// table's, else the left one.
func (j *join) merged(partition int32, side int) (list []fact) {
	heads := [2][]fact{j.accepted(left, partition, side), j.accepted(right, partition, side)}
	last := right
	for len(heads[left])+len(heads[right]) > 0 {
		next := left
		switch {
		case len(heads[left]) == 0:
			next = right
		case len(heads[right]) == 0:
		case heads[left][0].at > heads[right][0].at:
			next = right
		case heads[left][0].at == heads[right][0].at:
			if side == theirs {
				next = 1 - last
			} else if j.kind() == "lookup" {
				next = right
			}
		}
		list, heads[next], last = append(list, heads[next][0]), heads[next][1:], next
	}
	return list
}

// accepted is what a side reads: in ashi a null in a stream is no record, in Kafka Streams it moves
// stream time.
func (j *join) accepted(input int, partition int32, side int) []fact {
	table := j.kind() == "tables" || j.kind() == "lookup" && input == right
	return slices.DeleteFunc(j.input(input, partition), func(f fact) bool {
		return side == ours && !table &&
			f.row == nil
	})
}

// text is what the joiner makes of rows.
func text(l, r *item) string {
	name := func(i *item) string {
		if i == nil {
			return "null"
		}
		return i.V
	}
	return name(l) + "+" + name(r)
}

// pair is the joiner's result whichever side the first row is of.
func pair(side int, this, other *item) string {
	if side == left {
		return text(this, other)
	}
	return text(other, this)
}

// waiting is a row of a stream that is joined with those to come.
type waiting struct {
	fact
	alone bool // nothing has matched it yet
	gone  bool // it went out alone
}

// stream is the state of a join of two streams.
type stream struct {
	*join
	now   int64    // stream time
	times [2]int64 // of Kafka Streams' two stores
	rows  [2][]*waiting
	least int64 // of the rows that wait, as Kafka Streams believes
	out   []result
}

func (j *join) streams(facts []fact, side int) []result {
	s := &stream{join: j, now: math.MinInt64, times: [2]int64{math.MinInt64 / 2, math.MinInt64 / 2},
		least: math.MaxInt64}
	for _, f := range facts {
		s.now = max(s.now, f.at)
		if side == ours {
			s.ours(f)
		} else {
			s.theirs(f)
		}
	}
	return s.out
}

// reach is how much later than a row of a side one that matches it may be.
func (j *join) reach(side int) int64 { return [2]int64{j.after, j.before}[side] }

// open says that a row may find a partner still: then its reach and grace are not over [J10].
func (s *stream) open(w *waiting) bool { return w.at+s.reach(w.side)+s.grace >= s.now }

func (s *stream) ours(f fact) {
	s.putOut(s.parked(func(w *waiting) bool { return !s.open(w) }))
	switch {
	case f.key == nil:
		s.keyless(f)
		return
	case f.at < s.now-s.before-s.after-s.grace && !s.keep()[f.side]:
		return // late
	}
	w := &waiting{fact: f, alone: true}
	for _, o := range s.partners(f) {
		if s.open(o) {
			s.match(w, o)
		}
	}
	s.rows[f.side] = append(s.rows[f.side], w)
	s.putOut(s.parked(func(w *waiting) bool { return !s.open(w) })) // this one may come when its time is over
}

// parked is the rows that wait to go out alone and pass, by time, right before left, key [J10].
func (s *stream) parked(pass func(*waiting) bool) (list []*waiting) {
	for side, rows := range s.rows {
		for _, w := range rows {
			if s.keep()[side] && w.alone && !w.gone && pass(w) {
				list = append(list, w)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *waiting) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.side, a.side), cmp.Compare(*a.key, *b.key))
	})
	return list
}

func (s *stream) putOut(over []*waiting) {
	for _, w := range over {
		w.gone = true
		s.out = append(s.out, result{*w.key, pair(w.side, w.row, nil), w.at})
	}
}

// keyless rows have no partner: they go out at once where their side is kept [J3].
func (s *stream) keyless(f fact) {
	if s.keep()[f.side] && f.row != nil {
		s.out = append(s.out, result{"", pair(f.side, f.row, nil), f.at})
	}
}

// partners are the rows that match f, by time and arrival [J1].
func (s *stream) partners(f fact) (found []*waiting) {
	for _, o := range s.rows[1-f.side] {
		if *o.key == *f.key && o.at >= f.at-s.reach(1-f.side) && o.at <= f.at+s.reach(f.side) {
			found = append(found, o)
		}
	}
	slices.SortStableFunc(found, func(a, b *waiting) int { return cmp.Compare(a.at, b.at) })
	return found
}

func (s *stream) match(w, o *waiting) {
	w.alone, o.alone = false, false
	s.out = append(s.out, result{*w.key, pair(w.side, w.row, o.row), max(w.at, o.at)})
}

// theirs is KStreamKStreamJoin: [J2] to [J10].
func (s *stream) theirs(f fact) {
	if f.key != nil { // a null too moves the time of a store in memory
		s.times[f.side] = max(s.times[f.side], f.at)
	}
	switch {
	case f.key == nil:
		s.keyless(f)
		return
	case f.row == nil:
		return
	}
	if f.at == s.now && s.keep() != [2]bool{} {
		s.scan(f.side)
	}
	w := &waiting{fact: f, alone: true}
	for _, o := range s.partners(f) {
		if o.at > s.times[1-f.side]-s.before-s.after-s.grace { // [J4]
			s.match(w, o) // also if it went out alone
		}
	}
	s.rows[f.side] = append(s.rows[f.side], w)
	switch {
	case !w.alone || !s.keep()[f.side]:
	case f.at+s.reach(f.side) < s.now: // [J8]: without grace
		s.putOut([]*waiting{w})
	default:
		s.least = min(s.least, w.at)
	}
}

// scan is emitNonJoinedOuterRecords. It looks only when the row at which it stopped must go, or a
// newer one, by the reach of the side that asks.
func (s *stream) scan(side int) {
	if s.least+s.reach(side)+s.grace >= s.now {
		return
	}
	s.least = math.MaxInt64
	var open [2]bool
	for _, w := range s.parked(func(*waiting) bool { return true }) {
		s.least = w.at
		if open[left] && open[right] {
			break
		}
		if s.open(w) {
			open[w.side] = true
		} else {
			s.putOut([]*waiting{w})
		}
	}
}

// lookups joins a stream with a table [ST1, ST2].
func (j *join) lookups(facts []fact, side int) (out []result) {
	table := map[string]*item{}
	for _, f := range facts {
		var row *item
		switch {
		case f.side == right:
			if f.key != nil {
				table[*f.key] = f.row
			}
			continue
		case f.row == nil:
			continue
		case f.key != nil:
			row = table[*f.key]
		}
		if row != nil || j.keep()[left] {
			key := ""
			if f.key != nil {
				key = *f.key
			}
			out = append(out, result{key, text(f.row, row), f.at})
		}
	}
	return out
}

// tables joins two tables [TT1, TT2]. Kafka Streams hands the deletion of what is not there on.
func (j *join) tables(facts []fact, side int) (out []result) {
	var rows [2]map[string]fact
	rows[left], rows[right] = map[string]fact{}, map[string]fact{}
	keep := j.keep()
	for _, f := range facts {
		if f.key == nil {
			continue
		}
		old, other := rows[f.side][*f.key], rows[1-f.side][*f.key]
		rows[f.side][*f.key] = f
		at := f.at
		if other.row != nil {
			at = max(at, other.at)
		}
		made := func(this *item) string {
			if this == nil && (other.row == nil || !keep[1-f.side]) || other.row == nil && !keep[f.side] {
				return ""
			}
			return pair(f.side, this, other.row)
		}
		absent := old.row == nil && f.row == nil
		if absent && (side == ours || other.row == nil) || other.row == nil && !keep[f.side] {
			continue
		}
		out = append(out, result{*f.key, made(f.row), at})
	}
	return out
}

// foreign is what is left of a foreign join when all is done [FK1 to FK4].
func (j *join) foreign() (out []result) {
	var rows [2]map[string]fact
	for side := range rows {
		rows[side] = map[string]fact{}
		for _, f := range j.facts[side] {
			if f.key != nil {
				rows[side][*f.key] = f
			}
		}
	}
	for key, l := range rows[left] {
		if l.row == nil {
			continue
		}
		r, ok := rows[right][l.row.F]
		switch {
		case ok && r.row != nil:
			out = append(out, result{key, text(l.row, r.row), max(l.at, r.at)})
		case j.keep()[left]:
			out = append(out, result{key, text(l.row, nil), l.at})
		}
	}
	return out
}
