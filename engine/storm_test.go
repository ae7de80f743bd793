package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
)

const stormPartitions = 4

// virtualRig is a pipeline on a virtual cluster, in a bubble, and what was written to its topic.
type virtualRig struct {
	*pipeline
	cluster *kafkatest.Cluster
	random  *rand.Rand
	topic   string
	rates   []Rate
}

func newVirtualRig(t *testing.T, seed uint64) *virtualRig {
	v := &virtualRig{cluster: kafkatest.StartVirtual(t), random: rand.New(rand.NewPCG(seed, 6))}
	v.topic = v.cluster.Topic(t, "rates", stormPartitions)
	v.pipeline = newPipeline(t, "virtual", v.topic)
	return v
}

// feed writes a few rates a second for d.
func (v *virtualRig) feed(t *testing.T, d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(time.Second) { // of the bubble
		batch := randomRates(v.random, time.Now(), 3, 300*time.Millisecond)
		v.rates = append(v.rates, batch...)
		write(t, v.cluster.Config(), v.pipeline, batch)
	}
}

// groupIsStable says that the group has so many members, none of which is joining: the embedded
// broker never gives up one that is lost then.
func groupIsStable(t *testing.T, c *kafkatest.Cluster, group string, members int) bool {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}
	if c.Dial != nil {
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	client, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(t.Context(), group)
	require.NoError(t, err)
	for _, g := range groups {
		return g.Err == nil && g.State == "Stable" && len(g.Members) == members
	}
	return false
}

// finish closes all windows, lets the members come to the end and stop, and requires the oracle's
// finals.
func (v *virtualRig) finish(t *testing.T, members ...*member) {
	v.end(t, members...)
	v.requireFinals(t)
}

// end closes all windows, and lets the members come to the end and stop.
func (v *virtualRig) end(t *testing.T, members ...*member) {
	end := endRates(v.rates, stormPartitions)
	v.rates = append(v.rates, end...)
	write(t, v.cluster.Config(), v.pipeline, end)
	time.Sleep(5 * time.Minute) // of the bubble: whatever take-over is under way ends
	for _, m := range members {
		require.NoError(t, m.stop())
	}
}

func (v *virtualRig) requireFinals(t *testing.T) {
	t.Helper()
	for _, size := range []time.Duration{time.Minute, 5 * time.Minute} {
		requireFinals(t, v.cluster.Config(), v.pipeline, v.rates, stormPartitions, size)
	}
}

// Three members, with no to two copies of each task; every few seconds one of them leaves, in order
// or cut off, and another joins. Five minutes of virtual time, or as long as make soak says.
func TestRebalanceStorm(t *testing.T) {
	seed, minutes := simSeed(t), stormMinutes(t, 5)
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, seed)
		standbys, joined := v.random.IntN(3), 0
		t.Logf("%d standbys", standbys)
		join := func() *member {
			joined++
			return startMember(t, v.plan, v.cluster, func(c *engine.Config) { c.Standbys = standbys })
		}
		members := []*member{join(), join(), join()}
		for began, said := time.Now(), 0; time.Since(began) < time.Duration(minutes)*time.Minute; {
			v.feed(t, time.Second+time.Duration(v.random.Int64N(int64(6*time.Second))))
			i := v.random.IntN(len(members))
			if v.random.IntN(2) == 0 && groupIsStable(t, v.cluster, "virtual", len(members)) {
				members[i].lose()
			} else {
				require.NoError(t, members[i].stop())
			}
			members[i] = join()
			if m := int(time.Since(began).Minutes()); m >= said+10 {
				said = m
				t.Logf("%d of %d virtual minutes, %d rates", m, minutes, len(v.rates))
			}
		}
		did(t, "%d virtual minutes, %d members", minutes, joined)
		v.finish(t, members...)
	})
}

// A member is paused past its session, in the middle of a transaction, and woken: the other has
// taken its partitions, what it had under way is aborted, what it sends when it wakes is refused,
// and then it takes part again.
func TestZombieIsWoken(t *testing.T) {
	seed := simSeed(t)
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, seed)
		l := lineOf(v.cluster)
		members := []*member{startOn(t, v.plan, v.cluster, l), startMember(t, v.plan, v.cluster)}
		for range 5 {
			v.feed(t, time.Minute+time.Duration(v.random.Int64N(int64(20*time.Second))))
			l.hold()
			v.feed(t, 90*time.Second) // of a session of 30 s
			l.letGo()
		}
		v.finish(t, members...)
	})
}

// The brokers are paused for a minute: connections stay, and nothing is answered.
func TestBrokerPaused(t *testing.T) {
	seed := simSeed(t)
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, seed)
		l := lineOf(v.cluster)
		members := []*member{startOn(t, v.plan, v.cluster, l), startOn(t, v.plan, v.cluster, l)}
		for range 3 {
			v.feed(t, 90*time.Second)
			l.hold()
			v.feed(t, time.Minute)
			l.letGo()
		}
		v.finish(t, members...)
	})
}

// No broker can be reached at the start: Run waits for StartTimeout, and goes on if one is there by
// then.
func TestBrokerAwayAtStart(t *testing.T) {
	seed := simSeed(t)
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, seed)
		l := lineOf(v.cluster)
		l.setBroken(true)
		m := startOn(t, v.plan, v.cluster, l)
		v.feed(t, 12*time.Second) // of 15
		l.setBroken(false)
		v.feed(t, time.Minute)
		v.finish(t, m)
	})
}

// A member dies with its transaction open. Its successor is not held up until the transaction times
// out, 60 s, as it opens the same transactional id: it is at the end of the input as soon as the
// group has noticed.
func TestTransactionOfTheDead(t *testing.T) {
	seed := simSeed(t)
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualRig(t, seed)
		first := startMember(t, v.plan, v.cluster)
		v.feed(t, 2*time.Minute+8*time.Second) // commits are 5 s apart, so one is under way
		second := startMember(t, v.plan, v.cluster)
		first.lose()
		died := time.Now()
		awaitEnd(t, v.cluster, "virtual", v.topic)
		require.Less(t, time.Since(died), 40*time.Second, "a session is 30 s")
		v.finish(t, second)
	})
}

// The line of a member breaks at each of its writes in turn, with that write or right after it: so
// at each step of opening, of each commit and of closing. The other member goes on from there. Some
// steps are drawn each time, make soak takes all.
func TestBreakAtEveryWrite(t *testing.T) {
	seed := simSeed(t)
	r := rand.New(rand.NewPCG(seed, 8))
	run := func(t *testing.T, breakAt int, sent bool) (writes int) {
		synctest.Test(t, func(t *testing.T) {
			v := newVirtualRig(t, seed)
			l := lineOf(v.cluster)
			l.breakAt, l.sent = breakAt, sent
			first := startOn(t, v.plan, v.cluster, l)
			v.feed(t, 75*time.Second)
			first.cancel()
			<-first.done // its error is that of the broken line, or none
			writes = l.written()
			v.finish(t, startMember(t, v.plan, v.cluster))
		})
		return writes
	}
	writes, all := run(t, 0, false), soakMinutes(t) > 0
	t.Logf("%d writes", writes)
	steps := r.Perm(writes)
	switch {
	case testing.Short():
		steps = steps[:5]
	case !all:
		steps = steps[:30]
	}
	breaks := 0
	defer func() { did(t, "%d breaks of %d writes", breaks, writes) }()
	for i, step := range steps {
		for _, sent := range []bool{true, false} {
			if !all && sent != (i%2 == 0) {
				continue
			}
			breaks++
			if !t.Run(fmt.Sprintf("write %d, sent %v", step+1, sent), func(t *testing.T) { run(t, step+1, sent) }) {
				return
			}
		}
	}
}
