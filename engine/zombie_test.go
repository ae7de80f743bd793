package engine_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process is stopped past its session (SIGSTOP), another takes over, and the first is woken in
// the middle of what it did: it is fenced, and nothing of it shows.
func TestZombieProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("TestZombieIsWoken is the short form")
	}
	k := newKillRig(t)
	dir := t.TempDir()
	spec := memberSpec{Brokers: k.cluster.Brokers, App: k.cluster.Name("zombie"), Topic: k.topic,
		Dir: filepath.Join(dir, "a"), Pause: 300 * time.Microsecond}
	first := spawn(t, spec)
	<-first.first
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGSTOP))
	spec.Dir = filepath.Join(dir, "b")
	second := spawn(t, spec)
	<-second.first // so the first has been given up
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGCONT))
	awaitEnd(t, k.cluster, spec.App, k.topic)
	first.terminate(t)
	second.terminate(t)
	k.requireSame(t, spec.App)
}
