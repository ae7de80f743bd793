package engine_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/topology"
)

// A file of a store that is cut short, empty, overwritten or gone costs a rebuild from the
// changelog, and a line that says so: when the store is opened, or when the damage is met. The
// beginning of a manifest is a manifest: of an older state, which knows its position.
func TestTornStore(t *testing.T) {
	t.Parallel()
	half := func(b []byte) []byte { return b[:len(b)/2] }
	empty := func([]byte) []byte { return nil }
	flipped := func(b []byte) []byte {
		for i := range len(b) / 2 {
			b[i] ^= 0x55
		}
		return b
	}
	for name, x := range map[string]struct {
		file  string
		write func([]byte) []byte
	}{
		"data cut short": {"*.sst", half}, "data empty": {"*.sst", empty}, "data overwritten": {"*.sst", flipped},
		"data gone": {"*.sst", nil}, "manifest cut short": {"MANIFEST-*", half}, "manifest empty": {"MANIFEST-*",
			empty}, "manifest gone": {"MANIFEST-*", nil},
		"current empty": {"CURRENT", empty}, "current gone": {"CURRENT", nil},
	} {
		t.Run(name, func(t *testing.T) { tear(t, x.file, x.write, name != "manifest cut short") })
	}
}

func tear(t *testing.T, pattern string, damage func([]byte) []byte, noticed bool) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipeline(t, app, topic)
	rates := []Rate{{Pair: "P", Bid: 1, At: dayStart}, {Pair: "P", Bid: 2, At: dayStart.Add(time.Second)}}
	cfg := engine.Config{Brokers: c.Brokers, StateDir: t.TempDir(), CommitInterval: 20 * time.Millisecond,
		WithoutTables: "the test is about a task"}
	r := start(t, p.plan, cfg)
	write(t, c.Config(), p, rates[:1])
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())

	files, err := filepath.Glob(filepath.Join(cfg.StateDir, topology.ChangelogName(app, topic), "0", "main.db",
		pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if damage == nil {
			require.NoError(t, os.Remove(file))
			continue
		}
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, damage(b), 0o600))
	}

	rates = append(rates, endRates(rates, 1)...)
	r, lines := logged(t, p, cfg)
	write(t, c.Config(), p, rates[1:])
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())
	if noticed {
		require.Contains(t, lines.String(), "rebuilt")
	}
	requireFinals(t, c.Config(), p, rates, 1, time.Minute)
}
