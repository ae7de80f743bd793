package kafkatest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// Write puts records of any kind and size into a topic, in their order, as a program that is not
// ours would.
func (c *Cluster) Write(t testing.TB, topic string, partitions int32, outputs ...task.Output) {
	t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ProducerBatchMaxBytes(32 << 20),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if c.Dial != nil {
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	client, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	defer client.Close()
	records := make([]*kgo.Record, len(outputs))
	for i, o := range outputs {
		records[i] = &kgo.Record{Topic: topic, Partition: kafka.Partition(o.Key, partitions), Key: o.Key,
			Value: o.Value, Timestamp: time.UnixMilli(int64(o.Timestamp))}
		for _, h := range o.Headers {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
}
