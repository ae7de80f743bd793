package task_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

const (
	monthMemory    = 60 << 10  // of rows, for each birth a minute: less than they take
	monthRetention = time.Hour // of the table of finals
)

// monthAges is when a key gets a record, in minutes after its birth; at the last age but one it is
// paid, at the last its account is gone.
var monthAges = []int{0, 1, 4, 9, 15, 25}

// monthRow is what all topics hold.
type monthRow struct {
	Key string `ashi:"key,key"`
	N   int64
	At  time.Time `ashi:"at,timestamp"`
}

type monthStat struct {
	Key            string `ashi:"key,key"`
	Start          time.Time
	Rows, Sum, Max int64
}

type monthPair struct {
	Key string `ashi:"key,key"`
	N   int64
}

func monthPlan(t testing.TB) *topology.Plan {
	b := dsl.New("month")
	fixed := codecs.Fixed[monthRow]()
	rows, paid := dsl.Stream[monthRow](b, "rows").Codec(fixed), dsl.Stream[monthRow](b, "paid").Codec(fixed)
	accounts := dsl.Table[string, monthRow](b, "accounts").Codec(fixed)
	stat := func(g dsl.Group[string, monthRow]) monthStat {
		n := func(r *monthRow) int64 { return r.N }
		return monthStat{g.Key(), g.WindowStart(), aggregates.Count(g), aggregates.Sum(g, n), aggregates.Max(g, n)}
	}
	pair := func(l, r *monthRow) (monthPair, error) {
		p := monthPair{}
		if l != nil {
			p.N = l.N
		}
		if r != nil {
			p.N += r.N
		}
		return p, nil
	}
	grace := 2 * time.Minute
	dsl.Aggregate(dsl.GroupByKey[string](rows), windows.Minutes(1, 15).Grace(grace),
		stat).As("bars").Codec(codecs.Fixed[monthStat]()).Final()
	dsl.Aggregate(dsl.GroupByKey[string](rows), windows.Hopping(10*time.Minute, 2*time.Minute).Grace(grace),
		stat).As("hops").Codec(codecs.Fixed[monthStat]()).Final()
	dsl.Aggregate(dsl.GroupByKey[string](rows), windows.Session(8*time.Minute).Grace(grace),
		stat).As("visits").Codec(codecs.Fixed[monthStat]()).Final()
	dsl.Aggregate(dsl.GroupByKey[string](rows), windows.Sliding(5*time.Minute).Grace(grace),
		stat).As("sliding").Codec(codecs.Fixed[monthStat]()).Final()
	dsl.LeftJoin(rows, paid, dsl.Within(30*time.Minute, 30*time.Minute).Grace(grace),
		pair).As("paid-rows").To("paid-rows")
	dsl.LeftJoinTable(rows, accounts, pair).To("accounted")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Len(t, plan.Subs, 1)
	return plan
}

// monthLog is the producer of a month: it keeps which keys the changelog would have after
// compaction, and holds commits against each other.
type monthLog struct {
	t       testing.TB
	live    map[string]struct{}
	last    task.Progress
	offset  int64
	outputs int
	mirror  *tables.Mirror // of the minutes
	topic   string
	finals  []task.Record
	read    int64
}

func (l *monthLog) Produce(_ context.Context, o *task.Output) {
	switch {
	case o.Topic == l.topic:
		l.read++
		l.finals = append(l.finals, task.Record{Key: slices.Clone(o.Key), Value: slices.Clone(o.Value),
			Timestamp: o.Timestamp, Offset: l.read})
		l.outputs++
	case o.Topic != "log":
		l.outputs++
	default:
		if l.offset++; o.Offset != nil {
			*o.Offset = l.offset
		}
		if string(o.Key) == string(task.ProgressKey) {
			l.commit(o.Value)
		} else if o.Value == nil {
			delete(l.live, string(o.Key))
		} else {
			l.live[string(o.Key)] = struct{}{}
		}
	}
}

// commit holds a commit record against the one before.
func (l *monthLog) commit(record []byte) {
	p, err := task.ParseProgress(record)
	require.NoError(l.t, err)
	require.Equal(l.t, l.last.Sequence+1, p.Sequence)
	require.GreaterOrEqual(l.t, p.Rows, l.last.Rows)
	for topic, at := range l.last.Inputs {
		require.GreaterOrEqual(l.t, p.Inputs[topic], at, topic)
	}
	for name, at := range l.last.StreamTimes {
		require.GreaterOrEqual(l.t, p.StreamTimes[name], at, name)
	}
	l.last = *p
}

func (l *monthLog) Commit(context.Context) error {
	finals := l.finals
	l.finals = l.finals[:0]
	return l.mirror.Apply(0, finals, l.read+1)
}

func (*monthLog) Close() error { return nil }

// month is a task whose keys come and go, a fixed number each minute.
type month struct {
	t       testing.TB
	r       *rand.Rand
	minute  int // since the start
	births  int // a minute
	encode  func([]byte, *monthRow) ([]byte, error)
	offsets map[string]int64
	task    *task.Task
	log     *monthLog
}

var monthStart = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func (m *month) now() time.Time { return monthStart.Add(time.Duration(m.minute) * time.Minute) }

// batch is what one minute brings to a topic: a record, or none, for each key of the ages.
func (m *month) batch(topic string, ages []int, gone bool) *task.Batch {
	b := &task.Batch{Topic: topic}
	for _, age := range ages {
		born := m.minute - age
		for i := 0; born >= 0 && i < m.births; i++ {
			row := monthRow{Key: fmt.Sprintf("%08d-%d", born, i), N: m.r.Int64N(1000),
				At: m.now().Add(-time.Duration(m.r.Int64N(int64(70 * time.Second))))}
			if m.r.IntN(100) == 0 {
				row.At = row.At.Add(-5 * time.Minute) // late
			}
			r := task.Record{Key: []byte(row.Key), Timestamp: windows.At(row.At), Offset: m.offsets[topic]}
			if !gone {
				var err error
				r.Value, err = m.encode(nil, &row)
				require.NoError(m.t, err)
			}
			m.offsets[topic]++
			b.Records = append(b.Records, r)
		}
	}
	m.r.Shuffle(len(b.Records), func(i, j int) {
		x, y := &b.Records[i], &b.Records[j]
		*x, *y = *y, *x
		x.Offset, y.Offset = y.Offset, x.Offset
	})
	b.Next = m.offsets[topic]
	return b
}

// step is a minute.
func (m *month) step() {
	last := len(monthAges) - 1
	for _, b := range []*task.Batch{m.batch("accounts", monthAges[:1], false), m.batch("accounts", monthAges[last:],
		true),
		m.batch("rows", monthAges[:last], false), m.batch("paid", monthAges[last-1:last], false)} {
		require.NoError(m.t, m.task.Process(m.t.Context(), b, func() {}))
	}
	m.minute++
	require.NoError(m.t, m.task.Tick(m.t.Context()))
}

// monthUse is what a day has left behind.
type monthUse struct {
	heap, accounted, live, files, bytes int
}

func (u monthUse) String() string {
	return fmt.Sprintf("heap %.1f MB, accounted %.1f MB, %d keys in the changelog, %d files of %.1f MB",
		float64(u.heap)/1e6, float64(u.accounted)/1e6, u.live, u.files, float64(u.bytes)/1e6)
}

func (m *month) use(dir string) (u monthUse) {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	u.heap, u.accounted, u.live = int(stats.HeapAlloc), m.task.Memory(), len(m.log.live)
	require.NoError(m.t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return nil // a file that RocksDB has deleted meanwhile
		}
		if info, err := e.Info(); err == nil && e.Type().IsRegular() {
			u.files, u.bytes = u.files+1, u.bytes+int(info.Size())
		}
		return nil
	}))
	return u
}

// most is the larger of each.
func (u monthUse) most(o monthUse) monthUse {
	return monthUse{max(u.heap, o.heap), max(u.accounted, o.accounted), max(u.live, o.live), max(u.files, o.files),
		max(u.bytes, o.bytes)}
}

// A task with windows of all kinds, joins and tables over days, whose keys come and are not seen
// again: what it keeps, in memory, on disk and in its changelog, is what a day has, however many
// days there were. Positions and stream times never go back.
//
// ASHI_SOAK_MINUTES makes it a month with two million keys; ASHI_MONTH_BIRTHS is how many begin in
// a minute.
func TestSimulatedMonth(t *testing.T) {
	days, births := 4, 4
	if os.Getenv("ASHI_SOAK_MINUTES") != "" {
		days, births = 30, 50
	} else if testing.Short() {
		days, births = 3, 2
	}
	if s := os.Getenv("ASHI_MONTH_BIRTHS"); s != "" {
		var err error
		births, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	m, dir := newMonth(t, births)
	var early, late monthUse
	records := func() (n int64) {
		for _, at := range m.offsets {
			n += at
		}
		return n
	}
	for day := range days {
		for range 24 * 60 {
			m.step()
		}
		u := m.use(dir)
		t.Logf("day %d: %d keys, %d records, %d outputs; %v", day+1, m.minute*births, records(), m.log.outputs, u)
		if day < (days+1)/2 {
			early = early.most(u)
		} else {
			late = late.most(u)
		}
	}
	require.LessOrEqual(t, late.accounted, births*monthMemory*5/4, "memory that the task counts")
	require.Less(t, late.heap, early.heap*5/4+4<<20, "heap")
	require.Less(t, late.live, early.live*5/4, "keys in the changelog")
	require.Less(t, late.files, early.files*3/2+8, "files")
	require.Less(t, late.bytes, early.bytes*3/2+8<<20, "bytes of files")
}

func newMonth(t testing.TB, births int) (*month, string) {
	dir := t.TempDir()
	options := rocksdb.Options{WriteBuffer: 1 << 20, BlockCache: 1 << 20}
	open := func(name string) *rocksdb.Store {
		s, err := rocksdb.Open(filepath.Join(dir, name), options)
		require.NoError(t, err)
		return s
	}
	plan := monthPlan(t)
	state := open("state")
	at := slices.IndexFunc(plan.Tables, func(b *topology.Table) bool { return b.Windows != nil })
	require.GreaterOrEqual(t, at, 0)
	bars := plan.Tables[at]
	finals := open("table")
	m := &month{t: t, r: rand.New(rand.NewPCG(1, 1)), births: births, offsets: map[string]int64{},
		encode: monthEncoder(t)}
	m.log = &monthLog{t: t, live: map[string]struct{}{}, topic: bars.Topic,
		mirror: tables.NewMirror(bars, finals, monthRetention, slog.New(slog.DiscardHandler))}
	_, err := m.log.mirror.Positions()
	require.NoError(t, err)
	cfg := taskConfig(plan, state, m.log)
	cfg.Now, cfg.Memory, cfg.CommitEvery, cfg.CheckpointEvery, cfg.Ahead = m.now, births*monthMemory, time.Minute,
		10*time.Minute, time.Hour
	m.task, err = task.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, state.Close())
		require.NoError(t, finals.Close())
	})
	return m, dir
}

// monthEncoder writes rows as topics hold them.
func monthEncoder(t testing.TB) func([]byte, *monthRow) ([]byte, error) {
	b := dsl.New("encoder")
	return dsl.Stream[monthRow](b, "rows").Codec(codecs.Fixed[monthRow]()).StreamRef().Encode
}
