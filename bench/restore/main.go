package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/bench/internal/rig"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// run is one measurement's settings.
type run struct {
	addresses, app, topic, dir, peers, profile, results string

	brokers                           []string
	records, keys, partitions, rounds int
	memory                            int
	stderr                            io.Writer
}

const (
	mib = 1 << 20
	// firstTime is when the peers' topics begin.
	firstTime = 1_700_006_400_000
)

func main() { rig.Main("restore", measure) }

func (r *run) parse(args []string) error {
	f := flag.NewFlagSet("restore", flag.ContinueOnError)
	f.SetOutput(r.stderr)
	f.StringVar(&r.addresses, "brokers", "", "addresses, separated by commas; empty: a broker in the process")
	f.StringVar(&r.topic, "topic", "",
		"input, one of the peers' topics of ticks; empty: one is made, of -records and -keys")
	f.StringVar(&r.app, "app", "",
		"application whose changelog is restored, if an earlier run with -app has filled it; empty: a new one, "+
			"deleted in the end")
	f.StringVar(&r.dir, "dir", "", "folder on the disk to measure; empty: the system's for temporary files")
	f.StringVar(&r.peers, "peers", "", "folder of the peers' run.sh; empty: ashi alone")
	f.StringVar(&r.profile, "cpuprofile", "",
		"file for a CPU profile of the first restore, which makes it a little slower; empty: none")
	f.StringVar(&r.results, "results", "", "folder of a file that lines are added to; empty: none")
	f.IntVar(&r.records, "records", 2_000_000, "ticks of a topic that is made")
	f.IntVar(&r.keys, "keys", 1_000_000, "keys of a topic that is made")
	f.IntVar(&r.partitions, "partitions", 2, "of a topic that is made: as many tasks are restored at a time")
	f.IntVar(&r.rounds, "rounds", 3, "restores")
	f.IntVar(&r.memory, "memory", 512, "Config.Memory in MiB")
	return f.Parse(args)
}

func measure(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	r := &run{stderr: stderr}
	if err := r.parse(args); err != nil {
		return err
	}
	out, err := rig.Open(stdout, r.results, "restore")
	if err != nil {
		return err
	}
	defer out.Close()
	brokers, end, err := rig.Brokers(r.addresses)
	if err != nil {
		return err
	}
	defer end()
	r.brokers = brokers
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: r.brokers})
	if err != nil {
		return err
	}
	defer admin.Close()
	dir, err := os.MkdirTemp(r.dir, "ashi-restore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	forget, err := r.name(admin)
	if err != nil {
		return err
	}
	defer forget()
	if err := r.fill(ctx, admin, filepath.Join(dir, "first")); err != nil {
		return fmt.Errorf("filling: %w", err)
	}
	for i := range r.rounds {
		line, err := r.restore(ctx, i, filepath.Join(dir, fmt.Sprint("round-", i)))
		if err != nil {
			return err
		}
		if err := out.Print(line); err != nil {
			return err
		}
	}
	if r.peers == "" {
		return nil
	}
	streams := exec.CommandContext(ctx, "./run.sh", "streams", "restore")
	streams.Dir, streams.Stdout, streams.Stderr = r.peers, out, stderr
	return streams.Run()
}

// name finds names for application and topic, and returns what deletes the topics that only this
// run needs.
func (r *run) name(admin *kafka.Admin) (forget func(), err error) {
	if r.app != "" && r.topic != "" {
		return func() {}, nil
	}
	var mine []string
	unique := fmt.Sprint("restore-", os.Getpid())
	if r.topic == "" {
		r.topic = unique + "-ticks"
		mine = append(mine, r.topic)
	}
	if r.app == "" {
		r.app = unique
		mine = append(mine, topology.ChangelogName(r.app, r.topic), r.out())
	}
	return func() { rig.Forget(admin, r.stderr, mine...) }, nil
}

func (r *run) group() string { return topology.GroupName(r.app) }
func (r *run) out() string   { return r.app + "-out" }

// plan is windows of a minute that stay open: the input is shorter than their grace.
func (r *run) plan() (*topology.Plan, *dsl.StreamOf[rig.PeerTick], error) {
	b := dsl.New(r.app)
	ticks := dsl.Stream[rig.PeerTick](b, r.topic).Codec(codecs.Fixed[rig.PeerTick]())
	bars := dsl.Aggregate(dsl.GroupByKey[string](ticks), windows.Minutes(1).Grace(24*time.Hour), rig.CandleOf).
		Codec(codecs.Fixed[rig.Candle]())
	bars.Final().Named(func(windows.Kind) string { return r.out() })
	plan, err := b.Build()
	return plan, ticks, err
}

func (r *run) engine(dir string, opened *rig.Openings) (*engine.Engine, *dsl.StreamOf[rig.PeerTick], error) {
	plan, ticks, err := r.plan()
	if err != nil {
		return nil, nil, err
	}
	debug.SetMemoryLimit(int64(r.memory) * mib / 8 * 5) // as Config.Memory advises
	e, err := engine.New(plan, engine.Config{Brokers: r.brokers, StateDir: dir, Memory: r.memory * mib,
		MaxAhead: engine.NoBound, WithoutTables: "a measurement of tasks", Log: slog.New(opened)})
	return e, ticks, err
}

// fill makes the input, unless there is one, and lets an engine read it to its end, unless one has.
func (r *run) fill(ctx context.Context, admin *kafka.Admin, dir string) error {
	e, ticks, err := r.engine(dir, r.openings())
	if err != nil {
		return err
	}
	if strings.HasSuffix(r.topic, "-ticks") {
		if err := admin.Ensure(ctx, kafka.TopicSpec{Name: r.topic, Partitions: int32(r.partitions),
			Replication: 1}); err != nil {
			return errors.Join(err, e.Close())
		}
		if err := r.write(ctx, e, ticks); err != nil {
			return errors.Join(err, e.Close())
		}
	}
	ends, err := admin.Ends(ctx, r.topic, false)
	if err != nil {
		return errors.Join(err, e.Close())
	}
	read := func() (bool, error) {
		all, err := rig.Reached(ctx, admin, r.group(), r.topic, ends)
		return all && err == nil, nil // before the first run there is no such group
	}
	if all, _ := read(); all {
		return e.Close()
	}
	return rig.Beside(ctx, e, func(ctx context.Context) error { return rig.Await(ctx, 100*time.Millisecond, read) })
}

// write makes ticks, of all keys in turn, a minute for each round.
func (r *run) write(ctx context.Context, e *engine.Engine, ticks *dsl.StreamOf[rig.PeerTick]) error {
	return rig.Write(ctx, e, ticks, r.records, func(i int) rig.PeerTick {
		// Neighbours in time are not neighbours by key: 7,919 is prime.
		key := i % r.keys * 7919 % r.keys
		at := firstTime + int64(float64(i)/float64(r.keys)*60_000)
		return rig.PeerTick{Pair: fmt.Sprintf("k%07d", key), Bid: float64(i%997) / 8, Ask: float64(i%997)/8 + 1, At: at}
	})
}

// openings hands errors on.
func (r *run) openings() *rig.Openings {
	return rig.NewOpenings(slog.NewTextHandler(r.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// restore starts an engine on an empty folder, and ends it when all tasks are open.
func (r *run) restore(ctx context.Context, round int, dir string) (map[string]any, error) {
	opened := r.openings()
	e, _, err := r.engine(dir, opened)
	if err != nil {
		return nil, err
	}
	if round == 0 {
		finish, err := rig.Profile(r.profile)
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		defer finish()
	}
	tasks, err := r.tasks(ctx)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	begin, cpu := time.Now(), rig.CPU()
	var wall, burnt float64
	err = rig.Beside(ctx, e, func(ctx context.Context) error {
		err := opened.Await(ctx, tasks)
		wall, burnt = time.Since(begin).Seconds(), rig.CPU()-cpu
		return err
	})
	if err != nil {
		return nil, err
	}
	return withTasks(opened.Tasks(), map[string]any{"peer": "ashi", "workload": "restore", "round": round,
			"topic": r.topic, "wall_s": wall, "cpu_s": burnt, "max_rss_mb": rig.PeakMemory(),
			"settings": fmt.Sprintf("guarantee=exactly-once store=rocksdb memory=%dMB windows=1m grace=24h",
				r.memory)}),
		os.RemoveAll(dir)
}

func (r *run) tasks(ctx context.Context) (int, error) {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: r.brokers})
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	counts, err := admin.Partitions(ctx, r.topic)
	return int(counts[r.topic]), err
}

// withTasks adds what the tasks said: sums, and the rates of each while all were restored.
func withTasks(tasks []map[string]slog.Value, line map[string]any) map[string]any {
	var rows, bytes int64
	var slowest time.Duration
	for _, t := range tasks {
		rows += t["restored"].Int64()
		bytes += t["bytes"].Int64()
		slowest = max(slowest, t["restore"].Duration())
	}
	n := float64(len(tasks))
	line["tasks"], line["rows"], line["bytes"], line["restore_s"] = n, rows, bytes, slowest.Seconds()
	line["rows_per_s"], line["mb_per_s"] = float64(rows)/slowest.Seconds(), float64(bytes)/slowest.Seconds()/1e6
	line["rows_per_s_and_partition"], line["mb_per_s_and_partition"] = float64(rows)/slowest.Seconds()/n,
		float64(bytes)/slowest.Seconds()/1e6/n
	line["cpu_us_per_row"] = line["cpu_s"].(float64) / float64(rows) * 1e6
	return line
}
