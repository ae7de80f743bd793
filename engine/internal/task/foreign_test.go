package task

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// What foreign key joins and suppression keep, log, and write to internal topics.
var (
	goldenOrders = map[string]order{
		"01" + "ac02" + "6b31": {on: true, partition: 300, key: []byte("k1")},
		"00" + "00":            {key: []byte{}},
	}
	goldenAnswers = map[string]answer{
		"0162" + "01" + "010203": {foreign: []byte("b"), row: []byte{1, 2, 3}},
		"00" + "01":              {foreign: []byte{}, row: []byte{}},
		"0162" + "00":            {foreign: []byte("b")},
	}
	goldenMatches = map[string]match{
		"01" + "8000000000000000" + "0162": {matching: waiting, at: windows.Min, foreign: []byte("b"),
			row: []byte{}},
		"02" + "8000000000000000" + "0162" + "ff": {matching: owing, at: windows.Min, foreign: []byte("b"),
			row: []byte{255}},
		"03" + "0000018bcfe56800" + "0162": {matching: alone, at: 1_700_000_000_000, foreign: []byte("b"),
			row: []byte{}},
		"04" + "0000018bcfe56800" + "00" + "07": {matching: matched, at: 1_700_000_000_000, foreign: []byte{},
			row: []byte{7}},
	}
	goldenHeld = map[string]heldBack{
		"0000000000000005" + "0000000000000007" + "01" + "02" + "0a0b" + "01" + "0c": {since: 5, at: 7,
			old: []byte{10, 11}, row: []byte{12}},
		"0000000000000005" + "0000000000000005" + "00" + "00" + "01": {since: 5, at: 5, row: []byte{}},
		"0000000000000005" + "0000000000000005" + "01" + "00" + "00": {since: 5, at: 5, old: []byte{}},
	}
)

func golden[V any](t *testing.T, values map[string]V, appended func(V) []byte, parse func([]byte) (V, error)) {
	for text, v := range values {
		require.Equal(t, text, hex.EncodeToString(appended(v)))
		b, err := hex.DecodeString(text)
		require.NoError(t, err)
		got, err := parse(b)
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
}

func TestGoldenForeign(t *testing.T) {
	golden(t, goldenOrders, func(o order) []byte { return o.append(nil) }, parseOrder)
	golden(t, goldenAnswers, func(a answer) []byte { return a.append(nil) }, parseAnswer)
	golden(t, goldenMatches, func(m match) []byte { return m.append(nil) }, parseMatch)
	golden(t, goldenHeld, func(h heldBack) []byte { return h.append(nil) }, parseHeldBack)

	key := stores.AppendRowKey(nil, 0x0200, 0, append(appendBytes(nil, []byte("buyer")), "k1"...))
	require.Equal(t, "01"+"0200"+"0000000000000000"+"05"+"6275796572"+"6b31", hex.EncodeToString(key),
		"a subscription's key")
	require.Equal(t, "ac02", hex.EncodeToString(appendPartition(nil, 300)), "its row")
}

func FuzzForeign(f *testing.F) {
	addHex(f, goldenOrders)
	addHex(f, goldenAnswers)
	addHex(f, goldenMatches)
	addHex(f, goldenHeld)
	f.Fuzz(func(t *testing.T, b []byte) {
		same(t, b, parseOrder, func(o order) []byte { return o.append(nil) })
		same(t, b, parseAnswer, func(a answer) []byte { return a.append(nil) })
		same(t, b, parseMatch, func(m match) []byte { return m.append(nil) })
		same(t, b, parseHeldBack, func(h heldBack) []byte { return h.append(nil) })
		same(t, b, parsePartition, func(p int32) []byte { return appendPartition(nil, p) })
	})
}

func addHex[V any](f *testing.F, values map[string]V) {
	for text := range values {
		b, _ := hex.DecodeString(text)
		f.Add(b)
	}
}

// same requires that what can be read means the same when it is written again. (Not the same bytes:
// a uvarint can be longer than need be.)
func same[V any](t *testing.T, b []byte, parse func([]byte) (V, error), appended func(V) []byte) {
	v, err := parse(b)
	if err != nil {
		return
	}
	again, err := parse(appended(v))
	require.NoError(t, err)
	require.Equal(t, v, again)
}
