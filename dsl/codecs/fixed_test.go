package codecs

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl/entity"
)

const tickFixed = "3ff6302b40f66a55" + "3ff630941c8216c6" + "0000018bd0471000" // bid, ask, at

func TestFixedGolden(t *testing.T) {
	c := Fixed[tick]()
	require.NoError(t, Err[tick](c))
	require.Equal(t, 24, c.Size())
	got, err := c.Encode(nil, &tickRow)
	require.NoError(t, err)
	require.Equal(t, tickFixed, hex.EncodeToString(got))

	back := tick{Pair: "left over"}
	require.NoError(t, c.Decode(got, &back))
	want := tickRow
	want.Pair = "" // it is in the Kafka key
	require.Equal(t, want, back)
	m, _ := entity.For[tick]()
	require.NoError(t, m.SetKey(&back, []byte("K0000001")))
	require.Equal(t, tickRow, back)

	yes := true
	s := scalars{
		B: true, I8: -1, I16: -2, I32: -3, I64: -4, U8: 1, U16: 2, U32: 3, U64: 4, I: -5, U: 5, F32: 1, F64: 1, S: "ab",
		Side: "é", Raw: []byte{9}, TMs: time.UnixMilli(1).UTC(), TUs: time.UnixMicro(2).UTC(),
		TNs: time.Unix(0, 3).UTC(), W: 6, D: 7, PB: &yes, PU: new(uint16),
	}
	got, err = Fixed[scalars]().Encode(nil, &s)
	require.NoError(t, err)
	require.Equal(t, "01"+"ff"+"fffffffffffffffc"+"fffe"+"fffffffd"+"01"+"0002"+"00000003"+"0000000000000004"+
		"fffffffffffffffb"+"0000000000000005"+
		"3f800000"+"3ff0000000000000"+"026162"+"02c3a9"+"0109"+"0000000000000001"+"0000000000000002"+"0000000000000003"+
		"0000000000000006"+"0000000000000007"+"0101"+"00"+"00"+"010000"+"00"+"00"+"00", hex.EncodeToString(got))
}

func TestFixedRoundTripRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	c := Fixed[scalars]()
	require.Zero(t, c.Size())
	var back scalars
	for range 5_000 {
		row := randomScalars(r)
		data, err := c.Encode([]byte{7}, &row)
		require.NoError(t, err)
		require.NoError(t, c.Decode(data[1:], &back))
		require.Equal(t, row, back)
		cut := 1 + r.IntN(len(data)-1)
		require.Error(t, c.Decode(data[1:cut], &back), "cut off at %d of %d", cut, len(data))
		require.Error(t, c.Decode(append(data, 0)[1:], &back), "one byte too many")
	}
}

func TestFixedViews(t *testing.T) {
	type row struct {
		S string
		B []byte
	}
	data := []byte{1, 'a', 1, 'b'}
	var v row
	require.NoError(t, Fixed[row]().Decode(data, &v))
	require.Equal(t, &data[1], unsafe.StringData(v.S))
	require.Equal(t, &data[3], &v.B[0])
	require.Equal(t, 1, cap(v.B), "appending to a column does not reach the next one")
}

func TestFixedMistakes(t *testing.T) {
	c := Fixed[tick]()
	var v tick
	require.ErrorIs(t, c.Decode(nil, &v), ErrNull)
	require.EqualError(t, c.Decode([]byte{}, &v), "codecs: fixed codecs.tick: got 0 bytes, want 24")
	require.EqualError(t, c.Decode(make([]byte, 25), &v), "codecs: fixed codecs.tick: got 25 bytes, want 24")
	require.EqualError(t, c.Decode(make([]byte, 10<<20), &v), "codecs: fixed codecs.tick: got 10485760 bytes, want 24")

	type row struct {
		B bool
		S string `ashi:"s,maxlen=2"`
		P *int32
		T time.Time `ashi:",format=ns"`
	}
	r := Fixed[row]()
	var w row
	for text, want := range map[string]string{
		"":                                  `column "B": got 0 bytes, want 1 more`,
		"02":                                `column "B": bool is 2, want 0 or 1`,
		"01":                                `column "s": got 1 bytes, want 1 more`,
		"0180":                              `column "s": length is cut off`,
		"01ffffffffffffffffffff01":          `column "s": length is cut off or over 64 bits`,
		"01ffffffffffffffffff01":            `column "s": length is 18446744073709551615, but 0 bytes are left`,
		"010561":                            `column "s": length is 5, but 1 bytes are left`,
		"0100":                              `column "P": got 2 bytes, want 1 more`,
		"010002":                            `column "P": presence byte is 2`,
		"01000101":                          `column "P": got 4 bytes, want 3 more`,
		"01000000":                          `column "T": got 4 bytes, want 7 more`,
		"010000000000000000000000":          `got 12 bytes, want 11`,
		"010361626300" + "0000000000000000": `column "s" has 3 characters, at most 2 are allowed`,
	} {
		data, err := hex.DecodeString(text)
		require.NoError(t, err)
		require.ErrorContains(t, r.Decode(data, &w), want, text)
	}
	for _, bad := range []row{{S: "abc"}, {T: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}} {
		got, err := r.Encode([]byte("kept"), &bad)
		require.Error(t, err)
		require.Equal(t, "kept", string(got))
	}
}

func TestFixedTypesRefused(t *testing.T) {
	type onlyKey struct {
		ID string `ashi:"id,key"`
	}
	require.EqualError(t, Fixed[onlyKey]().Err(), "codecs: fixed codecs.onlyKey: no columns besides the key")
	err := Fixed[nested]().Err()
	for _, field := range []string{"List", "Names", "Leg", "Legs", "Next", "Four", "Any", "Size", "PSize"} {
		require.ErrorContains(t, err, fmt.Sprintf("codecs: fixed codecs.nested.%s: a ", field))
	}
	type nullBytes struct{ B *[]byte }
	require.ErrorContains(t, Fixed[nullBytes]().Err(), "a *[]uint8 has no fixed form")
}

func TestFixedAllocations(t *testing.T) {
	c := Fixed[tick]()
	data, _ := hex.DecodeString(tickFixed)
	dst := make([]byte, 0, 64)
	var v tick
	row := tickRow
	require.Zero(t, testing.AllocsPerRun(1000, func() { _ = c.Decode(data, &v) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = c.Encode(dst, &row) }))
	type text struct {
		S string
		N int64
	}
	ct := Fixed[text]()
	var w text
	line := []byte{1, 'a', 0, 0, 0, 0, 0, 0, 0, 1}
	require.Zero(t, testing.AllocsPerRun(1000, func() { _ = ct.Decode(line, &w) }))
}

// FuzzFixedDecode checks that what is taken says everything that is in the data.
func FuzzFixedDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	c := Fixed[scalars]()
	for range 5 {
		row := randomScalars(r)
		data, err := c.Encode(nil, &row)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, again scalars
		if c.Decode(data, &got) != nil {
			return
		}
		out, err := c.Encode(nil, &got)
		if err != nil {
			return // a number of microseconds whose year is beyond what is written
		}
		require.NoError(t, c.Decode(out, &again))
		require.Equal(t, got.S, again.S)
		require.Equal(t, got.TMs, again.TMs)
		require.Equal(t, got.PF == nil, again.PF == nil)
		require.LessOrEqual(t, len(out), len(data), "a length can be written longer than we do, nothing else")
	})
}

func BenchmarkFixed(b *testing.B) {
	c := Fixed[tick]()
	data, _ := hex.DecodeString(tickFixed)
	b.Run("decode tick", func(b *testing.B) {
		var v tick
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Decode(data, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode tick", func(b *testing.B) {
		dst := make([]byte, 0, 64)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Encode(dst, &tickRow); err != nil {
				b.Fatal(err)
			}
		}
	})
}
