package engine_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

// newBrokersRig is a virtual rig on three brokers, of which a test can move leaders and
// coordinators.
func newBrokersRig(t *testing.T, seed uint64) (*virtualRig, *kfake.Cluster) {
	network := new(kfake.VirtualNetwork)
	fake, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.ListenFn(network.Listen),
		kfake.GroupMinSessionTimeout(100*time.Millisecond),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	v := &virtualRig{cluster: kafkatest.Dialed(t, network.DialContext, fake.ListenAddrs()...),
		random: rand.New(rand.NewPCG(seed, 6))}
	v.topic = v.cluster.Topic(t, "rates", stormPartitions)
	v.pipeline = newPipeline(t, "virtual", v.topic)
	return v, fake
}

// Every few seconds leaders move from broker to broker, of all partitions or of one, and so do the
// coordinators of groups and transactions.
func TestLeadersMove(t *testing.T) {
	seed, minutes := simSeed(t), stormMinutes(t, 10)
	synctest.Test(t, func(t *testing.T) {
		v, fake := newBrokersRig(t, seed)
		members := []*member{startMember(t, v.plan, v.cluster), startMember(t, v.plan, v.cluster)}
		moves := map[string]int{}
		for began := time.Now(); time.Since(began) < time.Duration(minutes)*time.Minute; {
			v.feed(t, time.Second+time.Duration(v.random.Int64N(int64(8*time.Second))))
			switch v.random.IntN(3) {
			case 0:
				fake.ShufflePartitionLeaders()
				moves["all leaders"]++
			case 1:
				require.NoError(t, fake.MoveTopicPartition(v.topic, v.random.Int32N(stormPartitions),
					v.random.Int32N(3)))
				moves["a leader"]++
			default:
				fake.RehashCoordinators()
				moves["coordinators"]++
			}
		}
		did(t, "%d virtual minutes, moved %v", minutes, moves)
		v.finish(t, members...)
	})
}

// The acknowledgements of one output partition come three seconds late, while the others' come at
// once, and the member is killed between them. Exactly once: a commit waits for all. At least once:
// no position goes ahead of a record that is not acknowledged.
func TestSlowAcks(t *testing.T) {
	for _, guarantee := range []engine.Guarantee{engine.ExactlyOnce, engine.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			seed := simSeed(t)
			synctest.Test(t, func(t *testing.T) { slowAcks(t, seed, guarantee) })
		})
	}
}

func slowAcks(t *testing.T, seed uint64, guarantee engine.Guarantee) {
	v, fake := newBrokersRig(t, seed)
	slow := &slowPartition{topic: v.final.Stream(time.Minute).Topic, fake: fake}
	fake.ControlKey(int16(kmsg.Produce), slow.control)
	join := func() *member {
		return startMember(t, v.plan, v.cluster, func(c *engine.Config) {
			c.Guarantee, c.CommitInterval = guarantee,
				time.Second
		})
	}
	m := join()
	deaths := 12
	if testing.Short() {
		deaths = 5
	}
	for range deaths {
		v.feed(t, 20*time.Second+time.Duration(v.random.Int64N(int64(10*time.Second))))
		for before := slow.seen(); slow.seen() == before; { // finals come once a minute
			v.feed(t, time.Second)
		}
		// of the bubble: before the acknowledgement, mostly
		time.Sleep(time.Duration(v.random.Int64N(int64(4 * time.Second))))
		m.lose()
		m = join()
	}
	did(t, "%d acknowledgements were late", slow.seen())
	if guarantee == engine.ExactlyOnce {
		v.finish(t, m)
		return
	}
	v.end(t, m)
	v.requireAtLeast(t)
}

// slowPartition lets requests that write to partition 0 of a topic wait.
type slowPartition struct {
	topic string
	fake  *kfake.Cluster
	mu    sync.Mutex
	n     int
}

func (s *slowPartition) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *slowPartition) control(req kmsg.Request) (kmsg.Response, error, bool) {
	s.fake.KeepControl()
	for _, topic := range req.(*kmsg.ProduceRequest).Topics {
		name := topic.Topic
		if info := s.fake.TopicIDInfo(topic.TopicID); name == "" && info != nil {
			name = info.Topic
		}
		for _, p := range topic.Partitions {
			if name == s.topic && p.Partition == 0 {
				s.mu.Lock()
				s.n++
				s.mu.Unlock()
				// of the bubble: as slow as the broker is to be
				s.fake.SleepControl(func() { time.Sleep(3 * time.Second) })
			}
		}
	}
	return nil, nil, false
}

// requireAtLeast requires of each window of the oracle a final with all its records. There may be
// more rows, and some records may count twice.
func (v *virtualRig) requireAtLeast(t *testing.T) {
	t.Helper()
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		ref := v.final.Stream(size)
		most := map[string]Bar{}
		for _, records := range committed(t, v.cluster.Config(), ref.Topic) {
			for _, r := range records {
				var b Bar
				require.NoError(t, ref.Decode(r.Key[:len(r.Key)-8], r.Value, &b))
				id := fmt.Sprint(b.Pair, b.Start)
				most[id] = slices.MaxFunc([]Bar{b, most[id]},
					func(a, b Bar) int { return cmp.Compare(a.Ticks, b.Ticks) })
			}
		}
		for _, bars := range oracle(v.rates, stormPartitions, size) {
			for _, want := range bars {
				got := most[fmt.Sprint(want.Pair, want.Start)]
				require.GreaterOrEqual(t, got.Ticks, want.Ticks, "%v", want)
				require.GreaterOrEqual(t, got.High, want.High, "%v", want)
				require.LessOrEqual(t, got.Low, want.Low, "%v", want)
			}
		}
	}
}
