package task_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
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
	seeds = flag.Int("seeds", 300, "random programs that are compared with the oracle")
	seed  = flag.Uint64("seed", 0, "run this one random program only")
)

// oracle is a slow program over a log: it keeps every row of every window, and computes results from all of them each time. It
// is written from semantics.md (rules in brackets), not from the engine.
type oracle struct {
	p       *program
	limit   int64 // event times above are too far ahead
	rows    map[span][]event
	newest  map[span]int64
	time    map[int32]int64 // stream time of the aggregation by partition; absent before the first record [T2] [T3]
	drops   map[string]int64
	updates map[int64][]enginetest.Record // of partition 0, by size: every update of a row
}

// span is a row of the aggregation: partition, size, start and group.
type span struct {
	partition   int32
	size, start int64
	group       string
}

func newOracle(p *program, limit int64) *oracle {
	return &oracle{p: p, limit: limit, rows: map[span][]event{}, newest: map[span]int64{}, time: map[int32]int64{}, drops: map[string]int64{},
		updates: map[int64][]enginetest.Record{}}
}

func (o *oracle) record(partition int32, r *input) {
	at := int64(r.Timestamp)
	switch {
	case r.Value == nil: // [G1]
		o.drops["null_value"]++
	case r.row == nil:
		o.drops["undecodable"]++
	case at < 0: // [T1]
		o.drops["negative_time"]++
	case at > o.limit:
		o.drops["ahead_of_clock"]++
	default:
		for _, e := range o.steps(*r.row) {
			o.aggregate(partition, r.Key, at, e)
		}
	}
}

// steps runs the stateless steps: what they drop never reaches the aggregation, nor does its time [T3].
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
	if key == nil { // [W4]: stream time stays
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
	sizes := slices.Clone(o.p.sizes)
	slices.Sort(sizes)
	for _, size := range slices.Compact(sizes) { // WIN-2: each once
		s := span{partition, size, at / size * size, string(group)} // [W1] [W2]
		if s.start+size <= o.time[partition]-o.p.grace {            // [W5]: end > WCT or dropped, counted per window
			o.drops["late"]++
			continue
		}
		o.rows[s] = append(o.rows[s], e)
		o.newest[s] = max(o.newest[s], at) // [W6]
		if partition == 0 {
			o.updates[size] = append(o.updates[size], o.result(s))
		}
	}
}

// finals are the rows of all windows of a size that are closed, in order of start and key (FIN-2).
func (o *oracle) finals(partition int32, size int64) []enginetest.Record {
	var spans []span
	for s := range o.rows {
		if s.partition == partition && s.size == size && o.time[partition] >= s.start+size+o.p.grace {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.start != b.start {
			return int(min(max(a.start-b.start, -1), 1))
		}
		return bytes.Compare([]byte(a.group), []byte(b.group))
	})
	records := []enginetest.Record{}
	for _, s := range spans {
		records = append(records, o.result(s))
	}
	return records
}

// result is a row on the wire: Kafka Streams' windowed key, the newest event time in it [W6] [G8].
func (o *oracle) result(s span) enginetest.Record {
	group := s.group
	switch e := o.rows[s][0]; o.p.group {
	case "number":
		group = fmt.Sprint(byNumber(&e))
	case "both":
		group = fmt.Sprint(byBoth(&e))
	}
	row := outcome{group, time.UnixMilli(s.start).UTC(), time.UnixMilli(s.start + s.size).UTC(), slowLine(o.p.parts, o.rows[s])}
	value, err := codecs.JSON[outcome]().Encode(nil, &row)
	if err != nil {
		panic(err)
	}
	return enginetest.Record{Key: binary.BigEndian.AppendUint64([]byte(s.group), uint64(s.start)), Value: value, Timestamp: windows.Time(o.newest[s])}
}

// last are the last rows by key of all windows, closed or not: what a reader of the changes knows in the end.
func (o *oracle) last(partition int32, size int64) map[string]string {
	all := map[string]string{}
	for s := range o.rows {
		if s.partition == partition && s.size == size {
			r := o.result(s)
			all[string(r.Key)] = line(r)
		}
	}
	return all
}

// lastOf is the last record of each key.
func lastOf(rs []enginetest.Record) map[string]string {
	last := map[string]string{}
	for _, r := range rs {
		last[string(r.Key)] = line(r)
	}
	return last
}

func line(r enginetest.Record) string { return fmt.Sprintf("%q %s @%d", r.Key, r.Value, r.Timestamp) }

// same fails at the first record that differs.
func same(t *testing.T, want, got []enginetest.Record, format string, args ...any) {
	t.Helper()
	what := fmt.Sprintf(format, args...)
	for i := range min(len(want), len(got)) {
		require.Equal(t, line(want[i]), line(got[i]), "%s, record %d", what, i)
	}
	require.Len(t, got, len(want), what)
}

// TestOracle compares random programs on random input with the oracle: finals exactly and in order, every update, and all
// counts of drops. A failure prints the seed: go test -run TestOracle -seed N.
func TestOracle(t *testing.T) {
	if *seed != 0 {
		checkSeed(t, *seed)
		return
	}
	first, n := rand.Uint64N(1<<40), *seeds
	if testing.Short() {
		n /= 4
	}
	t.Logf("seeds from %d", first)
	for i := range uint64(n) {
		if !t.Run("", func(t *testing.T) { checkSeed(t, first+i) }) {
			return
		}
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
	d := enginetest.NewWith(t, built.plan, enginetest.Options{Partitions: partitions, Start: s.clock, Ahead: s.ahead, EveryUpdate: every,
		Batch: 1 + r.IntN(50), CommitBatches: 1 + r.IntN(4), CheckpointEvery: pick(r, 0, time.Hour)})
	o := newOracle(p, s.clock.Add(s.ahead).UnixMilli())
	for i := range s.records {
		o.record(murmur.Partition(s.records[i].Key, partitions), &s.records[i])
		d.AddRaw("in", s.records[i].Record)
	}
	d.Commit()
	for _, reason := range []string{"null_value", "null_key", "undecodable", "negative_time", "ahead_of_clock", "late", "failed"} {
		require.Equal(t, o.drops[reason], d.Dropped(reason), "dropped: %s", reason)
	}
	for _, size := range p.sizes {
		for partition := range partitions {
			same(t, o.finals(partition, size), d.Partition(built.finals[size], partition), "finals of %d ms, partition %d", size, partition)
			require.Equal(t, o.last(partition, size), lastOf(d.Partition(built.change[size], partition)), "last changes of %d ms", size)
		}
		if every {
			same(t, o.updates[size], d.Partition(built.change[size], 0), "updates of %d ms", size)
		}
	}
}
