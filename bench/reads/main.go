package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashi-stream/ashi/bench/internal/rig"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka"
)

const (
	keys     = 100
	rangeLen = 1000
	// idleReads is for how long reads are made when all is processed.
	idleReads = 5 * time.Second
)

func main() { rig.Main("reads", run) }

// load is one measurement's settings and what its parts share.
type load struct {
	records, rate int
	readers       int
	cache         int // MiB of the table
	results       string
	every         time.Duration
	seen          atomic.Int64 // records that the engine has processed
	begin         atomic.Int64 // when the first came, in ns
	out           *rig.Lines
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	l := &load{}
	f := flag.NewFlagSet("reads", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&l.records, "records", 6_000_000, "ticks; 20 a minute and key, so 2,000,000 before reads begin")
	f.IntVar(&l.rate, "rate", 500_000, "records a second that are let through")
	f.DurationVar(&l.every, "every", 200*time.Microsecond, "time between the reads of a reader")
	f.IntVar(&l.readers, "readers", 1, "goroutines that read")
	f.IntVar(&l.cache, "cache", 64,
		"cache of the table in MiB; the table is some 20 MB packed: with 1 nearly every read is one of a file, of "+
			"the system's cache")
	f.StringVar(&l.results, "results", "", "folder of a file that lines are added to; empty: none")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if l.out, err = rig.Open(stdout, l.results, "reads"); err != nil {
		return err
	}
	defer l.out.Close()
	brokers, end, err := rig.Brokers("")
	if err != nil {
		return err
	}
	defer end()
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	err = admin.Ensure(ctx, kafka.TopicSpec{Name: "ticks", Partitions: 2, Replication: 1})
	admin.Close()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ashi-reads-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	b := dsl.New("reads")
	ticks := rig.Ticks(b, "ticks")
	bars := rig.Bars(ticks.Peek(l.pace)).Final()
	plan, err := b.Build()
	if err != nil {
		return err
	}
	cfg := engine.Config{Brokers: brokers, StateDir: dir,
		Tables: engine.Tables{Default: engine.TableSettings{Cache: l.cache << 20}},
		Log:    slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	e, err := engine.New(plan, cfg)
	if err != nil {
		return err
	}
	if err := l.fill(ctx, e, ticks); err != nil {
		return errors.Join(err, e.Close())
	}
	table, err := engine.Table(e, bars.Size(time.Minute))
	if err != nil {
		return errors.Join(err, e.Close())
	}
	return rig.Beside(ctx, e, func(ctx context.Context) error { return l.measure(ctx, e, table) })
}

// pace lets records through at the rate.
func (l *load) pace(*rig.Tick) error {
	n := l.seen.Add(1)
	if n == 1 {
		l.begin.Store(time.Now().UnixNano())
	}
	if n%1024 == 0 {
		due := time.Unix(0, l.begin.Load()).Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
		// the rate is what is wanted; a thousandth of a second at most, as a rule, so that nobody
		// has to end it
		time.Sleep(time.Until(due))
	}
	return nil
}

// fill writes the ticks: each key has 20 in each minute.
func (l *load) fill(ctx context.Context, e *engine.Engine, ticks *dsl.StreamOf[rig.Tick]) error {
	return rig.Write(ctx, e, ticks, l.records, func(i int) rig.Tick {
		return rig.Tick{Pair: pair(i % keys), Bid: float64(i%997) / 8,
			At: rig.DayStart.Add(time.Duration(i) * time.Minute / (20 * keys))}
	})
}

func pair(i int) string { return fmt.Sprintf("PAIR%03d", i) }

// measure reads while records are processed, and as often afterwards.
func (l *load) measure(ctx context.Context, e *engine.Engine, table *engine.TableReader[string, rig.Bar]) error {
	if err := e.WaitReady(ctx); err != nil {
		return err
	}
	first := rig.DayStart
	for n := 0; n < rangeLen; {
		var err error
		if n, err = count(ctx, table, first, first.Add(rangeLen*time.Minute)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		// between two looks at the table, so that the wait for its first rows costs no CPU
		time.Sleep(10 * time.Millisecond)
	}
	for _, what := range []string{"while processing", "idle"} {
		end := time.Now().Add(idleReads)
		more := func() bool { return time.Now().Before(end) }
		if what != "idle" {
			more = func() bool { return l.seen.Load() < int64(l.records) }
		}
		seen, from, cpu, waits := l.seen.Load(), time.Now(), rig.CPU(), schedulerWaits()
		took, err := l.readAll(ctx, table, more)
		if err != nil {
			return err
		}
		wall := time.Since(from).Seconds()
		if err := l.print(took, map[string]any{"what": what, "records_per_s": int(float64(l.seen.Load()-seen) / wall),
			"cores_used": (rig.CPU() - cpu) / wall, "scheduler_wait_p99_us": waits.p99(schedulerWaits())}); err != nil {
			return err
		}
	}
	return nil
}

// waited is how long goroutines that could run have waited for a processor of Go's scheduler.
type waited struct{ *metrics.Float64Histogram }

func schedulerWaits() waited {
	one := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(one)
	return waited{one[0].Value.Float64Histogram()}
}

// p99 is of the waits between w and later, in microseconds; it is what reads wait too that come
// back from RocksDB and find no processor.
func (w waited) p99(later waited) float64 {
	var all uint64
	for i := range later.Counts {
		all += later.Counts[i] - w.Counts[i]
	}
	left := all / 100
	for i := len(later.Counts) - 1; i >= 0; i-- {
		n := later.Counts[i] - w.Counts[i]
		if n > left {
			return math.Round(later.Buckets[i]*1e8) / 100 // where the bucket begins
		}
		left -= n
	}
	return 0
}

func count(ctx context.Context, table *engine.TableReader[string, rig.Bar], from, to time.Time) (n int, err error) {
	for _, err := range table.Range(ctx, pair(keys-1), from, to) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// latencies are how long reads took.
type latencies struct{ gets, ranges []time.Duration }

// readAll lets all readers read while more says so.
func (l *load) readAll(ctx context.Context, table *engine.TableReader[string, rig.Bar], more func() bool) (*latencies,
	error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	all := make([]latencies, l.readers)
	var readers sync.WaitGroup
	for i := range all {
		readers.Go(func() {
			if err := l.read(ctx, table, &all[i], i*37, more); err != nil {
				stop(err)
			}
		})
	}
	readers.Wait()
	var sum latencies
	for _, t := range all {
		sum.gets, sum.ranges = append(sum.gets, t.gets...), append(sum.ranges, t.ranges...)
	}
	return &sum, context.Cause(ctx)
}

// read makes reads: nine gets, then a range.
func (l *load) read(ctx context.Context, table *engine.TableReader[string, rig.Bar], took *latencies, n int,
	more func() bool) error {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for ; more() && ctx.Err() == nil; n++ {
		<-tick.C
		begin := time.Now()
		if n%10 == 9 {
			got, err := count(ctx, table, rig.DayStart, rig.DayStart.Add(rangeLen*time.Minute))
			if err != nil || got != rangeLen {
				return fmt.Errorf("range of %d bars: %d: %w", rangeLen, got, err)
			}
			took.ranges = append(took.ranges, time.Since(begin))
			continue
		}
		at := rig.DayStart.Add(time.Duration(n*7919%rangeLen) * time.Minute)
		got, ok, err := table.GetAt(ctx, pair(n%keys), at)
		if err != nil || !ok || got.Start != at.UnixMilli() || got.Count != 20 {
			return fmt.Errorf("get of %s at %v: %+v, %v: %w", pair(n%keys), at, got, ok, err)
		}
		took.gets = append(took.gets, time.Since(begin))
	}
	return ctx.Err()
}

func (l *load) print(took *latencies, line map[string]any) error {
	line["settings"] = fmt.Sprintf(
		"records=%d rate=%d every=%v readers=%d cache=%dMB store=rocksdb codec=json broker=embedded, same process",
		l.records, l.rate, l.every, l.readers, l.cache)
	for name, all := range map[string][]time.Duration{"get": took.gets, "range_1000": took.ranges} {
		slices.Sort(all)
		if len(all) == 0 {
			return errors.New("no reads were made: give more records")
		}
		for _, q := range []struct {
			name string
			of   float64
		}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}} {
			at := min(int(float64(len(all))*q.of), len(all)-1)
			line[name+"_"+q.name+"_us"] = float64(all[at].Nanoseconds()/100) / 10
		}
		line[name+"s"] = len(all)
	}
	return l.out.Print(line)
}
