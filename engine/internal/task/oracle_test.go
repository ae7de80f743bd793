package task_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/windows"
)

var (
	seeds   = flag.Int("seeds", 300, "random programs that are compared with the oracle")
	minutes = flag.Int("minutes", 0, "for how long random programs are compared with the oracle")
	seed    = flag.Uint64("seed", 0, "run this one random program only")
)

// oracle is a slow program over a log: it keeps every row of every window, and computes results
// from all of them each time. It is written from semantics.md (rules in brackets), not from the
// engine.
type oracle struct {
	p       *program
	limit   int64 // event times above are too far ahead
	every   bool  // updates are wanted
	rows    map[span]*held
	open    map[span][]span // sessions by group: a span without bounds
	clock   int64           // ms
	came    map[int32]came  // the last record of a partition, whatever became of it
	points  map[span]*held  // rows of sliding windows by group
	time    map[int32]int64 // stream time of the aggregation by partition; absent before the first record [T2] [T3]
	drops   map[string]int64
	late    map[int32][]enginetest.Record // as they came, each once
	isLate  bool                          // the record at work has a window that is closed
	seq     int
	updates map[int][]enginetest.Record // of partition 0, by kind: every update of a row
}

// span is a row of the aggregation: partition, place of its kind of windows, bounds and group.
type span struct {
	partition  int32
	kind       int
	start, end int64
	group      string
}

// came is when a record came, and stream time then.
type came struct{ clock, time int64 }

// held is what came into a row, in the order of processing.
type held struct {
	rows   []event
	seqs   []int
	times  []int64 // event times; not kept when sessions are joined
	newest int64
	shown  bool // the last update that was put out passed
}

func newOracle(p *program, s *stream) *oracle {
	clock := s.clock.UnixMilli()
	return &oracle{p: p, clock: clock, limit: clock + s.ahead.Milliseconds(), came: map[int32]came{},
		rows: map[span]*held{}, open: map[span][]span{}, points: map[span]*held{}, time: map[int32]int64{},
		drops: map[string]int64{}, late: map[int32][]enginetest.Record{}, updates: map[int][]enginetest.Record{}}
}

func (o *oracle) record(partition int32, r *input) {
	at := int64(r.Timestamp)
	switch {
	case len(r.Value) == 0: // [G1], and of JSON an empty value too
		o.drops["null_value"]++
	case r.row == nil:
		o.drops["undecodable"]++
	case at < 0: // [T1]
		o.drops["negative_time"]++
	case at > o.limit:
		o.drops["ahead_of_clock"]++
	default:
		o.isLate = false
		for _, e := range o.steps(*r.row) {
			o.aggregate(partition, r.Key, at, e)
		}
		if o.isLate {
			o.late[partition] = append(o.late[partition], r.Record)
		}
	}
	if now, ok := o.time[partition]; ok {
		o.came[partition] = came{o.clock, now}
	}
}

// steps runs the stateless steps: what they drop never reaches the aggregation, nor does its time
// [T3].
func (o *oracle) steps(e event) []event {
	rows := []event{e}
	for _, step := range []struct {
		on bool
		do func() ([]event, error)
	}{
		{o.p.filter, func() ([]event, error) {
			if ok, err := keep(&e); !ok || err != nil {
				return nil, err
			}
			return rows, nil
		}},
		{o.p.shape == "map", func() ([]event, error) { m, err := mapped(&e); return []event{m}, err }},
		{o.p.shape == "flatmap", func() ([]event, error) { return flattened(&e) }},
	} {
		if !step.on || len(rows) == 0 {
			continue
		}
		err := error(nil)
		if rows, err = guarded(step.do); err != nil {
			o.drops["failed"]++
			return nil
		}
	}
	return rows
}

func guarded(f func() ([]event, error)) (rows []event, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// fails says whether one of the columns panics on e.
func (o *oracle) fails(e event) bool {
	_, err := guarded(func() ([]event, error) { slowLine(o.p.parts, []event{e}); return nil, nil })
	return err != nil
}

func (o *oracle) aggregate(partition int32, key []byte, at int64, e event) {
	if key == nil && o.p.group != "all" { // [W4]: stream time stays
		o.drops["null_key"]++
		return
	}
	group, err := o.p.groupBytes(&e)
	if err != nil || o.fails(e) { // [G1]: stream time stays
		o.drops["failed"]++
		return
	}
	if now, ok := o.time[partition]; !ok || at > now { // [W4]
		o.time[partition] = at
	}
	o.seq++
	for i, f := range o.p.kinds {
		if f.what == "session" {
			o.session(span{partition: partition, kind: i, group: string(group)}, f.size, at, e)
			continue
		}
		if f.what == "sliding" {
			o.slide(span{partition: partition, kind: i, group: string(group)}, f.size, at, e)
			continue
		}
		for _, b := range f.bounds(at) {
			s := span{partition, i, b[0], b[1], string(group)}
			// [W5]: end > WCT or dropped, counted per window
			if f.what != "all" && s.end <= o.time[partition]-o.p.grace {
				o.drops["late"]++
				o.isLate = true
				continue
			}
			rows := o.rows[s]
			if rows == nil {
				rows = &held{}
			}
			if o.refuses(rows.rows, e) {
				continue
			}
			rows.add(e, o.seq, at)
			o.rows[s] = rows
			o.updated(s)
		}
	}
}

// refuses says whether an aggregate does not take a row behind others: then none does in this
// window. Stream time has moved on.
func (o *oracle) refuses(rows []event, e event) bool {
	for _, part := range o.p.parts {
		if part.refuses(rows, e) {
			o.drops["failed"]++
			return true
		}
	}
	return false
}

// session puts a row into the session that it belongs to or that it makes of several [S2] to [S6].
// of is the group.
func (o *oracle) session(of span, gap, at int64, e event) {
	closing := o.time[of.partition] - o.p.grace - gap // [S2]
	merged, one := of, &held{}
	merged.start, merged.end = at, at
	var joined, apart []span
	for _, s := range o.open[of] {
		if s.end < closing { // what was put out as final is never merged [S11]
			continue
		}
		if s.end < at-gap || s.start > at+gap { // [S3]
			apart = append(apart, s)
			continue
		}
		joined = append(joined, s)
		merged.start, merged.end = min(merged.start, s.start), max(merged.end, s.end) // [S4]
		one.join(o.rows[s])
	}
	if merged.end < closing { // [S5]
		o.drops["late"]++
		o.isLate = true
		return
	}
	if o.refuses(one.rows, e) { // what it would have joined stays apart
		return
	}
	one.add(e, o.seq, at)
	for _, s := range joined {
		if s == merged {
			one.shown = o.rows[s].shown
		} else if o.rows[s].shown && of.partition == 0 { // [S6]
			o.updates[of.kind] = append(o.updates[of.kind], enginetest.Record{Key: o.key(s),
				Timestamp: windows.Time(s.end)})
		}
		delete(o.rows, s)
	}
	o.rows[merged], o.open[of] = one, append(apart, merged)
	slices.SortFunc(o.open[of], func(a, b span) int { return cmp.Compare(a.end, b.end) })
	o.updated(merged)
}

// wait lets a time go by without records: where that is long enough stream time goes on with the
// clock, if that closes a window that has rows (FIN-6).
func (o *oracle) wait(ms int64) {
	o.clock, o.limit = o.clock+ms, o.limit+ms
	for partition, last := range o.came {
		quiet := o.clock - last.clock
		if o.p.idle == 0 || quiet < o.p.idle {
			continue
		}
		for s := range o.rows {
			if s.partition == partition && !o.closed(s, o.time[partition]) && o.closed(s, last.time+quiet) {
				o.time[partition] = last.time + quiet
				break
			}
		}
	}
}

// closed says whether a row is final at a stream time.
func (o *oracle) closed(s span, now int64) bool {
	switch f := o.p.kinds[s.kind]; f.what {
	case "session":
		return s.end < now-o.p.grace-f.size // [S9]
	case "sliding":
		return s.end < now-o.p.grace // [L2]
	case "all":
		return false
	}
	return s.end <= now-o.p.grace
}

func (h *held) add(e event, seq int, at int64) {
	h.rows, h.seqs, h.newest = append(h.rows, e), append(h.seqs, seq), max(h.newest, at) // [W6]
	h.times = append(h.times, at)
}

// join makes one list of two, in the order of processing.
func (h *held) join(other *held) {
	for i := range other.rows {
		at, _ := slices.BinarySearch(h.seqs, other.seqs[i])
		h.rows, h.seqs = slices.Insert(h.rows, at, other.rows[i]), slices.Insert(h.seqs, at, other.seqs[i])
	}
	h.newest = max(h.newest, other.newest)
}

// updated puts an update out if the row passes, and a tombstone if it did and does not any more
// [G10].
func (o *oracle) updated(s span) {
	if !o.every || s.partition != 0 {
		return
	}
	row, h := o.result(s), o.rows[s]
	passes := o.passes(s)
	if !passes {
		row.Value = nil
	}
	if passes || h.shown {
		o.updates[s.kind] = append(o.updates[s.kind], row)
	}
	h.shown = passes
}

func (o *oracle) passes(s span) bool { return o.p.passes(slowLine(o.p.parts, o.rows[s].rows)) }

// finals are the rows of all windows of a kind that are closed, in order of start and key (FIN-2);
// of sessions by end, start and key [S9].
func (o *oracle) finals(partition int32, kind int) []enginetest.Record {
	var spans []span
	for s := range o.rows {
		if s.partition == partition && s.kind == kind && o.closed(s, o.time[partition]) && o.passes(s) {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), bytes.Compare([]byte(a.group),
			[]byte(b.group)))
	})
	records := []enginetest.Record{}
	for _, s := range spans {
		records = append(records, o.result(s))
	}
	return records
}

// key is Kafka Streams' key of a row: with the start of its window, of sessions with end and start.
func (o *oracle) key(s span) []byte {
	key := []byte(s.group)
	switch o.p.kinds[s.kind].what {
	case "all":
		return key
	case "session":
		key = binary.BigEndian.AppendUint64(key, uint64(s.end))
	}
	return binary.BigEndian.AppendUint64(key, uint64(s.start))
}

// result is a row on the wire, with the newest event time in it [W6] [G8].
func (o *oracle) result(s span) enginetest.Record {
	group := s.group
	switch e := o.rows[s].rows[0]; o.p.group {
	case "number":
		group = fmt.Sprint(byNumber(&e))
	case "both":
		group = fmt.Sprint(byBoth(&e))
	case "all":
		group = "{}"
	}
	row := outcome{group, time.UnixMilli(s.start).UTC(), time.UnixMilli(s.end).UTC(),
		slowLine(o.p.parts, o.rows[s].rows)}
	if o.p.kinds[s.kind].what == "all" {
		row.End = time.Time{}
	}
	value, err := codecs.JSON[outcome]().Encode(nil, &row)
	if err != nil {
		panic(err)
	}
	return enginetest.Record{Key: o.key(s), Value: value, Timestamp: windows.Time(o.rows[s].newest)}
}

// last are the last rows by key of all windows, closed or not: what a reader of the changes knows
// in the end.
func (o *oracle) last(partition int32, kind int) []enginetest.Record {
	var all []enginetest.Record
	for s := range o.rows {
		if s.partition == partition && s.kind == kind && o.passes(s) {
			all = append(all, o.result(s))
		}
	}
	return lastOf(all)
}

// lastOf is the last record of each key that is no tombstone, by key.
func lastOf(rs []enginetest.Record) []enginetest.Record {
	last := map[string]enginetest.Record{}
	for _, r := range rs {
		if last[string(r.Key)] = r; r.Value == nil {
			delete(last, string(r.Key))
		}
	}
	return slices.SortedFunc(maps.Values(last), func(a, b enginetest.Record) int { return bytes.Compare(a.Key, b.Key) })
}

// TestOracle compares random programs on random input with the oracle: finals exactly and in order,
// every update, and all counts of drops. A failure prints the seed: go test -run TestOracle -seed
// N. With -minutes each program is also run in one of the settings of TestMatrix.
func TestOracle(t *testing.T) {
	if *seed != 0 {
		checkSeed(t, *seed)
		checkSetting(t, *seed)
		return
	}
	first, n := rand.Uint64N(1<<40), uint64(*seeds)
	if testing.Short() {
		n /= 4
	}
	t.Logf("seeds from %d", first)
	end, told := time.Now().Add(time.Duration(*minutes)*time.Minute), time.Now()
	for i := uint64(0); i < n || *minutes > 0 && time.Now().Before(end); i++ {
		if !t.Run(fmt.Sprint(first+i), func(t *testing.T) {
			checkSeed(t, first+i)
			if *minutes > 0 {
				checkSetting(t, first+i)
			}
		}) {
			fmt.Printf("oracle: seed %d differs\n", first+i)
			return
		}
		if *minutes > 0 && (time.Since(told) > time.Minute || i == 0) {
			told = time.Now()
			fmt.Printf("oracle: seeds %d to %d agree, %v left\n", first, first+i, time.Until(end).Round(time.Second))
		}
	}
	if *minutes > 0 {
		fmt.Println("oracle: time is up, no difference")
	}
}

func checkSeed(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	partitions := pick[int32](r, 1, 1, 3)
	p := randomProgram(r, partitions)
	s := randomStream(t, r, p, 20+r.IntN(300))
	t.Logf("seed %d: partitions %d, %v", seed, partitions, p)
	built := p.build(t)
	every := r.IntN(2) == 0
	d := enginetest.NewWith(t, built.plan, enginetest.Options{Partitions: partitions, Start: s.clock, Ahead: s.ahead,
		EveryUpdate: every, Batch: 1 + r.IntN(50), CommitBatches: 1 + r.IntN(4),
		CheckpointEvery: pick(r, 0, time.Hour)})
	o := newOracle(p, s)
	o.every = every
	wait := func() {
		quiet := r.Int64N(2*p.idle + pick(r, p.kinds...).size + 1)
		d.Advance(time.Duration(quiet) * time.Millisecond)
		o.wait(quiet)
	}
	for i := range s.records {
		if p.idle > 0 && r.IntN(30) == 0 {
			wait()
		}
		o.record(murmur.Partition(s.records[i].Key, partitions), &s.records[i])
		d.AddRaw("in", s.records[i].Record)
	}
	d.Commit()
	for _, reason := range []string{"null_value", "null_key", "undecodable", "negative_time", "ahead_of_clock", "late",
		"failed"} {
		require.Equal(t, o.drops[reason], d.Dropped(reason), "dropped: %s", reason)
	}
	if p.idle > 0 {
		wait()
	}
	o.compare(t, d, built, partitions)
}

// checkSetting runs another program of the seed's in one setting.
func checkSetting(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	s := pick(r, settings()...)
	t.Logf("seed %d: %s", seed, s.name)
	partitions := pick[int32](r, 1, 3)
	s.check(t, r, randomProgram(r, partitions), partitions)
}

// compare compares all outputs.
func (o *oracle) compare(t *testing.T, d *enginetest.Driver, built *running, partitions int32) {
	t.Helper()
	for kind, f := range o.p.kinds {
		for partition := range partitions {
			if o.p.finals && f.what != "all" {
				same(t, o.finals(partition, kind), d.Partition(built.finals[kind], partition),
					"finals of %v, partition %d", f, partition)
			}
			if o.p.changes {
				same(t, o.last(partition, kind), lastOf(d.Partition(built.change[kind], partition)),
					"last changes of %v", f)
			}
		}
		if o.every && o.p.changes {
			same(t, o.updates[kind], d.Partition(built.change[kind], 0), "updates of %v", f)
		}
	}
	for partition := range partitions {
		if o.p.late {
			same(t, o.late[partition], d.Partition(lateTopic, partition), "late records")
		}
	}
}
