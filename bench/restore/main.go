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
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/bench/facts"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// tick is a record of the peers' topics: see their README.
type tick struct {
	Pair string  `ashi:"pair,key"`
	Bid  float64 `ashi:"bid"`
	Ask  float64 `ashi:"ask"`
	At   int64   `ashi:"at"`
}

type candle struct {
	Pair                   string `ashi:"pair,key"`
	Open, High, Low, Close float64
	Count, At              int64
}

// run is one measurement's settings.
type run struct {
	brokers, app, topic, dir, peers, profile, results string
	records, keys, partitions, rounds                 int
	memory                                            int
	stderr                                            io.Writer
}

const (
	mib = 1 << 20
	// firstTime is when the peers' topics begin.
	firstTime = 1_700_006_400_000
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "restore:", err)
		os.Exit(1)
	}
}

func (r *run) parse(args []string) error {
	f := flag.NewFlagSet("restore", flag.ContinueOnError)
	f.SetOutput(r.stderr)
	f.StringVar(&r.brokers, "brokers", "", "addresses, separated by commas; empty: a broker in the process")
	f.StringVar(&r.topic, "topic", "", "input, one of the peers' topics of ticks; empty: one is made, of -records and -keys")
	f.StringVar(&r.app, "app", "", "application whose changelog is restored, if an earlier run with -app has filled it; empty: a new one, deleted in the end")
	f.StringVar(&r.dir, "dir", "", "folder on the disk to measure; empty: the system's for temporary files")
	f.StringVar(&r.peers, "peers", "", "folder of the peers' run.sh; empty: ashi alone")
	f.StringVar(&r.profile, "cpuprofile", "", "file for a CPU profile of the first restore, which makes it a little slower; empty: none")
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
	out, err := facts.Open(stdout, r.results, "restore")
	if err != nil {
		return err
	}
	defer out.Close()
	if r.brokers == "" {
		broker, err := embedded.Start(embedded.Config{})
		if err != nil {
			return err
		}
		defer broker.Close()
		r.brokers = strings.Join(broker.Addrs(), ",")
	}
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: strings.Split(r.brokers, ",")})
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

// name finds names for application and topic, and returns what deletes the topics that only this run needs.
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
		mine = append(mine, r.group()+"-changelog", r.out())
	}
	return func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		if err := admin.Delete(ctx, mine...); err != nil {
			fmt.Fprintln(r.stderr, "restore: topics are left:", err)
		}
	}, nil
}

func (r *run) group() string { return r.app + "-" + r.topic }
func (r *run) out() string   { return r.app + "-out" }

// plan is windows of a minute that stay open: the input is shorter than their grace.
func (r *run) plan() (*topology.Plan, *dsl.StreamOf[tick], error) {
	b := dsl.New(r.app)
	ticks := dsl.Stream[tick](b, r.topic).Codec(codecs.Fixed[tick]())
	bars := dsl.Aggregate(dsl.GroupBy(ticks, func(t *tick) string { return t.Pair }), windows.Minutes(1).Grace(24*time.Hour), func(g dsl.Group[string, tick]) candle {
		bid := func(t *tick) float64 { return t.Bid }
		return candle{g.Key(), aggregates.EarliestByOffset(g, bid), aggregates.Max(g, bid), aggregates.Min(g, bid), aggregates.LatestByOffset(g, bid),
			aggregates.Count(g), aggregates.LatestByOffset(g, func(t *tick) int64 { return t.At })}
	}).Codec(codecs.Fixed[candle]())
	bars.Final().Named(func(windows.Kind) string { return r.out() })
	plan, err := b.Build()
	return plan, ticks, err
}

func (r *run) engine(dir string, opened *openings) (*engine.Engine, *dsl.StreamOf[tick], error) {
	plan, ticks, err := r.plan()
	if err != nil {
		return nil, nil, err
	}
	debug.SetMemoryLimit(int64(r.memory) * mib / 8 * 5) // as Config.Memory advises
	e, err := engine.New(plan, engine.Config{Brokers: strings.Split(r.brokers, ","), StateDir: dir, Memory: r.memory * mib, MaxAhead: engine.NoBound,
		WithoutTables: "a measurement of tasks", Log: slog.New(opened)})
	return e, ticks, err
}

// fill makes the input, unless there is one, and lets an engine read it to its end, unless one has.
func (r *run) fill(ctx context.Context, admin *kafka.Admin, dir string) error {
	e, ticks, err := r.engine(dir, newOpenings(r.stderr))
	if err != nil {
		return err
	}
	if strings.HasSuffix(r.topic, "-ticks") {
		if err := admin.Ensure(ctx, kafka.TopicSpec{Name: r.topic, Partitions: int32(r.partitions), Replication: 1}); err != nil {
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
	read := func() bool {
		offsets, err := admin.CommittedOffsets(ctx, r.group(), r.topic)
		for p, end := range ends {
			if err != nil || offsets[p] < end {
				return false
			}
		}
		return true
	}
	if read() {
		return e.Close()
	}
	return beside(ctx, e, func(ctx context.Context) error { return await(ctx, 100*time.Millisecond, read) })
}

// write makes ticks, of all keys in turn, a minute for each round.
func (r *run) write(ctx context.Context, e *engine.Engine, ticks *dsl.StreamOf[tick]) error {
	rows := make([]tick, 0, 20_000)
	for i := range r.records {
		// Neighbours in time are not neighbours by key: 7,919 is prime.
		key := i % r.keys * 7919 % r.keys
		at := firstTime + int64(float64(i)/float64(r.keys)*60_000)
		rows = append(rows, tick{fmt.Sprintf("k%07d", key), float64(i%997) / 8, float64(i%997)/8 + 1, at})
		if len(rows) == cap(rows) || i == r.records-1 {
			if err := engine.Add(ctx, e, ticks, rows...); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return nil
}

// restore starts an engine on an empty folder, and ends it when all tasks are open.
func (r *run) restore(ctx context.Context, round int, dir string) (map[string]any, error) {
	opened := newOpenings(r.stderr)
	e, _, err := r.engine(dir, opened)
	if err != nil {
		return nil, err
	}
	if round == 0 && r.profile != "" {
		finish, err := profiled(r.profile)
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		defer finish()
	}
	tasks, err := r.tasks(ctx)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	begin, cpu := time.Now(), facts.CPU()
	var wall, burnt float64
	err = beside(ctx, e, func(ctx context.Context) error {
		err := await(ctx, time.Millisecond, func() bool { return opened.count() == tasks })
		wall, burnt = time.Since(begin).Seconds(), facts.CPU()-cpu
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened.line(map[string]any{"peer": "ashi", "workload": "restore", "round": round, "topic": r.topic, "wall_s": wall, "cpu_s": burnt,
		"max_rss_mb": facts.PeakMemory(), "settings": fmt.Sprintf("guarantee=exactly-once store=rocksdb memory=%dMB windows=1m grace=24h", r.memory)}), os.RemoveAll(dir)
}

func (r *run) tasks(ctx context.Context) (int, error) {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: strings.Split(r.brokers, ",")})
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	counts, err := admin.Partitions(ctx, r.topic)
	return int(counts[r.topic]), err
}

// beside runs the engine while f works, and ends it when f has returned.
func beside(ctx context.Context, e *engine.Engine, f func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- e.Run(ctx)
	}()
	err := f(ctx)
	stop()
	return errors.Join(<-ended, err)
}

func await(ctx context.Context, poll time.Duration, done func() bool) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func profiled(name string) (finish func(), err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// openings keeps what the engine logs about tasks that it has opened, and hands warnings and errors on.
type openings struct {
	slog.Handler
	mu    *sync.Mutex // guards tasks
	tasks *[]map[string]slog.Value
}

func newOpenings(stderr io.Writer) *openings {
	return &openings{slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}), new(sync.Mutex), new([]map[string]slog.Value)}
}

// Enabled lets the line pass whatever the level of the log is.
func (o *openings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle keeps the line about a restore, or hands it on.
func (o *openings) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "task opened" {
		attrs := map[string]slog.Value{}
		r.Attrs(func(a slog.Attr) bool {
			attrs[a.Key] = a.Value
			return true
		})
		o.mu.Lock()
		*o.tasks = append(*o.tasks, attrs)
		o.mu.Unlock()
	}
	if !o.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

// WithAttrs keeps the lines.
func (o *openings) WithAttrs(a []slog.Attr) slog.Handler {
	return &openings{o.Handler.WithAttrs(a), o.mu, o.tasks}
}

// WithGroup keeps the lines.
func (o *openings) WithGroup(name string) slog.Handler {
	return &openings{o.Handler.WithGroup(name), o.mu, o.tasks}
}

func (o *openings) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(*o.tasks)
}

// line adds what the tasks said: sums, and the rates of each while all were restored.
func (o *openings) line(line map[string]any) map[string]any {
	o.mu.Lock()
	defer o.mu.Unlock()
	var rows, bytes int64
	var slowest time.Duration
	for _, t := range *o.tasks {
		rows += t["restored"].Int64()
		bytes += t["bytes"].Int64()
		slowest = max(slowest, t["restore"].Duration())
	}
	n := float64(len(*o.tasks))
	line["tasks"], line["rows"], line["bytes"], line["restore_s"] = n, rows, bytes, slowest.Seconds()
	line["rows_per_s"], line["mb_per_s"] = float64(rows)/slowest.Seconds(), float64(bytes)/slowest.Seconds()/1e6
	line["rows_per_s_and_partition"], line["mb_per_s_and_partition"] = float64(rows)/slowest.Seconds()/n, float64(bytes)/slowest.Seconds()/1e6/n
	line["cpu_us_per_row"] = line["cpu_s"].(float64) / float64(rows) * 1e6
	return line
}
