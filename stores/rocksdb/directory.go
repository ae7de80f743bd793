//go:build cgo

package rocksdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linxGnu/grocksdb"

	"github.com/ashi-stream/ashi/stores"
)

// marker is the file that makes a directory ours. That it is there is all that counts.
const marker = "ASHI-STORE"

const markerText = "A state store of ashi. It is a copy of what a Kafka topic holds: while no program uses it, this\n" +
	"directory may be deleted, and it will be rebuilt. Keep no other files here.\n"

// filePatterns are the names of the files that RocksDB makes.
var filePatterns = []string{
	"CURRENT", "IDENTITY", "LOCK", "LOG", "LOG.old.*", "MANIFEST-*", "OPTIONS-*", "*.sst", "*.log", "*.blob", "*.dbtmp",
}

// dirMode is of directories that are made. RocksDB makes its files by the process's umask, which is
// not a library's to change: so nobody but owner and group gets as far as the files.
const dirMode = 0o750

// closeToOthers takes from a directory what it lets others than owner and group do, and what it
// lets the group write.
func closeToOthers(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && info.Mode().Perm()&^dirMode != 0 {
		err = os.Chmod(dir, info.Mode().Perm()&dirMode)
	}
	if err != nil {
		return fmt.Errorf("cannot close the directory to other users: %w", err)
	}
	return nil
}

// strays are the names of files that systems leave where a process works: dumps of processes that
// crashed, and files that were deleted while an NFS client had them open. They can be told to be
// neither a store's nor somebody's who keeps something here.
var strays = []string{"core", "core.[0-9]*", "*.core", ".nfs[0-9a-f]*"}

// Strays are the files in a store's directory that are passed over, as they are no store's and
// nobody's.
func Strays(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var found []string
	for _, e := range entries {
		if isStray(e) {
			found = append(found, e.Name())
		}
	}
	return found
}

func isStray(e fs.DirEntry) bool {
	return e.Type().IsRegular() && slices.ContainsFunc(strays, func(pattern string) bool {
		ok, _ := filepath.Match(pattern, e.Name())
		return ok
	})
}

// Destroy removes the store in dir and dir itself. It removes nothing when there is a file in it
// that is not a store's, when the marker is missing, or when the store is open (stores.ErrLocked).
// An empty or missing directory is fine. It does not follow symbolic links inside dir, and leaves
// dir where it has Strays. If it is interrupted, it can be called again.
func Destroy(dir string) error {
	names, err := entryNames(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(names) > 0 {
		if err = mustBeOurs(names); err == nil {
			err = removeFiles(dir)
		}
	}
	if err != nil {
		return fmt.Errorf("rocksdb: destroy %s: %w", dir, err)
	}
	if len(Strays(dir)) > 0 {
		return nil // they are not ours to remove
	}
	if err := os.Remove(dir); err != nil {
		return fmt.Errorf("rocksdb: destroy: %w", err)
	}
	return nil
}

// prepare makes dir a directory of ours, or says why it cannot be one.
func prepare(dir string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return errors.New("it is a file; name a directory")
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("cannot make the directory: check the path and its permissions: %w", err)
	}
	if err := closeToOthers(dir); err != nil {
		return err
	}
	names, err := entryNames(dir)
	if err != nil {
		return fmt.Errorf("cannot list the directory: check its permissions: %w", err)
	}
	if len(names) == 0 {
		if err := os.WriteFile(filepath.Join(dir, marker), []byte(markerText), 0o640); err != nil {
			return fmt.Errorf("cannot write to the directory: check its permissions and free space: %w", err)
		}
		return nil
	}
	if err := mustBeOurs(names); err != nil {
		return err
	}
	return mustBeWhole(names)
}

// checkStore fails unless dir is a directory of ours that holds a whole store.
func checkStore(dir string) error {
	names, err := entryNames(dir)
	if err != nil {
		return fmt.Errorf("cannot list the directory: %w", err)
	}
	if len(names) == 0 {
		return errors.New("it is empty: there is no store in it")
	}
	if err := mustBeOurs(names); err != nil {
		return err
	}
	return mustBeWhole(names)
}

// mustBeOurs fails unless names are those of a store's directory.
func mustBeOurs(names []string) error {
	marked := false
	for _, name := range names {
		if name == marker {
			marked = true
		} else if !isStoreFile(name) {
			return fmt.Errorf("%q in it is not a file of a store; name an empty directory or one that a store made",
				name)
		}
	}
	if !marked {
		return fmt.Errorf("it is not empty and has no file %s, so another program made it; name an empty directory",
			marker)
	}
	return nil
}

// mustBeWhole catches a store that has lost CURRENT: RocksDB would take the directory for a new
// store and delete the data.
func mustBeWhole(names []string) error {
	data, current := false, false
	for _, name := range names {
		data = data || strings.HasSuffix(name, ".sst")
		current = current || name == "CURRENT"
	}
	if data && !current {
		return fmt.Errorf("%w: there are data files but no file CURRENT", stores.ErrCorrupt)
	}
	return nil
}

// removeFiles removes a store's files, the marker last. RocksDB goes first, since it alone can tell
// whether the store is open: taking and dropping its file lock ourselves would release the lock of
// a store that this process has open.
func removeFiles(dir string) error {
	opts := grocksdb.NewDefaultOptions()
	defer opts.Destroy()
	if err := grocksdb.DestroyDb(dir, opts); err != nil {
		return translate(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left, err := entryNames(dir)
	if err != nil {
		return err
	}
	for _, name := range left {
		if !isStoreFile(name) {
			continue
		}
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	return root.Remove(marker)
}

func isStoreFile(name string) bool {
	for _, pattern := range filePatterns {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// entryNames is what is in a directory, without strays.
func entryNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if !isStray(entry) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
