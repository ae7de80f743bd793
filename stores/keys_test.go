package stores_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores"
)

// TestKeysGolden pins the layout: keys outlive the process that wrote them.
func TestKeysGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		key  []byte
		want string
	}{
		{"meta", stores.MetaKey("commit"), "00" + "636f6d6d6974"},
		{"row", stores.AppendRowKey(nil, 0x0102, 1_700_000_000_000, []byte("EUR/USD")),
			"01" + "0102" + "0000018bcfe56800" + "4555522f555344"},
		{"row of an empty group", stores.AppendRowKey(nil, 0, 0, nil), "01" + "0000" + "0000000000000000"},
		{"row of the last start", stores.AppendRowKey(nil, math.MaxUint16, math.MaxInt64, []byte{0xff}),
			"01" + "ffff" + "7fffffffffffffff" + "ff"},
		{"appended row", stores.AppendRowKey([]byte{0xaa}, 1, 2, []byte{3}), "aa" + "01" + "0001" + "0000000000000002" +
			"03"},
		{"table", stores.AppendTableKey(nil, []byte("EUR")), "02" + "455552" + "0001"},
		{"table, empty key", stores.AppendTableKey(nil, nil), "02" + "0001"},
		{"table, zeros", stores.AppendTableKey(nil, []byte("\x00a\x00\x00")), "02" + "00ff" + "61" + "00ff" + "00ff" +
			"0001"},
		{"appended table", stores.AppendTableKey([]byte{0xaa}, []byte("a")), "aa" + "02" + "61" + "0001"},
		{"table window", stores.AppendTableWindowKey(nil, []byte("a\x00"), 258), "02" + "61" + "00ff" + "0001" +
			"0000000000000102"},
	} {
		require.Equal(t, c.want, hex.EncodeToString(c.key), c.name)
	}
}

func TestBoundsGolden(t *testing.T) {
	bounds := func(from, to []byte) string { return fmt.Sprintf("%x %x", from, to) }
	for _, c := range []struct{ name, got, want string }{
		{"window", bounds(stores.RowBounds(1, 5)), "0100010000000000000005 0100010000000000000006"},
		{"window before a carry", bounds(stores.RowBounds(1, 255)), "01000100000000000000ff 010001000000000000" + "01"},
		{"operator", bounds(stores.OperatorBounds(1)), "010001 010002"},
		{"last operator", bounds(stores.OperatorBounds(math.MaxUint16)), "01ffff 02"},
		{"tables", bounds(stores.TableBounds()), "02 03"},
		{"key", bounds(stores.TableKeyBounds([]byte("a"))), "02610001 02610002"},
		{"times", bounds(stores.TableTimeBounds([]byte("a"), 1, 2)),
			"026100010000000000000001 026100010000000000000002"},
		{"prefix", bounds(stores.TablePrefixBounds([]byte("ab"))), "026162 026163"},
		{"empty prefix", bounds(stores.TablePrefixBounds(nil)), "02 03"},
		{"prefix of 0xff", bounds(stores.TablePrefixBounds([]byte("\xff\xff"))), "02ffff 03"},
		{"prefix of zero", bounds(stores.TablePrefixBounds([]byte("\x00"))), "0200ff 0201"},
	} {
		require.Equal(t, c.want, c.got, c.name)
	}
}

// awkward are byte strings over an alphabet in which escapes, ends and carries meet.
func awkward() [][]byte {
	alphabet := []byte{0x00, 0x01, 0x02, 'a', 0xfe, 0xff}
	all := [][]byte{{}}
	for i := 0; len(all[i]) < 3; i++ {
		for _, c := range alphabet {
			all = append(all, append(bytes.Clone(all[i]), c))
		}
	}
	return all
}

var starts = []int64{0, 1, 255, 256, 60_000, 1 << 32, math.MaxInt64 - 1, math.MaxInt64}

func TestRowKeysSortByOperatorStartAndKey(t *testing.T) {
	type row struct {
		op    uint16
		start int64
		key   []byte
	}
	var rows []row
	for _, op := range []uint16{0, 1, 255, 256, math.MaxUint16} {
		for _, start := range starts {
			for _, key := range [][]byte{nil, {0}, {0, 0}, []byte("a"), {0xff}, {0xff, 0xff}} {
				rows = append(rows, row{op, start, key})
			}
		}
	}
	encode := func(r row) []byte { return stores.AppendRowKey(nil, r.op, r.start, r.key) }
	for _, a := range rows {
		op, start, key, err := stores.ParseRowKey(encode(a))
		require.NoError(t, err)
		require.Equal(t, a.op, op)
		require.Equal(t, a.start, start)
		require.True(t, bytes.Equal(a.key, key))
		for _, b := range rows {
			want := cmp.Or(cmp.Compare(a.op, b.op), cmp.Compare(a.start, b.start), bytes.Compare(a.key, b.key))
			require.Equal(t, want, bytes.Compare(encode(a), encode(b)), "%v and %v", a, b)
			requireWithin(t, b.op == a.op, encode(b), bounds(stores.OperatorBounds(a.op)))
			requireWithin(t, b.op == a.op && b.start == a.start, encode(b), bounds(stores.RowBounds(a.op, a.start)))
		}
	}
}

func TestTableKeysSortAsTheirKeys(t *testing.T) {
	keys := awkward()
	slices.SortFunc(keys, bytes.Compare)
	var last []byte
	for _, key := range keys {
		encoded := stores.AppendTableKey(nil, key)
		require.Negative(t, bytes.Compare(last, encoded), "%x", key)
		got, err := stores.ParseTableKey([]byte("dst"), encoded)
		require.NoError(t, err)
		require.Equal(t, "dst"+string(key), string(got))
		last = encoded
		for _, start := range starts {
			windowed := stores.AppendTableWindowKey(nil, key, start)
			require.Negative(t, bytes.Compare(last, windowed), "%x %d", key, start)
			got, gotStart, err := stores.ParseTableWindowKey([]byte("dst"), windowed)
			require.NoError(t, err)
			require.Equal(t, "dst"+string(key), string(got))
			require.Equal(t, start, gotStart)
			last = windowed
		}
	}
}

func TestTableBoundsHoldWhatTheySay(t *testing.T) {
	keys := awkward()
	for _, a := range keys {
		one, prefix := bounds(stores.TableKeyBounds(a)), bounds(stores.TablePrefixBounds(a))
		times := bounds(stores.TableTimeBounds(a, 255, 60_000))
		for _, b := range keys {
			for _, start := range []int64{0, 254, 255, 256, 59_999, 60_000, math.MaxInt64} {
				row := stores.AppendTableWindowKey(nil, b, start)
				same := bytes.Equal(a, b)
				requireWithin(t, same, row, one)
				requireWithin(t, bytes.HasPrefix(b, a), row, prefix)
				requireWithin(t, same && start >= 255 && start < 60_000, row, times)
			}
			requireWithin(t, bytes.Equal(a, b), stores.AppendTableKey(nil, b), one)
		}
		requireWithin(t, true, one.from, bounds(stores.TableBounds()))
	}
}

func TestTableTimeBoundsOfOddTimes(t *testing.T) {
	key := []byte("k")
	at := func(start int64) []byte { return stores.AppendTableWindowKey(nil, key, start) }
	early := bounds(stores.TableTimeBounds(key, math.MinInt64, 10))
	requireWithin(t, true, at(0), early)
	requireWithin(t, false, at(10), early)
	for _, b := range []span{
		bounds(stores.TableTimeBounds(key, math.MinInt64, -1)),
		bounds(stores.TableTimeBounds(key, 10, 5)),
		bounds(stores.TableTimeBounds(key, 7, 7)),
	} {
		for _, start := range []int64{0, 5, 7, 10, math.MaxInt64} {
			requireWithin(t, false, at(start), b)
		}
	}
}

func TestParseRefusesOtherKeys(t *testing.T) {
	row, table := stores.AppendRowKey(nil, 1, 2, nil), stores.AppendTableKey(nil, []byte("a"))
	window := stores.AppendTableWindowKey(nil, []byte("a"), 3)
	for _, key := range [][]byte{nil, {1}, row[:10], table, stores.MetaKey("a long enough name")} {
		_, _, _, err := stores.ParseRowKey(key)
		require.ErrorContains(t, err, "stores: parse row key", "%x", key)
	}
	for _, key := range [][]byte{nil, {2}, {2, 'a'}, {2, 0}, {2, 0, 2}, row, window, stores.MetaKey("m"), table[:3]} {
		_, err := stores.ParseTableKey(nil, key)
		require.ErrorContains(t, err, "stores: parse table key", "%x", key)
	}
	for _, key := range [][]byte{nil, table, row, window[:len(window)-1], append(bytes.Clone(window), 0)} {
		dst, _, err := stores.ParseTableWindowKey([]byte("dst"), key)
		require.ErrorContains(t, err, "stores: parse table key", "%x", key)
		require.Equal(t, "dst", string(dst))
	}
}

func TestKeysDoNotAllocate(t *testing.T) {
	key, dst := []byte("EUR\x00USD"), make([]byte, 0, 64)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		dst = stores.AppendRowKey(dst[:0], 1, 2, key)
		dst = stores.AppendTableWindowKey(dst[:0], key, 3)
	}))
}

type span struct{ from, to []byte }

func bounds(from, to []byte) span { return span{from, to} }

func requireWithin(t *testing.T, want bool, key []byte, b span) {
	t.Helper()
	if got := bytes.Compare(key, b.from) >= 0 && bytes.Compare(key, b.to) < 0; got != want {
		t.Fatalf("%x within [%x, %x): %v, want %v", key, b.from, b.to, got, want)
	}
}

// Whatever bytes a store or a topic has, a key that is taken apart is one that can be written, and
// two keys sort as what is in them.
func FuzzKeys(f *testing.F) {
	for _, key := range [][]byte{nil, []byte("a"), {0}, {0, 1}, {0, 0xff, 1}, {0xff}} {
		f.Add(stores.AppendRowKey(nil, 257, 5, key), stores.AppendTableKey(nil, key))
		f.Add(stores.AppendTableWindowKey(nil, key, 5), stores.AppendTableSessionKey(nil, key, 5, 6))
		f.Add(key, append(key, 0))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if op, start, group, err := stores.ParseRowKey(a); err == nil {
			require.Equal(t, a, stores.AppendRowKey(nil, op, start, group))
			from, to := stores.RowBounds(op, start)
			require.True(t, bytes.Compare(from, a) <= 0 && bytes.Compare(a, to) < 0)
		}
		if row, err := stores.ParseTableKey([]byte("x"), a); err == nil {
			require.Equal(t, a, stores.AppendTableKey(nil, row[1:]))
		}
		if row, start, err := stores.ParseTableWindowKey([]byte("x"), a); err == nil {
			require.True(t, bytes.HasPrefix(a, stores.AppendTableWindowKey(nil, row[1:], start)))
			from, to := stores.TableKeyBounds(row[1:])
			require.True(t, bytes.Compare(from, a) <= 0 && bytes.Compare(a, to) < 0)
		}
		require.Equal(t, bytes.Compare(a, b), bytes.Compare(stores.AppendTableKey(nil, a),
			stores.AppendTableKey(nil, b)))
		require.Equal(t, bytes.Compare(a, b), bytes.Compare(stores.AppendTableWindowKey(nil, a, 9),
			stores.AppendTableWindowKey(nil, b, 9)))
		from, to := stores.TablePrefixBounds(a)
		key := stores.AppendTableKey(nil, b)
		require.Equal(t, bytes.HasPrefix(b, a), bytes.Compare(from, key) <= 0 && bytes.Compare(key, to) < 0)
	})
}
