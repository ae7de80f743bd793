package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/ashi-stream/ashi/bench/internal/rig"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// bench is one measurement's settings.
type bench struct {
	addresses, app, dir, profile, results string

	brokers              []string
	finals, keys, rounds int
	stderr               io.Writer
}

func main() { rig.Main("tables", measure) }

func (b *bench) parse(args []string) error {
	f := flag.NewFlagSet("tables", flag.ContinueOnError)
	f.SetOutput(b.stderr)
	f.StringVar(&b.addresses, "brokers", "", "addresses, separated by commas; empty: a broker in the process")
	f.StringVar(&b.dir, "dir", "", "folder on the disk to measure; empty: the system's for temporary files")
	f.StringVar(&b.profile, "cpuprofile", "",
		"file for a CPU profile of the first start, which makes it a little slower; empty: none")
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
	out, err := rig.Open(stdout, b.results, "tables")
	if err != nil {
		return err
	}
	defer out.Close()
	brokers, end, err := rig.Brokers(b.addresses)
	if err != nil {
		return err
	}
	defer end()
	b.brokers = brokers
	dir, err := os.MkdirTemp(b.dir, "ashi-tables-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: b.brokers})
	if err != nil {
		return err
	}
	defer admin.Close()
	defer rig.Forget(admin, stderr, b.ticks(), b.out(), topology.ChangelogName(b.app, b.ticks()))
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

func (b *bench) plan() (*topology.Plan, *dsl.StreamOf[rig.Tick], topology.TableOf[string, rig.Bar], error) {
	d := dsl.New(b.app)
	ticks := rig.Ticks(d, b.ticks())
	bars := rig.Bars(ticks).Final().Named(func(windows.Kind) string { return b.out() })
	plan, err := d.Build()
	return plan, ticks, bars.Size(time.Minute), err
}

func (b *bench) engine(dir string) (*engine.Engine, *dsl.StreamOf[rig.Tick], *engine.TableReader[string, rig.Bar],
	error) {
	plan, ticks, bars, err := b.plan()
	if err != nil {
		return nil, nil, nil, err
	}
	e, err := engine.New(plan, engine.Config{Brokers: b.brokers, StateDir: dir, ReadyTimeout: engine.NoBound,
		Tables: engine.Tables{Default: engine.TableSettings{Retention: engine.NoBound}},
		Log:    slog.New(slog.NewTextHandler(b.stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		return nil, nil, nil, err
	}
	table, err := engine.Table(e, bars)
	return e, ticks, table, err
}

// fill writes a tick for each row and those that close the last windows, and lets an engine make
// the rows.
func (b *bench) fill(ctx context.Context, admin *kafka.Admin, dir string) error {
	if err := admin.Ensure(ctx, kafka.TopicSpec{Name: b.ticks(), Partitions: 2, Replication: 1}); err != nil {
		return err
	}
	e, ticks, _, err := b.engine(dir)
	if err != nil {
		return err
	}
	err = rig.Write(ctx, e, ticks, b.finals+b.keys, func(i int) rig.Tick {
		at := rig.DayStart.Add(time.Duration(i/b.keys) * time.Minute)
		if i >= b.finals {
			at = at.Add(time.Hour)
		}
		return rig.Tick{Pair: pair(i % b.keys), Bid: float64(i%997) / 8, At: at}
	})
	if err != nil {
		return errors.Join(err, e.Close())
	}
	ends, err := admin.Ends(ctx, b.ticks(), false)
	if err != nil {
		return errors.Join(err, e.Close())
	}
	return rig.Beside(ctx, e, func(ctx context.Context) error {
		return rig.Await(ctx, 100*time.Millisecond, func() (bool, error) {
			all, err := rig.Reached(ctx, admin, topology.GroupName(b.app), b.ticks(), ends)
			return all && err == nil, nil // before the first commit there is no such group
		})
	})
}

func pair(i int) string { return fmt.Sprintf("PAIR%05d", i) }

// start measures the start of an engine on dir.
func (b *bench) start(ctx context.Context, dir string, profile bool) (map[string]any, error) {
	if profile {
		finish, err := rig.Profile(b.profile)
		if err != nil {
			return nil, err
		}
		defer finish()
	}
	began, cpu := time.Now(), rig.CPU()
	e, _, table, err := b.engine(dir)
	if err != nil {
		return nil, err
	}
	line := map[string]any{"peer": "ashi", "workload": "table start", "rows": b.finals, "keys": b.keys,
		"settings": "partitions=2 store=rocksdb codec=json retention=none tables=defaults"}
	err = rig.Beside(ctx, e, func(ctx context.Context) error {
		if err := e.WaitReady(ctx); err != nil {
			return err
		}
		line["ready_s"], line["cpu_s"] = time.Since(began).Seconds(), rig.CPU()-cpu
		return b.check(ctx, table)
	})
	if err != nil {
		return nil, fmt.Errorf("engine ended before it was ready: %w", err)
	}
	line["cpu_us_per_row"] = line["cpu_s"].(float64) / float64(b.finals) * 1e6
	return line, nil
}

// check reads a row of each key, another one of each.
func (b *bench) check(ctx context.Context, table *engine.TableReader[string, rig.Bar]) error {
	for i := range b.keys {
		at := rig.DayStart.Add(time.Duration(i%(b.finals/b.keys)) * time.Minute)
		row, ok, err := table.GetAt(ctx, pair(i), at)
		if err != nil || !ok || row.Start != at.UnixMilli() || row.Count != 1 {
			return fmt.Errorf("row of %s at %v: %+v, %v: %w", pair(i), at, row, ok, err)
		}
	}
	return nil
}
