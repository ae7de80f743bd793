package streamstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// joinStreams runs the joins in Kafka Streams until all is taken.
func joinStreams(ctx context.Context, t *testing.T, jars, brokers, app string, joins []*join) {
	classes := t.TempDir()
	run := func(name string, args ...string) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
		require.NoError(t, cmd.Run(), name)
	}
	run("javac", "-cp", jars+"/*", "-d", classes, "java/Finals.java", "java/Joins.java")
	args := []string{"-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classes + ":" + jars + "/*", "Joins", brokers, app}
	for _, j := range joins {
		args = append(args, j.argument())
	}
	run("java", args...)
}

// write makes the topics of joins and fills them.
func writeJoins(t *testing.T, c *kafkatest.Cluster, joins []*join) {
	for _, j := range joins {
		for side, name := range []string{"left", "right"} {
			j.topics[side] = c.Topic(t, j.name+"-"+name, j.partitions)
			c.Write(t, j.topics[side], j.partitions, j.records(side)...)
		}
		settings := []string{"retention.ms", "-1"}
		// compacted, as the topic of a table is, but not before all is read
		if j.kind() == "tables" || j.kind() == "foreign" {
			settings = []string{"cleanup.policy", "compact", "min.cleanable.dirty.ratio", "1"}
		}
		j.outputs[ours] = c.Topic(t, j.name+"-ours", j.partitions, settings...)
		j.outputs[theirs] = c.Topic(t, j.name+"-theirs", j.partitions)
	}
}

// results is what a side has put out, read from its topic.
func (j *join) results(t *testing.T, c *kafkatest.Cluster, side int) (all []result) {
	topic := j.outputs[side]
	// a transaction that has ended may not show yet in the ends of what is committed
	ends, err := c.Admin().Ends(t.Context(), topic, false)
	require.NoError(t, err)
	from := map[int32]int64{}
	for p := range ends {
		from[p] = kafka.Oldest
	}
	require.NoError(t, kafka.Follow(t.Context(), c.Config(), kafka.FollowConfig{Topic: topic, From: from, Until: ends,
		Apply: func(_ int32, records []task.Record, _ int64) error {
			for _, r := range records {
				all = append(all, result{string(r.Key), parsePaired(t, side, r.Value), int64(r.Timestamp)})
			}
			return nil
		}}))
	return j.comparable(side, all)
}

// Each form is run calm and wild, and each difference that is known: both sides give what the
// oracle says after their rules. In calm joins that is the same (TestCalmJoins).
func TestJoinsAgainstKafkaStreams(t *testing.T) {
	classes := jars(t)
	r := rand.New(rand.NewPCG(seed(t), 0))
	c := kafkatest.Start(t)
	var joins []*join
	for _, form := range forms {
		joins = append(joins, randomJoin(r, form, true, 1000), randomJoin(r, form, false, 1000))
	}
	for _, d := range differentJoins() {
		joins = append(joins, &d.join)
	}
	writeJoins(t, c, joins)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	joinStreams(ctx, t, classes, strings.Join(c.Brokers, ","), c.Name("joins"), joins)
	joinAshi(ctx, t, c, c.Name("joins-ours"), joins)
	for _, j := range joins {
		for side, name := range []string{"ashi", "Kafka Streams"} {
			want, got := lines(j.expect(side)), lines(j.results(t, c, side))
			require.Equal(t, want, got, "%s: %s: before %d, after %d, grace %d", name, j.name, j.before, j.after,
				j.grace)
		}
	}
}

// The rules of both sides give the same where a join is calm.
func TestCalmJoins(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range 100 {
		// foreign joins are compared by what is left at the end, of which there is one rule
		for _, form := range forms[:len(forms)-2] {
			j := randomJoin(r, form, true, 60)
			require.NotEmpty(t, j.expect(theirs), j.name)
			require.Equal(t, lines(j.expect(theirs)), lines(j.expect(ours)), "%s: before %d, after %d, grace %d",
				j.name, j.before, j.after, j.grace)
		}
	}
}

func lines(all []result) (s []string) {
	for _, r := range all {
		s = append(s, fmt.Sprint(r))
	}
	return s
}
