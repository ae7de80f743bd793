package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/topology"
)

// stateDir is the folder that holds a process's stores:
//
//	ashi.json                                    whose state this is
//	<changelog>/<partition>/main.db              a task's rows
//	<topic>/main.db, <topic>/window_15min.db     tables (TC-3)
//
// Topic names are Kafka's, which are safe as names of folders (topology.CheckName). A nil path
// keeps everything in memory.
type stateDir struct {
	path   string
	opened storeOpener // by tests, in place of all that is here; else nil
}

// storeOpener opens the store of a task, or an empty one in its place.
type storeOpener func(changelog string, partition int32, empty bool) (stores.Store, error)

// manifest is the contents of ashi.json.
type manifest struct {
	Application string `json:"application"`
	Layout      int    `json:"layout"`
}

const (
	manifestName = "ashi.json"
	probeName    = "~writable" // no topic can have that name
	stateLayout  = 1
)

// openState checks that path can be used for an application's state, and makes it if it is not
// there.
func openState(path, application string) (*stateDir, error) {
	if path == "" {
		return &stateDir{}, nil
	}
	d := &stateDir{path: path}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("engine: state directory %s is a file: name a folder", path)
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("engine: state directory cannot be made: %w", err)
	}
	if err := d.claim(application); err != nil {
		return nil, err
	}
	return d, d.probe()
}

// probe is an error when the folder has vanished or cannot be written. A store would find out too,
// but only when it needs a new file: until then it writes to files that nobody will find again
// (RDY-4).
func (d *stateDir) probe() error {
	if d.path == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(d.path, manifestName)); err != nil {
		return fmt.Errorf("engine: state directory %s has vanished: %w", d.path, err)
	}
	name := filepath.Join(d.path, probeName)
	err := os.WriteFile(name, nil, 0o640)
	if err == nil {
		err = os.Remove(name)
	}
	if err != nil {
		return fmt.Errorf("engine: state directory %s cannot be written: %w", d.path, err)
	}
	return nil
}

// claim reads whose state the folder holds, or writes that it is application's.
func (d *stateDir) claim(application string) error {
	name := filepath.Join(d.path, manifestName)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		b, err := json.Marshal(manifest{application, stateLayout})
		if err == nil {
			err = os.WriteFile(name, append(b, '\n'), 0o640)
		}
		if err != nil {
			return fmt.Errorf("engine: state directory %s cannot be written: %w", d.path, err)
		}
		return nil
	}
	var m manifest
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	switch {
	case err != nil:
		return fmt.Errorf(
			"engine: %s cannot be read: %w: if the folder holds nothing else, delete it: state is rebuilt from Kafka",
			name, err)
	case m.Application != application:
		return fmt.Errorf("engine: state directory %s belongs to application %q, not %q: name another folder", d.path,
			m.Application, application)
	case m.Layout > stateLayout:
		return fmt.Errorf(
			"engine: state directory %s has layout %d, this program reads %d: it was written by a newer version of "+
				"ashi: "+
				"go on with that, or name another folder: state is rebuilt from Kafka, as far as this version can "+
				"read that", d.path, m.Layout, stateLayout)
	case m.Layout != stateLayout:
		return fmt.Errorf(
			"engine: state directory %s has layout %d, this program reads %d: delete it: state is rebuilt from Kafka",
			d.path, m.Layout, stateLayout)
	}
	return nil
}

// folder is the name of a topic's folder: its own, unless the manifest has that.
func folder(topic string) string {
	if topic == manifestName {
		return topic + "~"
	}
	return topic
}

// taskPath is the folder of a task's store.
func (d *stateDir) taskPath(changelog string, partition int32) string {
	return filepath.Join(d.path, folder(changelog), strconv.Itoa(int(partition)), "main.db")
}

// positions reads how far each store of a changelog is that is on disk, without opening it for
// good. Those that cannot be read, and those that have no position or are of another log, are left
// out.
func (d *stateDir) positions(changelog string, id func(int32) task.LogID, log *slog.Logger) map[int32]int64 {
	known := map[int32]int64{}
	if d.path == "" || d.opened != nil {
		return known
	}
	folders, err := os.ReadDir(filepath.Join(d.path, folder(changelog)))
	if err != nil {
		return known // nothing was ever kept here
	}
	for _, f := range folders {
		partition, err := strconv.ParseInt(f.Name(), 10, 32)
		if err != nil {
			continue
		}
		position, ok, err := positionOf(d.taskPath(changelog, int32(partition)), id(int32(partition)))
		if err != nil {
			log.Debug("position of a store is not known", "changelog", changelog, "partition", partition, "error", err)
		} else if ok {
			known[int32(partition)] = position
		}
	}
	return known
}

func positionOf(path string, id task.LogID) (position int64, ok bool, err error) {
	s, err := rocksdb.OpenReadOnly(path)
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return task.NewRestorer(s, id).Position()
}

// open opens a task's store. What cannot be opened because it is damaged is thrown away, with a log
// line.
func (d *stateDir) open(changelog string, partition int32, o rocksdb.Options, log *slog.Logger) (stores.Store, error) {
	if d.opened != nil {
		return d.opened(changelog, partition, false)
	}
	if d.path == "" {
		return memory.New(), nil
	}
	s, err := openOrRebuild(d.taskPath(changelog, partition), o, log)
	if err != nil {
		err = errors.Join(d.probe(), err) // what is wrong with all of the folder says more
	}
	return s, err
}

// reopenEmpty throws a task's store away and opens a new one.
func (d *stateDir) reopenEmpty(changelog string, partition int32, o rocksdb.Options) (stores.Store, error) {
	if d.opened != nil {
		return d.opened(changelog, partition, true)
	}
	if d.path == "" {
		return memory.New(), nil
	}
	path := d.taskPath(changelog, partition)
	if err := rocksdb.Destroy(path); err != nil {
		return nil, err
	}
	return openStore(path, o)
}

// openTable opens a table's store.
func (d *stateDir) openTable(t *topology.Table, o rocksdb.Options, log *slog.Logger) (stores.Store, error) {
	if d.path == "" {
		return memory.New(), nil
	}
	return openOrRebuild(filepath.Join(d.path, folder(t.Folder), t.File+".db"), o, log)
}

// openStore is rocksdb.Open; with an error the store is nil, and not one that is something without
// a value.
func openStore(path string, o rocksdb.Options) (stores.Store, error) {
	s, err := rocksdb.Open(path, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openOrRebuild(path string, o rocksdb.Options, log *slog.Logger) (stores.Store, error) {
	s, err := openStore(path, o)
	if strays := rocksdb.Strays(path); len(strays) > 0 {
		log.Warn("files in the folder of a store are none of it: they are passed over, and may be removed",
			"path", path, "files", strays)
	}
	if !errors.Is(err, stores.ErrCorrupt) {
		return s, err
	}
	log.Warn("store is damaged: it is thrown away and rebuilt from Kafka", "path", path, "error", err)
	if err := rocksdb.Destroy(path); err != nil {
		return nil, err
	}
	return openStore(path, o)
}
