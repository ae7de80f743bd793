package engine

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/topology"
)

// Tables are the settings of the tables of a process (TC-4). What is not set for a table is looked
// up: of a window's table first in its own settings, then in those of main of the same folder, then
// in Default, then in the defaults of TableSettings.
type Tables struct {
	// Memory bounds the stores of all tables together, in bytes: as much as Config.Memory, on top
	// of that. When the tables' Cache is more in sum, each gets so much less of it, down to 1 MiB,
	// and a log line says so.
	Memory int
	// Default is for every table.
	Default TableSettings
	// Of are settings of single tables, by the names that Describe prints: "rates/main",
	// "rates/window_15min". Settings of a main table are taken for the windows of its folder too,
	// whether or not there is such a table. A name that fits no table is an error.
	Of map[string]TableSettings
}

// TableSettings say how a table is kept. The zero of a field stands for what is looked up next.
type TableSettings struct {
	// Cache is what the store may keep in memory, in bytes, up to half of it, and 32 MiB, rows that
	// wait to be written: 256 MiB for main tables, 64 MiB for others. An empty Config.StateDir
	// keeps all rows in memory whatever this says.
	Cache int
	// Compression of what is on disk: CompressionOn.
	Compression Compression
	// Retention is how long rows of windows are kept: 168 h. A row is as old as its window's start,
	// a session's as its end; it goes when a row of the table, whatever its key, is newer by
	// Retention. NoBound keeps all. Tables without windows keep rows until they are deleted.
	Retention time.Duration
}

// Compression says whether a store packs what it writes to disk.
type Compression uint8

// The values of TableSettings.Compression.
const (
	CompressionUnset Compression = iota // looked up next
	CompressionOn                       // LZ4
	CompressionOff
)

const (
	mainCache        = 256 << 20
	otherCache       = 64 << 20
	leastTableCache  = 1 << 20
	defaultRetention = 168 * time.Hour
	mainFile         = "main"
)

// validate returns every problem, joined.
func (t *Tables) validate() error {
	var errs []error
	errs = append(errs, sizeBound("Tables.Memory", t.Memory, leastTableCache).check())
	check := func(name string, s TableSettings) {
		errs = append(errs, sizeBound(name+".Cache", s.Cache, leastTableCache).check(),
			durationBound(name+".Retention", s.Retention, time.Millisecond, 0).orNone().check())
		if s.Compression > CompressionOff {
			errs = append(errs, fmt.Errorf("%s: a Compression of %d is none", name, s.Compression))
		}
	}
	check("Tables.Default", t.Default)
	for _, name := range slices.Sorted(maps.Keys(t.Of)) {
		check(fmt.Sprintf("Tables.Of[%q]", name), t.Of[name])
	}
	return errors.Join(errs...)
}

// known is an error if there are settings for tables that plan does not have.
func (t *Tables) known(plan *topology.Plan) error {
	if plan == nil || len(t.Of) == 0 {
		return nil
	}
	names := TableNames(plan)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t.Of)) {
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("Tables.Of[%q]: there is no such table: there are %s", name,
				strings.Join(names, ", ")))
		}
	}
	return errors.Join(errs...)
}

// TableNames are the names that Tables.Of can have for plan, sorted.
func TableNames(plan *topology.Plan) []string {
	names := map[string]bool{}
	for _, p := range plan.Tables {
		names[p.Folder+"/"+p.File], names[p.Folder+"/"+mainFile] = true, true
	}
	return slices.Sorted(maps.Keys(names))
}

// lookup is the settings of a table, none of them unset.
func (t *Tables) lookup(p *topology.Table) TableSettings {
	last := TableSettings{Cache: otherCache, Compression: CompressionOn, Retention: defaultRetention}
	if p.File == mainFile {
		last.Cache = mainCache
	}
	var set TableSettings
	for _, s := range []TableSettings{t.Of[p.Folder+"/"+p.File], t.Of[p.Folder+"/"+mainFile], t.Default, last} {
		set.Cache = cmp.Or(set.Cache, s.Cache)
		set.Compression = cmp.Or(set.Compression, s.Compression)
		set.Retention = cmp.Or(set.Retention, s.Retention)
	}
	return set
}

// tableSettings is the settings of all tables that are mirrored, their caches cut to what
// Tables.Memory allows.
func (e *Engine) tableSettings() map[*topology.Table]TableSettings {
	all := map[*topology.Table]TableSettings{}
	sum := 0
	for _, p := range e.plan.Tables {
		if p.WithoutMirror == "" {
			all[p] = e.cfg.Tables.lookup(p)
			sum += all[p].Cache
		}
	}
	bound := cmp.Or(e.cfg.Tables.Memory, e.cfg.Memory)
	if sum <= bound || e.state.path == "" {
		return all
	}
	e.cfg.Log.Info("caches of tables are cut to fit their memory", "settings", sum, "memory", bound)
	for p, s := range all {
		s.Cache = max(int(float64(s.Cache)/float64(sum)*float64(bound)), leastTableCache)
		all[p] = s
	}
	return all
}

// store is what RocksDB is told.
func (s TableSettings) store() rocksdb.Options {
	// There are two of it. Small ones are costly: rows come in the order of time, so that each file
	// has rows of all keys, and merging four of them rewrites the table. A million finals took
	// three times the CPU with 4 MiB in place of 16.
	buffer := min(max(s.Cache/4, leastWriteBuffer), mostWriteBuffer)
	return rocksdb.Options{BlockCache: int64(s.Cache - 2*buffer), WriteBuffer: int64(buffer),
		Compression: s.Compression == CompressionOn}
}

// keep is the retention as a mirror wants it: 0 keeps all.
func (s TableSettings) keep() time.Duration { return max(s.Retention, 0) }
