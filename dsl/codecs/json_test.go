package codecs

import (
	"bytes"
	stdjson "encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
)

func TestJSONGolden(t *testing.T) {
	c := JSON[tick]()
	require.NoError(t, Err[tick](c))
	got, err := c.Encode([]byte("x"), &tickRow)
	require.NoError(t, err)
	require.Equal(t, "x"+tickJSON, string(got))
	var back tick
	require.NoError(t, c.Decode([]byte(tickJSON), &back))
	require.Equal(t, tickRow, back)

	at := time.Date(2023, 11, 15, 1, 2, 3, 4_000_000, time.UTC)
	size, _, _ := apd.NewFromString("12.5")
	n := nested{
		ID: "a", List: []float64{1, 0.5}, Names: map[string]string{"b": "2", "a": "1"},
		Leg: leg{"x", &leg{Pair: "<&>"}}, Legs: []leg{{}}, Four: [4]int{1, 2, 3, 4}, Any: "z", At: at, Day: at,
		Size: *size, PSize: size,
	}
	want :=
		`{"id":"a","list":[1,0.5],"names":{"a":"1","b":"2"},"leg":{"pair":"x","rate":{"pair":"<&>"}},"legs":[{"pair":""}],"next":null,` +
			`"four":[1,2,3,4],"any":"z","at":"2023-11-15T01:02:03.004Z","day":"Wed, 15 Nov 2023","pday":null,"size":12.50,"psize":12.5}`
	for range 3 { // the order of a map is not luck
		got, err = JSON[nested]().Encode(nil, &n)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	var twin nested
	require.NoError(t, JSON[nested]().Decode(got, &twin))
	require.Equal(t, at.Truncate(24*time.Hour), twin.Day)
	require.Equal(t, "12.50", twin.Size.String())
	require.Equal(t, "12.5", twin.PSize.String())
	again, err := JSON[nested]().Encode(nil, &twin)
	require.NoError(t, err)
	require.Equal(t, want, string(again))
}

func TestJSONRoundTripRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	c := JSON[scalars]()
	var back scalars // used again and again: nothing may be left over
	for range 3_000 {
		row := randomScalars(r)
		data, err := c.Encode(nil, &row)
		require.NoError(t, err)
		require.True(t, stdjson.Valid(data), "%s", data)
		require.NoError(t, c.Decode(data, &back))
		require.Equal(t, row, back)
	}
}

func TestJSONFloatsExact(t *testing.T) {
	type row struct {
		F float64
		G float32
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	c := JSON[row]()
	for range 20_000 {
		in := row{math.Float64frombits(r.Uint64()), math.Float32frombits(r.Uint32())}
		data, err := c.Encode(nil, &in)
		require.NoError(t, err)
		var out row
		require.NoError(t, c.Decode(data, &out))
		require.Equal(t, javaBits(in.F), javaBits(out.F))
		require.Equal(t, javaBits(float64(in.G)), javaBits(float64(out.G)))
	}
}

// javaBits are those of a float with one NaN.
func javaBits(f float64) uint64 {
	if f != f {
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(f)
}

type odds struct {
	Bid   float64  `ashi:"bid,default=1.5"`
	Small float32  `ashi:"small"`
	Maybe *float64 `ashi:"maybe"`
	List  []float64
	Four  [2]*float32
	Named map[string]price
	Legs  []quoteLeg
	At    time.Time   `ashi:"at,format=ms"`
	Size  apd.Decimal `ashi:"size"`
}

type price float64

type quoteLeg struct {
	Bid  float64 `json:"bid"`
	Odd  float64 `json:"odd,omitempty"`
	Name string
	Next *quoteLeg `json:",omitempty"`
}

// What JSON has no number for is a text, as Jackson writes it in ksqlDB, wherever a float can be;
// the rest of the row is as ever.
func TestJSONFloatsBeyondNumbers(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	small := float32(math.Inf(-1))
	row := odds{Bid: nan, Small: float32(inf), Maybe: &nan, List: []float64{1.5, -inf, 1e21},
		Four: [2]*float32{&small, nil}, Named: map[string]price{"b": price(inf), "a": 2},
		Legs: []quoteLeg{{Bid: nan, Name: "x", Next: &quoteLeg{Bid: 2}}}, At: time.UnixMilli(5).UTC(),
		Size: *apd.New(25, -1)}
	want := `{"bid":"NaN","small":"Infinity","maybe":"NaN","List":[1.5,"-Infinity",1e+21],"Four":["-Infinity",null],` +
		`"Named":{"a":2,"b":"Infinity"},"Legs":[{"bid":"NaN","Name":"x","Next":{"bid":2,"Name":""}}],"at":5,"size":2.5}`
	c := JSON[odds]()
	for range 2 {
		got, err := c.Encode([]byte("x"), &row)
		require.NoError(t, err)
		require.Equal(t, "x"+want, string(got))
		var back odds
		require.NoError(t, c.Decode([]byte(want), &back))
		again, err := c.Encode(nil, &back)
		require.NoError(t, err)
		require.Equal(t, want, string(again))
		plain, err := c.Encode(nil, &odds{Bid: 1, Small: 2})
		require.NoError(t, err, "a row after it goes the usual way")
		require.Contains(t, string(plain), `{"bid":1,"small":2,"maybe":null,`)
	}
	var v odds
	require.NoError(t, c.Decode([]byte(`{"BID":"+Infinity","small":null,"x":"NaN"}`), &v))
	require.Equal(t, odds{Bid: inf}, v)
	require.NoError(t, c.Decode([]byte(`{"small":"NaN"}`), &v))
	require.Equal(t, 1.5, v.Bid, "the default")
	for _, text := range []string{`{"bid":NaN}`, `{"bid":Infinity}`, `{"bid":"nan"}`, `{"bid":"1","small":"NaN"}`,
		`{"bid":"-NaN"}`, `{"at":"NaN"}`, `{"size":"NaN"}`, `{"bid":"NaN"}x`, `{"bid":"NaN"`,
		`{"bid":1e400,"small":"NaN"}`, `{"small":1e39,"bid":"NaN"}`} {
		require.Error(t, c.Decode([]byte(text), &v), text)
	}
	type never struct {
		Any any
		At  string
	}
	_, err := JSON[never]().Encode(nil, &never{Any: nan})
	require.ErrorContains(t, err, "NaN")
}

func TestJSONDecode(t *testing.T) {
	type row struct {
		Pair string    `ashi:"pair,key"`
		Bid  float64   `ashi:"bid,default=1.5"`
		At   time.Time `ashi:"at,format=ms"`
		Born time.Time `ashi:"born,format=ns,default=5"`
		N    int8      `ashi:"n"`
		Note *string   `ashi:"note"`
	}
	born := time.Unix(0, 5).UTC()
	c := JSON[row]()
	note := "left over"
	for text, want := range map[string]row{
		`{}`:                       {Bid: 1.5, Born: born},
		" \n{ \"pair\" : \"a\" } ": {Pair: "a", Bid: 1.5, Born: born},
		`{"pair":null,"bid":null,"at":null,"n":null,"note":null}`: {Bid: 1.5, Born: born},
		`{"BID":2,"Pair":"b"}`:                    {Pair: "b", Bid: 2, Born: born},
		`{"bid":1,"bid":2}`:                       {Bid: 2, Born: born},
		`{"bid":2,"x":[{"y":"]"},null,true,1e5]}`: {Bid: 2, Born: born},
		`{"pair":"\u00e9\ud83d\ude00\n","at":-1}`: {Pair: "é😀\n", Bid: 1.5, At: time.UnixMilli(-1).UTC(), Born: born},
	} {
		got := row{"left", 9, time.Now(), time.Now(), 9, &note}
		require.NoError(t, c.Decode([]byte(text), &got), text)
		require.Equal(t, want, got, text)
	}
	data := []byte(`{"pair":"view"}`)
	var got row
	require.NoError(t, c.Decode(data, &got))
	require.Equal(t, &data[9], unsafe.StringData(got.Pair), "a view, not a copy")
}

// Two machines in two zones must write the same bytes for the same instant.
func TestJSONTimesInUTC(t *testing.T) {
	type row struct {
		At   time.Time  `ashi:"at"`
		Null *time.Time `ashi:"null"`
		Day  time.Time  `ashi:"day,format=2006-01-02 15:04"`
	}
	c := JSON[row]()
	utc := time.Date(2023, 11, 15, 0, 30, 0, 5, time.UTC)
	tokyo := utc.In(time.FixedZone("", 9*3600))
	in := row{tokyo, &tokyo, tokyo}
	data, err := c.Encode(nil, &in)
	require.NoError(t, err)
	require.Equal(t,
		`{"at":"2023-11-15T00:30:00.000000005Z","null":"2023-11-15T00:30:00.000000005Z","day":"2023-11-15 00:30"}`,
		string(data))
	require.Equal(t, tokyo.Location(), in.Null.Location(), "the row is not changed")
	var out row
	require.NoError(t,
		c.Decode([]byte(`{"at":"2023-11-15T09:30:00.000000005+09:00","null":"2023-11-15T09:30:00.000000005+09:00"}`),
			&out))
	require.Equal(t, row{At: utc, Null: &utc}, out)
}

func TestJSONMistakes(t *testing.T) {
	type row struct {
		Pair string      `ashi:"pair,maxlen=3"`
		Bid  float64     `ashi:"bid"`
		N    int8        `ashi:"n"`
		At   time.Time   `ashi:"at"`
		Day  time.Time   `ashi:"day,format=2006-01-02"`
		Size apd.Decimal `ashi:"size,precision=4,scale=1"`
		Free apd.Decimal `ashi:"free"`
		Late *time.Time  `ashi:"late"`
	}
	c := JSON[row]()
	var v row
	require.ErrorIs(t, c.Decode(nil, &v), ErrNull)
	require.ErrorIs(t, c.Decode([]byte(" null "), &v), ErrNull)
	for _, null := range []string{"", " ", "\r\n\t", "null\n", "\xef\xbb\xbf", "\xef\xbb\xbfnull"} {
		require.ErrorIs(t, c.Decode([]byte(null), &v), ErrNull, "%q", null)
		require.True(t, IsNull(Codec[row](c), []byte(null)))
	}
	for _, text := range []string{
		"{", "[]", "1", `"a"`, "{}x", "{}{}", `{"bid":1`, `{"bid":1.3`, `{"bid":1.}`, `{"bid":01}`, `{"bid":+1}`,
		`{"bid":.5}`, `{"bid":1e}`, `{"bid":"1"}`, `{"bid":NaN}`, `{"bid":1e400}`, `{"n":128}`, `{"n":1.5}`,
		`{"pair":1}`, `{"pair":"a}`, "{\"pair\":\"\n\"}", "{\"pair\":\"\xff\"}", "{\"x\":\"\xff\"}", `{"pair":"\x"}`,
		`{"pair":"a",}`, `{"x":[1,}`, `{"x":tru}`, `{"x":1.}`, `{bid:1}`, `{"at":"yesterday"}`, `{"at":5}`,
		`{"day":"15.11.2023"}`, `{"pair":"abcd"}`, `{"size":1000}`, `{"size":1.25}`, `{"size":"x"}`, `{"size":true}`,
		`{"size":"NaN"}`, `{"free":1e99999}`, `{"free":{}}`, `{"free":` + strings.Repeat("1", 2000) + `}`,
		"\xef\xbb\xbf\xef\xbb\xbf{}", "nul", "nullx",
	} {
		require.Error(t, c.Decode([]byte(text), &v), text)
	}
	require.EqualError(t, c.Decode([]byte(`{"pair":"abcd"}`), &v),
		`codecs: json *codecs.row: column "pair" has 4 characters, at most 3 are allowed`)
	require.NoError(t, c.Decode([]byte(`{"pair":"äöü","size":"999.90","free":"-1e5"}`), &v))
	require.Equal(t, "999.9", v.Size.String())

	far := time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)
	for what, bad := range map[string]row{
		"long":        {Pair: "abcd"},
		"not UTF-8":   {Pair: "\xff"},
		"digits":      {Size: *apd.New(12345, -1)},
		"no number":   {Free: apd.Decimal{Form: apd.NaN}},
		"no such day": {At: far},
		"nor there":   {Late: &far},
	} {
		dst := []byte("kept")
		got, err := c.Encode(dst, &bad)
		require.Error(t, err, what)
		require.Equal(t, "kept", string(got), what)
	}
}

// Ten megabytes of brackets once ended the process: the library calls itself for each.
func TestJSONHugeValues(t *testing.T) {
	c := JSON[tick]()
	var v tick
	const size = 10 << 20
	for what, text := range map[string]string{
		"brackets":        `{"x":` + strings.Repeat("[", size),
		"braces":          strings.Repeat(`{"x":`, size/5),
		"closed brackets": `{"x":` + strings.Repeat("[", size/2) + strings.Repeat("]", size/2) + "}",
		"digits":          `{"bid":` + strings.Repeat("1", size),
		"open string":     `{"pair":"` + strings.Repeat("a", size),
		"zeros":           strings.Repeat("\x00", size),
	} {
		require.Error(t, c.Decode([]byte(text), &v), what)
	}
	require.NoError(t, c.Decode([]byte(`{"pair":"`+strings.Repeat("[", size)+`"}`), &v), "brackets in a string")
	require.Len(t, v.Pair, size)
	require.NoError(t, c.Decode([]byte(`{"x":[`+strings.Repeat("[],", size/3)+`1]}`), &v), "many, not deep")
	deepest := `{"x":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + "}"
	require.NoError(t, c.Decode([]byte(deepest), &v))
	require.ErrorIs(t, c.Decode([]byte(`{"x":[`+deepest+`]}`), &v), errDeep)
}

func TestJSONBrokenModel(t *testing.T) {
	type row struct {
		A int `ashi:"a,kye"`
		B int `ashi:"b,maxlen=1"`
	}
	for _, c := range []Codec[row]{JSON[row](), Fixed[row]()} {
		require.ErrorContains(t, Err(c), "row.A")
		require.ErrorContains(t, Err(c), "row.B")
		_, err := c.Encode(nil, &row{})
		require.Equal(t, Err(c), err)
		require.Equal(t, Err(c), c.Decode([]byte("{}"), &row{}))
	}
	require.EqualError(t, Err[row](nil), "codecs: no codec for codecs.row")
}

func TestJSONManyGoroutines(t *testing.T) {
	c := JSON[scalars]()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 3))
			var back scalars
			for range 300 {
				row := randomScalars(r)
				data, err := c.Encode(nil, &row)
				if err == nil {
					err = c.Decode(data, &back)
				}
				if err != nil || back.I64 != row.I64 || back.S != row.S || !back.TMs.Equal(row.TMs) {
					t.Errorf("row %+v came back as %+v, %v", row, back, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestJSONAllocations(t *testing.T) {
	c := JSON[tick]()
	data, dst := []byte(tickJSON), make([]byte, 0, 128)
	var v tick
	row := tickRow
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _ = c.Decode(data, &v) }), 1.0)
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _, _ = c.Encode(dst, &row) }), 1.0)
}

// FuzzJSONDecode compares with encoding/json: what we take, it takes, with the same numbers.
func FuzzJSONDecode(f *testing.F) {
	f.Add([]byte(tickJSON))
	f.Add([]byte(`{"I8":1,"PF":2e5,"S":"\u00e9","TMs":5,"Raw":"AAA=","PS":null} `))
	f.Add([]byte(`{"x":[[{"a":"\"]"}]]}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"F64":"NaN","F32":"-Infinity","S":"NaN"}`))
	c := JSON[scalars]()
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, again scalars
		if c.Decode(data, &got) != nil {
			return
		}
		require.True(t, stdjson.Valid(bytes.TrimPrefix(data, mark)), "taken, but not JSON: %q", data)
		var other struct {
			I64, F64 any
			S        *string // null comes last, too
		}
		d := stdjson.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, mark)))
		d.UseNumber()
		require.NoError(t, d.Decode(&other))
		require.Equal(t, exactly(other.I64), exactly(stdjson.Number(strconv.FormatInt(got.I64, 10))))
		if n, ok := other.F64.(stdjson.Number); ok {
			f, err := n.Float64()
			require.NoError(t, err)
			require.Equal(t, javaBits(f), javaBits(got.F64))
		}
		if other.S == nil {
			other.S = new(string)
		}
		require.Equal(t, *other.S, got.S)
		out, err := c.Encode(nil, &got)
		if err != nil {
			return // a time that a number can say and its own format cannot
		}
		require.NoError(t, c.Decode(out, &again))
		require.Equal(t, javaBits(float64(got.F32)), javaBits(float64(again.F32)))
		require.Equal(t, got.S, again.S)
		require.Equal(t, got.Raw == nil, again.Raw == nil)
	})
}

// exactly is a number of any notation as a fraction.
func exactly(v any) string {
	n, ok := v.(stdjson.Number)
	if !ok {
		return "0"
	}
	exact, _ := new(big.Rat).SetString(string(n))
	return exact.RatString()
}

func BenchmarkJSON(b *testing.B) {
	b.Run("decode tick", func(b *testing.B) {
		c, data := JSON[tick](), []byte(tickJSON)
		var v tick
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Decode(data, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode bar", func(b *testing.B) {
		c, dst := JSON[bar](), make([]byte, 0, 256)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Encode(dst, &barRow); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A default that a model takes is one that every codec can have: none panics on it.
func TestDefaultsAtTheirLimits(t *testing.T) {
	type row struct {
		Size apd.Decimal `ashi:"size,precision=4,scale=1,default=999.9"`
		Free apd.Decimal `ashi:"free,default=1e999"`
		At   time.Time   `ashi:"at,format=ns,default=9200000000000000000"`
		Note string      `ashi:"note,maxlen=3,default=äöü"`
	}
	c := JSON[row]()
	require.NoError(t, Err(c))
	var v row
	require.NoError(t, c.Decode([]byte(`{"note":null}`), &v))
	require.Equal(t, []string{"999.9", "äöü", "2261-07-15"}, []string{v.Size.Text('f'), v.Note,
		v.At.Format(time.DateOnly)})
	require.Zero(t, v.Free.Cmp(apd.New(1, 999)))
}
