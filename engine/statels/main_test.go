//go:build cgo

package main

import (
	"encoding/binary"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

// newState is a state directory with tables and a task; the returned stores are open, as those of
// an engine that runs.
func newState(t *testing.T) (dir string, open []*rocksdb.Store) {
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ashi.json"), []byte(`{"application":"fx","layout":1}`), 0o600))
	store := func(name string) *rocksdb.Store {
		s, err := rocksdb.Open(filepath.Join(dir, name), rocksdb.Options{})
		require.NoError(t, err)
		open = append(open, s)
		return s
	}
	mirror := func(p *topology.Table, records ...task.Record) {
		s := store(filepath.Join(p.Folder, p.File+".db"))
		m := tables.NewMirror(p, s, 0, slog.New(slog.DiscardHandler))
		m.Bind(tables.Topic{Cluster: "c1", ID: task.TopicID{3}})
		_, err := m.Positions()
		require.NoError(t, err)
		require.NoError(t, m.Apply(0, records, int64(len(records))))
		require.NoError(t, m.Apply(1, nil, 7))
		require.NoError(t, s.Flush())
	}
	mirror(&topology.Table{Topic: "rates", Folder: "rates", File: "main"},
		task.Record{Key: []byte("EURUSD"), Value: []byte(`{"bid":1.1}`)}, task.Record{Key: []byte{0, 1},
			Value: []byte{1, 2}}, task.Record{Key: []byte("EURCHF"), Value: []byte{}})
	kind, err := windows.Minutes(15).Size(15 * time.Minute)
	require.NoError(t, err)
	var finals []task.Record
	for i := range int64(3) {
		finals = append(finals, task.Record{Key: binary.BigEndian.AppendUint64([]byte("EURUSD"),
			uint64(1398902400000+i*900000)), Value: []byte(`{"n":1}`)})
	}
	mirror(&topology.Table{Topic: "rates_15min_final", Folder: "rates", File: "window_15min", Windows: &kind,
		AppendOnly: true}, finals...)

	s := store("fx--rates-changelog/0/main.db")
	var b stores.Batch
	for i := range int64(4) {
		b.Put(stores.AppendRowKey(nil, 256, 1398902400000+i%2*60000, []byte{byte('a' + i)}), []byte{9, byte(i)})
	}
	b.Put(stores.AppendRowKey(nil, 258, 0, []byte("k")), []byte("1"))
	b.Put(stores.AppendRowKey(nil, 300, 0, []byte("k")), []byte("1"))
	progress := task.Progress{Sequence: 17, Rows: 1234, Inputs: map[string]int64{"rates": 1240, "limits": 3},
		Topics: map[string]task.TopicID{"rates": {2}}, StreamTimes: map[string]windows.Time{"bars": 1398902460500},
		Operators: []topology.Operator{
			{Name: "bars", Kind: "aggregate", Layout: 1, Meaning: []topology.Part{{Name: "key", Text: "string"},
				{Name: "windows", Text: "1min"}, {Name: "aggregates", Text: "count", List: true}},
				Numbers: topology.Numbers{First: 256, Count: 1}},
			{Name: "fx--rates-repartition", Kind: "internal topic", Layout: 1,
				Rows: []topology.Forms{{Of: "rows", Forms: []string{"{pair s}"}}}},
		}, Removing: []topology.Numbers{{First: 257, Count: 2}}, Next: 259}
	b.Put(task.ProgressKey, progress.Append(nil))
	position := task.Position{Offset: 99, Since: time.UnixMilli(1398902461000),
		Log: task.LogID{Cluster: "c1", Application: "fx", Sub: "rates", Topic: task.TopicID{1}}}
	b.Put(stores.MetaKey("position"), position.Append(nil))
	b.Put(stores.MetaKey("indexed"), []byte{1})
	require.NoError(t, s.Write(&b))
	require.NoError(t, s.Flush())
	return dir, open
}

var diskSize = regexp.MustCompile(`[1-9]\d* bytes on disk`)

// The listing and the rows, while the stores' owner has them open and after: the same, and nothing
// changes.
func TestListing(t *testing.T) {
	dir, open := newState(t)
	check := func() {
		for name, args := range map[string][]string{
			"list": {dir}, "rows": {"-rows", "rates/main", dir}, "prefix": {"-rows", "rates/main", "-prefix", "EURC",
				dir}, "hex": {"-rows", "rates/main.db", "-prefix", "0x00", dir},
			"windows": {"-rows", "rates/window_15min", "-n", "2", dir}, "task": {"-rows", "fx--rates-changelog/0/main",
				dir},
		} {
			var out strings.Builder
			require.NoError(t, run(args, &out, t.Output()), name)
			got := diskSize.ReplaceAllString(out.String(), "N bytes on disk")
			golden := filepath.Join("testdata", name+".txt")
			if *rewrite {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got, name)
		}
	}
	check()
	for _, s := range open {
		require.NoError(t, s.Close())
	}
	check()
}

// The rows of sessions are by group, without a time, and those that say when a group closes have
// one: only these have times in the listing.
func TestSessionsHaveNoRowsOf1970(t *testing.T) {
	dir, open := newState(t)
	var b stores.Batch
	b.Put(stores.AppendRowKey(nil, 300, 1398902400000, []byte("k")), nil)
	b.Put(stores.AppendRowKey(nil, 300, 1398902460000, []byte("l")), nil)
	require.NoError(t, open[len(open)-1].Write(&b))
	require.NoError(t, open[len(open)-1].Flush())
	var out strings.Builder
	require.NoError(t, run([]string{dir}, &out, t.Output()))
	require.Contains(t, out.String(),
		"operator 300: 3 rows, 37 bytes, 2 of them of times from 2014-05-01T00:00:00.000Z to 2014-05-01T00:01:00.000Z\n")
	require.NotContains(t, out.String(), "1970")
	for _, s := range open {
		require.NoError(t, s.Close())
	}
}

// A store that is damaged, or none, is named, and the others are listed.
func TestDamagedStores(t *testing.T) {
	dir, open := newState(t)
	for _, s := range open {
		require.NoError(t, s.Close())
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "rates/main.db/CURRENT")))
	foreign := filepath.Join(dir, "rates/other.db")
	require.NoError(t, os.Mkdir(foreign, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "notes.txt"), nil, 0o600))
	var out strings.Builder
	require.ErrorContains(t, run([]string{dir}, &out, t.Output()), "2 of 4 stores cannot be read")
	require.Contains(t, out.String(), "no file CURRENT")
	require.Contains(t, out.String(), `"notes.txt" in it is not a file of a store`)
	require.Contains(t, out.String(), "commit 17")
	require.Contains(t, out.String(), "table: 3 rows")
}

func TestRefuses(t *testing.T) {
	empty, damaged, newer, bare := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(damaged, "ashi.json"), []byte("{"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(newer, "ashi.json"), []byte(`{"layout":2}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(bare, "ashi.json"), []byte(`{"layout":1}`), 0o600))
	for _, c := range []struct {
		want string
		args []string
	}{
		{"no state directory of an engine", []string{empty}},
		{"no state directory of an engine", []string{filepath.Join(empty, "none")}},
		{"ashi.json is damaged", []string{damaged}},
		{"layout 2: this program reads layout 1", []string{newer}},
		{"want one state directory", nil},
		{`-rows is behind the state directory, where it is not read: statels [flags] DIR`,
			[]string{bare, "-rows", "rates/main"}},
		{"no such file", []string{"-rows", "rates/main", bare}},
		{"is not in the state directory", []string{"-rows", "../x", bare}},
		{"prefix \"0xz\"", []string{"-rows", "rates/main", "-prefix", "0xz", bare}},
	} {
		err := run(c.args, t.Output(), t.Output())
		require.ErrorContains(t, err, c.want)
	}
	var out strings.Builder
	require.NoError(t, run([]string{bare}, &out, t.Output()))
	require.Equal(t, "application \"\", layout 1\nno stores\n", out.String())
}
