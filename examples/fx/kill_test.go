package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/windows"
)

// asProgram holds arguments, one a line, with which this test binary is the program itself.
const asProgram = "ASHI_FX_PROGRAM"

// ground is where a run takes place: a broker's folder, or a real cluster.
type ground struct {
	flags   []string
	app     string
	brokers func(*testing.T) (addrs []string, stop func()) // once the run has ended
	pause   time.Duration                                  // until the engine is at work, and can be killed at it
	kills   int
}

func newGround(t *testing.T) ground {
	if os.Getenv(kafkatest.Environment) == "" {
		dir := t.TempDir()
		return ground{[]string{"-dir", dir, "-app", "kill"}, "kill", func(t *testing.T) ([]string, func()) {
			broker, err := embedded.Start(embedded.Config{Dir: dir})
			require.NoError(t, err)
			return broker.Addrs(), broker.Close
		}, 700 * time.Millisecond, 10}
	}
	c := kafkatest.Start(t)
	app := c.Name("kill")
	deleteTopics(t, c, app)
	// The cluster waits for the member that was killed before it gives its partitions to the next.
	return ground{[]string{"-brokers", strings.Join(c.Brokers, ","), "-app", app}, app,
		func(*testing.T) ([]string, func()) { return c.Brokers, func() {} }, 11 * time.Second, 3}
}

// A run that is killed again and again puts out byte for byte what an undisturbed one does: with
// its state kept, and lost.
func TestKilledRunGoesOn(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*-ticks.csv.gz")
	require.NoError(t, err)
	straight := newGround(t)
	program(t, 0, append(straight.flags, "-ticks", strings.Join(files, ","))...)
	want := straight.finals(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for name, keep := range map[string]bool{"state kept": true, "state lost": false} {
		t.Run(name, func(t *testing.T) {
			g, state, bars := newGround(t), t.TempDir(), t.TempDir()
			args := append(g.flags, "-state", state, "-bars", bars, "-ticks", strings.Join(files, ","))
			rate := fmt.Sprint(int(1500 / g.pause.Seconds())) // so that there are ticks left after the last kill
			for range g.kills {
				kill(t, append(args, "-rate", rate), g.pause+time.Duration(r.Int64N(int64(600*time.Millisecond))))
				if !keep {
					require.NoError(t, os.RemoveAll(state))
				}
			}
			program(t, 0, args...)
			requireBars(t, bars, files)
			require.Equal(t, want, g.finals(t))
		})
	}
}

// kill starts the program, and kills it after a while.
func kill(t *testing.T, args []string, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	p := exec.CommandContext(ctx, os.Args[0])
	p.Env = append(os.Environ(), asProgram+"="+strings.Join(args, "\n"))
	out, err := p.CombinedOutput()
	require.Error(t, err, "it was to be killed in the middle: %s", out)
	require.NotNil(t, ctx.Err(), "it ended by itself: %s", out)
}

// finals are the committed records of all topics of final bars, as text, by size and partition.
func (g ground) finals(t *testing.T) map[string][]string {
	t.Helper()
	brokers, stop := g.brokers(t)
	defer stop()
	all := map[string][]string{}
	for _, size := range sizes {
		topic := g.app + "-rates_" + windows.Name(size) + "_final"
		for p, records := range committed(t, brokers, topic) {
			all[windows.Name(size)+"/"+strconv.Itoa(int(p))] = records
		}
	}
	return all
}

func committed(t *testing.T, brokers []string, topic string) map[int32][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	require.NoError(t, err)
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	require.NoError(t, err)
	records, missing := map[int32][]string{}, 0
	for _, o := range ends[topic] {
		if o.Offset > 0 {
			missing++
		}
	}
	for missing > 0 {
		f := client.PollFetches(ctx)
		require.NoError(t, f.Err())
		f.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records[r.Partition] = append(records[r.Partition], r.Timestamp.UTC().String()+" "+string(r.Key)+" "+
					string(r.Value))
			}
			if r.Offset == ends[topic][r.Partition].Offset-1 {
				missing--
			}
		})
	}
	return records
}
