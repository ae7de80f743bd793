package engine_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine"
	"github.com/ashi-stream/ashi/engine/kafka/kafkatest"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/rocksdb"
	"github.com/ashi-stream/ashi/topology"
)

// A store that is readable but holds what no task writes is thrown away and rebuilt: windows that
// were open go on.
func TestDamagedStore(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipeline(t, app, topic)
	rates := []Rate{{Pair: "P", Bid: 1, At: dayStart}, {Pair: "P", Bid: 2, At: dayStart.Add(time.Second)}}
	cfg := engine.Config{Brokers: c.Brokers, StateDir: t.TempDir(), CommitInterval: 20 * time.Millisecond}
	r := start(t, p.plan, cfg)
	write(t, c.Config(), p, rates[:1])
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())

	s, err := rocksdb.Open(filepath.Join(cfg.StateDir, topology.ChangelogName(app, topic), "0", "main.db"),
		rocksdb.Options{})
	require.NoError(t, err)
	from, _ := stores.OperatorBounds(1 << 8) // the first size of the first aggregate
	var b stores.Batch
	b.Put(from, []byte("no row"))
	require.NoError(t, s.Write(&b))
	require.NoError(t, s.Close())

	rates = append(rates, endRates(rates, 1)...)
	r = start(t, p.plan, cfg)
	write(t, c.Config(), p, rates[1:])
	awaitRows(t, r.Engine, p, rates, 1)
	require.NoError(t, r.stop())
	requireFinals(t, c.Config(), p, rates, 1, time.Minute)
}

// So is one whose damage is met only when a record asks for the row.
func TestDamagedRow(t *testing.T) {
	c := kafkatest.Start(t)
	topic, app := c.Topic(t, "rates", 1), c.Name("fx")
	p := newPipeline(t, app, topic)
	rates := []Rate{{Pair: "P", Bid: 1, At: dayStart}, {Pair: "P", Bid: 2, At: dayStart.Add(time.Second)}}
	cfg := engine.Config{Brokers: c.Brokers, StateDir: t.TempDir(), CommitInterval: 20 * time.Millisecond}
	r := start(t, p.plan, cfg)
	write(t, c.Config(), p, rates[:1])
	awaitEnd(t, c, app, topic)
	require.NoError(t, r.stop())

	s, err := rocksdb.Open(filepath.Join(cfg.StateDir, topology.ChangelogName(app, topic), "0", "main.db"),
		rocksdb.Options{})
	require.NoError(t, err)
	from, to := stores.OperatorBounds(1 << 8)
	var b stores.Batch
	for e, err := range s.Scan(from, to) {
		require.NoError(t, err)
		b.Put(e.Key, []byte{1})
	}
	require.NotZero(t, b.Len())
	require.NoError(t, s.Write(&b))
	require.NoError(t, s.Close())

	rates = append(rates, endRates(rates, 1)...)
	r, lines := logged(t, p, cfg)
	write(t, c.Config(), p, rates[1:])
	awaitRows(t, r.Engine, p, rates, 1)
	require.NoError(t, r.stop())
	require.Contains(t, lines.String(), "local state cannot be used: it is rebuilt from its changelog")
	requireFinals(t, c.Config(), p, rates, 1, time.Minute)
}
