package entity

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

type pairName string

type venueKey struct {
	Venue int32    `ashi:"venue,key=2"`
	Pair  pairName `ashi:"pair,key=1"`
}

type allKey struct {
	S string  `ashi:"s"`
	B []byte  `ashi:"b"`
	I int     `ashi:"i"`
	L int64   `ashi:"l"`
	M int32   `ashi:"m"`
	D float64 `ashi:"d"`
}

// golden is what Java's serializers write; it may never change.
func golden[K any](t *testing.T, k K, want string) {
	t.Helper()
	c, err := KeyOf[K]()
	require.NoError(t, err)
	got, err := c.Append([]byte("x"), k)
	require.NoError(t, err)
	require.Equal(t, want, hex.EncodeToString(got[1:]))
	back, err := c.Decode(got[1:])
	require.NoError(t, err)
	require.Equal(t, k, back)
}

func goldenJSON[K any](t *testing.T, k K, want string) {
	t.Helper()
	golden(t, k, hex.EncodeToString([]byte(want)))
	require.True(t, json.Valid([]byte(want)))
}

func TestKeyGolden(t *testing.T) {
	golden(t, "EUR/USD", "4555522f555344")
	golden(t, "é", "c3a9")
	golden(t, pairName("a"), "61")
	golden(t, []byte{0, 255}, "00ff")
	golden(t, 1, "0000000000000001")
	golden(t, -1, "ffffffffffffffff")
	golden(t, int64(math.MinInt64), "8000000000000000")
	golden(t, int32(-2), "fffffffe")
	golden(t, 1.38676, "3ff6302b40f66a55")
	golden(t, math.Inf(-1), "fff0000000000000")
	golden(t, math.Copysign(0, -1), "8000000000000000")
	golden(t, time.Minute, "0000000df8475800")
	golden(t, struct{ Pair string }{"EUR"}, "455552")

	goldenJSON(t, venueKey{7, "EUR/USD"}, `{"pair":"EUR/USD","venue":7}`)
	goldenJSON(t, venueKey{-7, ""}, `{"pair":"","venue":-7}`)
	goldenJSON(t, venueKey{0, "\"\\/<é\u2028\x01\x1f\n\r\t\b\f\x7f"}, `{"pair":"\"\\/<é`+"\u2028"+
		`\u0001\u001F\n\r\t\b\f`+"\x7f"+`","venue":0}`)
	goldenJSON(t, allKey{"s", []byte{1, 2}, -3, 4, 5, 0.5}, `{"s":"s","b":"AQI=","i":-3,"l":4,"m":5,"d":0.5}`)
}

func TestNaNIsOneKey(t *testing.T) {
	c, err := KeyOf[float64]()
	require.NoError(t, err)
	for _, bits := range []uint64{0x7ff8000000000000, 0x7ff8000000000001, 0xfff8000000000123} {
		got, err := c.Append(nil, math.Float64frombits(bits))
		require.NoError(t, err)
		require.Equal(t, "7ff8000000000000", hex.EncodeToString(got))
	}
}

func TestDoubleAsJava(t *testing.T) {
	for want, f := range map[string]float64{
		"0.0": 0, "-0.0": math.Copysign(0, -1), "1.0": 1, "-12.5": -12.5, "0.001": 0.001, "9.99E-4": 0.000999,
		"9999999.0": 9999999, "1.0E7": 1e7, "-1.0E7": -1e7, "1.2345678E7": 12345678, "-1.5E-10": -1.5e-10,
		"1.7976931348623157E308": math.MaxFloat64,
	} {
		require.Equal(t, want, string(appendDouble(nil, f)))
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		f := math.Float64frombits(r.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		var back float64
		text := appendDouble(nil, f)
		require.NoError(t, json.Unmarshal(text, &back), "%s", text)
		require.Equal(t, f, back)
	}
}

func TestKeyTypesRefused(t *testing.T) {
	type hidden struct {
		A string
		//lint:ignore U1000 that it is there is the case
		b string
	}
	type half struct {
		A string `ashi:"a,key"`
		B string
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{refused[bool](), "bool cannot be a key"},
		{refused[time.Time](), "time.Time cannot be a key"},
		{refused[*string](), "*string cannot be a key"},
		{refused[uint32](), "uint32 cannot be a key"},
		{refused[struct{}](), "no columns"},
		{refused[hidden](), "hidden.b: a field that is not a column in a key"},
		{refused[half](), "some columns are marked as key and some not"},
		{refused[struct {
			A string
			B bool
		}](), ".B: a bool cannot be in a key"},
	} {
		require.ErrorContains(t, c.err, c.want)
	}
}

func refused[K any]() error {
	_, err := KeyOf[K]()
	return err
}

func TestKeyMistakes(t *testing.T) {
	text, _ := KeyOf[string]()
	empty, err := text.Append(nil, "")
	require.NoError(t, err)
	require.NotNil(t, empty, "empty is not null")
	s, err := text.Decode(empty)
	require.NoError(t, err)
	require.Empty(t, s)
	_, err = text.Decode(nil)
	require.ErrorIs(t, err, ErrNull)
	raw, _ := KeyOf[[]byte]()
	_, err = raw.Append(nil, nil)
	require.ErrorIs(t, err, ErrNull)
	empty, err = raw.Append(nil, []byte{})
	require.NoError(t, err)
	require.NotNil(t, empty, "empty is not null")
	long, _ := KeyOf[int64]()
	_, err = long.Decode(make([]byte, 7))
	require.EqualError(t, err, "entity: key int64: key has 7 bytes, want 8")
	short, _ := KeyOf[int32]()
	_, err = short.Decode(make([]byte, 8))
	require.EqualError(t, err, "entity: key int32: key has 8 bytes, want 4")

	pair, err := KeyOf[venueKey]()
	require.NoError(t, err)
	_, err = pair.Append(nil, venueKey{1, "\xff"})
	require.ErrorIs(t, err, errNotUTF8)
	all, _ := KeyOf[allKey]()
	_, err = all.Append(nil, allKey{D: math.NaN(), B: []byte{}})
	require.ErrorContains(t, err, "JSON has no NaN")
	_, err = all.Append(nil, allKey{})
	require.ErrorIs(t, err, ErrNull)
	for text, want := range map[string]string{
		`[]`: "not a JSON object", `{}`: `"pair": is missing`, `{"pair":"a"}`: `"venue": is missing`,
		`{"pair":"a","venue":1`: "neither comma nor brace", `{"pair":"a","venue":1}x`: "1 bytes behind",
		`{"pair":"a","venue":1,}`: "a string should be", `{"pair":"a","pair":"b"}`: "twice",
		`{"pair":"a","venue":1,"x":1}`: `no column "x"`, `{"pair":null,"venue":1}`: "key is null",
		`{"pair":"a","venue":null}`: "key is null", `{"pair":1,"venue":1}`: "'1' where a string should be",
		`{"pair":"a","venue":"1"}`: "where a number should be", `{"pair":"a","venue":01}`: "not a number",
		`{"pair":"a","venue":1.5}`: "1.5 is not a whole number", `{"pair":"a","venue":3000000000}`: "does not fit",
		"{\"pair\":\"\xff\",\"venue\":1}": "not UTF-8", "{\"pair\":\"\n\",\"venue\":1}": "control character",
		`{"pair":"a\`: "without an end", `{"pair":"\x","venue":1}`: "no escape", `{"pair" "a"}`: "no colon",
		`{"pair":`: "ends where",
	} {
		_, err := pair.Decode([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
	got, err := pair.Decode([]byte(" { \"venue\" : 5 ,\n\"pa\\u0069r\":\"a\\\"\\u00e9\" } "))
	require.NoError(t, err)
	require.Equal(t, venueKey{5, `a"é`}, got)
}

// Whatever form another program writes a key of several columns in, it becomes the one form; what
// could become the key of another row is refused.
func TestCanonicalKey(t *testing.T) {
	type row struct {
		Pair  string  `ashi:"pair,key=1"`
		Venue int64   `ashi:"venue,key=2"`
		Bid   float64 `ashi:"bid,key=3"`
		Note  string  `ashi:"note"`
	}
	m, errs := For[row]()
	require.Empty(t, errs)
	const form = `{"pair":"EUR/é","venue":1000,"bid":0.5}`
	for _, key := range []string{
		form, `{"pair": "EUR/é", "venue": 1000, "bid": 0.5}`, `{"venue":1000,"bid":0.5,"pair":"EUR/é"}`,
		"\t{\n\"pair\":\"EUR/é\",\"venue\":1000,\"bid\":0.5}\r\n", `{"PAIR":"EUR/é","VENUE":1000,"BID":0.5}`,
		`{"pair":"EUR\/\u00e9","venue":1e3,"bid":5e-1}`, `{"p\u0061ir":"\u0045UR/é","venue":1000.0,"bid":0.50}`,
		"\xef\xbb\xbf" + form, `{"Pair":"EUR/é","Venue":1.0E3,"Bid":0.500000}`,
	} {
		got, err := m.CanonicalKey([]byte(key))
		require.NoError(t, err, key)
		require.Equal(t, form, string(got), key)
		var filled row
		require.NoError(t, m.SetKey(&filled, []byte(key)))
		require.Equal(t, row{Pair: "EUR/é", Venue: 1000, Bid: 0.5}, filled, key)
	}
	own := []byte(form)
	same, err := m.CanonicalKey(own)
	require.NoError(t, err)
	require.Equal(t, unsafe.SliceData(own), unsafe.SliceData(same), "no copy")
	for _, key := range []string{
		`{"pair":"\ud800","venue":1,"bid":1}`, `{"pair":"\udc00\ud800","venue":1,"bid":1}`,
		`{"pair":"a","PAIR":"b","venue":1,"bid":1}`, `{"pair":"a","venue":1e999999999,"bid":1}`,
		`{"pair":"a","venue":1,"bid":1e999}`, `{"pair":"a","venue":1,"bid":NaN}`,
		`{"pair":"a","venue":9223372036854775808.0,"bid":1}`, `["a",1,1]`, ``, `null`,
		`{"pair":"a","venue":1,"bid":1,"` + strings.Repeat("x", 1<<20) + `":1}`, `{"pair":"a","venue":` +
			strings.Repeat("9", 1<<20) + `,"bid":1}`, `{"pair":"a","venue":0` + strings.Repeat("1", 1<<20) +
			`,"bid":1}`, strings.Repeat("[", 1<<20),
	} {
		_, err := m.CanonicalKey([]byte(key))
		require.Error(t, err, "%.80s", key)
		require.Less(t, len(err.Error()), 300, "%.80s", key)
	}
	pair, err := m.CanonicalKey([]byte(`{"pair":"\ufffd\ud83d\ude00","venue":1,"bid":-0.0}`))
	require.NoError(t, err)
	require.Equal(t, `{"pair":"�😀","venue":1,"bid":-0.0}`, string(pair))

	type twins struct {
		A string `ashi:"a,key=1"`
		B string `ashi:"A,key=2"`
		C string `ashi:"cd,key=3"`
		D string `ashi:"CD,key=4"`
	}
	m, _ = For[twins]()
	var v twins
	require.NoError(t, m.SetKey(&v, []byte(`{"A":"2","a":"1","CD":"4","cd":"3"}`)))
	require.Equal(t, twins{"1", "2", "3", "4"}, v)
	require.ErrorContains(t, m.SetKey(&v, []byte(`{"A":"2","a":"1","Cd":"4","cd":"3"}`)), `no column "Cd"`)
}

func TestRowKey(t *testing.T) {
	type row struct {
		Bid  float64 `ashi:"bid"`
		Pair string  `ashi:"pair,key"`
	}
	m, errs := For[row]()
	require.Empty(t, errs)
	key, err := m.AppendKey(nil, &row{1, "EUR"})
	require.NoError(t, err)
	require.Equal(t, "EUR", string(key))
	var back row
	require.NoError(t, m.SetKey(&back, key))
	require.Equal(t, row{0, "EUR"}, back)
	require.Equal(t, unsafe.SliceData(key), unsafe.StringData(back.Pair), "a view, not a copy")

	key, err = m.AppendKey(nil, &row{})
	require.NoError(t, err)
	require.NotNil(t, key, "empty is not null")
	_, err = m.AppendKey(nil, row{})
	require.EqualError(t, err, "entity: entity.row: a row is a *entity.row, not a entity.row")
	_, err = m.AppendKey(nil, nil)
	require.Error(t, err)
	require.ErrorContains(t, m.SetKey((*row)(nil), key), "nil pointer")
}

func TestKeyAllocations(t *testing.T) {
	dst := make([]byte, 0, 64)
	text, _ := KeyOf[string]()
	long, _ := KeyOf[int64]()
	pair, _ := KeyOf[venueKey]()
	number, object := make([]byte, 8), []byte(`{"pair":"EUR/USD","venue":7}`)
	name := []byte("EUR/USD")
	type row struct {
		Pair string `ashi:"pair,key"`
	}
	m, _ := For[row]()
	r := row{"EUR/USD"}
	for what, run := range map[string]func(){
		"append string": func() { _, _ = text.Append(dst, "EUR/USD") },
		"append int64":  func() { _, _ = long.Append(dst, 5) },
		"append struct": func() { _, _ = pair.Append(dst, venueKey{7, "EUR/USD"}) },
		"decode string": func() { _, _ = text.Decode(name) },
		"decode int64":  func() { _, _ = long.Decode(number) },
		"append row":    func() { _, _ = m.AppendKey(dst, &r) },
		"set row":       func() { _ = m.SetKey(&r, name) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, run), what)
	}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = pair.Decode(object) }), 1.0)
}

func TestKeyRoundTripRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c, err := KeyOf[allKey]()
	require.NoError(t, err)
	for range 5_000 {
		runes := make([]rune, r.IntN(6))
		for i := range runes {
			runes[i] = rune(r.IntN(0x300))
		}
		b := make([]byte, r.IntN(5))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		k := allKey{string(runes), b, int(r.Uint64()), int64(r.Uint64()), int32(r.Uint32()),
			r.NormFloat64() * math.Pow(10, float64(r.IntN(40)-20))}
		key, err := c.Append(nil, k)
		require.NoError(t, err)
		back, err := c.Decode(key)
		require.NoError(t, err)
		require.Equal(t, k, back)
		again, err := c.Append(nil, back)
		require.NoError(t, err)
		require.Equal(t, key, again)
	}
}

func FuzzKeyDecode(f *testing.F) {
	f.Add([]byte(`{"s":"s","b":"AQI=","i":-3,"l":4,"m":5,"d":0.5}`))
	f.Add([]byte(`{"s":"\u00`))
	c, err := KeyOf[allKey]()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := c.Decode(b)
		if err != nil {
			return
		}
		require.True(t, json.Valid(bytes.TrimPrefix(b, mark)), "taken, but not JSON: %q", b)
		key, err := c.Append(nil, k)
		require.NoError(t, err)
		back, err := c.Decode(key)
		require.NoError(t, err)
		require.Equal(t, k, back)
	})
}

func BenchmarkKeyAppend(b *testing.B) {
	text, _ := KeyOf[string]()
	pair, _ := KeyOf[venueKey]()
	dst := make([]byte, 0, 64)
	b.Run("string", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = text.Append(dst, "EUR/USD")
		}
	})
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = pair.Append(dst, venueKey{7, "EUR/USD"})
		}
	})
}
