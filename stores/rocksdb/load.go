//go:build cgo

package rocksdb

import (
	"os"
	"path/filepath"

	"github.com/linxGnu/grocksdb"

	"github.com/ashi-stream/ashi/stores"
)

// loadFiles are named like this until they belong to the database. RocksDB leaves files with such
// names alone.
const loadFiles = "load-*.dbtmp"

var _ stores.Loader = (*Store)(nil)

// Load implements stores.Loader: it writes a data file and gives it to the database, past write
// buffer and flush. RocksDB puts the file as far down as nothing that overlaps is there, so that
// rows that come about in order are never merged.
func (s *Store) Load(r *stores.Run) error {
	if !s.use.TryRLock() {
		return stores.ErrClosed
	}
	defer s.use.RUnlock()
	if s.logs != "" {
		return s.failed("load", errReadOnly)
	}
	if r.Len() == 0 {
		return nil
	}
	// The file is durable before what waits in memory: without this a crash would leave the later
	// without the earlier.
	if err := s.db.Flush(s.flush); err != nil {
		return s.failed("flush before a load", err)
	}
	f, err := os.CreateTemp(s.dir, loadFiles)
	if err != nil {
		return s.failed("load", err)
	}
	name := f.Name()
	if err = f.Close(); err == nil {
		err = s.writeFile(name, r)
	}
	if err == nil {
		err = s.ingest(name)
	}
	if err != nil {
		os.Remove(name) // it may be gone; Open removes what is left
		return s.failed("load", err)
	}
	return nil
}

// writeFile makes a data file of the run, laid out as the database's own are.
func (s *Store) writeFile(name string, r *stores.Run) error {
	env := grocksdb.NewDefaultEnvOptions()
	defer env.Destroy()
	opts := databaseOptions(s.options)
	defer opts.Destroy()
	w := grocksdb.NewSSTFileWriter(env, opts)
	defer w.Destroy()
	if err := w.Open(name); err != nil {
		return err
	}
	var err error
	for op := range r.Ops() {
		if op.Kind == stores.OpPut {
			err = w.Put(op.Key, op.Value)
		} else {
			err = w.Delete(op.Key)
		}
		if err != nil {
			return err
		}
	}
	return w.Finish()
}

// ingest makes the file the database's newest; it is moved there.
func (s *Store) ingest(name string) error {
	o := grocksdb.NewDefaultIngestExternalFileOptions()
	defer o.Destroy()
	o.SetMoveFiles(true)
	return s.db.IngestExternalFile([]string{name}, o)
}

// removeLoads removes files of loads that were broken off.
func removeLoads(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, loadFiles))
	for _, name := range left {
		if err == nil {
			err = os.Remove(name)
		}
	}
	return err
}
