package main

import (
	"context"
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
	"github.com/ashi-stream/ashi/windows"
)

// asProgram holds arguments, one a line, with which this test binary is the program itself.
const asProgram = "ASHI_FX_PROGRAM"

// A run that is killed again and again puts out byte for byte what an undisturbed one does: with its state kept, and lost.
func TestKilledRunGoesOn(t *testing.T) {
	files, err := filepath.Glob("testdata/*-ticks.csv.gz")
	require.NoError(t, err)
	straight := t.TempDir()
	program(t, 0, "-dir", straight, "-app", "kill", "-ticks", strings.Join(files, ","))
	want := finals(t, straight)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for name, keep := range map[string]bool{"state kept": true, "state lost": false} {
		t.Run(name, func(t *testing.T) {
			dir, state, bars := t.TempDir(), t.TempDir(), t.TempDir()
			args := []string{"-dir", dir, "-app", "kill", "-state", state, "-bars", bars, "-ticks", strings.Join(files, ",")}
			for range 3 {
				kill(t, append(args, "-rate", "6000"), 700*time.Millisecond+time.Duration(r.Int64N(int64(600*time.Millisecond))))
				if !keep {
					require.NoError(t, os.RemoveAll(state))
				}
			}
			program(t, 0, args...)
			requireBars(t, bars, files)
			require.Equal(t, want, finals(t, dir))
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

// finals are the committed records of all topics of final bars in a broker's folder, as text, topic by topic, partition by
// partition.
func finals(t *testing.T, dir string) map[string][]string {
	t.Helper()
	broker, err := embedded.Start(embedded.Config{Dir: dir})
	require.NoError(t, err)
	defer broker.Close()
	all := map[string][]string{}
	for _, size := range sizes {
		topic := "kill-rates_" + windows.Name(size) + "_final"
		for p, records := range committed(t, broker.Addrs(), topic) {
			all[topic+"/"+strconv.Itoa(int(p))] = records
		}
	}
	return all
}

func committed(t *testing.T, brokers []string, topic string) map[int32][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())
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
				records[r.Partition] = append(records[r.Partition], r.Timestamp.UTC().String()+" "+string(r.Key)+" "+string(r.Value))
			}
			if r.Offset == ends[topic][r.Partition].Offset-1 {
				missing--
			}
		})
	}
	return records
}
