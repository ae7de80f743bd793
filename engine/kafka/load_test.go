package kafka_test

import (
	"context"
	"encoding/binary"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// cpu is what the process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// idle reads every value's first byte and releases.
type idle struct {
	end   chan<- int64
	sum   byte
	batch *task.Batch
}

func (w *idle) Open(context.Context) (map[string]int64, error) { return nil, nil }
func (w *idle) Wants(string) bool                              { return w.batch == nil }
func (w *idle) Offer(b *task.Batch, release func()) {
	w.batch = b
	release()
}

func (w *idle) Run(context.Context, func(string) bool) error {
	for i := range w.batch.Records {
		w.sum += w.batch.Records[i].Value[0]
	}
	w.end <- int64(len(w.batch.Records))
	w.batch = nil
	return nil
}

func (w *idle) Tick(context.Context) error        { return nil }
func (w *idle) Close(context.Context, bool) error { return nil }
func (w *idle) Stuck(time.Time) (where string, since time.Time) {
	return "", time.Time{}
}
func (w *idle) Abandon() {}

// BenchmarkGroup is the cost of everything between broker and task: 24-byte records, two
// partitions, a worker that does nothing. The CPU figure holds the embedded broker's work too; with
// ASHI_TEST_BROKERS it is ours alone.
func BenchmarkGroup(b *testing.B) {
	c := kafkatest.Start(b)
	topic := c.Topic(b, "bench", 2)
	const records = 1_000_000
	p := writer(b, c, "")
	for i := range records {
		value := binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(i))
		p.Produce(b.Context(), &task.Output{Topic: topic, Partition: int32(i % 2), Value: value[:24], Timestamp: 1})
	}
	require.NoError(b, p.Commit(b.Context()))
	_, real := os.LookupEnv(kafkatest.Environment)
	b.Logf("real broker: %v", real)
	var used time.Duration
	for i := 0; b.Loop(); i++ {
		began := cpu()
		drain(b, c, topic, records)
		used += cpu() - began
	}
	b.ReportMetric(used.Seconds()*1e6/float64(records)/float64(b.N), "cpu-s/M")
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func drain(b *testing.B, c *kafkatest.Cluster, topic string, records int64) {
	ctx, cancel := context.WithCancel(b.Context())
	read := make(chan int64, 1000)
	g, err := kafka.NewGroup(c.Config(), kafka.GroupConfig{
		ID: c.Name("bench"),
		Subs: []kafka.SubTopology{{Name: topic, Topics: []string{topic},
			NewWorker: func(int32) kafka.Worker { return &idle{end: read} }}},
	})
	require.NoError(b, err)
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	for sum := int64(0); sum < records; {
		sum += <-read
	}
	cancel()
	require.NoError(b, <-done)
}
