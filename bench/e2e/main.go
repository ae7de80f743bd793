package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ashi-stream/ashi/bench/internal/rig"
	"github.com/ashi-stream/ashi/engine"
)

// options are the flags. They mean what they mean for the other peers.
type options struct {
	brokers, app, topic, second, out, state string
	workload, name, codec, emit             string
	restore, serve, every                   bool
	commit                                  time.Duration
	guarantee, profile, metrics             string
	memory                                  size
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	m, err := newMeter(ctx, o)
	if err != nil {
		return fmt.Errorf("e2e: %w", err)
	}
	defer m.admin.Close()
	plan, err := o.plan()
	if err != nil {
		return err
	}
	lines, closeLog, err := o.openLog(stderr)
	if err != nil {
		return err
	}
	defer closeLog()
	opened := rig.NewOpenings(lines)
	cfg := engine.Config{Brokers: o.brokerList(), StateDir: o.state, CommitInterval: o.commit, EveryUpdate: o.every,
		MaxAhead: engine.NoBound, WithoutTables: "a measurement: the peers keep no tables either",
		Memory: int(o.memory), Log: slog.New(opened)}
	if o.guarantee == engine.AtLeastOnce.String() {
		cfg.Guarantee = engine.AtLeastOnce
	}
	if o.memory > 0 {
		// As Config.Memory advises: the collector's limit is the program's to set.
		debug.SetMemoryLimit(int64(o.memory) / 8 * 5)
	}
	finish, err := rig.Profile(o.profile)
	if err != nil {
		return fmt.Errorf("e2e: %w", err)
	}
	defer finish()
	begin := now()
	eng, err := engine.New(plan, cfg)
	if err != nil {
		return fmt.Errorf("e2e: %w", err)
	}
	if err := m.observe(eng); err != nil {
		return fmt.Errorf("e2e: %w", err)
	}
	var line map[string]any
	err = rig.Beside(ctx, eng, func(ctx context.Context) (err error) {
		if o.metrics != "" {
			defer m.scrape(ctx)()
		}
		ready := func() error { return opened.Await(ctx, m.tasks*len(plan.Subs)) }
		switch {
		case o.serve:
			line, err = o.serveUntil(ctx, m, stdin, stdout, ready)
		case o.restore:
			line, err = o.measureRestore(ctx, m, begin, ready)
		default:
			line, err = o.measure(ctx, m)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("e2e: %w", err)
	}
	// Start-up and end are part of the process's CPU time, so these come last.
	cpu := thousandths(rig.CPU())
	line["max_rss_mb"] = rig.PeakMemory()
	if o.serve { // who asks for latencies knows the rest
		line["serve_cpu_s"] = cpu
	} else {
		line["cpu_s"], line["peer"], line["settings"] = cpu, "ashi", o.settings()
	}
	return json.NewEncoder(stdout).Encode(line)
}

func parseFlags(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("e2e", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.brokers, "brokers", "127.0.0.1:29092", "addresses, separated by commas")
	f.StringVar(&o.app, "app", "peer-ashi", "application")
	f.StringVar(&o.topic, "topic", "", "input topic")
	f.StringVar(&o.second, "second", "", "second input topic, of joins")
	f.StringVar(&o.out, "out", "", "output topic; for multi the sizes in minutes are appended: OUT-1, OUT-5 ...")
	f.StringVar(&o.state, "state", "", "folder for stores; empty: in memory")
	f.StringVar(&o.workload, "workload", "tumbling", "tumbling, multi, hopping, session, join or left")
	f.StringVar(&o.name, "name", "", "workload's name in the JSON line (default: -workload)")
	f.StringVar(&o.codec, "codec", "bin", "of the input: bin or json")
	f.StringVar(&o.emit, "emit", "final", "final or changes")
	f.BoolVar(&o.restore, "restore", false, "measure only how long a run that was made before takes to be restored")
	f.BoolVar(&o.serve, "serve", false, "print RUNNING when ready, run until standard input ends")
	f.BoolVar(&o.every, "every", false, "put every change out, not only the last one of a row before each commit")
	f.DurationVar(&o.commit, "commit", time.Second, "time between commits")
	f.StringVar(&o.guarantee, "guarantee", engine.ExactlyOnce.String(), engine.ExactlyOnce.String()+" or "+
		engine.AtLeastOnce.String())
	f.Var(&o.memory, "memory",
		"bound of the process's memory: bytes, or like 256MB (of 1024*1024); 0: the engine's default, and no limit "+
			"for the collector")
	f.StringVar(&o.metrics, "metrics", "",
		"file for log lines of level info and above; metrics are written out once a second, as for a scrape. Empty: "+
			"neither, and warnings go to standard error")
	f.StringVar(&o.profile, "cpuprofile", "",
		"file for a CPU profile of the run, which makes the run a little slower; empty: none")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if o.name == "" {
		o.name = o.workload
	}
	return o, o.validate()
}

// openLog is where log lines go, and what closes it.
func (o *options) openLog(stderr io.Writer) (lines slog.Handler, finish func(), err error) {
	if o.metrics == "" {
		return slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}), func() {}, nil
	}
	f, err := os.Create(o.metrics)
	if err != nil {
		return nil, nil, fmt.Errorf("e2e: log: %w", err)
	}
	return slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelInfo}), func() { f.Close() }, nil
}

func (o *options) validate() error {
	var errs []error
	if o.joins() != (o.second != "") {
		errs = append(errs, errors.New("-second is needed for joins, and for nothing else"))
	}
	if o.workload == "repartition" && !o.serve {
		errs = append(errs, errors.New("-workload repartition is for latencies: it needs -serve"))
	}
	if o.topic == "" || o.out == "" {
		errs = append(errs, errors.New("-topic and -out are needed"))
	}
	for _, c := range []struct {
		flag, value string
		known       []string
	}{
		{"workload", o.workload, []string{"tumbling", "repartition", "multi", "hopping", "session", "join", "left"}},
		{"codec", o.codec, []string{"bin", "json"}},
		{"emit", o.emit, []string{"final", "changes"}},
		{"guarantee", o.guarantee, []string{engine.ExactlyOnce.String(), engine.AtLeastOnce.String()}},
	} {
		if !slices.Contains(c.known, c.value) {
			errs = append(errs, fmt.Errorf("-%s %q: there are only %s", c.flag, c.value, strings.Join(c.known, ", ")))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("e2e: %w", errors.Join(errs...))
	}
	return nil
}

func (o *options) joins() bool { return o.workload == "join" || o.workload == "left" }

// topics are the inputs.
func (o *options) topics() []string {
	if o.joins() {
		return []string{o.topic, o.second}
	}
	return []string{o.topic}
}

func (o *options) brokerList() []string { return strings.Split(o.brokers, ",") }

func (o *options) settings() string {
	store := "rocksdb"
	if o.state == "" {
		store = "memory"
	}
	bound := ""
	if o.memory > 0 {
		bound = " memory=" + o.memory.String()
	}
	if n := os.Getenv("MALLOC_ARENA_MAX"); n != "" {
		bound += " MALLOC_ARENA_MAX=" + n
	}
	if o.metrics != "" {
		bound += " metrics=1s log=info"
	}
	return fmt.Sprintf("guarantee=%s commit=%v emit=%s codec=%s store=%s compression=none tables=none%s", o.guarantee,
		o.commit, o.emit, o.codec, store, bound)
}

// size is a number of bytes as a flag.
type size int

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// String is in MB where it is a whole number of them.
func (s size) String() string {
	if s%mib == 0 {
		return fmt.Sprintf("%dMB", int(s)/mib)
	}
	return strconv.Itoa(int(s))
}

// Set reads bytes, or a number with KB, MB or GB behind it.
func (s *size) Set(text string) error {
	unit, digits := 1, strings.TrimSuffix(text, "B")
	for suffix, n := range map[string]int{"K": kib, "M": mib, "G": gib} {
		if d, ok := strings.CutSuffix(digits, suffix); ok {
			unit, digits = n, d
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > math.MaxInt/unit {
		return fmt.Errorf("%q is no size: 268435456 and 256MB are", text)
	}
	*s = size(n * unit)
	return nil
}

// measure runs the topic to its end.
func (o *options) measure(ctx context.Context, m *meter) (map[string]any, error) {
	first, err := m.read(ctx, 1, firstPoll)
	if err != nil {
		return nil, err
	}
	processed, err := m.read(ctx, m.total, endPoll)
	if err != nil {
		return nil, err
	}
	last, err := m.committed(ctx)
	if err != nil {
		return nil, err
	}
	wall := last.at.Sub(first.at).Seconds()
	return map[string]any{"workload": o.name, "topic": o.topic, "records": m.total, "wall_s": thousandths(wall),
		"wall_s_processed": thousandths(processed.at.Sub(first.at).Seconds()),
		"records_per_s":    math.Round(float64(m.total) / wall), "cpu_s_steady": thousandths(last.cpu - first.cpu)}, nil
}

// measureRestore waits until the state of all tasks is back.
func (o *options) measureRestore(ctx context.Context, m *meter, begin sample, ready func() error) (map[string]any,
	error) {
	if err := ready(); err != nil {
		return nil, err
	}
	end := now()
	rows, err := m.changelogRows(ctx)
	if err != nil {
		return nil, err
	}
	wall := end.at.Sub(begin.at).Seconds()
	return map[string]any{"workload": "restore", "records": rows, "wall_s": thousandths(wall),
		"records_per_s": math.Round(float64(rows) / wall), "cpu_s_steady": thousandths(end.cpu - begin.cpu)}, nil
}

// serveUntil runs until standard input ends.
func (o *options) serveUntil(ctx context.Context, m *meter, stdin io.Reader, stdout io.Writer,
	ready func() error) (map[string]any, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	fmt.Fprintln(stdout, "RUNNING")
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, stdin)
		ended <- err
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-ended:
		if err != nil {
			return nil, err
		}
	}
	n, err := m.records()
	return map[string]any{"serve_records": n}, err
}

func thousandths(v float64) float64 { return math.Round(v*1000) / 1000 }
