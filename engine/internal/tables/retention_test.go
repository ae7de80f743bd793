package tables_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// keeping is a mirror of finals of a minute that keeps rows for retention.
func keeping(t *testing.T, store stores.Store, retention time.Duration) *mirrored {
	log := &bytes.Buffer{}
	m := &mirrored{Mirror: tables.NewMirror(finals(t), store, retention, slog.New(slog.NewTextHandler(log, nil))), t: t,
		store: store, log: log}
	_, err := m.Positions()
	require.NoError(t, err)
	return m
}

// bar is a final of a key in a minute, whose value is the minute.
func bar(key string, minute int64) task.Record {
	return put(windowed(key, minute*60_000), fmt.Sprint(minute))
}

// TC-4: what is past its retention is not to be read from the moment on that a newer row can be, by
// any read.
func TestRetentionHidesAtOnce(t *testing.T) {
	m := keeping(t, memory.New(), 3*time.Minute)
	r := tables.NewReader(ref(finals(t)), m.store, m.Mirror, ready)
	m.batches([]task.Record{bar("a", 0), bar("b", 0), bar("b", 1), bar("c", 2), bar("a", 2)})
	all, err := texts(r.All(t.Context()))
	require.NoError(t, err)
	require.Len(t, all, 5)

	m.batches([]task.Record{bar("d", 3)}) // another key, and another partition, move the time
	at := func(minute int64) time.Time { return time.UnixMilli(minute * 60_000) }
	for what, rows := range map[string]func() ([]string, error){
		"all":     func() ([]string, error) { return texts(r.All(t.Context())) },
		"prefix":  func() ([]string, error) { return texts(r.Prefix(t.Context(), nil)) },
		"between": func() ([]string, error) { return texts(r.Between(t.Context(), at(0), at(9))) },
	} {
		got, err := rows()
		require.NoError(t, err)
		require.Equal(t, []string{`"a"=2`, `"b"=1`, `"c"=2`, `"d"=3`}, got, what)
	}
	got, err := texts(r.Range(t.Context(), "b", at(0), at(9)))
	require.NoError(t, err)
	require.Equal(t, []string{`"b"=1`}, got)
	_, ok, err := r.GetAt(t.Context(), "b", at(0))
	require.NoError(t, err)
	require.False(t, ok)
	_, ok, err = r.GetAt(t.Context(), "b", at(1))
	require.NoError(t, err)
	require.True(t, ok)

	m.batches([]task.Record{bar("e", 0), gone(windowed("c", 120_000))})
	require.EqualValues(t, 1, m.Expired.Load(), "a row that is too old when it comes is not taken")
	newest, ok := m.Newest()
	require.True(t, ok)
	require.EqualValues(t, 180_000, newest)
}

// The store loses what is past its retention, a few rows after each Apply, and nothing else; a
// mirror that is opened anew knows the newest time.
func TestRetentionSweeps(t *testing.T) {
	store := memory.New()
	m := keeping(t, store, time.Hour)
	keys := []string{"", "a", "a\x00", "a\x00\x01", "b", "\xff"}
	minute := int64(0)
	for ; minute < 4*60; minute++ {
		var records []task.Record
		for _, key := range keys {
			records = append(records, bar(key, minute))
		}
		m.batches(records)
	}
	require.LessOrEqual(t, len(m.rows()), len(keys)*(60+60/8+2), "an hour's rows and an eighth")
	before := m.rows()

	m = keeping(t, store, time.Hour)
	newest, ok := m.Newest()
	require.True(t, ok)
	require.Equal(t, (minute-1)*60_000, newest)
	m.batches(nil) // a sweep needs no row
	require.Len(t, m.rows(), len(keys)*60)
	require.Subset(t, before, m.rows())

	m = keeping(t, store, 0)
	m.batches([]task.Record{bar("a", 0), bar("a", minute+1000)})
	require.Len(t, m.rows(), len(keys)*60+2, "without a retention all is kept")
}

// A sweep goes on over many writes, and rows that come meanwhile are safe.
func TestRetentionSweepsALargeTable(t *testing.T) {
	m := keeping(t, memory.New(), time.Hour)
	const keys = 9000
	var records []task.Record
	for k := range keys {
		records = append(records, bar(fmt.Sprintf("k%05d", k), int64(k%2*30)))
	}
	m.batches(records)
	m.batches([]task.Record{bar("new", 75)})
	require.Greater(t, len(m.rows()), keys/2+1, "writing is not held up by a whole sweep")
	for i := range keys / 1000 {
		m.batches([]task.Record{bar(fmt.Sprintf("k%05d", i), 76)})
	}
	require.Len(t, m.rows(), keys/2+1+keys/1000)
}

// Sessions are as old as their ends.
func TestRetentionOfSessions(t *testing.T) {
	kinds := windows.Session(time.Minute).Kinds()
	table := &topology.Table{Topic: "visits", Folder: "clicks", File: "window_session", Windows: &kinds[0],
		AppendOnly: true}
	session := func(key string, start, end int64) task.Record {
		k := binary.BigEndian.AppendUint64([]byte(key), uint64(end*60_000))
		return put(binary.BigEndian.AppendUint64(k, uint64(start*60_000)), fmt.Sprint(start))
	}
	store := memory.New()
	m := &mirrored{Mirror: tables.NewMirror(table, store, 10*time.Minute, slog.New(slog.DiscardHandler)), t: t,
		store: store}
	r := tables.NewReader(ref(table), store, m.Mirror, ready)
	_, err := m.Positions()
	require.NoError(t, err)
	m.batches([]task.Record{session("a", 0, 5), session("a", 6, 7), session("b", 0, 30)})
	got, err := texts(r.All(t.Context()))
	require.NoError(t, err)
	require.Equal(t, []string{`"b"=0`}, got)
	m.batches([]task.Record{session("c", 31, 39), session("d", 21, 29)})
	got, err = texts(r.All(t.Context()))
	require.NoError(t, err)
	require.Equal(t, []string{`"b"=0`, `"c"=31`}, got)
	require.EqualValues(t, 1, m.Expired.Load())
}
