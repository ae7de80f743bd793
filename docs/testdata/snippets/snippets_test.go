package snippets

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

// With -docs.update the tables of the pages are written anew: read them before you commit them.
var update = flag.Bool("docs.update", false, "write the worked tables into the pages")

// plan is a block whose plan is built.
type plan struct {
	place   string
	declare func(*dsl.Builder)
	code    func(*dsl.Builder)
}

// table is a block with a worked table behind it.
type table struct {
	page string // relative to the root
	line int
	spec windows.Spec
}

var (
	plans  []plan
	tables []table
)

func TestPlansOfPages(t *testing.T) {
	require.NotEmpty(t, plans)
	for _, p := range plans {
		b := dsl.New("docs")
		p.declare(b)
		p.code(b)
		built, err := b.Build()
		require.NoError(t, err, p.place)
		enginetest.New(t, built) // opens a task of each sub-topology
	}
}

// A table has a record of a key in each line: "a 10:00:05". What its other columns must say follows
// from the records.
func TestWorkedTables(t *testing.T) {
	require.NotEmpty(t, tables)
	for _, w := range tables {
		t.Run(fmt.Sprintf("%s:%d", w.page, w.line), func(t *testing.T) { w.check(t) })
	}
}

func (w table) check(t *testing.T) {
	file := path.Join("../../..", w.page)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	first := w.line
	for !strings.HasPrefix(lines[first], "| ") {
		first++
	}
	end := first
	for strings.HasPrefix(lines[end], "|") {
		end++
	}
	want := w.rewrite(t, slices.Clone(lines[first:end]))
	if *update {
		copy(lines[first:end], want)
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644))
		return
	}
	require.Equal(t, want, lines[first:end], "written by -docs.update")
}

// hit is a record. Its number is its line in the table.
type hit struct {
	Key string    `ashi:"key,key"`
	N   int64     `ashi:"n"`
	At  time.Time `ashi:"at,timestamp"`
}

// row says which records a window has.
type row struct {
	Key        string `ashi:"key,key"`
	Start, End time.Time
	Hits       []int64
}

// rewrite is the table with all columns computed but the record's. A column of changes has the rows
// that are put out at each commit, one record each.
func (w table) rewrite(t *testing.T, lines []string) []string {
	head := cells(lines[0])
	b := dsl.New("docs")
	hits := dsl.Stream[hit](b, "hits")
	rows := dsl.Aggregate(dsl.GroupByKey[string](hits), w.spec, func(g dsl.Group[string, hit]) row {
		return row{g.Key(), g.WindowStart(), g.WindowEnd(), aggregates.CollectList(g, aggregates.Unlimited,
			func(h *hit) int64 { return h.N })}
	})
	bounded := !strings.Contains(w.spec.String(), "unbounded")
	rows.Changes().Named(func(windows.Kind) string { return "changes" })
	if bounded {
		rows.Final().Named(func(windows.Kind) string { return "final" })
	}
	plan, err := b.Build()
	require.NoError(t, err)
	d := enginetest.New(t, plan)
	var newest time.Time
	for i, line := range lines[2:] {
		record := strings.TrimSuffix(cells(line)[1], " (late)")
		key, text, _ := strings.Cut(record, " ")
		clock, at := parse(t, text)
		late := d.Dropped("late")
		enginetest.Add(d, hits, hit{key, int64(i + 1), at})
		if at.After(newest) {
			newest = at
		}
		out := map[string]string{"#": fmt.Sprint(i + 1), "record": record,
			"stream time": newest.In(at.Location()).Format(clock), "changed rows": w.show(t, d, "changes", clock,
				at.Location())}
		if bounded {
			out["final rows"] = w.show(t, d, "final", clock, at.Location())
		}
		if n := d.Dropped("late") - late; n > 0 {
			out["record"] += " (late)"
		}
		line := "|"
		for _, name := range head {
			cell, ok := out[name]
			require.True(t, ok, "no column %q", name)
			line += strings.TrimRight(" "+cell, " ") + " |"
		}
		lines[i+2] = line
	}
	return lines
}

// parse reads a time of a table: a time of 2 March 2026 in UTC, or date and time in New York.
func parse(t *testing.T, text string) (layout string, at time.Time) {
	if at, err := time.ParseInLocation("2006-01-02 15:04:05", "2026-03-02 "+text, time.UTC); err == nil {
		return "15:04:05", at
	}
	zone, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	at, err = time.ParseInLocation("2006-01-02 15:04", text, zone)
	require.NoError(t, err)
	return "2006-01-02 15:04", at
}

// show is what has come to a topic, such as "a [10:00:00, 10:01:00) 1 2".
func (w table) show(t *testing.T, d *enginetest.Driver, topic, clock string, zone *time.Location) string {
	closed := strings.Contains(w.spec.String(), "session") // both bounds are in the window
	if strings.Contains(w.spec.String(), "sliding") {
		closed, clock = true, clock+".000" // its windows begin a millisecond behind a record
	}
	var shown []string
	for _, r := range d.ReadRaw(topic) {
		var now row
		if r.Value == nil { // only sessions have deletions: group, end, start
			n := len(r.Key) - 16
			now = row{Key: string(r.Key[:n]), End: millis(r.Key[n:]), Start: millis(r.Key[n+8:])}
		} else {
			require.NoError(t, json.Unmarshal(r.Value, &now))
		}
		s := now.Key + " "
		if !now.Start.IsZero() && !now.End.IsZero() {
			s += "[" + now.Start.In(zone).Format(clock) + ", " + now.End.In(zone).Format(clock)
			if closed {
				s += "] "
			} else {
				s += ") "
			}
		}
		if r.Value == nil {
			s += "deleted"
		}
		for i, n := range now.Hits {
			s += strings.Repeat(" ", min(i, 1)) + fmt.Sprintf("#%d", n)
		}
		shown = append(shown, s)
	}
	return strings.Join(shown, "<br>")
}

func millis(b []byte) time.Time { return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC() }

func cells(line string) (cells []string) {
	for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
		cells = append(cells, strings.TrimSpace(c))
	}
	return cells
}
