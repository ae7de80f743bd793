package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ashi-stream/ashi/stores/rocksdb"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("statels", flag.ContinueOnError)
	f.SetOutput(stderr)
	rows := f.String("rows", "", "print rows of this store, such as rates/main")
	prefix := f.String("prefix", "", "with -rows: of keys that begin so; text, or hex that begins with 0x")
	limit := f.Int("n", 100, "with -rows: at most so many; 0: all")
	if err := f.Parse(args); err != nil {
		return err
	}
	if i := slices.IndexFunc(f.Args(), func(arg string) bool { return strings.HasPrefix(arg, "-") }); i > 0 {
		return fmt.Errorf("statels: %s is behind the state directory, where it is not read: statels [flags] DIR",
			f.Arg(i))
	}
	if f.NArg() != 1 {
		return errors.New("statels: want one state directory: statels [flags] DIR")
	}
	dir := f.Arg(0)
	if err := readManifest(dir, stdout, *rows == ""); err != nil {
		return fmt.Errorf("statels: %w", err)
	}
	if *rows != "" {
		key, err := parseKey(*prefix)
		if err == nil {
			err = inStore(dir, strings.TrimSuffix(*rows, storeSuffix)+storeSuffix,
				func(s *rocksdb.Store) error { return printRows(stdout, s, key, *limit) })
		}
		if err != nil {
			return fmt.Errorf("statels: %w", err)
		}
		return nil
	}
	return list(dir, stdout)
}

const storeSuffix = ".db"

// readManifest makes sure that dir is an engine's.
func readManifest(dir string, out io.Writer, tell bool) error {
	b, err := os.ReadFile(filepath.Join(dir, "ashi.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no state directory of an engine: there is no file ashi.json in it", dir)
	}
	if err != nil {
		return err
	}
	var m struct {
		Application string
		Layout      int
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("%s: ashi.json is damaged: %w", dir, err)
	}
	if m.Layout != 1 {
		return fmt.Errorf("%s has layout %d: this program reads layout 1", dir, m.Layout)
	}
	if tell {
		fmt.Fprintf(out, "application %q, layout %d\n", m.Application, m.Layout)
	}
	return nil
}

// list describes every store. One that cannot be read does not hide the others.
func list(dir string, out io.Writer) error {
	stores, bad := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || !strings.HasSuffix(path, storeSuffix) {
			return err
		}
		stores++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "\n%s\n", strings.TrimSuffix(filepath.ToSlash(name), storeSuffix))
		if err := inStore(dir, name, func(s *rocksdb.Store) error { return describe(out, path, s) }); err != nil {
			bad++
			fmt.Fprintf(out, "  cannot be read: %v\n", err)
		}
		return filepath.SkipDir
	})
	switch {
	case err != nil:
		return fmt.Errorf("statels: %w", err)
	case bad > 0:
		return fmt.Errorf("statels: %d of %d stores cannot be read", bad, stores)
	case stores == 0:
		fmt.Fprintln(out, "no stores")
	}
	return nil
}

// opens is how often a store is opened that its owner may change at that moment: files that it
// names may be gone when they are opened.
const opens = 3

func inStore(dir, name string, f func(*rocksdb.Store) error) (err error) {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%s is not in the state directory", name)
	}
	var s *rocksdb.Store
	for range opens {
		if s, err = rocksdb.OpenReadOnly(filepath.Join(dir, name)); err == nil {
			return errors.Join(f(s), s.Close())
		}
	}
	return err
}
