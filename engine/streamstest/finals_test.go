package streamstest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// tick has no timestamp column: its event time is the record's.
type tick struct {
	Key string  `ashi:"key,key" json:"-"`
	Bid float64 `ashi:"bid" json:"bid"`
}

// total is what both sides count in a window.
type total struct {
	Count                 int64
	First, Last, Min, Max float64
}

// String is total with each bit of its numbers: -0 is not 0.
func (t total) String() string {
	return fmt.Sprintf("count %d first %v last %v min %v max %v", t.Count, exact(t.First), exact(t.Last), exact(t.Min), exact(t.Max))
}

func exact(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// program is windows over one input. Times are in milliseconds.
type program struct {
	form                 string // time or session
	size, advance, grace int64
}

func (p program) spec() windows.Spec {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	s := windows.Session(ms(p.size))
	if p.form == "time" {
		s = windows.Hopping(ms(p.size), ms(p.advance))
	}
	return s.Grace(ms(p.grace))
}

// scene is an input, and the programs that run over it on both sides.
type scene struct {
	name       string
	topic      string
	store      string // of Kafka Streams: memory, or rocksdb, which it takes where nothing is said
	partitions int32
	records    []task.Output
	programs   []program
	outputs    [2][]string // topics, by side and program
}

const ours, theirs = 0, 1

// record is one record, of no value if bid is NaN, of no key if key is empty.
func record(key string, at int64, bid float64) task.Output {
	o := task.Output{Timestamp: windows.Time(at)}
	if key != "" {
		o.Key = []byte(key)
	}
	if !math.IsNaN(bid) {
		o.Value = fmt.Appendf(nil, `{"bid":%s}`, exact(bid))
	}
	return o
}

// grain is the distance between event times, so that records meet bounds of windows, and each other, all the time.
const grain = 500

// randomScene has records out of order, late, at the same instant, with jumps of seconds and of years, without value or without key (and those
// far ahead: they must not move stream time), of values that are alike and of both zeroes.
func randomScene(r *rand.Rand, name, store string, start int64, records, programs int) *scene {
	s := &scene{name: name, store: store, partitions: 2}
	at := start
	for range records {
		at += grain * int64(r.IntN(4))
		switch r.IntN(400) {
		case 0:
			at += grain * r.Int64N(3*365*24*3600*2)
		case 1, 2, 3, 4, 5, 6, 7, 8:
			at += grain * r.Int64N(120)
		}
		when, key, bid := at, fmt.Sprintf("k%d", r.IntN(7)), float64(r.IntN(64)-32)/8
		switch n := r.IntN(100); {
		case n < 40:
			when -= grain * int64(r.IntN(25))
		case n < 44:
			when -= grain * int64(r.IntN(200))
		case n == 44:
			when, key = when+3_600_000, ""
		case n == 45:
			when, bid = when+3_600_000, math.NaN()
		case n == 46:
			bid = math.Copysign(0, -1)
		}
		s.records = append(s.records, record(key, max(when, 0), bid))
	}
	for range programs {
		size := 1 + r.Int64N(20_000)
		if r.IntN(2) == 0 {
			size = grain * (1 + r.Int64N(40))
		}
		advance := size/10 + 1 + r.Int64N(size-size/10)
		s.programs = append(s.programs, program{"time", size, size, grain * r.Int64N(20)}, program{"time", size, min(advance, size), grain * r.Int64N(20)})
	}
	// A grace between two times: no record ever comes when stream time is past the end of a session by exactly gap and grace.
	for range programs {
		s.programs = append(s.programs, program{"session", grain * (1 + r.Int64N(10)), 0, grain*r.Int64N(20) + grain/2})
	}
	return s
}

// end adds a record to each partition that closes all windows before it.
func (s *scene) end() {
	last := slices.MaxFunc(s.records, func(a, b task.Output) int { return cmp.Compare(a.Timestamp, b.Timestamp) }).Timestamp
	done := map[int32]bool{}
	for i := 0; len(done) < int(s.partitions); i++ {
		key := fmt.Sprintf("end%d", i)
		if p := murmur.Partition([]byte(key), s.partitions); !done[p] {
			done[p] = true
			s.records = append(s.records, record(key, int64(last)+24*3_600_000, 1))
		}
	}
}

// plan is the programs of all scenes in ashi.
func plan(t *testing.T, app string, scenes []*scene) *topology.Plan {
	b := dsl.New(app)
	for _, s := range scenes {
		grouped := dsl.GroupBy(dsl.Stream[tick](b, s.topic), func(r *tick) string { return r.Key })
		for i, p := range s.programs {
			topic := s.outputs[ours][i]
			dsl.Aggregate(grouped, p.spec(), func(g dsl.Group[string, tick]) total {
				bid := func(r *tick) float64 { return r.Bid }
				return total{Count: aggregates.Count(g), First: aggregates.EarliestByOffset(g, bid), Last: aggregates.LatestByOffset(g, bid),
					Min: aggregates.Min(g, bid), Max: aggregates.Max(g, bid)}
			}).As(fmt.Sprintf("%s-%d", s.name, i)).Final().Named(func(windows.Kind) string { return topic })
		}
	}
	built, err := b.Build()
	require.NoError(t, err)
	return built
}

// streams is the same in Kafka Streams. It returns what ends the process early, if anything does.
func streams(ctx context.Context, t *testing.T, jars, brokers, app string, scenes []*scene) func() error {
	args := []string{"-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", jars + "/*",
		"java/Finals.java", brokers, app}
	for _, s := range scenes {
		for i, p := range s.programs {
			args = append(args, fmt.Sprintf("%s,%s,%d,%d,%d,%s,%s", s.topic, p.form, p.size, p.advance, p.grace, s.outputs[theirs][i], s.store))
		}
	}
	cmd := exec.CommandContext(ctx, "java", args...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, cmd.Start())
	return cmd.Wait
}

// run puts the records in, and runs both sides until all are taken.
func run(t *testing.T, c *kafkatest.Cluster, jars string, scenes []*scene) {
	for _, s := range scenes {
		s.topic = c.Topic(t, s.name, s.partitions)
		for i := range s.programs {
			s.outputs[ours] = append(s.outputs[ours], c.Name(fmt.Sprintf("%s-%d-ours", s.name, i)))
			s.outputs[theirs] = append(s.outputs[theirs], c.Topic(t, fmt.Sprintf("%s-%d-theirs", s.name, i), s.partitions))
		}
		s.end()
		c.Write(t, s.topic, s.partitions, s.records...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	wait := streams(ctx, t, jars, strings.Join(c.Brokers, ","), c.Name("theirs"), scenes)
	app := c.Name("ours")
	e, err := engine.New(plan(t, app, scenes), engine.Config{Brokers: c.Brokers, CommitInterval: 200 * time.Millisecond, MaxAhead: engine.NoBound,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))})
	require.NoError(t, err)
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.Run(running) }()
	for _, s := range scenes {
		awaitTaken(ctx, t, c, app+"-"+s.topic, s.topic)
	}
	stop()
	require.NoError(t, <-done)
	require.NoError(t, wait())
}

// awaitTaken returns when a group has committed its results for all records of a topic.
func awaitTaken(ctx context.Context, t *testing.T, c *kafkatest.Cluster, group, topic string) {
	ends, err := c.Admin().Ends(ctx, topic, false)
	require.NoError(t, err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		at, err := c.Admin().CommittedOffsets(ctx, group, topic)
		require.NoError(t, err)
		done := true
		for p, end := range ends {
			done = done && at[p] == end
		}
		if done {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("input is taken up to %v, want %v", at, ends)
		case <-tick.C:
		}
	}
}

// results is the final rows of one program as sorted lines: key, window, timestamp, totals, partition. Equal rows are as many lines.
func (s *scene) results(t *testing.T, c *kafkatest.Cluster, side, program int) (lines []string) {
	topic, kind := s.outputs[side][program], s.programs[program].spec().Kinds()[0]
	ends, err := c.Admin().Ends(t.Context(), topic, true)
	require.NoError(t, err)
	require.Len(t, ends, int(s.partitions))
	from := map[int32]int64{}
	for p := range ends {
		from[p] = kafka.Oldest
	}
	require.NoError(t, kafka.Follow(t.Context(), c.Config(), kafka.FollowConfig{Topic: topic, From: from, Until: ends,
		Apply: func(p int32, records []task.Record, _ int64) error {
			for _, r := range records {
				group, w, ok := kind.CutKey(r.Key)
				require.True(t, ok, "key %x", r.Key)
				lines = append(lines, fmt.Sprintf("%q [%d,%d] @%d %s, partition %d", group, w.Start, w.End, r.Timestamp, parse(t, side, r.Value), p))
			}
			return nil
		}}))
	slices.Sort(lines)
	return lines
}

// parse reads a row as the side writes it.
func parse(t *testing.T, side int, value []byte) (v total) {
	if side == ours {
		require.NoError(t, codecs.JSON[total]().Decode(value, &v))
		return v
	}
	var firstAt, lastAt int64
	_, err := fmt.Sscan(string(value), &v.Count, &firstAt, &v.First, &lastAt, &v.Last, &v.Min, &v.Max)
	require.NoError(t, err, "value %q", value)
	return v
}

// jars fetches Kafka Streams, or skips the test where it cannot run.
func jars(t *testing.T) string {
	if os.Getenv(kafkatest.Environment) == "" {
		t.Skipf("needs a real broker, which %s names: see make kafka-test", kafkatest.Environment)
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("Kafka Streams needs java and mvn: %v", err)
		}
	}
	cmd := exec.Command("../../.ci/kafka", "jars", "java/pom.xml")
	cmd.Stderr = t.Output()
	folder, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(folder))
}

// difference is an input of one partition on which both sides do not agree, and what each makes of it.
type difference struct {
	scene
	theirs, ours []string
}

// differences are those that are known. At a stream time of a session's end, gap and grace together, Kafka Streams does not agree with
// itself: suppress puts the session out and the store hides it, but records of that time are taken still, and begin a second session.
func differences() []*difference {
	exact := []program{{"session", 10, 0, 5}}
	return []*difference{
		{scene{name: "same-instant", programs: exact, records: []task.Output{record("a", 0, 1), record("b", 15, 2), record("a", 0, 3)}},
			[]string{`"a" [0,0] @0 count 1 first 1 last 1 min 1 max 1, partition 0`, `"a" [0,0] @0 count 1 first 3 last 3 min 3 max 3, partition 0`,
				`"b" [15,15] @15 count 1 first 2 last 2 min 2 max 2, partition 0`},
			[]string{`"a" [0,0] @0 count 2 first 1 last 3 min 1 max 3, partition 0`, `"b" [15,15] @15 count 1 first 2 last 2 min 2 max 2, partition 0`}},
		{scene{name: "extended", programs: exact, records: []task.Output{record("a", 0, 1), record("b", 15, 2), record("a", 5, 3)}},
			[]string{`"a" [0,0] @0 count 1 first 1 last 1 min 1 max 1, partition 0`, `"a" [5,5] @5 count 1 first 3 last 3 min 3 max 3, partition 0`,
				`"b" [15,15] @15 count 1 first 2 last 2 min 2 max 2, partition 0`},
			[]string{`"a" [0,5] @5 count 2 first 1 last 3 min 1 max 3, partition 0`, `"b" [15,15] @15 count 1 first 2 last 2 min 2 max 2, partition 0`}},
	}
}

// Final rows are Kafka Streams' own: the same keys, windows, partitions, timestamps and totals, each once. Where they are not, both are
// told in differences, and in docs/semantics.md.
//
// ASHI_STREAMS_SEED repeats an input.
func TestFinalsAgainstKafkaStreams(t *testing.T) {
	classes := jars(t)
	seed := rand.Uint64()
	if s := os.Getenv("ASHI_STREAMS_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("ASHI_STREAMS_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := kafkatest.Start(t)
	// RocksDB takes a folder per minute of a store's event time, and tens of milliseconds to open each: a short input.
	same := []*scene{randomScene(r, "from-1970", "memory", 0, 2500, 6), randomScene(r, "from-2001", "memory", 1_000_000_000_000, 2500, 6),
		randomScene(r, "rocksdb", "rocksdb", 1_400_000_000_000, 200, 2)}
	all := slices.Clone(same)
	differ := differences()
	for _, d := range differ {
		d.partitions, d.store = 1, "rocksdb"
		all = append(all, &d.scene)
	}
	run(t, c, classes, all)
	for _, s := range same {
		for i, p := range s.programs {
			want, got := s.results(t, c, theirs, i), s.results(t, c, ours, i)
			require.NotEmpty(t, want, "%s: %v", s.name, p)
			require.Equal(t, want, got, "%s: %v", s.name, p)
		}
	}
	for _, d := range differ {
		require.Equal(t, d.theirs, d.results(t, c, theirs, 0), "%s: Kafka Streams", d.name)
		require.Equal(t, d.ours, d.results(t, c, ours, 0), "%s: ashi", d.name)
	}
}
