package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
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

type tick struct {
	Pair string    `ashi:"pair,key"`
	Bid  float64   `ashi:"bid"`
	At   time.Time `ashi:"at,timestamp,format=ms"`
}

type bar struct {
	Pair                   string `ashi:"pair,key"`
	Start                  int64
	Open, High, Low, Close float64
	Count                  int64
}

var dayStart = time.Date(2014, 5, 1, 0, 0, 0, 0, time.UTC)

// bench is one measurement's settings.
type bench struct {
	brokers, app, dir, profile, results string
	finals, keys, rounds                int
	stderr                              io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

func (b *bench) parse(args []string) error {
	f := flag.NewFlagSet("tables", flag.ContinueOnError)
	f.SetOutput(b.stderr)
	f.StringVar(&b.brokers, "brokers", "", "addresses, separated by commas; empty: a broker in the process")
	f.StringVar(&b.dir, "dir", "", "folder on the disk to measure; empty: the system's for temporary files")
	f.StringVar(&b.profile, "cpuprofile", "", "file for a CPU profile of the first start, which makes it a little slower; empty: none")
	f.StringVar(&b.results, "results", "", "folder of a file that lines are added to; empty: none")
	f.IntVar(&b.finals, "finals", 1_000_000, "rows of the table")
	f.IntVar(&b.keys, "keys", 1000, "keys that the rows are of: each has as many as the others")
	f.IntVar(&b.rounds, "rounds", 3, "starts of each kind")
	return f.Parse(args)
}

func measure(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	b := &bench{app: fmt.Sprint("tables-", os.Getpid()), stderr: stderr}
	if err := b.parse(args); err != nil {
		return err
	}
	out, err := facts.Open(stdout, b.results, "tables")
	if err != nil {
		return err
	}
	defer out.Close()
	if b.brokers == "" {
		broker, err := embedded.Start(embedded.Config{})
		if err != nil {
			return err
		}
		defer broker.Close()
		b.brokers = strings.Join(broker.Addrs(), ",")
	}
	dir, err := os.MkdirTemp(b.dir, "ashi-tables-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: strings.Split(b.brokers, ",")})
	if err != nil {
		return err
	}
	defer admin.Close()
	defer b.forget(admin)
	if err := b.fill(ctx, admin, filepath.Join(dir, "first")); err != nil {
		return fmt.Errorf("filling: %w", err)
	}
	for i := range b.rounds {
		state := filepath.Join(dir, fmt.Sprint("round-", i))
		for _, from := range []string{"topic", "local state"} {
			line, err := b.start(ctx, state, i == 0 && from == "topic")
			if err != nil {
				return err
			}
			line["from"], line["round"] = from, i
			if err := out.Print(line); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(state); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) ticks() string { return b.app + "-ticks" }
func (b *bench) out() string   { return b.app + "-bars" }

func (b *bench) forget(admin *kafka.Admin) {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if err := admin.Delete(ctx, b.ticks(), b.out(), b.app+"-"+b.ticks()+"-changelog"); err != nil {
		fmt.Fprintln(b.stderr, "tables: topics are left:", err)
	}
}

func (b *bench) plan() (*topology.Plan, *dsl.StreamOf[tick], topology.TableOf[string, bar], error) {
	d := dsl.New(b.app)
	ticks := dsl.Stream[tick](d, b.ticks()).Codec(codecs.Fixed[tick]())
	bars := dsl.Aggregate(dsl.GroupBy(ticks, func(t *tick) string { return t.Pair }), windows.Minutes(1), func(g dsl.Group[string, tick]) bar {
		bid := func(t *tick) float64 { return t.Bid }
		return bar{g.Key(), g.WindowStart().UnixMilli(), aggregates.EarliestByOffset(g, bid), aggregates.Max(g, bid), aggregates.Min(g, bid),
			aggregates.LatestByOffset(g, bid), aggregates.Count(g)}
	}).Final().Named(func(windows.Kind) string { return b.out() })
	plan, err := d.Build()
	return plan, ticks, bars.Size(time.Minute), err
}

func (b *bench) engine(dir string) (*engine.Engine, *dsl.StreamOf[tick], *engine.TableReader[string, bar], error) {
	plan, ticks, bars, err := b.plan()
	if err != nil {
		return nil, nil, nil, err
	}
	e, err := engine.New(plan, engine.Config{Brokers: strings.Split(b.brokers, ","), StateDir: dir, ReadyTimeout: engine.NoBound,
		Tables: engine.Tables{Default: engine.TableSettings{Retention: engine.NoBound}},
		Log:    slog.New(slog.NewTextHandler(b.stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		return nil, nil, nil, err
	}
	table, err := engine.Table(e, bars)
	return e, ticks, table, err
}

// fill writes a tick for each row and those that close the last windows, and lets an engine make the rows.
func (b *bench) fill(ctx context.Context, admin *kafka.Admin, dir string) error {
	if err := admin.Ensure(ctx, kafka.TopicSpec{Name: b.ticks(), Partitions: 2, Replication: 1}); err != nil {
		return err
	}
	e, ticks, _, err := b.engine(dir)
	if err != nil {
		return err
	}
	rows := make([]tick, 0, 20_000)
	for i := range b.finals + b.keys {
		at := dayStart.Add(time.Duration(i/b.keys) * time.Minute)
		if i >= b.finals {
			at = at.Add(time.Hour)
		}
		rows = append(rows, tick{pair(i % b.keys), float64(i%997) / 8, at})
		if len(rows) == cap(rows) || i == b.finals+b.keys-1 {
			if err := engine.Add(ctx, e, ticks, rows...); err != nil {
				return errors.Join(err, e.Close())
			}
			rows = rows[:0]
		}
	}
	ends, err := admin.Ends(ctx, b.ticks(), false)
	if err != nil {
		return errors.Join(err, e.Close())
	}
	_, err = b.beside(ctx, e, func(ctx context.Context) error {
		return await(ctx, func() bool {
			offsets, err := admin.CommittedOffsets(ctx, b.app+"-"+b.ticks(), b.ticks())
			for p, end := range ends {
				if err != nil || offsets[p] < end {
					return false
				}
			}
			return true
		})
	})
	return err
}

func pair(i int) string { return fmt.Sprintf("PAIR%05d", i) }

// start measures the start of an engine on dir.
func (b *bench) start(ctx context.Context, dir string, profile bool) (map[string]any, error) {
	if profile && b.profile != "" {
		f, err := os.Create(b.profile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	began, cpu := time.Now(), facts.CPU()
	e, _, table, err := b.engine(dir)
	if err != nil {
		return nil, err
	}
	line := map[string]any{"peer": "ashi", "workload": "table start", "rows": b.finals, "keys": b.keys,
		"settings": "partitions=2 store=rocksdb codec=json retention=none tables=defaults"}
	ready, err := b.beside(ctx, e, func(ctx context.Context) error {
		if err := e.WaitReady(ctx); err != nil {
			return err
		}
		line["ready_s"], line["cpu_s"] = time.Since(began).Seconds(), facts.CPU()-cpu
		return b.check(ctx, table)
	})
	if !ready || err != nil {
		return nil, fmt.Errorf("engine ended before it was ready: %w", err)
	}
	line["cpu_us_per_row"] = line["cpu_s"].(float64) / float64(b.finals) * 1e6
	return line, nil
}

// check reads a row of each key, another one of each.
func (b *bench) check(ctx context.Context, table *engine.TableReader[string, bar]) error {
	for i := range b.keys {
		at := dayStart.Add(time.Duration(i%(b.finals/b.keys)) * time.Minute)
		row, ok, err := table.GetAt(ctx, pair(i), at)
		if err != nil || !ok || row.Start != at.UnixMilli() || row.Count != 1 {
			return fmt.Errorf("row of %s at %v: %+v, %v: %w", pair(i), at, row, ok, err)
		}
	}
	return nil
}

// beside runs the engine while f works, and ends it when f has returned; false if the engine ended first.
func (b *bench) beside(ctx context.Context, e *engine.Engine, f func(context.Context) error) (bool, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- e.Run(ctx)
	}()
	err := f(ctx)
	first := ctx.Err() == nil
	stop()
	return first, errors.Join(<-ended, err)
}

func await(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
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
