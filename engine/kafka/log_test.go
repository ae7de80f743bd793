package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

// writer opens a producer that the test closes.
func writer(t testing.TB, c *kafkatest.Cluster, id string) *kafka.Producer {
	t.Helper()
	if id != "" {
		id = c.Name(id)
	}
	p, err := kafka.NewProducer(t.Context(), c.Config(), kafka.ProducerConfig{TransactionalID: id})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// put produces values to partition 0, as key=value or a bare value.
func put(t testing.TB, p *kafka.Producer, topic string, values ...string) {
	for i, v := range values {
		o := task.Output{Topic: topic, Value: []byte(v), Timestamp: windows.Time(1000 + i)}
		if key, value, found := strings.Cut(v, "="); found {
			o.Key, o.Value = []byte(key), []byte(value)
		}
		p.Produce(t.Context(), &o)
	}
}

// abortIn leaves an aborted transaction in the log.
func abortIn(t testing.TB, c *kafkatest.Cluster, topic string, values ...string) {
	p := writer(t, c, "aborter")
	put(t, p, topic, values...)
	unflushed(t, p)
	require.NoError(t, p.Close())
}

// unflushed gives the records of an open transaction the time to reach the log: their linger is 10
// ms.
func unflushed(t testing.TB, p *kafka.Producer) { require.NoError(t, p.FlushForTest(t.Context())) }

// follow reads partition 0 from an offset to a bound and returns the values and the last position
// told.
func follow(ctx context.Context, c *kafkatest.Cluster, topic string, from, until int64) (values []string,
	position int64, err error) {
	position = -1
	err = kafka.Follow(ctx, c.Config(), kafka.FollowConfig{
		Topic: topic, From: map[int32]int64{0: from}, Until: map[int32]int64{0: until},
		Apply: func(_ int32, records []task.Record, next int64) error {
			for _, r := range records {
				values = append(values, string(r.Value))
			}
			if next < position {
				return fmt.Errorf("position went back from %d to %d", position, next)
			}
			position = next
			return nil
		},
	})
	return values, position, err
}

func committedEnd(t testing.TB, c *kafkatest.Cluster, topic string) int64 {
	ends, err := c.Admin().Ends(t.Context(), topic, true)
	require.NoError(t, err)
	return ends[0]
}

// settledEnd is the end once every transaction is decided in the log: a real broker writes the
// markers just after it has answered the commit.
func settledEnd(t testing.TB, c *kafkatest.Cluster, topic string) (end int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		all, err := c.Admin().Ends(t.Context(), topic, false)
		require.NoError(t, err)
		end = committedEnd(t, c, topic)
		return end == all[0]
	}, patience, time.Millisecond)
	return end
}

func TestFollowReachesTheEndOfEveryKindOfLog(t *testing.T) {
	c := kafkatest.Start(t)
	cases := []struct {
		name  string
		write func(t *testing.T, topic string)
		want  []string
	}{
		{"empty", func(*testing.T, string) {}, nil},
		{"commit marker", func(t *testing.T, topic string) {
			p := writer(t, c, "w1")
			put(t, p, topic, "a", "b")
			require.NoError(t, p.Commit(t.Context()))
		}, []string{"a", "b"}},
		{"abort marker", func(t *testing.T, topic string) {
			p := writer(t, c, "w2")
			put(t, p, topic, "a")
			require.NoError(t, p.Commit(t.Context()))
			abortIn(t, c, topic, "x", "y")
		}, []string{"a"}},
		{"aborted only", func(t *testing.T, topic string) { abortIn(t, c, topic, "x") }, nil},
		{"aborted in the middle", func(t *testing.T, topic string) {
			abortIn(t, c, topic, "x")
			p := writer(t, c, "w3")
			put(t, p, topic, "a")
			require.NoError(t, p.Commit(t.Context()))
		}, []string{"a"}},
		{"without transactions", func(t *testing.T, topic string) {
			p := writer(t, c, "")
			put(t, p, topic, "a", "b", "c")
			require.NoError(t, p.Commit(t.Context()))
		}, []string{"a", "b", "c"}},
		{"open transaction", func(t *testing.T, topic string) {
			p := writer(t, c, "")
			put(t, p, topic, "a")
			require.NoError(t, p.Commit(t.Context()))
			open := writer(t, c, "open")
			put(t, open, topic, "x")
			unflushed(t, open)
		}, []string{"a"}},
	}
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			topic := c.Topic(t, fmt.Sprintf("log%d", i), 1)
			tc.write(t, topic)
			end := committedEnd(t, c, topic)
			if tc.name != "open transaction" {
				end = settledEnd(t, c, topic)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			values, position, err := follow(ctx, c, topic, kafka.Oldest, end)
			require.NoError(t, err)
			require.Equal(t, tc.want, values)
			require.Equal(t, end, position)
		})
	}
}

func TestFollowWaitsForAnOpenTransaction(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "waits", 1)
	open := writer(t, c, "open")
	put(t, open, topic, "a")
	unflushed(t, open)
	ends, err := c.Admin().Ends(t.Context(), topic, false)
	require.NoError(t, err)
	require.Equal(t, int64(1), ends[0])
	require.Equal(t, int64(0), committedEnd(t, c, topic))

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, _, err = follow(ctx, c, topic, kafka.Oldest, ends[0])
	require.ErrorIs(t, err, context.DeadlineExceeded)

	require.NoError(t, open.Commit(t.Context()))
	values, _, err := follow(t.Context(), c, topic, kafka.Oldest, ends[0])
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, values)
}

// Compaction is asked of kfake itself: no client can make a real broker compact now.
func TestFollowCompactedLog(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}))
	require.NoError(t, err)
	defer cluster.Close()
	require.NoError(t, cluster.CreateTopic("compacted", 1, map[string]string{"cleanup.policy": "compact",
		"delete.retention.ms": "0"}))
	cfg := kafka.Config{Brokers: cluster.ListenAddrs()}
	p, err := kafka.NewProducer(t.Context(), cfg, kafka.ProducerConfig{TransactionalID: "w"})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	for _, values := range [][]string{{"k=1", "l=1"}, {"k=2"}, {"k=3"}} {
		put(t, p, "compacted", values...)
		require.NoError(t, p.Commit(t.Context()))
	}
	for _, key := range []string{"k", "l"} { // a tail of tombstones, which compaction removes
		p.Produce(t.Context(), &task.Output{Topic: "compacted", Key: []byte(key)})
	}
	require.NoError(t, p.Commit(t.Context()))
	end := cluster.PartitionInfo("compacted", 0).LastStableOffset
	for round := range 3 {
		cluster.Compact()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var position int64
		err := kafka.Follow(ctx, cfg, kafka.FollowConfig{
			Topic: "compacted", From: map[int32]int64{0: kafka.Oldest}, Until: map[int32]int64{0: end},
			Apply: func(_ int32, _ []task.Record, next int64) error { position = next; return nil },
		})
		cancel()
		require.NoError(t, err, "round %d", round)
		require.Equal(t, end, position)
	}
}

func TestFollowOutOfRange(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "range", 1)
	p := writer(t, c, "")
	put(t, p, topic, "a", "b")
	require.NoError(t, p.Commit(t.Context()))
	_, _, err := follow(t.Context(), c, topic, 3, 2)
	require.ErrorIs(t, err, kafka.ErrOutOfRange)
	require.ErrorContains(t, err, topic)
	values, _, err := follow(t.Context(), c, topic, 1, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, values)
}

func TestFollowBelowTheStart(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "cut"))
	require.NoError(t, err)
	defer cluster.Close()
	cfg := kafka.Config{Brokers: cluster.ListenAddrs()}
	p, err := kafka.NewProducer(t.Context(), cfg, kafka.ProducerConfig{})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	put(t, p, "cut", "a", "b", "c")
	require.NoError(t, p.Commit(t.Context()))
	require.NoError(t, cluster.DeleteRecords("cut", 0, 2))
	apply := func(int32, []task.Record, int64) error { return nil }
	err = kafka.Follow(t.Context(), cfg, kafka.FollowConfig{Topic: "cut", From: map[int32]int64{0: 1},
		Until: map[int32]int64{0: 3}, Apply: apply})
	require.ErrorIs(t, err, kafka.ErrOutOfRange)
}

func TestFollowReturnsTheErrorOfApply(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "apply", 1)
	boom := errors.New("boom")
	err := kafka.Follow(t.Context(), c.Config(), kafka.FollowConfig{
		Topic: topic, From: map[int32]int64{0: kafka.Oldest},
		Apply: func(int32, []task.Record, int64) error { return boom },
	})
	require.ErrorIs(t, err, boom)
}

func TestRecordsArriveAsWritten(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "asis", 1)
	p := writer(t, c, "w")
	outs := []task.Output{
		{Topic: topic, Key: []byte("k"), Value: []byte("v"), Timestamp: 1},
		{Topic: topic, Key: []byte{}, Value: []byte{}, Timestamp: 1_700_000_000_000},
		{Topic: topic, Timestamp: 0},
		{Topic: topic, Value: []byte(strings.Repeat("x", 300_000)), Timestamp: 5,
			Headers: []task.Header{{Key: "a", Value: []byte("1")}, {Key: "b"}}},
	}
	for i := range outs {
		p.Produce(t.Context(), &outs[i])
	}
	require.NoError(t, p.Commit(t.Context()))
	var got []task.Record
	require.NoError(t, kafka.Follow(t.Context(), c.Config(), kafka.FollowConfig{
		Topic: topic, From: map[int32]int64{0: kafka.Oldest}, Until: map[int32]int64{0: settledEnd(t, c, topic)},
		Apply: func(_ int32, records []task.Record, _ int64) error { got = append(got, records...); return nil },
	}))
	require.Len(t, got, len(outs))
	for i, r := range got {
		require.Equal(t, outs[i].Key, r.Key)
		require.Equal(t, outs[i].Value, r.Value)
		require.Equal(t, outs[i].Headers, r.Headers)
		require.Equal(t, outs[i].Timestamp, r.Timestamp)
		require.Equal(t, int64(i), r.Offset)
	}
}

// Without transactions the log says that work is done when its results have arrived, and not
// before: here they are refused.
func TestLogWaitsForTheOthers(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "log", "results"))
	require.NoError(t, err)
	defer cluster.Close()
	cfg := kafka.Config{Brokers: cluster.ListenAddrs()}
	commit := func() error {
		p, err := kafka.NewProducer(t.Context(), cfg, kafka.ProducerConfig{Log: "log"})
		require.NoError(t, err)
		defer func() { require.NoError(t, p.Close()) }()
		put(t, p, "log", "row")
		put(t, p, "results", "a")
		put(t, p, "log", "done")
		return p.Commit(t.Context())
	}
	refuse := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "results", Err: kerr.MessageTooLarge,
		Count: -1})
	require.ErrorIs(t, commit(), kerr.MessageTooLarge)
	require.Zero(t, cluster.PartitionInfo("log", 0).HighWatermark)
	refuse.Remove()
	require.NoError(t, commit())
	require.EqualValues(t, 2, cluster.PartitionInfo("log", 0).HighWatermark)
}

func TestSecondProducerFencesTheFirst(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "fence", 1)
	first := writer(t, c, "task")
	put(t, first, topic, "a")
	require.NoError(t, first.Commit(t.Context()))
	put(t, first, topic, "lost")
	unflushed(t, first)

	second := writer(t, c, "task")
	end := committedEnd(t, c, topic)
	values, _, err := follow(t.Context(), c, topic, kafka.Oldest, end)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, values, "the open transaction is aborted when the successor is there")

	put(t, first, topic, "zombie")
	err = first.Commit(t.Context())
	require.ErrorIs(t, err, task.ErrFenced)

	put(t, second, topic, "b")
	require.NoError(t, second.Commit(t.Context()))
	values, _, err = follow(t.Context(), c, topic, kafka.Oldest, settledEnd(t, c, topic))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, values)
}

func TestCommitThatCannotGoThroughIsAborted(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "abort", 1)
	p := writer(t, c, "w")
	put(t, p, topic, "a")
	p.Produce(t.Context(), &task.Output{Topic: topic, Value: make([]byte, 5<<20)}) // larger than the topic takes
	err := p.Commit(t.Context())
	require.ErrorIs(t, err, task.ErrAborted)
	require.NotErrorIs(t, err, task.ErrFenced)
	values, _, err := follow(t.Context(), c, topic, kafka.Oldest, settledEnd(t, c, topic))
	require.NoError(t, err)
	require.Empty(t, values)
}

func TestAdmin(t *testing.T) {
	c := kafkatest.Start(t)
	a := c.Admin()
	topic := c.Topic(t, "admin", 3, "cleanup.policy", "compact")
	counts, err := a.Partitions(t.Context(), topic, c.Name("absent"))
	require.NoError(t, err)
	require.Equal(t, map[string]int32{topic: 3}, counts)

	spec := kafka.TopicSpec{Name: topic, Partitions: 3, Replication: -1,
		Config: map[string]string{"cleanup.policy": "compact"}}
	require.NoError(t, a.Ensure(t.Context(), spec))
	wrong := spec
	wrong.Partitions = 4
	err = a.Ensure(t.Context(), wrong)
	require.ErrorIs(t, err, kafka.ErrTopicMismatch)
	require.ErrorContains(t, err, "has 3 partitions, 4 are wanted")
	wrong = spec
	wrong.Config = map[string]string{"cleanup.policy": "delete"}
	err = a.Ensure(t.Context(), wrong)
	require.ErrorIs(t, err, kafka.ErrTopicMismatch)
	require.ErrorContains(t, err, `cleanup.policy="compact"`)

	starts, err := a.Starts(t.Context(), topic)
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{0: 0, 1: 0, 2: 0}, starts)
	offsets, err := a.CommittedOffsets(t.Context(), c.Name("nobody"), topic)
	require.NoError(t, err)
	require.Empty(t, offsets)
	require.NoError(t, a.Delete(t.Context(), c.Name("absent")))
}

func TestEnsureAtTheSameTime(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "once", 2) // for its clean-up
	require.NoError(t, c.Admin().Delete(t.Context(), topic))
	done := make(chan error)
	for range 4 {
		go func() {
			done <- c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: topic, Partitions: 2, Replication: -1})
		}()
	}
	for range 4 {
		require.NoError(t, <-done)
	}
}

func TestNoBrokerAtTheAddress(t *testing.T) {
	const nobody = "127.0.0.1:1"
	cfg := kafka.Config{Brokers: []string{nobody}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	a, err := kafka.NewAdmin(cfg)
	require.NoError(t, err)
	defer a.Close()
	_, err = a.Partitions(ctx, "t")
	require.ErrorContains(t, err, nobody)
	require.ErrorContains(t, err, "refused")
	_, err = kafka.NewProducer(ctx, cfg, kafka.ProducerConfig{TransactionalID: "x"})
	require.ErrorContains(t, err, nobody)
	_, err = kafka.NewAdmin(kafka.Config{})
	require.Error(t, err)
}
