package tables_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

// row keeps views of the bytes that it was decoded from, as codecs may.
type row struct {
	Key, Value []byte
}

func ref(table *topology.Table) topology.TableOf[string, row] {
	return topology.TableOf[string, row]{Table: table,
		Key: func(dst []byte, key string) ([]byte, error) {
			if key == "bad" {
				return dst, errors.New("a key that cannot be")
			}
			return append(dst, key...), nil
		},
		Decode: func(key, value []byte, r *row) error {
			*r = row{key, value}
			if !json.Valid(value) {
				return errors.New("a value that cannot be")
			}
			return nil
		}}
}

func ready() error { return nil }

var errNotReady = errors.New("not ready: lag")

// bars is a table of windows: starts 0 to 4 min of a, ab and the empty key; b has none but the
// second.
func bars(t *testing.T) (*mirrored, *tables.Reader[string, row]) {
	m := mirror(t, finals(t), memory.New())
	var records []task.Record
	for minute := range int64(5) {
		for _, key := range []string{"ab", "a", ""} {
			records = append(records, put(windowed(key, minute*60_000), fmt.Sprint(minute)))
		}
	}
	m.batches(append(records, put(windowed("b", 120_000), "2"), put(windowed("a\x00", 0), "0")))
	return m, tables.NewReader(ref(m.table(t)), m.store, m.Mirror, ready)
}

func (m *mirrored) table(t *testing.T) *topology.Table { return finals(t) }

// texts are rows as key=value, and the error that ends them.
func texts(rows iter.Seq2[row, error]) (all []string, err error) {
	for r, err := range rows {
		if err != nil {
			return all, err
		}
		all = append(all, fmt.Sprintf("%q=%s", r.Key, r.Value))
	}
	return all, nil
}

func TestReaderRange(t *testing.T) {
	_, r := bars(t)
	at := func(minute float64) time.Time {
		return time.UnixMilli(0).Add(time.Duration(minute * float64(time.Minute)))
	}
	const ns = 1.0 / float64(time.Minute)
	for _, c := range []struct {
		from, to float64
		want     []string
	}{
		{1, 3, []string{`"a"=1`, `"a"=2`}},
		{0, 5, []string{`"a"=0`, `"a"=1`, `"a"=2`, `"a"=3`, `"a"=4`}},
		{1 + ns, 3, []string{`"a"=2`}}, // a nanosecond after the start is after it
		{1, 3 + ns, []string{`"a"=1`, `"a"=2`, `"a"=3`}},
		{-10, 1, []string{`"a"=0`}},
		{-10, 0, nil},
		{-10, -5, nil},
		{3, 3, nil},
		{3, 1, nil},
		{5, 100, nil},
	} {
		got, err := texts(r.Range(t.Context(), "a", at(c.from), at(c.to)))
		require.NoError(t, err)
		require.Equal(t, c.want, got, "[%v, %v)", c.from, c.to)
	}
	got, err := texts(r.Range(t.Context(), "a", time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.NoError(t, err)
	require.Len(t, got, 5)
	got, err = texts(r.Range(t.Context(), "", at(4), at(5)))
	require.NoError(t, err)
	require.Equal(t, []string{`""=4`}, got)
}

func TestReaderGetAt(t *testing.T) {
	_, r := bars(t)
	for _, c := range []struct {
		key  string
		at   time.Duration
		want string
	}{
		{"a", 0, "0"}, {"a", time.Minute - 1, "0"}, {"a", time.Minute, "1"}, {"b", 2*time.Minute + 1, "2"},
		{"b", time.Minute, ""}, {"c", 0, ""}, {"a", 5 * time.Minute, ""}, {"a", -1, ""}, {"a", -time.Hour, ""},
		{"", 0, "0"},
	} {
		got, ok, err := r.GetAt(t.Context(), c.key, time.UnixMilli(0).Add(c.at))
		require.NoError(t, err)
		require.Equal(t, c.want != "", ok, "%q at %v", c.key, c.at)
		require.Equal(t, c.want, string(got.Value), "%q at %v", c.key, c.at)
	}
	_, _, err := r.Get(t.Context(), "a")
	require.ErrorContains(t, err, "use GetAt or Range")
}

func TestReaderOrderAndPrefix(t *testing.T) {
	_, r := bars(t)
	all, err := texts(r.All(t.Context()))
	require.NoError(t, err)
	require.Equal(t, []string{`""=0`, `""=1`, `""=2`, `""=3`, `""=4`, `"a"=0`, `"a"=1`, `"a"=2`, `"a"=3`, `"a"=4`,
		`"a\x00"=0`, `"ab"=0`, `"ab"=1`, `"ab"=2`, `"ab"=3`, `"ab"=4`, `"b"=2`}, all, "by key, then start")
	for prefix, n := range map[string]int{"": 17, "a": 11, "ab": 5, "a\x00": 1, "b": 1, "ba": 0, "\xff": 0} {
		got, err := texts(r.Prefix(t.Context(), []byte(prefix)))
		require.NoError(t, err)
		require.Len(t, got, n, "%q", prefix)
	}
	list, err := r.ToList(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 17)
	for range r.All(t.Context()) {
		break // the loop may end early
	}
}

func TestReaderOfATable(t *testing.T) {
	table := &topology.Table{Topic: "limits", File: "main"}
	m := mirror(t, table, memory.New())
	m.batches([]task.Record{put([]byte("a"), "1"), put([]byte(""), "0")})
	r := tables.NewReader(ref(table), m.store, m.Mirror, ready)
	got, ok, err := r.Get(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, row{[]byte("a"), []byte("1")}, got)
	_, ok, err = r.Get(t.Context(), "b")
	require.NoError(t, err)
	require.False(t, ok)
	all, err := texts(r.All(t.Context()))
	require.NoError(t, err)
	require.Equal(t, []string{`""=0`, `"a"=1`}, all)
	_, _, err = r.GetAt(t.Context(), "a", time.UnixMilli(0))
	require.ErrorContains(t, err, "use Get")
	_, err = texts(r.Range(t.Context(), "a", time.UnixMilli(0), time.UnixMilli(1)))
	require.ErrorContains(t, err, "use Get")
}

// reads are all ways to read, as errors.
func reads(ctx context.Context, r *tables.Reader[string, row], key string) map[string]error {
	_, _, get := r.GetAt(ctx, key, time.UnixMilli(0))
	_, span := texts(r.Range(ctx, key, time.UnixMilli(0), time.UnixMilli(1)))
	_, prefix := texts(r.Prefix(ctx, []byte(key)))
	_, all := texts(r.All(ctx))
	_, list := r.ToList(ctx)
	return map[string]error{"get": get, "range": span, "prefix": prefix, "all": all, "list": list}
}

func TestReaderErrors(t *testing.T) {
	m, r := bars(t)
	for what, err := range reads(t.Context(), tables.NewReader(ref(finals(t)), m.store, m.Mirror,
		func() error { return errNotReady }), "a") {
		require.ErrorIs(t, err, errNotReady, what)
		require.ErrorContains(t, err, "rates_1min_final", what)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range reads(ctx, r, "a") {
		require.ErrorIs(t, err, context.Canceled, what)
	}
	_, _, err := r.GetAt(t.Context(), "bad", time.UnixMilli(0))
	require.ErrorContains(t, err, "a key that cannot be")
	m.batches([]task.Record{put(windowed("a", 0), "1"), put(windowed("a\x01", 0), "no json")})
	got, err := texts(r.All(t.Context()))
	require.ErrorContains(t, err, "a value that cannot be")
	require.Len(t, got, 11, "rows before it")
	var b stores.Batch
	b.Put(append(stores.AppendTableWindowKey(nil, []byte("a"), 0), 'x'), []byte("1"))
	require.NoError(t, m.store.Write(&b))
	_, err = texts(r.Between(t.Context(), time.UnixMilli(3_600_000), time.UnixMilli(7_200_000)))
	require.Error(t, err, "a key that is none is not passed over")
	require.NoError(t, m.store.Close())
	for what, err := range reads(t.Context(), r, "a") {
		require.ErrorIs(t, err, stores.ErrClosed, what)
	}
}

// An iteration sees the table as it was when it began, and its rows stay as they are.
func TestReaderWhileWritten(t *testing.T) {
	table := &topology.Table{Topic: "limits", File: "main"}
	m := mirror(t, table, memory.New())
	records := func(value string) (rs []task.Record) {
		for i := range 100 {
			rs = append(rs, put(fmt.Appendf(nil, "%03d", i), value))
		}
		return rs
	}
	m.batches(records(`"old"`))
	r := tables.NewReader(ref(table), m.store, m.Mirror, ready)
	var kept []row
	for got, err := range r.All(t.Context()) {
		require.NoError(t, err)
		if kept = append(kept, got); len(kept) == 10 {
			m.batches(records(`"new"`), []task.Record{gone([]byte("050")), put([]byte("999"), "1")})
		}
	}
	require.Len(t, kept, 100)
	for i, got := range kept {
		require.Equal(t, fmt.Sprintf("%03d", i), string(got.Key))
		require.Equal(t, `"old"`, string(got.Value))
	}
	first, _, err := r.Get(t.Context(), "000")
	require.NoError(t, err)
	first.Value[1] = 'X' // rows are the caller's
	again, _, err := r.Get(t.Context(), "000")
	require.NoError(t, err)
	require.Equal(t, `"new"`, string(again.Value))
}
