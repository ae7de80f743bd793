package task_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/rows"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/windows"
)

// joinOracle is a slow program after semantics.md, "Joins of streams", for one partition: it keeps
// every row that ever came, and looks at all of them for each record.
type joinOracle struct {
	p     *joinProgram
	rows  [2][]*joinRow
	time  int64 // stream time; -1 before the first record
	out   []string
	drops map[string]int64
}

type joinRow struct {
	key     []byte
	row     joinEvent
	at      int64
	matched bool
	gone    bool // went out, or was closed when it came
}

func newJoinOracle(p *joinProgram, drops map[string]int64) *joinOracle {
	return &joinOracle{p: p, time: -1, drops: drops}
}

// follows is how long after a row of a side one that matches it may come, in event time.
func (o *joinOracle) follows(side int) int64 { return [2]int64{o.p.after, o.p.before}[side] }

// open says that a row of a time may still be matched [J10]; of an as-of join's left rows, that it
// waits.
func (o *joinOracle) open(side int, at int64) bool {
	if o.p.asOf() && side == 0 {
		return o.time < at+o.p.grace
	}
	return o.time <= at+o.follows(side)+o.p.grace
}

func (o *joinOracle) late(side int, at int64) bool {
	if o.p.asOf() && side == 0 {
		return at < o.time-o.p.grace
	}
	return at < o.time-(o.p.before+o.p.after+o.p.grace)
}

func (o *joinOracle) process(r *joinInput) {
	at := int64(r.Timestamp)
	if at > o.time { // [J2]
		o.time = at
		o.close()
	}
	row := &joinRow{key: r.Key, row: *r.row, at: at}
	switch {
	case r.Key == nil && o.p.keeps(r.side): // [J3]
		o.alone(r.side, row)
		return
	case r.Key == nil:
		o.drops["null_key"]++
		return
	case o.late(r.side, at) && (o.p.asOf() || !o.p.keeps(r.side)):
		o.drops["late"]++
		return
	}
	if !o.p.asOf() {
		o.match(r.side, row)
	}
	if !o.open(r.side, at) {
		row.gone = true
		if o.p.asOf() {
			o.lookUp(row)
		} else if !row.matched && o.p.keeps(r.side) {
			o.alone(r.side, row)
		}
	}
	o.rows[r.side] = append(o.rows[r.side], row)
}

// match puts out the pairs of a row [J1].
func (o *joinOracle) match(side int, row *joinRow) {
	back, ahead := o.p.before, o.p.after
	if side == 1 {
		back, ahead = ahead, back
	}
	var found []*joinRow
	for _, other := range o.rows[1-side] {
		if !other.gone && string(other.key) == string(row.key) && other.at >= row.at-back && other.at <= row.at+ahead &&
			o.open(1-side, other.at) {
			found = append(found, other)
		}
	}
	slices.SortStableFunc(found, func(a, b *joinRow) int { return cmp.Compare(a.at, b.at) })
	for _, other := range found {
		other.matched, row.matched = true, true
		pair := [2]*joinRow{row, other}
		o.emit(row.key, pair[side], pair[1-side], max(row.at, other.at))
	}
}

// close puts out the rows that stream time has closed.
func (o *joinOracle) close() {
	type closing struct {
		side int
		*joinRow
	}
	var due []closing
	for side := range o.rows {
		for _, row := range o.rows[side] {
			if row.gone || o.open(side, row.at) {
				continue
			}
			row.gone = true
			if o.p.asOf() && side == 0 || !row.matched && o.p.keeps(side) {
				due = append(due, closing{side, row})
			}
		}
	}
	slices.SortStableFunc(due, func(a, b closing) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.side, a.side), cmp.Compare(string(a.key), string(b.key)))
	})
	for _, d := range due {
		if o.p.asOf() {
			o.lookUp(d.joinRow)
		} else {
			o.alone(d.side, d.joinRow)
		}
	}
}

// lookUp puts out a left row of an as-of join.
func (o *joinOracle) lookUp(row *joinRow) {
	var last *joinRow
	for _, r := range o.rows[1] {
		if string(r.key) == string(row.key) && r.at <= row.at && r.at >= row.at-o.p.before &&
			(last == nil || r.at >= last.at) {
			last = r
		}
	}
	if last != nil || o.p.keeps(0) {
		o.emit(row.key, row, last, row.at)
	}
}

func (o *joinOracle) alone(side int, row *joinRow) {
	if side == 0 {
		o.emit(row.key, row, nil, row.at)
	} else {
		o.emit(row.key, nil, row, row.at)
	}
}

func (o *joinOracle) emit(key []byte, left, right *joinRow, at int64) {
	if left != nil && left.row.N%31 == 30 || right != nil && right.row.N%37 == 36 || left != nil && right != nil &&
		left.row.K != right.row.K {
		o.drops["failed"]++
		return
	}
	name := func(r *joinRow) string {
		if r == nil {
			return "-"
		}
		return fmt.Sprint(r.row.N)
	}
	o.out = append(o.out, fmt.Sprintf("%q: %s %s @%d", key, name(left), name(right), at))
}

// merged is the order in which a task processes what two topics hold: the record with the lower
// time of the two that are next, at equal times the left one, or an as-of join's right one [T5].
// What is not accepted is not in it.
func mergedInputs(p *joinProgram, records []joinInput, drops map[string]int64) (order []*joinInput) {
	var topics [2][]*joinInput
	for i := range records {
		switch r := &records[i]; {
		case len(r.Value) == 0:
			drops["null_value"]++
		case r.row == nil:
			drops["undecodable"]++
		default:
			topics[r.side] = append(topics[r.side], r)
		}
	}
	for len(topics[0])+len(topics[1]) > 0 {
		side := 0
		switch l, r := topics[0], topics[1]; {
		case len(l) == 0:
			side = 1
		case len(r) > 0 && (r[0].Timestamp < l[0].Timestamp || r[0].Timestamp == l[0].Timestamp && p.asOf()):
			side = 1
		}
		r := topics[side][0]
		topics[side] = topics[side][1:]
		if p.steps[side] != "" && skips(r.row) {
			if p.steps[side] == "map" {
				drops["failed"]++
			}
			continue
		}
		order = append(order, r)
	}
	return order
}

// runJoinOracle is what a join puts out, by partition, and what it drops.
func runJoinOracle(p *joinProgram, records []joinInput, partitions int32) (out [][]string, drops map[string]int64) {
	drops = map[string]int64{}
	parts := make([][]joinInput, partitions)
	for _, r := range records {
		n := murmur.Partition(r.Key, partitions)
		parts[n] = append(parts[n], r)
	}
	for _, part := range parts {
		o := newJoinOracle(p, drops)
		for _, r := range mergedInputs(p, part, drops) {
			o.process(r)
		}
		out = append(out, o.out)
	}
	return out, drops
}

// joinResults is what is in a partition of the output.
func joinResults(t testing.TB, d *enginetest.Driver, partition int32) (lines []string) {
	for _, r := range d.Partition("out", partition) {
		var row joined
		require.NoError(t, codecs.JSON[joined]().Decode(r.Value, &row))
		name := func(n *int64) string {
			if n == nil {
				return "-"
			}
			return fmt.Sprint(*n)
		}
		lines = append(lines, fmt.Sprintf("%q: %s %s @%d", r.Key, name(row.Left), name(row.Right), int64(r.Timestamp)))
	}
	return lines
}

// compareJoin holds a run against the oracle: results in their order, and drops.
func compareJoin(t testing.TB, d *enginetest.Driver, p *joinProgram, records []joinInput, partitions int32) {
	want, drops := runJoinOracle(p, records, partitions)
	for n := range partitions {
		require.Equal(t, strings.Join(want[n], "\n"), strings.Join(joinResults(t, d, n), "\n"), "partition %d", n)
	}
	for _, reason := range []string{"null_value", "undecodable", "null_key", "late", "failed"} {
		require.Equal(t, drops[reason], d.Dropped(reason), reason)
	}
}

func queueJoin(d *enginetest.Driver, records []joinInput) {
	for _, r := range records {
		d.Queue(joinTopics[r.side], r.Record)
	}
}

// TestJoinOracle runs random joins over random records; -seed runs one again.
func TestJoinOracle(t *testing.T) {
	from, n := rand.Uint64N(1<<40), uint64(400)
	if testing.Short() {
		n = 100
	}
	if *seed != 0 {
		from, n = *seed, 1
	}
	lines := 0
	for at := from; at < from+n; at++ {
		r := rand.New(rand.NewPCG(at, 1))
		p := randomJoin(r)
		records := randomJoinInput(t, r, p, 50+r.IntN(400))
		d := enginetest.NewWith(t, p.build(t), enginetest.Options{Batch: pick(r, 0, 1, 13)})
		queueJoin(d, records)
		d.Commit()
		require.True(t, t.Run("compare", func(t *testing.T) { compareJoin(t, d, p, records, 1) }), "seed %d: %v", at, p)
		lines += len(d.Partition("out", 0))
	}
	require.Greater(t, lines, int(n)*10, "results that were compared")
}

// TestJoinMatrix runs random joins in all settings that must not change a result.
func TestJoinMatrix(t *testing.T) {
	from, n := rand.Uint64N(1<<40), uint64(4)
	if testing.Short() {
		n = 1
	}
	if *seed != 0 {
		from, n = *seed, 1
	}
	for at := from; at < from+n; at++ {
		for _, partitions := range []int32{1, 3} {
			for _, s := range settings() {
				t.Run(fmt.Sprintf("%d partitions/%s", partitions, s.name), func(t *testing.T) {
					r := rand.New(rand.NewPCG(at, uint64(partitions)))
					p := randomJoin(r)
					t.Log("seed", at, p)
					records := randomJoinInput(t, r, p, 250)
					s.options.Partitions, s.options.Store, s.options.Paced = partitions, s.stores(t, r), true
					d := enginetest.NewWith(t, p.build(t), s.options)
					queueJoin(d, records)
					for left := s.crashes; d.Step(); {
						if left > 0 && r.IntN(8) == 0 {
							left--
							d.Crash()
						}
					}
					d.Commit()
					want, _ := runJoinOracle(p, records, partitions)
					for n := range partitions {
						require.Equal(t, strings.Join(want[n], "\n"), strings.Join(joinResults(t, d, n), "\n"),
							"partition %d", n)
					}
				})
				if t.Failed() {
					return
				}
			}
		}
	}
}

// Rows that are out of order within grace give the same results as those in order, however they are
// shuffled.
func TestJoinShuffledWithinGrace(t *testing.T) {
	for range 60 {
		r := rand.New(rand.NewPCG(rand.Uint64(), 3))
		p := randomJoin(r)
		p.grace = 1000
		p.steps = [2]string{}
		var records []joinInput
		now := int64(1000)
		for i := range 200 {
			now += 1 + r.Int64N(100) // no two at one time
			records = append(records, joinRecord(t, r.IntN(2), &joinEvent{K: fmt.Sprint("k", r.IntN(3)), N: int64(i)},
				now))
		}
		end := joinRecord(t, 0, &joinEvent{K: "end", N: 1}, now+10_000_000)
		run := func(records []joinInput) []string {
			d := enginetest.New(t, p.build(t))
			queueJoin(d, append(slices.Clone(records), end))
			d.Commit()
			require.Zero(t, d.Dropped("late"))
			lines := joinResults(t, d, 0)
			slices.Sort(lines)
			return lines
		}
		ordered := run(records)
		delay := map[int64]windows.Time{}
		for _, rec := range records {
			delay[rec.row.N] = rec.Timestamp + windows.Time(r.Int64N(p.grace/2))
		}
		slices.SortFunc(records, func(a, b joinInput) int { return cmp.Compare(delay[a.row.N], delay[b.row.N]) })
		require.Equal(t, ordered, run(records), "%v", p)
	}
}

// Streams that have another key than their topic are joined from internal topics: what is in these
// is what the oracle gets.
func TestJoinOracleRepartitioned(t *testing.T) {
	for range 40 {
		at := rand.Uint64N(1 << 40)
		if *seed != 0 {
			at = *seed
		}
		r := rand.New(rand.NewPCG(at, 5))
		p := randomJoin(r)
		p.steps = [2]string{"repartition", "repartition"}
		records := randomJoinInput(t, r, p, 300)
		d := enginetest.NewWith(t, p.build(t), enginetest.Options{Partitions: 3, Memory: pick(r, 0, 1)})
		queueJoin(d, records)
		d.Commit() // what is sent through is all there when the join begins
		oracle := *p
		oracle.steps = [2]string{}
		drops := map[string]int64{}
		for n := range int32(3) {
			var in []joinInput
			for side, topic := range joinTopics {
				for _, rec := range d.Partition("joins--"+topic+"-repartition", n) {
					in = append(in, joinInput{side: side, Record: rec, row: internalRow[joinEvent](t, rec.Value)})
				}
			}
			o := newJoinOracle(&oracle, drops)
			for _, rec := range mergedInputs(&oracle, in, drops) {
				o.process(rec)
			}
			require.Equal(t, strings.Join(o.out, "\n"), strings.Join(joinResults(t, d, n), "\n"),
				"seed %d, partition %d: %v", at, n, p)
		}
		for _, reason := range []string{"late", "failed", "null_key"} {
			require.Equal(t, drops[reason], d.Dropped(reason), "seed %d: %s", at, reason)
		}
	}
}

// internalRow is a row of an internal topic.
func internalRow[T any](t testing.TB, value []byte) *T {
	f, err := rows.Of[T]()
	require.NoError(t, err)
	r := f.Rows()
	_, decode := r.OpenWire()
	row, err := decode(value)
	require.NoError(t, err)
	return row.(*T)
}
