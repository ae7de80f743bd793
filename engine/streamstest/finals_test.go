package streamstest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plan is the programs of all scenes in ashi.
func plan(t *testing.T, app string, scenes []*scene) *topology.Plan {
	b := dsl.New(app)
	for _, s := range scenes {
		grouped := dsl.GroupByKey[string](dsl.Stream[tick](b, s.topic))
		for i, p := range s.programs {
			topic := s.outputs[ours][i]
			rows := dsl.Aggregate(grouped, p.spec(), func(g dsl.Group[string, tick]) total {
				bid := func(r *tick) float64 { return r.Bid }
				return total{Count: aggregates.Count(g), First: aggregates.EarliestByOffset(g, bid),
					Last: aggregates.LatestByOffset(g, bid), Min: aggregates.Min(g, bid), Max: aggregates.Max(g, bid)}
			}).As(fmt.Sprintf("%s-%d", s.name, i))
			rows.Final().Named(func(windows.Kind) string { return topic })
			if i%4 == 3 { // then hopping windows are kept one by one, not made of slices
				rows.Changes().Named(func(windows.Kind) string { return topic + "-changes" })
			}
		}
	}
	built, err := b.Build()
	require.NoError(t, err)
	return built
}

// streams is the same in Kafka Streams. It returns what ends the process early, if anything does.
func streams(ctx context.Context, t *testing.T, jars, brokers, app string, scenes []*scene) func() error {
	args := []string{"-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", jars + "/*", "java/Finals.java", brokers, app}
	for _, s := range scenes {
		for i, p := range s.programs {
			args = append(args, fmt.Sprintf("%s,%s,%d,%d,%d,%s,%s", s.topic, p.form, p.size, p.advance, p.grace,
				s.outputs[theirs][i], s.store))
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
			s.outputs[theirs] = append(s.outputs[theirs], c.Topic(t, fmt.Sprintf("%s-%d-theirs", s.name, i),
				s.partitions))
		}
		s.end()
		c.Write(t, s.topic, s.partitions, s.records...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	wait := streams(ctx, t, jars, strings.Join(c.Brokers, ","), c.Name("theirs"), scenes)
	app := c.Name("ours")
	e, err := engine.New(plan(t, app, scenes), engine.Config{Brokers: c.Brokers, CommitInterval: 200 * time.Millisecond,
		MaxAhead: engine.NoBound, Log: slog.New(slog.NewTextHandler(t.Output(),
			&slog.HandlerOptions{Level: slog.LevelError}))})
	require.NoError(t, err)
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.Run(running) }()
	var reads []string
	for _, s := range scenes {
		reads = append(reads, s.topic)
	}
	awaitTaken(ctx, t, c, app, reads)
	stop()
	require.NoError(t, <-done)
	require.NoError(t, wait())
}

// awaitTaken returns when the group has committed its results for all records of the topics that it
// reads. They may feed each other, in a circle even: nothing is under way where offsets are at ends
// that were asked for after them.
func awaitTaken(ctx context.Context, t *testing.T, c *kafkatest.Cluster, group string, reads []string) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		behind := ""
		at := map[string]map[int32]int64{}
		for _, topic := range reads {
			offsets, err := c.Admin().CommittedOffsets(ctx, group, topic)
			require.NoError(t, err)
			at[topic] = offsets
		}
		for _, topic := range reads {
			ends, err := c.Admin().Ends(ctx, topic, false)
			require.NoError(t, err)
			for p, end := range ends {
				if got := at[topic][p]; got != end {
					behind = fmt.Sprintf("group %s has taken partition %d of %s up to %d of %d", group, p, topic, got,
						end)
				}
			}
		}
		if behind == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(behind)
		case <-tick.C:
		}
	}
}

// results is the final rows of one program as lines: key, window, timestamp, totals, partition.
// Equal rows are as many lines. Those of a partition stay in their order, but for sessions, where
// the sides have different ones: there they are sorted.
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
				lines = append(lines, fmt.Sprintf("%q [%d,%d] @%d %s, partition %d", group, w.Start, w.End, r.Timestamp,
					parse(t, side, r.Value), p))
			}
			return nil
		}}))
	if s.programs[program].form == "session" {
		slices.Sort(lines)
		return lines
	}
	slices.SortStableFunc(lines, func(a, b string) int { return cmp.Compare(a[len(a)-1], b[len(b)-1]) }) // by partition
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
func jars(t *testing.T) string { return jarsOf(t, "java/pom.xml") }

// jarsOf is jars of another pom.
func jarsOf(t *testing.T, pom string) string {
	if os.Getenv(kafkatest.Environment) == "" {
		t.Skipf("needs a real broker, which %s names: see make kafka-test", kafkatest.Environment)
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("Kafka Streams needs java and mvn: %v", err)
		}
	}
	cmd := exec.Command("../../.ci/kafka", "jars", pom)
	cmd.Stderr = t.Output()
	folder, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(folder))
}

// seed is that of a test's random programs and records.
func seed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if s := os.Getenv("ASHI_STREAMS_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("ASHI_STREAMS_SEED=%d", seed)
	return seed
}

// Final rows are Kafka Streams' own: the same keys, windows, partitions, timestamps and totals,
// each once. Where they are not, both are told in differences, and in docs/semantics.md.
//
// ASHI_STREAMS_SEED repeats an input.
func TestFinalsAgainstKafkaStreams(t *testing.T) {
	classes := jars(t)
	r := rand.New(rand.NewPCG(seed(t), 0))
	c := kafkatest.Start(t)
	// RocksDB takes a folder per minute of a store's event time, and tens of milliseconds to open
	// each: a short input.
	same := []*scene{randomScene(r, "from-1970", "memory", 0, 2500, 6), randomScene(r, "from-2001", "memory",
		1_000_000_000_000, 2500, 6),
		randomScene(r, "rocksdb", "rocksdb", 1_400_000_000_000, 200, 2), slidingScene(r, "sliding-from-1970", "memory",
			0, 1500, 4),
		slidingScene(r, "sliding-from-2001", "memory", 1_000_000_000_000, 1500, 4), slidingScene(r, "sliding-rocksdb",
			"rocksdb", 1_400_000_000_000, 200, 2)}
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
