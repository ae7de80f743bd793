package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/bench/internal/rig"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

const base = 1_700_006_400_000

// fill writes n records of a few pairs, a second apart, and then markers that close all windows of
// both partitions.
func fill(t *testing.T, brokers []string, topic string, n int, asJSON bool) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer cl.Close()
	put := func(p int32, pair string, bid float64, at int64) {
		v := binary.BigEndian.AppendUint64(nil, math.Float64bits(bid))
		v = binary.BigEndian.AppendUint64(v, math.Float64bits(bid+1))
		v = binary.BigEndian.AppendUint64(v, uint64(at))
		if asJSON {
			v = fmt.Appendf(nil, `{"pair":%q,"bid":%g,"ask":%g,"at":%d}`, pair, bid, bid+1, at)
		}
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Partition: p, Key: []byte(pair), Value: v,
			Timestamp: time.UnixMilli(at)}).FirstErr())
	}
	for i := range n {
		pair := pairs[i%len(pairs)]
		put(pair.partition, pair.name, float64(i%7), base+int64(i)*1000)
	}
	for _, p := range pairs[:2] {
		put(p.partition, p.name, 1, base+int64(n)*1000+int64(2*time.Hour/time.Millisecond))
	}
}

// pairs are keys whose partition of two is known (Java's murmur2).
var pairs = func() (list []struct {
	name      string
	partition int32
}) {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for i := range int32(2) {
		for j := 0; ; j++ {
			name := fmt.Sprintf("P%d%d", i, j)
			if int32(p.Partition(&kgo.Record{Key: []byte(name)}, 2)) == i {
				list = append(list, struct {
					name      string
					partition int32
				}{name, i})
				break
			}
		}
	}
	return list
}()

func rows(t *testing.T, brokers []string, topic string, n int) map[string][]byte {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require.NoError(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	all := map[string][]byte{}
	for len(all) < n {
		f := cl.PollFetches(ctx)
		require.NoError(t, f.Err())
		f.EachRecord(func(r *kgo.Record) { all[string(r.Key)] = r.Value })
	}
	return all
}

func TestMeasuresAndWritesRows(t *testing.T) {
	for _, codec := range []string{"bin", "json"} {
		t.Run(codec, func(t *testing.T) {
			c := kafkatest.Start(t)
			topic, app := c.Topic(t, "ticks", 2), c.Name("app")
			outs := map[int]string{}
			for _, m := range []int{1, 5, 15, 60} {
				outs[m] = c.Name("out") + "-" + strconv.Itoa(m)
				t.Cleanup(func() {
					c.Admin().Delete(context.Background(), outs[m],
						topology.ChangelogName(app, topic))
				})
			}
			fill(t, c.Brokers, topic, 600, codec == "json")
			log := filepath.Join(t.TempDir(), "log")
			args := []string{"-brokers", strings.Join(c.Brokers, ","), "-app", app, "-topic", topic, "-out",
				c.Name("out"), "-state", t.TempDir(), "-workload", "multi", "-name", "the name", "-codec", codec,
				"-commit", "50ms", "-metrics", log}
			var stdout, stderr bytes.Buffer
			require.NoError(t, run(t.Context(), args, nil, &stdout, &stderr), stderr.String())
			var line struct {
				Peer, Workload, Settings string
				Records                  int
				WallS                    float64 `json:"wall_s"`
				CPUS                     float64 `json:"cpu_s"`
			}
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &line))
			require.Equal(t, "ashi", line.Peer)
			require.Equal(t, "the name", line.Workload)
			require.Contains(t, line.Settings, "metrics=1s log=info")
			said, err := os.ReadFile(log)
			require.NoError(t, err)
			require.Contains(t, string(said), rig.OpenedLine)
			require.Equal(t, 602, line.Records)
			require.Positive(t, line.WallS)
			require.Positive(t, line.CPUS)

			for m, windows := range map[int]int{1: 10, 5: 2, 15: 1, 60: 1} {
				all := rows(t, c.Brokers, outs[m], windows*len(pairs))
				require.Len(t, all, windows*len(pairs), "%d minutes", m)
				first := all[string(binary.BigEndian.AppendUint64([]byte(pairs[0].name), base))]
				require.Len(t, first, 48)
				count := int64(min(m*30, 300))
				require.EqualValues(t, count, binary.BigEndian.Uint64(first[32:]))
				require.EqualValues(t, base+(count-1)*2000, binary.BigEndian.Uint64(first[40:]),
					"at of the last record")
			}

			stdout.Reset()
			require.NoError(t, run(t.Context(), append(args, "-restore"), nil, &stdout, &stderr), stderr.String())
			require.Contains(t, stdout.String(), `"workload":"restore"`)
			stdout.Reset()
			require.NoError(t, run(t.Context(), append(args, "-serve"), strings.NewReader(""), &stdout, &stderr),
				stderr.String())
			require.True(t, strings.HasPrefix(stdout.String(), "RUNNING\n{"), stdout.String())
		})
	}
}

// The left topic has each pair every two seconds of a minute, the right one once, at the pair's
// first second: six of thirty have a partner.
func TestJoins(t *testing.T) {
	c := kafkatest.Start(t)
	left, right := c.Topic(t, "left", 2), c.Topic(t, "right", 2)
	fill(t, c.Brokers, left, 60, false)
	fill(t, c.Brokers, right, 2, false)
	for workload, alone := range map[string]int{"join": 0, "left": 48} {
		app, out := c.Name("app-"+workload), c.Topic(t, "out-"+workload, 2)
		t.Cleanup(func() { c.Admin().Delete(context.Background(), topology.ChangelogName(app, left)) })
		args := []string{"-brokers", strings.Join(c.Brokers, ","), "-app", app, "-topic", left, "-second", right,
			"-out", out, "-state", t.TempDir(), "-workload", workload, "-commit", "50ms"}
		var stdout, stderr bytes.Buffer
		require.NoError(t, run(t.Context(), args, nil, &stdout, &stderr), stderr.String())
		require.Contains(t, stdout.String(), `"records":66,`)
		for _, v := range values(t, c.Brokers, out, 12+alone) {
			require.Len(t, v, 32)
			if binary.BigEndian.Uint64(v[8:]) == 0 {
				alone--
			}
		}
		require.Zero(t, alone, workload)
	}
}

// values is all n values of a topic, in any order.
func values(t *testing.T, brokers []string, topic string, n int) (all [][]byte) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require.NoError(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(all) < n {
		f := cl.PollFetches(ctx)
		require.NoError(t, f.Err())
		f.EachRecord(func(r *kgo.Record) { all = append(all, r.Value) })
	}
	return all
}

func TestServesTwoStages(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app, out := c.Topic(t, "ticks", 2), c.Name("app"), c.Name("out")
	internal := topology.InternalName(app, topic+"-repartition")
	t.Cleanup(func() {
		c.Admin().Delete(context.Background(), out, internal, internal+"-changelog", topology.ChangelogName(app, topic))
	})
	fill(t, c.Brokers, topic, 2*len(pairs), false)
	stdin, stop := io.Pipe()
	stdout, ended := new(bytes.Buffer), make(chan error, 1)
	go func() {
		ended <- run(t.Context(), []string{"-brokers", strings.Join(c.Brokers, ","), "-app", app, "-topic", topic,
			"-out", out, "-state", t.TempDir(), "-workload", "repartition", "-emit", "changes", "-every", "-commit",
			"50ms", "-serve"}, stdin, stdout, t.Output())
	}()
	all := rows(t, c.Brokers, out, 2*len(pairs))
	first := all[string(binary.BigEndian.AppendUint64([]byte("by "+pairs[0].name), base))]
	require.Len(t, first, 48)
	require.EqualValues(t, 2, binary.BigEndian.Uint64(first[32:]))
	require.NoError(t, stop.Close())
	require.NoError(t, <-ended)
	require.True(t, strings.HasPrefix(stdout.String(), "RUNNING\n{"), stdout.String())
}

func TestWrongFlags(t *testing.T) {
	err := run(t.Context(), []string{"-second", "b", "-workload", "cross", "-codec", "xml"}, nil, io.Discard,
		io.Discard)
	for _, want := range []string{"-second is needed for joins", "-topic and -out are needed", `-workload "cross"`,
		`-codec "xml"`} {
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, run(t.Context(), []string{"-topic", "a", "-out", "b", "-workload", "repartition"}, nil,
		io.Discard, io.Discard), "needs -serve")
	err = run(t.Context(), []string{"-topic", "a", "-out", "b", "-brokers", "127.0.0.1:1"}, nil, io.Discard, io.Discard)
	require.ErrorContains(t, err, "127.0.0.1:1", "no broker there")
}

func TestMemoryFlag(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "1000": 1000, "64K": 64 << 10, "256MB": 256 << 20, "2G": 2 << 30} {
		var s size
		require.NoError(t, s.Set(text), text)
		require.EqualValues(t, want, s)
	}
	for _, text := range []string{"", "MB", "-1", "1.5GB", "99999999999GB"} {
		require.Error(t, new(size).Set(text), text)
	}
	require.Equal(t, "256MB", size(256<<20).String())
	require.Equal(t, "1000", size(1000).String())
}
