package task_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/windows"
)

var rewrite = flag.Bool("rewrite", false, "write what the cases in testdata give into their files")

// TestCases runs testdata/*.txt: blocks of a directive with its lines, ---- and what comes of it:
// the rows that were committed since the block before, and the records that were dropped.
// Everything between blocks is for people.
//
//	program windows=1min,5min [sliding=10s] grace=3s [start=TIME] [ahead=1h] [manual] [keep] [every] [evict]
//	record                 lines "key value @time": key may be null or empty; value a number, null, empty, bad, or pad:N for N
//	                       bytes; time milliseconds or RFC 3339
//	commit, crash, advance 10s
//	fail commit            the commit fails as if the broker had aborted it; the task crashes
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			checkCases(t, file, string(text), (&cases{t: t}).block)
		})
	}
}

// checkCases holds the output of each block of a file against what it is now.
func checkCases(t *testing.T, file, text string, block func([]string) string) {
	got := runCases(text, block)
	if *rewrite {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	require.Equal(t, text, got)
}

type entry struct {
	K    string `ashi:"k,key"`
	V    int64
	Text *string
}

type tally struct {
	K                       string `ashi:"k,key"`
	From, Until             int64
	Count, Sum, First, Last int64
	Text                    int
}

// cases runs one file.
type cases struct {
	t       *testing.T
	d       *enginetest.Driver
	specs   []windows.Spec
	finals  *dsl.OutputOf[string, tally]
	changes *dsl.OutputOf[string, tally]
	dropped map[string]int64
}

// runCases returns text with the output of each block as it is now.
func runCases(text string, run func([]string) string) string {
	var out bytes.Buffer
	var block []string
	old := false // in the output that is to be replaced
	for _, line := range strings.SplitAfter(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "----":
			out.WriteString("----\n" + run(block))
			block, old = nil, true
			continue
		case trimmed == "":
			block, old = nil, false
		case !old && !strings.HasPrefix(trimmed, "#"):
			block = append(block, trimmed)
		}
		if !old {
			out.WriteString(line)
		}
	}
	return out.String()
}

func (c *cases) block(lines []string) string {
	require.NotEmpty(c.t, lines)
	words := strings.Fields(lines[0])
	switch what := strings.Join(words[:min(len(words), 2)], " "); {
	case words[0] == "program":
		return c.program(words[1:])
	case what == "record":
		records := make([]enginetest.Record, len(lines)-1)
		for i, l := range lines[1:] {
			records[i] = c.record(l)
		}
		c.d.AddRaw("in", records...)
	case what == "commit":
		c.d.Commit()
	case what == "crash":
		c.d.Crash()
	case what == "fail commit":
		c.d.FailCommits(task.ErrAborted)
		require.ErrorIs(c.t, c.d.TryCommit(), task.ErrAborted)
		c.d.Crash()
	case words[0] == "advance":
		by, err := time.ParseDuration(words[1])
		require.NoError(c.t, err)
		c.d.Advance(by)
		c.d.Commit()
	default:
		c.t.Fatalf("no directive %q", lines[0])
	}
	return c.output()
}

func (c *cases) program(words []string) string {
	o := enginetest.Options{Start: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	grace := windows.DefaultGrace
	c.specs, c.dropped = nil, map[string]int64{}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		var err error
		switch name {
		case "windows", "sliding":
			for s := range strings.SplitSeq(value, ",") {
				var d time.Duration
				d, err = time.ParseDuration(strings.ReplaceAll(s, "min", "m"))
				require.NoError(c.t, err)
				if name == "sliding" {
					c.specs = append(c.specs, windows.Sliding(d))
				} else {
					c.specs = append(c.specs, windows.Tumbling(d))
				}
			}
		case "grace":
			grace, err = time.ParseDuration(value)
		case "start":
			o.Start, err = time.Parse(time.RFC3339, value)
		case "ahead":
			o.Ahead, err = time.ParseDuration(value)
		case "manual":
			o.Manual = true
		case "keep":
			o.KeepStores = true
		case "evict": // no row stays in memory after a commit
			o.Memory = 1
		case "every":
			o.EveryUpdate = true
		default:
			c.t.Fatalf("no option %q", w)
		}
		require.NoError(c.t, err)
	}
	spec := c.specs[0]
	for _, s := range c.specs[1:] {
		spec = spec.And(s)
	}
	b := dsl.New("cases")
	sums := dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[entry](b, "in")),
		spec.Grace(grace), tallyOf)
	c.finals, c.changes = sums.Final(), sums.Changes()
	plan, err := b.Build()
	require.NoError(c.t, err)
	c.d = enginetest.NewWith(c.t, plan, o)
	return ""
}

func tallyOf(g dsl.Group[string, entry]) tally {
	v := func(e *entry) int64 { return e.V }
	text := aggregates.LatestByOffset(g, func(e *entry) *string { return e.Text })
	r := tally{K: g.Key(), From: g.WindowStart().UnixMilli(), Until: g.WindowEnd().UnixMilli(),
		Count: aggregates.Count(g), Sum: aggregates.Sum(g, v), First: aggregates.EarliestByOffset(g, v),
		Last: aggregates.LatestByOffset(g, v)}
	if text != nil {
		r.Text = len(*text)
	}
	return r
}

// record reads "key value @time".
func (c *cases) record(line string) (r enginetest.Record) {
	f := strings.Fields(line)
	require.Len(c.t, f, 3, line)
	at, err := strconv.ParseInt(f[2][1:], 10, 64)
	if err != nil {
		when, err := time.Parse(time.RFC3339, f[2][1:])
		require.NoError(c.t, err)
		at = when.UnixMilli()
	}
	r.Timestamp = windows.Time(at)
	if r.Key = []byte(f[0]); f[0] == "null" {
		r.Key = nil
	} else if f[0] == "empty" {
		r.Key = []byte{}
	}
	e := entry{K: f[0]}
	switch kind, n, _ := strings.Cut(f[1], ":"); kind {
	case "null":
		return r
	case "empty":
		r.Value = []byte{}
		return r
	case "bad":
		r.Value = []byte(`{"V":`)
		return r
	case "pad":
		length, err := strconv.Atoi(n)
		require.NoError(c.t, err)
		text := strings.Repeat("x", length)
		e.Text = &text
	default:
		e.V, err = strconv.ParseInt(f[1], 10, 64)
		require.NoError(c.t, err)
	}
	r.Value, err = codecs.JSON[entry]().Encode(nil, &e)
	require.NoError(c.t, err)
	return r
}

// output is what was committed and what was dropped since the last one.
func (c *cases) output() string {
	var out strings.Builder
	for _, spec := range c.specs {
		c.rows(&out, "changes", c.changes, spec)
		c.rows(&out, "final", c.finals, spec)
	}
	for _, reason := range task.Reasons() {
		n := c.d.Dropped(reason.String())
		if more := n - c.dropped[reason.String()]; more > 0 {
			fmt.Fprintf(&out, "dropped %s %d\n", reason, more)
		}
		c.dropped[reason.String()] = n
	}
	return out.String()
}

func (c *cases) rows(out *strings.Builder, what string, from *dsl.OutputOf[string, tally], spec windows.Spec) {
	stream := from.StreamOf(spec)
	require.NoError(c.t, stream.Err)
	end := ")"
	if stream.Windows.Form() == windows.FormSliding {
		end = "]"
	}
	for _, r := range c.d.ReadRaw(stream.Topic) {
		var row tally
		require.NoError(c.t, stream.Decode(r.Key[:len(r.Key)-8], r.Value, &row))
		fmt.Fprintf(out, "%s %s %s [%s, %s%s count %d sum %d first %d last %d", what, stream.Windows.Name(), row.K,
			ms(row.From), ms(row.Until), end, row.Count, row.Sum, row.First, row.Last)
		if row.Text > 0 {
			fmt.Fprintf(out, " text of %d", row.Text)
		}
		fmt.Fprintf(out, " @%s\n", ms(int64(r.Timestamp)))
	}
}

func ms(t int64) string {
	if t < 1e9 {
		return strconv.FormatInt(t, 10)
	}
	return windows.Time(t).String()
}
