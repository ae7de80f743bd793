package kafka_test

import (
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

// put writes n records to partition 0 of a topic, at start, start+step and so on.
func (b *bench) put(topic string, n int, start, step windows.Time) {
	p := writer(b.t, b.cluster, "")
	for i := range n {
		p.Produce(b.t.Context(), &task.Output{Topic: topic, Value: []byte("value"),
			Timestamp: start + windows.Time(i)*step})
	}
	require.NoError(b.t, p.Commit(b.t.Context()))
}

// taken is what the toys of a bench have worked on, in their order.
type taken struct {
	mu     sync.Mutex
	topics []string
	times  []windows.Time
}

func watch(b *bench) *taken {
	k := new(taken)
	b.onRecord = func(topic string, r *task.Record) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.topics, k.times = append(k.topics, topic), append(k.times, r.Timestamp)
	}
	return k
}

func (k *taken) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.times)
}

// requireOrder waits for n records and checks that none was older than the one before it.
func (k *taken) requireOrder(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return k.len() >= n }, patience, 5*time.Millisecond)
	k.mu.Lock()
	defer k.mu.Unlock()
	require.Len(t, k.times, n)
	for i := 1; i < n; i++ {
		require.LessOrEqual(t, k.times[i-1], k.times[i], "record %d, of %s", i, k.topics[i])
	}
}

// Two topics that are both full are taken by time, however unlike they are in density.
func TestTopicsAreMergedByTime(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 1, "a", "b")
	k := watch(b)
	b.put(b.topics[0], 60_000, 0, 2)
	b.put(b.topics[1], 400, 1, 300)
	stop := b.run()
	k.requireOrder(t, 60_400)
	require.NoError(t, stop())
}

// A topic that is far ahead of the other waits for it, and its records are not fetched in vain.
func TestTopicFarAhead(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 1, "ahead", "behind")
	k := watch(b)
	b.put(b.topics[0], 60_000, 1_000_000, 1)
	b.put(b.topics[1], 60_000, 0, 1)
	stop := b.run()
	k.requireOrder(t, 120_000)
	require.Equal(t, b.topics[1], k.topics[59_999])
	require.Equal(t, b.topics[0], k.topics[60_000])
	require.NoError(t, stop())
}

// A topic that is quiet stops nobody: from the start, after its last record, and when it has one
// again.
func TestQuietTopic(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 1, "busy", "quiet")
	k := watch(b)
	stop := b.run()
	b.put(b.topics[0], 3000, 0, 1)
	k.requireOrder(t, 3000)
	b.put(b.topics[1], 1, 3000, 1)
	k.requireOrder(t, 3001)
	for i := range 20 {
		b.put(b.topics[0], 10, windows.Time(4000+10*i), 1)
		k.requireOrder(t, 3001+10*(i+1))
	}
	b.put(b.topics[1], 1, 5000, 1)
	k.requireOrder(t, 3202)
	require.NoError(t, stop())
}

// A topic of which nothing is known holds the other one up, and lets it go as soon as its leader
// says that it is empty.
func TestTopicWithoutAnswer(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(2))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	b := newBench(t, kafkatest.At(t, fake.ListenAddrs()...), 1, "busy", "quiet")
	for i, topic := range b.topics {
		require.NoError(t, fake.MoveTopicPartition(topic, 0, int32(i)))
	}
	var refused atomic.Int32
	var answers atomic.Bool
	fake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if fake.KeepControl(); fake.CurrentNode() != 1 || answers.Load() {
			return nil, nil, false
		}
		refused.Add(1)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	k := watch(b)
	b.put(b.topics[0], 3000, 0, 1)
	stop := b.run()
	require.Eventually(t, func() bool { return refused.Load() > 3 }, patience, 5*time.Millisecond)
	require.Zero(t, k.len())
	answers.Store(true)
	k.requireOrder(t, 3000)
	require.NoError(t, stop())
}

// Members that end, and others that take their place, in the middle of batches: everything is
// counted, nothing twice.
func TestHalfUsedBatches(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 1, "dense", "sparse")
	b.every = 0
	const dense, sparse, total = 200_000, 1000, 201_000
	b.put(b.topics[0], dense, 0, 1)
	b.put(b.topics[1], sparse, 0, dense/sparse)
	enough, all := make(chan struct{}, 1), make(chan struct{})
	var seen, halves atomic.Int32
	b.onRecord = func(string, *task.Record) {
		n := seen.Add(1) // some are seen again
		if n == total {
			close(all)
		}
		if n%5000 == 0 {
			select {
			case enough <- struct{}{}:
			default:
			}
		}
	}
	b.onClose = func(w *toy) {
		for _, h := range w.held {
			if h.at > 0 {
				halves.Add(1)
			}
		}
	}
	stop := b.run()
	for more := true; more; {
		select {
		case <-enough:
			next := b.run()
			require.NoError(t, stop())
			stop = next
		case <-all:
			more = false
		}
	}
	b.awaitCounts(0, map[string]int64{b.topics[0]: dense, b.topics[1]: sparse})
	require.NoError(t, stop())
	b.awaitCounts(0, map[string]int64{b.topics[0]: dense, b.topics[1]: sparse})
	t.Logf("%d members ended in the middle of a batch", halves.Load())
	require.NotZero(t, halves.Load())
}

// awaitCounts waits until a partition's committed state counts what is wanted.
func (b *bench) awaitCounts(partition int32, want map[string]int64) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return maps.Equal(want, readState(b.t.Context(), b, partition).Count) },
		patience, 5*time.Millisecond)
}

// What is deleted is gone for those who begin at the oldest record; deleting it again, or less, is
// no error.
func TestDeleteBefore(t *testing.T) {
	b := newBench(t, kafkatest.Start(t), 1, "a")
	b.put(b.topics[0], 100, 0, 1)
	for _, offset := range []int64{60, 60, 10} {
		require.NoError(t, b.cluster.Admin().DeleteBefore(t.Context(),
			map[string]map[int32]int64{b.topics[0]: {0: offset}}))
	}
	starts, err := b.cluster.Admin().Starts(t.Context(), b.topics[0])
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{0: 60}, starts)
	stop := b.run()
	b.await(40)
	require.NoError(t, stop())
}
