package kafka_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// Offsets of a topic with an id are not read from another one of its name, whether that is there
// from the start or made again while it is followed.
func TestFollowOfTopicMadeAgain(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, "t", 1)
	found, err := c.Admin().Topics(t.Context(), topic, c.Name("missing"))
	require.NoError(t, err)
	require.Len(t, found.Topics, 1)
	require.EqualValues(t, 1, found.Topics[topic].Partitions)
	id := found.Topics[topic].ID
	require.NotZero(t, id)
	require.NotEmpty(t, found.Cluster)
	record := func(n int) {
		for range n {
			c.Write(t, topic, 1, task.Output{Key: []byte("k"), Value: []byte("v"), Timestamp: 1})
		}
	}
	follow := func(id task.TopicID, apply func(records []task.Record)) error {
		return kafka.Follow(t.Context(), c.Config(), kafka.FollowConfig{Topic: topic, ID: id,
			From: map[int32]int64{0: 2}, Apply: func(_ int32, records []task.Record, _ int64) error {
				apply(records)
				return nil
			}})
	}
	record(3)
	nothing := func(records []task.Record) { require.Empty(t, records, "of another topic") }
	require.ErrorIs(t, follow(task.TopicID{1}, nothing), kafka.ErrOtherTopic)

	read := 0
	err = follow(id, func(records []task.Record) {
		if read += len(records); len(records) > 0 {
			require.NoError(t, c.Admin().Delete(t.Context(), topic))
			require.NoError(t, c.Admin().Ensure(t.Context(), kafka.TopicSpec{Name: topic, Partitions: 1,
				Replication: -1}))
			record(5)
		}
	})
	require.ErrorIs(t, err, kafka.ErrOtherTopic)
	require.ErrorContains(t, err, topic)
	require.ErrorContains(t, err, id.String())
	require.Equal(t, 1, read)
}

// A note is read as it was written, by whoever asks, and the last one counts.
func TestNotes(t *testing.T) {
	c := kafkatest.Start(t)
	topic, group := c.Topic(t, "t", 1), c.Name("notes")
	commits, err := c.Admin().Commits(t.Context(), group, topic)
	require.NoError(t, err)
	require.Empty(t, commits)
	for _, text := range []string{"application=a topic=x", "application=b topic=x"} {
		require.NoError(t, c.Admin().Note(t.Context(), group, topic, text))
		commits, err = c.Admin().Commits(t.Context(), group, topic)
		require.NoError(t, err)
		require.Equal(t, map[int32]kafka.Commit{0: {Metadata: text}}, commits)
	}
	require.Equal(t,
		"kafka-consumer-groups.sh --bootstrap-server b:1 --command-config admin.properties --delete --group "+group,
		kafka.Config{Brokers: []string{"b:1"}}.DeleteGroupCommand(group))
}
