package embedded_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ashi-stream/ashi/engine/embedded"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// folder is a broker's, as a broker that is killed leaves it.
type folder struct {
	t      *testing.T
	dir    string
	broker *embedded.Broker
}

func newFolder(t *testing.T) *folder {
	f := &folder{t: t, dir: t.TempDir()}
	f.start(map[string]int32{"t": 2})
	return f
}

func (f *folder) start(topics map[string]int32) {
	f.t.Helper()
	var err error
	f.broker, err = embedded.Start(embedded.Config{Dir: f.dir, Topics: topics})
	require.NoError(f.t, err)
	f.t.Cleanup(f.broker.Close)
}

// kill goes on with the folder as it is now, which is what a broker leaves that is killed, after
// change.
func (f *folder) kill(change func(dir string)) {
	f.t.Helper()
	left := f.t.TempDir()
	require.NoError(f.t, os.CopyFS(left, os.DirFS(f.dir)))
	f.broker.Close()
	f.dir = left
	change(filepath.Join(left, "partitions"))
	f.start(nil)
}

// shorten cuts bytes off the end of a file.
func (f *folder) shorten(path string, by int64) {
	f.t.Helper()
	info, err := os.Stat(path)
	require.NoError(f.t, err)
	require.NoError(f.t, os.Truncate(path, info.Size()-by))
}

// transaction writes a value to both partitions, and ends how it is told to.
func (f *folder) transaction(value string, end func(*kgo.Client)) {
	f.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.broker.Addrs()...), kgo.TransactionalID("x"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(f.t, err)
	f.t.Cleanup(client.Close)
	require.NoError(f.t, client.BeginTransaction())
	for p := range int32(2) {
		require.NoError(f.t, client.ProduceSync(f.t.Context(), &kgo.Record{Topic: "t", Partition: p,
			Value: []byte(value)}).FirstErr())
	}
	end(client)
}

func (f *folder) commit(c *kgo.Client) {
	require.NoError(f.t, c.EndTransaction(f.t.Context(), kgo.TryCommit))
}

func (f *folder) abort(c *kgo.Client) {
	require.NoError(f.t, c.EndTransaction(f.t.Context(), kgo.TryAbort))
}

func (f *folder) read(partition int32) []string {
	f.t.Helper()
	return read(f.t, kafka.Config{Brokers: f.broker.Addrs()}, partition)
}

func (f *folder) leave(*kgo.Client) {}

// What is aborted stays so where the broker was killed between a batch and its place in the index.
func TestKilledBeforeTheIndex(t *testing.T) {
	f := newFolder(t)
	f.transaction("a", f.commit)
	f.transaction("lost", f.leave)
	f.kill(func(dir string) { f.shorten(filepath.Join(dir, "t-0", "0.idx"), 15) })
	f.transaction("gone", f.abort)
	f.transaction("b", f.commit)
	f.kill(func(string) {})
	f.transaction("c", f.commit)
	for p := range int32(2) {
		require.Equal(t, []string{"a", "b", "c"}, f.read(p))
	}
}

// The same, where there was no index yet.
func TestKilledBeforeTheFirstIndex(t *testing.T) {
	f := newFolder(t)
	f.transaction("lost", f.leave)
	f.kill(func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "t-1", "0.idx"))) })
	f.transaction("gone", f.abort)
	f.kill(func(string) {})
	f.transaction("b", f.commit)
	for p := range int32(2) {
		require.Equal(t, []string{"b"}, f.read(p))
	}
}

// A transaction that is committed in one partition when the broker is killed is committed in all of
// them.
func TestKilledInACommit(t *testing.T) {
	f := newFolder(t)
	f.transaction("a", f.commit)
	const marker = 78
	f.kill(func(dir string) {
		f.shorten(filepath.Join(dir, "t-1", "0.dat"), marker)
		f.shorten(filepath.Join(dir, "t-1", "0.idx"), 15)
	})
	require.Equal(t, []string{"a"}, f.read(1))
	f.transaction("lost", f.leave)
	f.kill(func(string) {})
	f.transaction("b", f.commit)
	for p := range int32(2) {
		require.Equal(t, []string{"a", "b"}, f.read(p))
	}
}
