package tables_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/stores/storetest"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// minutes are windows of a minute.
func minutes(t testing.TB) *windows.Kind {
	w, err := windows.Minutes(1).Size(time.Minute)
	require.NoError(t, err)
	return &w
}

func finals(t testing.TB) *topology.Table {
	return &topology.Table{Topic: "rates_1min_final", Folder: "rates", File: "window_1min", Windows: minutes(t),
		AppendOnly: true}
}

func windowed(key string, start int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(key), uint64(start))
}

// put is a record with a value, gone a tombstone.
func put(key []byte, value string) task.Record { return task.Record{Key: key, Value: []byte(value)} }
func gone(key []byte) task.Record              { return task.Record{Key: key} }

// mirrored is a mirror with its store and its log.
type mirrored struct {
	*tables.Mirror
	t     *testing.T
	store stores.Store
	log   *bytes.Buffer
	next  int64
}

func mirror(t *testing.T, table *topology.Table, store stores.Store) *mirrored {
	log := &bytes.Buffer{}
	return &mirrored{Mirror: tables.NewMirror(table, store, 0, slog.New(slog.NewTextHandler(log, nil))), t: t,
		store: store, log: log}
}

// batches applies each list of records to partition 0.
func (m *mirrored) batches(lists ...[]task.Record) {
	for _, records := range lists {
		for i := range records {
			records[i].Offset = m.next
			m.next++
		}
		require.NoError(m.t, m.Apply(0, records, m.next))
	}
}

// rows are the table's rows in order.
func (m *mirrored) rows() []string {
	rows := []string{}
	from, to := stores.TableBounds()
	for e, err := range m.store.Scan(from, to) {
		require.NoError(m.t, err)
		key, err := stores.ParseTableKey(nil, e.Key)
		start := int64(-1)
		if err != nil {
			key, start, err = stores.ParseTableWindowKey(nil, e.Key)
		}
		require.NoError(m.t, err)
		if start < 0 {
			rows = append(rows, fmt.Sprintf("%s=%s", key, e.Value))
		} else {
			rows = append(rows, fmt.Sprintf("%s/%d=%s", key, start, e.Value))
		}
	}
	return rows
}

func TestMirrorOfATable(t *testing.T) {
	m := mirror(t, &topology.Table{Topic: "limits", File: "main"}, memory.New())
	a, b := []byte("a"), []byte("b")
	m.batches([]task.Record{put(b, "1"), put(a, "1"), put(a, "2")},
		[]task.Record{put(b, "2"), put([]byte{}, "empty key"), put([]byte("c"), "")})
	require.Equal(t, []string{"=empty key", "a=2", "b=2", "c="}, m.rows(),
		"the last row of each key; a value may be empty")
	m.batches([]task.Record{gone(a), put(b, "3"), gone(b), gone([]byte("never there")), gone([]byte("c")),
		put([]byte("c"), "again")})
	require.Equal(t, []string{"=empty key", "c=again"}, m.rows(), "a tombstone deletes")
	require.Zero(t, m.Malformed.Load()+m.Duplicates.Load()+m.Contradictions.Load())
	m.batches([]task.Record{put(nil, "no key"), gone(nil)})
	require.EqualValues(t, 2, m.Malformed.Load())
	require.Contains(t, m.log.String(), "offset=12")
	require.Len(t, m.rows(), 2)
	m.batches([]task.Record{{Key: []byte("c"), Err: errors.New("too large")}, {Err: errors.New("too large")}})
	require.EqualValues(t, 4, m.Malformed.Load())
	require.Equal(t, []string{"=empty key", "c=again"}, m.rows(), "what could not be read is no deletion")
}

// Keys of another format are kept in the plain one. What cannot be told now is told again; nothing
// of such a batch is in the store.
func TestMirrorOfOtherKeys(t *testing.T) {
	down := false
	table := &topology.Table{Topic: "limits", File: "main", Keys: "quoted", PlainKey: func(key []byte) ([]byte, error) {
		if down {
			return nil, fmt.Errorf("%w: a test", topology.ErrUnavailable)
		}
		text, err := strconv.Unquote(string(key))
		return []byte(text), err
	}}
	store := memory.New()
	m := mirror(t, table, store)
	m.batches([]task.Record{put([]byte(`"b"`), "1"), put([]byte("`a`"), "2"), put([]byte("c"), "no quotes"),
		put(nil, "none"), put([]byte("`b`"), "3")}, []task.Record{gone([]byte(`"a"`))})
	require.Equal(t, []string{"b=3"}, m.rows(), "b has two forms, and is one key")
	require.EqualValues(t, 2, m.Malformed.Load())
	more := []task.Record{put([]byte(`"d"`), "4")}
	down = true
	require.ErrorIs(t, m.Apply(0, more, 9), topology.ErrUnavailable)
	_, err := m.Gather(0, more, 9, 1)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, []string{"b=3"}, m.rows())
	at, err := m.Positions()
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{0: 6}, at)
	down = false
	require.NoError(t, m.Apply(0, more, 9))
	require.Equal(t, []string{"b=3", "d=4"}, m.rows())

	_, err = mirror(t, &topology.Table{Topic: "limits", File: "main"}, store).Positions()
	require.ErrorIs(t, err, tables.ErrOtherKeys)
	_, err = mirror(t, table, store).Positions()
	require.NoError(t, err)
	plain := memory.New()
	mirror(t, &topology.Table{Topic: "limits", File: "main"}, plain).batches([]task.Record{put([]byte(`"b"`), "1")})
	_, err = mirror(t, table, plain).Positions()
	require.ErrorIs(t, err, tables.ErrOtherKeys)
	_, err = mirror(t, table, memory.New()).Positions()
	require.NoError(t, err)
}

// FIN-5: the first final row counts. It makes no difference how the records come in batches.
func TestMirrorOfFinals(t *testing.T) {
	a, b := windowed("a", 0), windowed("b", 60_000)
	records := []task.Record{
		put(a, "first"), put(a, "first"), // a duplicate
		put(b, "1"), put(b, "2"), // a contradiction
		put(a, "first"),
		gone(b), put(b, "3"), put(b, "3"), // deleted: the next one is a first one
		gone(a), gone(a),
		put(windowed("", 0), "the empty key"), put([]byte("short"), "7 bytes cannot end with a start"),
		put(windowed("a", math.MinInt64), "before 1970"), put(nil, "x"),
	}
	for _, size := range []int{1, 2, 3, 5, len(records)} {
		m := mirror(t, finals(t), memory.New())
		for from := 0; from < len(records); from += size {
			m.batches(records[from:min(from+size, len(records))])
		}
		require.Equal(t, []string{"/0=the empty key", "b/60000=3"}, m.rows(), "batches of %d", size)
		require.EqualValues(t, 3, m.Duplicates.Load(), "batches of %d", size)
		require.EqualValues(t, 1, m.Contradictions.Load(), "batches of %d", size)
		require.EqualValues(t, 3, m.Malformed.Load(), "batches of %d", size)
		require.Contains(t, m.log.String(), "level=ERROR")
		require.Contains(t, m.log.String(), "differs from the first, which is kept")
		require.Contains(t, m.log.String(), "offset=3")
		require.Contains(t, m.log.String(), "table=rates_1min_final")
	}
}

// What Note says of the store's age is durable, with all that was written before.
func TestMirrorNote(t *testing.T) {
	store, err := storetest.NewFaulty(memory.New())
	require.NoError(t, err)
	m := mirror(t, finals(t), store)
	at, err := m.Since()
	require.NoError(t, err)
	require.Zero(t, at)
	require.NoError(t, m.Apply(0, []task.Record{put(windowed("a", 0), "1")}, 1))
	noon := time.UnixMilli(1_700_006_400_000)
	require.NoError(t, m.Note(noon))
	left, err := store.Crash(0)
	require.NoError(t, err)

	again := mirror(t, finals(t), left)
	at, err = again.Since()
	require.NoError(t, err)
	require.True(t, at.Equal(noon))
	positions, err := again.Positions()
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{0: 1}, positions)
	require.Equal(t, []string{"a/0=1"}, again.rows())

	var batch stores.Batch
	batch.Put(stores.MetaKey("since"), []byte("123"))
	require.NoError(t, left.Write(&batch))
	_, err = again.Since()
	require.ErrorIs(t, err, stores.ErrCorrupt)
}

// The position is written with the rows, as one; another mirror of the store goes on from there.
func TestMirrorPositions(t *testing.T) {
	store, err := storetest.NewFaulty(memory.New())
	require.NoError(t, err)
	m := mirror(t, finals(t), store)
	at, err := m.Positions()
	require.NoError(t, err)
	require.Empty(t, at)
	a := []task.Record{put(windowed("a", 0), "1")}
	require.NoError(t, m.Apply(0, a, 1))
	require.NoError(t, m.Apply(12, nil, 7), "nothing but transaction markers")
	store.Fail(storetest.CallWrite, 1, stores.ErrCorrupt)
	require.ErrorIs(t, m.Apply(12, []task.Record{put(windowed("b", 0), "1")}, 8), stores.ErrCorrupt)

	again := mirror(t, finals(t), store)
	at, err = again.Positions()
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{0: 1, 12: 7}, at)
	require.Equal(t, []string{"a/0=1"}, again.rows())
	require.NoError(t, again.Apply(12, []task.Record{put(windowed("b", 0), "1")}, 8))
	require.NoError(t, again.Apply(0, a, 2))
	require.EqualValues(t, 1, again.Duplicates.Load(), "what the store has counts as the first")

	store.Fail(storetest.CallGet, 1, stores.ErrCorrupt)
	require.ErrorIs(t, again.Apply(0, a, 3), stores.ErrCorrupt)
	store.Fail(storetest.CallScan, 1, stores.ErrCorrupt)
	_, err = again.Positions()
	require.ErrorIs(t, err, stores.ErrCorrupt)

	for _, bad := range []struct{ name, value string }{{"position/x", "12345678"}, {"position/1", "123"}} {
		var batch stores.Batch
		batch.Put(stores.MetaKey(bad.name), []byte(bad.value))
		damaged := memory.New()
		require.NoError(t, damaged.Write(&batch))
		_, err = mirror(t, finals(t), damaged).Positions()
		require.ErrorIs(t, err, stores.ErrCorrupt, bad.name)
	}
}

// Positions say of which topic they are; those of another one are not taken up. What is not known
// may be any.
func TestMirrorOfAnotherTopic(t *testing.T) {
	topic := tables.Topic{Cluster: "c1", ID: task.TopicID{0: 1, 15: 2}}
	store := memory.New()
	m := mirror(t, finals(t), store)
	m.Bind(topic)
	_, err := m.Positions()
	require.NoError(t, err)
	require.NoError(t, m.Apply(3, []task.Record{put(windowed("a", 0), "1")}, 258))
	b, _, err := store.Get(nil, stores.MetaKey("position/3"))
	require.NoError(t, err)
	require.Equal(t, "0000000000000102"+"01000000000000000000000000000002"+"6331", hex.EncodeToString(b),
		"what outlives the process")
	for name, x := range map[string]struct {
		topic tables.Topic
		other bool
	}{
		"the same": {topic, false}, "not known": {tables.Topic{}, false}, "no cluster": {tables.Topic{ID: topic.ID},
			false}, "no id": {tables.Topic{Cluster: "c1"}, false},
		"another life":    {tables.Topic{Cluster: "c1", ID: task.TopicID{7}}, true},
		"another cluster": {tables.Topic{Cluster: "c2", ID: topic.ID}, true},
	} {
		again := mirror(t, finals(t), store)
		again.Bind(x.topic)
		at, err := again.Positions()
		if x.other {
			require.ErrorIs(t, err, tables.ErrOtherTopic, name)
			require.ErrorContains(t, err, topic.String(), name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, map[int32]int64{3: 258}, at, name)
	}
}
