package engine

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

func tablesPlan(t testing.TB) *topology.Plan {
	quarter, err := windows.Minutes(15).Size(15 * time.Minute)
	require.NoError(t, err)
	return &topology.Plan{Name: "fx", Tables: []*topology.Table{
		{Topic: "rates", Folder: "rates", File: "main"},
		{Topic: "rates_15min_final", Folder: "rates", File: "window_15min", Windows: &quarter},
		{Topic: "quotes_15min_final", Folder: "quotes", File: "window_15min", Windows: &quarter},
	}}
}

// TC-4: the window's settings, then those of main, then the default, then the defaults of ashi;
// each field on its own.
func TestTableSettings(t *testing.T) {
	plan := tablesPlan(t)
	set := Tables{Default: TableSettings{Retention: 24 * time.Hour}, Of: map[string]TableSettings{
		"rates/window_15min": {Retention: time.Hour},
		"rates/main":         {Cache: 10 << 20, Retention: NoBound},
		"quotes/main":        {Compression: CompressionOff}, // only for its windows: there is no such table
	}}
	require.NoError(t, set.known(plan))
	for _, c := range []struct {
		set  Tables
		want []TableSettings
	}{
		{Tables{}, []TableSettings{{256 << 20, CompressionOn, 168 * time.Hour},
			{64 << 20, CompressionOn, 168 * time.Hour}, {64 << 20, CompressionOn, 168 * time.Hour}}},
		{set, []TableSettings{{10 << 20, CompressionOn, NoBound}, {10 << 20, CompressionOn, time.Hour},
			{64 << 20, CompressionOff, 24 * time.Hour}}},
	} {
		for i, p := range plan.Tables {
			require.Equal(t, c.want[i], c.set.lookup(p), p.Topic)
		}
	}
	require.Zero(t, TableSettings{Retention: NoBound}.keep())
	require.Equal(t, time.Hour, TableSettings{Retention: time.Hour}.keep())
}

func TestTableSettingsAreChecked(t *testing.T) {
	cfg := Config{Brokers: []string{"127.0.0.1:1"}, Tables: Tables{Memory: -1, Default: TableSettings{Retention: -2,
		Compression: 7},
		Of: map[string]TableSettings{"rates/window_5min": {Cache: -1}}}}
	_, err := New(tablesPlan(t), cfg)
	for _, text := range []string{"Tables.Memory: -1 is too small: give 1MiB or more",
		"Tables.Default.Retention: -2ns is too short: give 1ms or more, or NoBound", "a Compression of 7",
		`Tables.Of["rates/window_5min"].Cache: -1 is too small`,
		"there is no such table: there are quotes/main, quotes/window_15min, rates/main, rates/window_15min"} {
		require.ErrorContains(t, err, text)
	}
}

// What all stores of tables may take together is a part of what they were told, in proportion.
func TestTableMemory(t *testing.T) {
	e := &Engine{plan: tablesPlan(t), cfg: Config{Memory: 512 << 20, Log: slog.New(slog.DiscardHandler)},
		state: &stateDir{path: "x"}}
	require.Equal(t, 256<<20, e.tableSettings()[e.plan.Tables[0]].Cache, "384 MiB fit into 512")
	e.cfg.Memory = 48 << 20
	set := e.tableSettings()
	require.Equal(t, []int{32 << 20, 8 << 20, 8 << 20}, []int{set[e.plan.Tables[0]].Cache, set[e.plan.Tables[1]].Cache,
		set[e.plan.Tables[2]].Cache})
	for _, s := range set {
		o := s.store()
		require.NoError(t, o.Validate())
		require.EqualValues(t, s.Cache, o.BlockCache+2*o.WriteBuffer)
		require.EqualValues(t, min(s.Cache/2, 32<<20), 2*o.WriteBuffer)
	}
	e.cfg.Tables.Memory = 96 << 20
	require.Equal(t, 64<<20, e.tableSettings()[e.plan.Tables[0]].Cache)
	e.plan.Tables[0].WithoutMirror = "large"
	require.Equal(t, 48<<20, e.tableSettings()[e.plan.Tables[1]].Cache, "what is not mirrored takes nothing")
	e.cfg.Tables.Memory = 1
	require.Equal(t, leastTableCache, e.tableSettings()[e.plan.Tables[1]].Cache)
}

// A table without mirror has no store and no reader, and the log says why.
func TestTableWithoutMirror(t *testing.T) {
	plan := tablesPlan(t)
	plan.Tables[0].WithoutMirror = "read by joins only"
	var lines logLines
	e, err := New(plan, Config{Brokers: []string{"127.0.0.1:1"}, Log: slog.New(&lines)})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	of := topology.TableOf[string, string]{Table: plan.Tables[0]}
	_, err = Table(e, of)
	require.ErrorIs(t, err, ErrNoMirror)
	require.ErrorContains(t, err, "read by joins only")
	require.ErrorIs(t, WaitApplied(t.Context(), e, of), ErrNoMirror)
	_, err = Table(e, topology.TableOf[string, string]{Table: plan.Tables[1]})
	require.NoError(t, err)
	require.Equal(t, logLines{"WARN table is not mirrored: it cannot be read table=rates reason=read by joins only"},
		lines)
}

// logLines are log records as text, without the attributes of their logger.
type logLines []string

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLines) WithGroup(string) slog.Handler            { return slog.DiscardHandler }
func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	*l = append(*l, line)
	return nil
}
