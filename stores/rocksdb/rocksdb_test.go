//go:build cgo

package rocksdb_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/stores/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small makes files early, so that tests meet them.
var small = rocksdb.Options{BlockCache: 1 << 20, WriteBuffer: 128 << 10, Compression: true}

func TestContract(t *testing.T) {
	for name, options := range map[string]rocksdb.Options{"small": small, "defaults": {}} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) stores.Store { return open(t, t.TempDir(), options) })
		})
	}
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(dir string) (stores.Store, error) { return rocksdb.Open(dir, small) })
}

func open(t testing.TB, dir string, o rocksdb.Options) *rocksdb.Store {
	t.Helper()
	s, err := rocksdb.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) stores.Store {
		s := open(b, b.TempDir(), rocksdb.Options{Compression: true})
		b.Cleanup(func() { s.Close() })
		return s
	})
}
