package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/stores"
)

// options are the flags.
type options struct {
	ticks      []string
	bars       string
	brokers    []string
	dir, state string
	app        string
	config     string
	showGrants bool
	partitions int
	rate       float64
	seed       uint64
}

const (
	demoSpan   = 3 * time.Hour
	demoRate   = 7000 // ticks a second: the span in ten seconds
	commits    = 500 * time.Millisecond
	inMemory   = "memory"
	exitFlags  = 2
	exitFailed = 1
	exitCtrlC  = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "fx:", err)
		return exitFlags
	}
	err = o.execute(ctx, newScreen(stdout), stdout, stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "fx: interrupted")
		return exitCtrlC
	case err != nil:
		fmt.Fprintln(stderr, "fx:", err)
		return exitFailed
	}
	return 0
}

func parseFlags(args []string, stderr io.Writer) (o options, err error) {
	var ticks, brokers string
	f := flag.NewFlagSet("fx", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&ticks, "ticks", "", "replay these `files`, separated by commas: gzipped CSV with the header "+
		tickHeader+" (default: ticks are made up)")
	f.StringVar(&o.bars, "bars", "", "write the final bars into this `folder`: bars_1min.csv, bars_5min.csv, ...")
	f.StringVar(&brokers, "brokers", "",
		"use the Kafka cluster at `host:port,...` (default: a broker inside the process)")
	f.StringVar(&o.config, "config", "",
		"read how the Kafka cluster is reached, and how the engine runs, from this `file` in YAML or JSON "+
			"(docs/configuration.md)")
	f.BoolVar(&o.showGrants, "grants", false,
		"print the commands that let this program do what it does in a cluster with access control, and end")
	f.StringVar(&o.dir, "dir", "",
		"keep the log of the broker inside the process in this `folder`, so that a killed run can go on (default: "+
			"in memory)")
	f.StringVar(&o.state, "state", "", "keep the engine's stores in this `folder`, or in \""+inMemory+
		"\" (default: a temporary folder)")
	f.StringVar(&o.app, "app", "fx", "`name` of the application, with which names of topics and groups begin")
	f.IntVar(&o.partitions, "partitions", 4, "`number` of partitions of the topic of ticks, if it is not there yet")
	f.Float64Var(&o.rate, "rate", 0, "`ticks` a second (default: as fast as it goes; 7000 if they are made up)")
	f.Uint64Var(&o.seed, "seed", 1, "`number` that decides which ticks are made up")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.ticks, o.brokers = list(ticks), list(brokers)
	return o, errors.Join(o.validate(), noArguments(f))
}

func list(s string) []string {
	return slices.DeleteFunc(strings.Split(s, ","), func(s string) bool { return s == "" })
}

func noArguments(f *flag.FlagSet) error {
	if f.NArg() > 0 {
		return fmt.Errorf("%q: there are no arguments, only flags", f.Arg(0))
	}
	return nil
}

func (o *options) validate() error {
	var errs []error
	if (len(o.brokers) > 0 || o.config != "") && o.dir != "" {
		errs = append(errs,
			errors.New("-dir is for the broker inside the process: leave it out with -brokers and -config"))
	}
	if len(o.brokers) > 0 && o.config != "" {
		errs = append(errs, errors.New("-brokers: leave it out with -config, which names them"))
	}
	if o.partitions < 1 || o.rate < 0 {
		errs = append(errs, errors.New("-partitions must be 1 or more, -rate 0 or more"))
	}
	for i, name := range o.ticks {
		if _, err := os.Stat(name); err != nil {
			errs = append(errs, fmt.Errorf("-ticks: %w", err))
		}
		if slices.Contains(o.ticks[:i], name) {
			errs = append(errs, fmt.Errorf("-ticks: %s is given twice", name))
		}
	}
	return errors.Join(errs...)
}

// execute starts what the run needs, does the run, and ends it all.
func (o *options) execute(ctx context.Context, s *screen, stdout, stderr io.Writer) (err error) {
	topic := o.app + "-rates"
	p, err := newPipeline(o.app, topic)
	if err != nil {
		return err
	}
	cfg, err := o.configure(p, stderr)
	if err != nil {
		return err
	}
	if o.showGrants {
		return o.grants(p, cfg, stdout)
	}
	stop, err := o.startBroker(&cfg)
	if err != nil {
		return err
	}
	defer stop()
	partitions, err := o.ensureTopic(ctx, p.cluster(cfg), topic)
	if err != nil {
		return err
	}
	given := o.state != ""
	state, remove, err := o.openState()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	cfg.StateDir = state
	eng, err := engine.New(p.plan, cfg)
	if errors.Is(err, stores.ErrUnavailable) && !given {
		s.say("stores are in memory: %v", stores.ErrUnavailable)
		cfg.StateDir = ""
		eng, err = engine.New(p.plan, cfg)
	}
	if err != nil {
		return err
	}
	ticks := market(o.seed, time.Now().UTC().Truncate(24*time.Hour).Add(-demoSpan), demoSpan)
	if len(o.ticks) > 0 {
		ticks = tickFiles(o.ticks)
	} else if o.rate == 0 {
		o.rate = demoRate
	}
	s.say("ashi %s: bars of 1, 5, 15 and 60 minutes, from topic %s with %d partitions", version(), topic, partitions)
	r := &replay{engine: eng, pipeline: p, kafka: p.cluster(cfg), topic: topic, partitions: partitions, rate: o.rate,
		screen: s}
	return o.work(ctx, r, ticks)
}

// work runs the engine until all bars of all ticks are final, and shows them.
func (o *options) work(ctx context.Context, r *replay, ticks source) error {
	ctx, done := context.WithCancel(ctx)
	defer done()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.engine.Run(ctx) })
	group.Go(func() error {
		defer done()
		if err := r.engine.WaitReady(ctx); err != nil {
			return err
		}
		var watchers errgroup.Group
		watching, stop := context.WithCancel(ctx)
		r.watch(watching, &watchers)
		began := time.Now()
		e, err := r.run(ctx, ticks.ticks)
		var all []barsOf
		if err == nil {
			all, err = readBars(ctx, r.engine, r.pipeline, e)
		}
		stop()
		err = errors.Join(err, watchers.Wait())
		if err != nil {
			return err
		}
		return o.report(r.screen, all, ticks.digits, time.Since(began))
	})
	return group.Wait()
}

// watch shows bars while they are made, and progress.
func (r *replay) watch(ctx context.Context, group *errgroup.Group) {
	follow := func(err error) error {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for _, size := range sizes {
		group.Go(func() error {
			return follow(engine.ForEach(ctx, r.engine, r.pipeline.finals.Stream(size), func(b Bar) error {
				r.screen.final(size, b)
				return nil
			}))
		})
	}
	group.Go(func() error {
		return follow(engine.ForEach(ctx, r.engine, r.pipeline.changes.Stream(shownSize), func(b Bar) error {
			r.screen.changed(shownSize, b)
			return nil
		}))
	})
	group.Go(func() error {
		r.screen.run(ctx)
		return nil
	})
}

// report prints and writes what was made.
func (o *options) report(s *screen, all []barsOf, digits map[string]int, took time.Duration) error {
	s.say("")
	if err := printTable(s.w, all, digits); err != nil {
		return err
	}
	if bars := all[0].bars; len(bars) > 0 {
		s.say("")
		pair := bars[0].Pair
		if lastOf(bars, "EUR/USD").Ticks > 0 {
			pair = "EUR/USD"
		}
		printChart(s.w, all[1], pair, digits[pair])
	}
	n := 0
	for _, of := range all {
		n += len(of.bars)
	}
	s.say("\n%d final bars, read from the tables, of %d ticks in %.1f s", n, s.ticks, took.Seconds())
	if o.bars == "" {
		return nil
	}
	return writeCSV(o.bars, all, digits)
}

// version is the version that this program was built as.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
