package engine_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
)

// diskRun runs the pipeline of a rig on a state directory, and calls fault when it has seen some
// records. It returns what Run returns by itself, or when it is stopped a little later: what is
// written to the store may all fit in memory until then.
func (k *killRig) diskRun(t *testing.T, app, dir string, fault func()) error {
	t.Helper()
	some := make(chan struct{})
	n := 0
	var once sync.Mutex // three partitions call
	p := newPipeline(t, app, k.topic, func(*Rate) error {
		once.Lock()
		if n++; n == 500 {
			close(some)
		}
		once.Unlock()
		if fault != nil {
			time.Sleep(200 * time.Microsecond) // so that the fault comes in the middle
		}
		return nil
	})
	r := start(t, p.plan, engine.Config{Brokers: k.cluster.Brokers, StateDir: dir,
		CommitInterval: 20 * time.Millisecond, CheckpointInterval: 50 * time.Millisecond, Memory: 16 << 20})
	if fault == nil {
		awaitEnd(t, k.cluster, app, k.topic)
		return r.stop()
	}
	<-some
	fault()
	select {
	case err := <-r.done:
		return err
	case <-time.After(time.Second):
		return r.stop()
	}
}

// mount mounts something for the length of a test, or skips the test where that is not allowed.
func mount(t *testing.T, source, dir, kind string, flags uintptr, options string) {
	t.Helper()
	err := syscall.Mount(source, dir, kind, flags, options)
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("only root may mount a file system")
	}
	require.NoError(t, err)
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH))
}

// A disk that is full ends Run with an error that says so; with space again the results are those
// of an undisturbed run.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	k := newKillRig(t)
	dir, app := t.TempDir(), k.cluster.Name("full")
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=16m")
	defer unmount(t, dir)
	filler := filepath.Join(dir, "filler")
	err := k.diskRun(t, app, filepath.Join(dir, "state"), func() {
		require.ErrorIs(t, os.WriteFile(filler, make([]byte, 16<<20), 0o600), syscall.ENOSPC)
	})
	require.ErrorContains(t, err, "the disk is full: make space, or name another directory")
	require.ErrorContains(t, err, dir)
	require.NoError(t, os.Remove(filler))
	require.NoError(t, k.diskRun(t, app, filepath.Join(dir, "state"), nil))
	k.requireSame(t, app)
}

// A state directory that can only be read, from one moment to the next, ends Run with an error that
// says so.
func TestDiskReadOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("TestDiskFull is the short form")
	}
	k := newKillRig(t)
	dir, app := t.TempDir(), k.cluster.Name("readonly")
	err := k.diskRun(t, app, dir, func() {
		// Over the directory: files that are open stay as they are, new ones cannot be made.
		mount(t, dir, dir, "", syscall.MS_BIND|syscall.MS_REC, "")
		mount(t, "", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	})
	unmount(t, dir)
	require.ErrorContains(t, err, "cannot write to the directory: check its permissions")
	require.ErrorContains(t, err, dir)
	require.NoError(t, k.diskRun(t, app, dir, nil))
	k.requireSame(t, app)
}

// A state directory that goes away under a running program ends Run with an error that says so; the
// next one rebuilds it.
func TestDiskVanishes(t *testing.T) {
	if testing.Short() {
		t.Skip("TestDiskFull is the short form")
	}
	k := newKillRig(t)
	dir, app := filepath.Join(t.TempDir(), "state"), k.cluster.Name("vanished")
	err := k.diskRun(t, app, dir, func() { require.NoError(t, os.Rename(dir, dir+"-elsewhere")) })
	require.ErrorContains(t, err, "No such file or directory")
	require.ErrorContains(t, err, dir)
	require.NoError(t, k.diskRun(t, app, dir, nil))
	k.requireSame(t, app)
}
