package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// realData names a folder of *-ticks.csv.gz and *-minute-bars.csv.gz beyond those of testdata.
const realData = "ASHI_FX_DATA"

func TestMain(m *testing.M) {
	if args := os.Getenv(asProgram); args != "" {
		os.Exit(run(context.Background(), strings.Split(args, "\n"), os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// bruteForce is the bars of one size as lines of a CSV file, from all ticks.
func bruteForce(ticks []Tick, size time.Duration, digits map[string]int) []string {
	type window struct {
		pair  string
		start int64
	}
	in := map[window][]Tick{}
	for _, t := range ticks {
		if t.Bid > 0 && t.Ask > 0 {
			w := window{t.Pair, t.At.UnixMilli() / size.Milliseconds() * size.Milliseconds()}
			in[w] = append(in[w], t)
		}
	}
	lines := []string{barHeader}
	for w, ticks := range in {
		line := fmt.Sprintf("%s,%d", w.pair, w.start)
		for _, side := range []func(Tick) float64{func(t Tick) float64 { return t.Bid },
			func(t Tick) float64 { return t.Ask }} {
			var prices []float64
			for _, t := range ticks {
				prices = append(prices, side(t))
			}
			for _, v := range []float64{prices[0], slices.Max(prices), slices.Min(prices), prices[len(prices)-1]} {
				line += fmt.Sprintf(",%.*f", digits[w.pair], v)
			}
		}
		lines = append(lines, fmt.Sprintf("%s,%d", line, len(ticks)))
	}
	slices.Sort(lines[1:]) // all times have as many digits
	return lines
}

// lines are those of a bars file.
func lines(t *testing.T, dir string, size time.Duration) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "bars_"+windows.Name(size)+".csv"))
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func requireBars(t *testing.T, dir string, files []string) {
	t.Helper()
	s := tickFiles(files)
	ticks, err := collect(s)
	require.NoError(t, err)
	for _, size := range sizes {
		require.Equal(t, bruteForce(ticks, size, s.digits), lines(t, dir, size), "bars of %v", size)
	}
}

// tickFile writes a day of made-up ticks.
func dayOfTicks(t *testing.T, seed uint64, day time.Time) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, tickHeader)
	s := market(seed, day, 24*time.Hour)
	n := 0
	for tick, err := range s.ticks {
		require.NoError(t, err)
		if n++; n%20 == 0 {
			d := s.digits[tick.Pair]
			fmt.Fprintf(&b, "%s,%d,%.*f,%.*f\n", tick.Pair, tick.At.UnixMilli(), d, tick.Bid, d, tick.Ask)
		}
	}
	fmt.Fprintf(&b, "EUR/USD,%d,0,0\n", day.Add(24*time.Hour).UnixMilli()-1) // no quote: filtered out
	return gzipped(t, day.Format("20060102")+"-ticks.csv.gz", b.String())
}

// patience is how long a run may take: one that does not end would say nothing of what it waits
// for.
const patience = 5 * time.Minute

// program runs the program to its end, and returns what it printed.
func program(t *testing.T, code int, args ...string) (stdout string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errors bytes.Buffer
	require.Equal(t, code, run(ctx, args, &out, &errors), "exit code; it said: %s%s", out.String(), &errors)
	return out.String() + errors.String()
}

// Two days, in the wrong order; and what is there is not made again.
func TestReplayOfFiles(t *testing.T) {
	day := time.Date(2014, 5, 1, 0, 0, 0, 0, time.UTC)
	files := []string{dayOfTicks(t, 2, day.AddDate(0, 0, 1)), dayOfTicks(t, 1, day)}
	dir, bars := t.TempDir(), t.TempDir()
	args := []string{"-dir", dir, "-app", "days", "-bars", bars, "-ticks", strings.Join(files, ",")}
	out := program(t, 0, args...)
	requireBars(t, bars, files)
	require.Contains(t, out, "final bars, read from the tables")
	require.NotContains(t, out, endPrefix)

	again := t.TempDir()
	require.Contains(t, program(t, 0, append(args, "-bars", again, "-state", inMemory)...), "of 0 ticks")
	requireBars(t, again, files)

	require.Contains(t, program(t, exitFailed, "-dir", dir, "-app", "days", "-ticks", files[0]), errOtherTicks.Error())
}

// Ticks up to this minute come to an end too, though their end markers are hours ahead of the
// clock.
func TestReplayOfToday(t *testing.T) {
	files := []string{dayOfTicks(t, 3, time.Now().UTC().Truncate(time.Minute).Add(-24*time.Hour))}
	bars := t.TempDir()
	program(t, 0, "-bars", bars, "-ticks", files[0], "-state", inMemory)
	requireBars(t, bars, files)
}

// The hours of testdata, and all days of ASHI_FX_DATA, against the bars that others made of the
// same ticks.
func TestRealTicks(t *testing.T) {
	folders := []string{"testdata"}
	if more := os.Getenv(realData); more != "" {
		folders = append(folders, more)
	}
	c := kafkatest.Start(t)
	for i, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*-ticks.csv.gz"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		bars := t.TempDir()
		app := c.Name(fmt.Sprintf("real%d", i))
		deleteTopics(t, c, app)
		program(t, 0, "-brokers", strings.Join(c.Brokers, ","), "-app", app, "-bars", bars, "-ticks",
			strings.Join(files, ","))
		requireBars(t, bars, files)

		var want, got []string
		independent, err := filepath.Glob(filepath.Join(folder, "*-minute-bars.csv.gz"))
		require.NoError(t, err)
		require.Len(t, independent, len(files))
		for _, name := range independent {
			want = append(want, gunzipped(t, name)[1:]...)
		}
		for _, line := range lines(t, bars, time.Minute)[1:] {
			got = append(got, line[:strings.LastIndexByte(line, ',')]) // others did not count
		}
		slices.Sort(want)
		slices.Sort(got)
		require.Equal(t, want, got, "minute bars of %s", folder)
	}
}

func deleteTopics(t *testing.T, c *kafkatest.Cluster, app string) {
	topic := app + "-rates"
	names := []string{topic, topology.ChangelogName(app, topic)}
	for _, size := range sizes {
		names = append(names, topic+"_"+windows.Name(size)+"_final", topic+"_"+windows.Name(size)+"_window_raw")
	}
	t.Cleanup(func() {
		if err := c.Admin().Delete(context.Background(), names...); err != nil {
			t.Logf("topics are left behind: %v", err)
		}
	})
}

func gunzipped(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	r, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestDemo(t *testing.T) {
	t.Parallel()
	out := program(t, 0, "-rate", "20000", "-seed", "5")
	for _, want := range []string{"\nprovisional  ", "\nfinal  ", "market time", "\nUSD/SEK      60min",
		"EUR/USD, bid, bars of 5min", "2772 final bars"} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "\r", "no terminal")
}

// signalling is a writer that says when something is written.
type signalling struct {
	once    sync.Once
	written chan struct{}
}

func (s *signalling) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("provisional")) {
		s.once.Do(func() { close(s.written) })
	}
	return len(b), nil
}

func TestInterruptEndsCleanly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &signalling{written: make(chan struct{})}
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"-rate", "500", "-state", inMemory}, out, io.Discard) }()
	<-out.written
	cancel()
	require.Equal(t, exitCtrlC, <-code)
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	out := program(t, exitFlags, "-ticks", "no/such-ticks.csv.gz,no/such-ticks.csv.gz", "-dir", "x", "-brokers",
		"127.0.0.1:1", "-partitions", "0", "stray")
	for _, want := range []string{"-ticks: stat no/such-ticks.csv.gz", "given twice", "-dir is for",
		"-partitions must be", `"stray"`} {
		require.Contains(t, out, want)
	}
	require.Contains(t, program(t, exitFailed, "-brokers", "127.0.0.1:1"), "127.0.0.1:1")
	bad := gzipped(t, "bad-ticks.csv.gz", tickHeader+"\nEUR/USD,1,1,1\nEUR/USD,2\n")
	require.Contains(t, program(t, exitFailed, "-ticks", bad, "-state", inMemory), bad+": line 3")
	none := gzipped(t, "none-ticks.csv.gz", tickHeader+"\n")
	require.Contains(t, program(t, exitFailed, "-ticks", none, "-state", inMemory), "there are no ticks")
}
