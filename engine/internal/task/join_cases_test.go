package task_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
)

// TestJoinCases runs testdata/join/*.txt, which are like those of TestCases:
//
//	join KIND before=MS after=MS grace=MS [keep]
//	                                           a new join: inner, left, right, outer, as-of, left-as-of; keep: stores stay over a crash
//	record                                     lines "side key number @time", processed one by one in their order; key may be null or empty,
//	                                           number null
//	queue                                      the same, but all lines are there before the first is processed
//	crash                                      everything comes from the changelog again, or with keep from the store
//
// Results are lines "key: left right @time", - where a side is absent.
func TestJoinCases(t *testing.T) {
	files, err := filepath.Glob("testdata/join/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			checkCases(t, file, string(text), (&joinCases{t: t}).block)
		})
	}
}

type joinCases struct {
	t       *testing.T
	d       *enginetest.Driver
	seen    int
	dropped map[string]int64
}

func (c *joinCases) block(lines []string) string {
	require.NotEmpty(c.t, lines)
	words := strings.Fields(lines[0])
	switch words[0] {
	case "join":
		c.open(words[1:])
		return ""
	case "record":
		for _, l := range lines[1:] {
			r := c.record(l)
			c.d.AddRaw(joinTopics[r.side], r.Record)
		}
	case "queue":
		for _, l := range lines[1:] {
			r := c.record(l)
			c.d.Queue(joinTopics[r.side], r.Record)
		}
		c.d.Commit()
	case "crash":
		c.d.Crash()
	default:
		c.t.Fatalf("no directive %q", lines[0])
	}
	return c.output()
}

func (c *joinCases) open(words []string) {
	p := &joinProgram{kind: strings.Replace(words[0], "left-", "left ", 1)}
	var o enginetest.Options
	for _, w := range words[1:] {
		if w == "keep" {
			o.KeepStores = true
			continue
		}
		name, value, _ := strings.Cut(w, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		require.NoError(c.t, err)
		*map[string]*int64{"before": &p.before, "after": &p.after, "grace": &p.grace}[name] = n
	}
	c.d, c.seen, c.dropped = enginetest.NewWith(c.t, p.build(c.t), o), 0, map[string]int64{}
}

func (c *joinCases) record(line string) joinInput {
	f := strings.Fields(line)
	require.Len(c.t, f, 4, line)
	at, err := strconv.ParseInt(f[3][1:], 10, 64)
	require.NoError(c.t, err)
	e := &joinEvent{K: strings.TrimPrefix(f[1], "empty")}
	if f[2] != "null" {
		e.N, err = strconv.ParseInt(f[2], 10, 64)
		require.NoError(c.t, err)
	}
	r := joinRecord(c.t, map[string]int{"left": 0, "right": 1}[f[0]], e, at)
	if f[1] == "null" {
		r.Key = nil
	}
	if f[2] == "null" {
		r.Value = nil
	}
	return r
}

func (c *joinCases) output() string {
	var out strings.Builder
	lines := joinResults(c.t, c.d, 0)
	for _, l := range lines[c.seen:] {
		out.WriteString(strings.ReplaceAll(l, `"`, "") + "\n")
	}
	c.seen = len(lines)
	for _, reason := range task.Reasons() {
		n := c.d.Dropped(reason.String())
		if more := n - c.dropped[reason.String()]; more > 0 {
			fmt.Fprintf(&out, "dropped %s %d\n", reason, more)
		}
		c.dropped[reason.String()] = n
	}
	return out.String()
}
