package task_test

import (
	"encoding/hex"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

type trade struct {
	Pair  string `ashi:"pair,key"`
	Price float64
	Size  apd.Decimal
	Venue *string
}

type volume struct {
	Pair  string `ashi:"pair,key"`
	N     int64
	High  float64
	Size  apd.Decimal
	Venue *string
}

// prefixed is hex of a string behind its length.
func prefixed(s string) string { return fmt.Sprintf("%02x%x", len(s), s) }

const changelog = "golden--trades-changelog"

func goldenPlan(t testing.TB) *topology.Plan {
	b := dsl.New("golden")
	dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[trade](b, "trades")),
		windows.Tumbling(time.Minute, time.Hour).Grace(0), func(g dsl.Group[string, trade]) volume {
			return volume{Pair: g.Key(), N: aggregates.Count(g),
				High:  aggregates.Max(g, func(r *trade) float64 { return r.Price }),
				Size:  aggregates.Sum(g, func(r *trade) apd.Decimal { return r.Size }),
				Venue: aggregates.LatestByOffset(g, func(r *trade) *string { return r.Venue })}
		}).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

func goldenTrades() []enginetest.Record {
	return []enginetest.Record{
		{Key: []byte("EUR"), Value: []byte(`{"Price":1.5,"Size":"2.50","Venue":"X"}`), Timestamp: 1_700_000_000_000},
		{Key: []byte("EUR"), Value: []byte(`{"Price":1.25,"Size":1}`), Timestamp: 1_699_999_999_999},
	}
}

const (
	// rowKey is a row's key of operator 0x0100 (aggregate 1, size 0) in the window of 22:13:00.
	rowKey = "01" + "0100" + "0000018bcfe519e0" + "455552"
	// rowValue is newest event time; count; that there is a latest; max and that there is one; that
	// there is a sum; the parts: X, 3.50.
	rowValue = "0000018bcfe56800" + "0200000000000000" + "01" + "000000000000f83f" + "01" + "01" + "01" + "58" + "04" +
		"332e3530"
)

// pairs are texts two by two.
func pairs(texts ...string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(texts) && yield(texts[i], texts[i+1]); i += 2 {
		}
	}
}

// TestGoldenChangelog pins what outlives the process: rows and commit record in the changelog,
// windowed keys and tombstones.
func TestGoldenChangelog(t *testing.T) {
	d := enginetest.NewWith(t, goldenPlan(t), enginetest.Options{Start: time.UnixMilli(1_700_000_100_000)})
	d.AddRaw("trades", goldenTrades()...)
	d.AddRaw("trades", enginetest.Record{Key: []byte("EUR"), Value: []byte(`{"Price":1,"Size":0}`),
		Timestamp: 1_700_000_040_000})
	progress := func(sequence, rows, next, streamTime string) string {
		meaning := "05"
		for name, text := range pairs("key", "string text", "windows", "tumbling 1min,tumbling 60min", "grace", "0s",
			"hopping windows", "from slices") {
			meaning += prefixed(name) + prefixed(text) + "00"
		}
		meaning += prefixed("aggregates") + prefixed("count,latest text,max float,sum decimal") + "01"
		noTopic := strings.Repeat("00", 16) // the driver's topics have no ids
		log := "00" + prefixed("golden") + prefixed("trades") + "00" + noTopic
		return "03" + log + sequence + rows + "8202" + "01" + prefixed("trades-aggregate") + prefixed("aggregate") +
			"01" + meaning + "00" + "8002" + "02" + "00" +
			"01" + "06" + "747261646573" + next + noTopic + "01" + "10" + "7472616465732d616767726567617465" +
			streamTime + "00"
	}
	other := func(n, high, at string) string { return at + n + "01" + high + "01" + "01" }
	want := []string{
		rowKey + " " + rowValue,
		"01" + "0101" + "0000018bcfd93300" + "455552" + " " + rowValue,
		"00636f6d6d6974" + " " + progress("01", "02", "0000000000000002", "0000018bcfe56800"),
		rowKey + " null",
		"01" + "0100" + "0000018bcfe60440" + "455552" + " " + "0000018bcfe60440" + "0100000000000000" + "00" +
			"000000000000f03f" + "01" + "01" + "00" + "01" + "30", "01" + "0101" + "0000018bcfd93300" + "455552" + " " +
			other("0300000000000000", "000000000000f83f", "0000018bcfe60440") + "01" + "58" + "04" + "332e3530",
		"00636f6d6d6974" + " " + progress("02", "03", "0000000000000003", "0000018bcfe60440"),
	}
	var got []string
	for _, r := range d.Partition(changelog, 0) {
		value := "null"
		if r.Value != nil {
			value = hex.EncodeToString(r.Value)
		}
		got = append(got, hex.EncodeToString(r.Key)+" "+value)
		require.EqualValues(t, 1_700_000_100_000, r.Timestamp,
			"the clock's time, not the event's: no retention by time may take a row for an old one")
	}
	require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))

	finals := d.Partition("trades_1min_final", 0)
	require.Len(t, finals, 1)
	require.Equal(t, "455552"+"0000018bcfe519e0", hex.EncodeToString(finals[0].Key))
	require.Equal(t, `{"pair":"EUR","N":2,"High":1.5,"Size":3.50,"Venue":"X"}`, string(finals[0].Value))
	require.EqualValues(t, 1_700_000_000_000, finals[0].Timestamp)
}

var (
	goldenTopic = task.TopicID{0: 0xaa, 15: 0xbb}
	goldenLog   = task.LogID{Cluster: "c1", Application: "fx", Sub: "s", Partition: 300, Topic: goldenTopic}
)

var goldenProgress = task.Progress{Log: goldenLog, Sequence: 300, Rows: 7, Inputs: map[string]int64{"b": 1, "a": 2},
	Topics: map[string]task.TopicID{"a": {15: 0x0c}}, StreamTimes: map[string]windows.Time{"w": windows.Min,
		"v": 1_700_000_000_000}, Next: 600,
	Operators: []topology.Operator{
		{Name: "w", Kind: "k", Layout: 1, Meaning: []topology.Part{{Name: "m", Text: "t"}, {Name: "n", List: true}},
			Rows: []topology.Forms{{Of: "left", Forms: []string{"{}", "{a s}"}}}, Numbers: topology.Numbers{First: 256,
				Count: 2}},
		{Name: "v", Kind: "l", Layout: 300, Numbers: topology.Numbers{First: 65535, Count: 1}},
	},
	Removing: []topology.Numbers{{First: 258, Count: 3}}, Filling: map[string]int64{"v": 9}}

const (
	goldenLogHex = "02" + "6331" + "02" + "6678" + "01" + "73" + "ac02" + "aa0000000000000000000000000000bb"

	goldenEnd = "02" + "0161" + "0000000000000002" + "0000000000000000000000000000000c" +
		"0162" + "0000000000000001" + "00000000000000000000000000000000" + "02" + "0176" + "0000018bcfe56800" + "0177" +
		"8000000000000000" + "01" + "0176" + "0000000000000009"

	goldenProgressHex = "03" + goldenLogHex + "ac02" + "07" + "d804" + "02" +
		"0177" + "016b" + "01" + "02" + "016d0174" + "00" + "016e00" + "01" + "01" + "046c656674" + "02" + "027b7d" +
		"057b6120737d" + "8002" + "02" +
		"0176" + "016c" + "ac02" + "00" + "00" + "ffff03" + "01" + "01" + "8202" + "03" + goldenEnd
)

func TestGoldenProgress(t *testing.T) {
	require.Equal(t, goldenProgressHex, hex.EncodeToString(goldenProgress.Append(nil)))
	require.Equal(t, "00"+hex.EncodeToString([]byte("commit")), hex.EncodeToString(task.ProgressKey))
	b, err := hex.DecodeString(goldenProgressHex)
	require.NoError(t, err)
	p, err := task.ParseProgress(b)
	require.NoError(t, err)
	require.Equal(t, goldenProgress, *p)
	for n := range b {
		_, err := task.ParseProgress(b[:n])
		require.Error(t, err, "cut after %d bytes", n)
	}
	_, err = task.ParseProgress(append(b, 0))
	require.Error(t, err, "a byte too many")
	b[0] = 4
	_, err = task.ParseProgress(b)
	require.ErrorIs(t, err, task.ErrNewer)
	require.ErrorContains(t, err, "layout 4, this version knows 3")
}

func TestGoldenPosition(t *testing.T) {
	p := task.Position{Offset: 7, Since: time.UnixMilli(1_700_000_000_000), Log: goldenLog}
	b := p.Append(nil)
	require.Equal(t, "01"+"0000000000000007"+"0000018bcfe56800"+goldenLogHex, hex.EncodeToString(b))
	require.Equal(t, "00"+hex.EncodeToString([]byte("position")), hex.EncodeToString(stores.MetaKey("position")))
	again, err := task.ParsePosition(b)
	require.NoError(t, err)
	require.Equal(t, &p, again)
	for n := range b {
		_, err := task.ParsePosition(b[:n])
		require.ErrorIs(t, err, task.ErrDamaged, "cut after %d bytes", n)
	}
	_, err = task.ParsePosition(append(b, 0))
	require.ErrorIs(t, err, task.ErrDamaged, "a byte too many")
	b[0]++
	_, err = task.ParsePosition(b)
	require.ErrorIs(t, err, task.ErrDamaged, "another layout: it is restored")
	require.Equal(t, "qgAAAAAAAAAAAAAAAAAAuw", goldenTopic.String(), "as kafka-topics.sh writes it")
}

// What ParseProgress takes is a record that reads the same when it is written again; it never
// panics or asks for much memory.
func FuzzParseProgress(f *testing.F) {
	f.Add([]byte{})
	f.Add((&task.Progress{}).Append(nil))
	f.Add(goldenProgress.Append(nil))
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := task.ParseProgress(b)
		if err != nil {
			return
		}
		again, err := task.ParseProgress(p.Append(nil))
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

// restored is a store with the changelog of the golden trades, the row of a minute replaced by
// value.
func restored(t *testing.T, value []byte) stores.Store {
	d := enginetest.New(t, goldenPlan(t))
	d.AddRaw("trades", goldenTrades()...)
	var log []task.Record
	for i, r := range d.Partition(changelog, 0) {
		if hex.EncodeToString(r.Key) == rowKey {
			r.Value = value
		}
		log = append(log, task.Record{Key: r.Key, Value: r.Value, Offset: int64(i)})
	}
	store := memory.New()
	require.NoError(t, task.NewRestorer(store, ownerOf(goldenPlan(t))).Apply(log, int64(len(log))))
	return store
}

// A row in the store that is cut or too long is an error that says so, when the row is changed and
// when it is put out.
func TestDamagedRows(t *testing.T) {
	row, err := hex.DecodeString(rowValue)
	require.NoError(t, err)
	use := func(value []byte, at windows.Time) error {
		tk, err := task.New(ownConfig(goldenPlan(t), restored(t, value), &discard{}))
		require.NoError(t, err)
		r := goldenTrades()[0]
		return tk.Process(t.Context(), &task.Batch{Topic: "trades", Next: 3,
			Records: []task.Record{{Key: r.Key, Value: r.Value, Timestamp: at, Offset: 2}}}, func() {})
	}
	const inWindow, afterWindow = 1_700_000_000_000, 1_700_000_060_000
	for _, at := range []windows.Time{inWindow, afterWindow} {
		require.NoError(t, use(row, at))
		for n := range row {
			require.ErrorIs(t, use(row[:n], at), stores.ErrCorrupt, "cut after %d bytes", n)
		}
		require.ErrorIs(t, use(append(row[:len(row):len(row)], 0), at), stores.ErrCorrupt)
	}
}

// State of another plan is refused with an explanation; a damaged commit record or position too.
func TestForeignState(t *testing.T) {
	row, err := hex.DecodeString(rowValue)
	require.NoError(t, err)
	plan := goldenPlan(t)
	b := dsl.New("golden")
	s := dsl.Stream[trade](b, "trades")
	dsl.Aggregate(dsl.GroupByKey[string](s), windows.Minutes(1), func(g dsl.Group[string, trade]) volume {
		return volume{N: aggregates.Count(g)}
	}).Final()
	other, err := b.Build()
	require.NoError(t, err)
	_, err = task.New(ownConfig(other, restored(t, row), &discard{}))
	require.ErrorIs(t, err, task.ErrForeign)
	require.ErrorContains(t, err, "give the application another name")

	for _, damage := range []struct{ key, value []byte }{{task.ProgressKey, []byte{1}},
		{stores.MetaKey("position"), []byte{1, 2}}} {
		store := restored(t, row)
		var batch stores.Batch
		batch.Put(damage.key, damage.value)
		require.NoError(t, store.Write(&batch))
		_, err = task.New(ownConfig(plan, store, &discard{}))
		require.Error(t, err, fmt.Sprintf("%x", damage.key))
	}
}
