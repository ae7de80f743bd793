package codecs

import (
	stdjson "encoding/json"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
)

// celsius has its text by a method of the pointer, grade its JSON.
type celsius struct{ tenths int }

func (c *celsius) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%d", c.tenths/10, c.tenths%10), nil
}
func (c *celsius) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(strings.Replace(string(b), ".", "", 1), "%d", &c.tenths)
	return err
}

type grade struct{ n int }

func (g *grade) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{ "grade" : [ %d, " \" x" ] }`, g.n), nil
}
func (g *grade) UnmarshalJSON(b []byte) error {
	var v struct{ Grade []any }
	if err := stdjson.Unmarshal(b, &v); err != nil || v.Grade == nil {
		return err
	}
	g.n = int(v.Grade[0].(float64))
	return nil
}

type everywhere[T any] struct {
	One    T
	Null   *T
	List   []T
	Two    [2]T
	Named  map[string]T
	By     map[int64][]T
	Within struct {
		V    T `json:"v"`
		Deep []map[string]*T
	}
	Any any
}

func everywhereOf[T any](v T) everywhere[T] {
	e := everywhere[T]{One: v, Null: &v, List: []T{v, v}, Two: [2]T{v, v}, Named: map[string]T{"a": v},
		By: map[int64][]T{-3: {v}}}
	e.Within.V, e.Within.Deep = v, []map[string]*T{{"x": &v, "y": nil}}
	return e
}

// A type looks the same wherever it is, what is written is read again as it was, and agrees with
// the schema that is registered.
func sameEverywhere[T any](t *testing.T, v T, text string, others ...string) {
	t.Helper()
	whole := func(x string) string {
		return strings.ReplaceAll(
			`{"One":$,"Null":$,"List":[$,$],"Two":[$,$],"Named":{"a":$},"By":{"-3":[$]},"Within":{"v":$,"Deep":[{"x":$,"y":null}]},"Any":null}`, "$", x)
	}
	c := JSON[everywhere[T]]()
	require.NoError(t, Err(Codec[everywhere[T]](c)))
	row := everywhereOf(v)
	got, err := c.Encode(nil, &row)
	require.NoError(t, err)
	require.Equal(t, whole(text), string(got))
	agreesWithSchema(t, c, got)
	for _, in := range append(others, text) {
		var back everywhere[T]
		require.NoError(t, c.Decode([]byte(whole(in)), &back), in)
		again, err := c.Encode(nil, &back)
		require.NoError(t, err)
		require.Equal(t, whole(text), string(again), in)
	}
}

func TestJSONTypesEverywhere(t *testing.T) {
	dec := func(s string) apd.Decimal {
		d, _, err := apd.NewFromString(s)
		require.NoError(t, err)
		return *d
	}
	huge := "123456789012345678901234567890.123456789012345678901234567890"
	sameEverywhere(t, dec("1.50"), `1.50`, `"1.50"`, `150e-2`)
	sameEverywhere(t, dec("-0"), `-0`)
	sameEverywhere(t, dec(huge), huge, `"`+huge+`"`)
	sameEverywhere(t, dec("1e30"), "1"+strings.Repeat("0", 30))
	whole, _ := new(big.Int).SetString("-123456789012345678901234567890", 10)
	sameEverywhere(t, *whole, whole.String(), `"`+whole.String()+`"`, "-12345678901234567890.1234567890e10")
	sameEverywhere(t, *big.NewRat(1, 3), `"1/3"`, `"2/6"`)
	sameEverywhere(t, *big.NewRat(5, 2), `"5/2"`, `2.5`, `"2.50"`, `25e-1`)
	exact, _, err := big.ParseFloat("0.1234567890123456789012345678901234567890", 10, 200, big.ToNearestEven)
	require.NoError(t, err)
	sameEverywhere(t, *exact, `"0.123456789012345678901234567890123456789"`,
		`0.123456789012345678901234567890123456789`)
	sameEverywhere(t, 90*time.Second, `90000000000`, `9e10`)
	sameEverywhere(t, time.Date(2026, 11, 30, 9, 0, 0, 5, time.FixedZone("", 7200)), `"2026-11-30T07:00:00.000000005Z"`,
		`"2026-11-30T08:00:00.000000005+01:00"`)
	sameEverywhere(t, celsius{215}, `"21.5"`)
	sameEverywhere(t, grade{7}, `{"grade":[7," \" x"]}`)
	sameEverywhere(t, netip.MustParseAddr("10.0.0.1"), `"10.0.0.1"`)
	sameEverywhere(t, stdjson.Number("1.500"), `1.500`)
	sameEverywhere(t, stdjson.RawMessage(`{"a":[1,2.50]}`), `{"a":[1,2.50]}`, `{ "a" : [1, 2.50] }`)
	sameEverywhere(t, math.Inf(-1), `"-Infinity"`)
	sameEverywhere(t, float32(0.1), `0.1`)
	sameEverywhere(t, int64(math.MinInt64), `-9223372036854775808`, `-9.223372036854775808e18`,
		`-9223372036854775808.0`)
	sameEverywhere(t, uint64(math.MaxUint64), `18446744073709551615`)
	sameEverywhere(t, uint16(7), `7`, `7.0`, `0.7E1`)
}

// Numbers in whatever notation are what they say, in every whole column and every time that is a
// number, and nothing is rounded on the way.
func TestJSONWholeNumbers(t *testing.T) {
	type row struct {
		I   int       `ashi:"i"`
		I8  int8      `ashi:"i8"`
		U16 uint16    `ashi:"u16"`
		L   *int64    `ashi:"l"`
		Ms  time.Time `ashi:"ms,format=ms"`
		Us  time.Time `ashi:"us,format=us"`
		Ns  time.Time `ashi:"ns,format=ns"`
	}
	c := JSON[row]()
	var v row
	require.NoError(t,
		c.Decode(
			[]byte(
				`{"i":1e3,"i8":-0,"u16":10e-1,"l":9007199254740993.0,"ms":1.7645472E12,"us":1764547200000000.0,"ns":1.7645472e+18}`), &v))
	at := time.UnixMilli(1764547200000).UTC()
	l := int64(9007199254740993)
	require.Equal(t, row{1000, 0, 1, &l, at, at, at}, v)
	for _, bad := range []string{`{"i":1.5}`, `{"i8":1.28e2}`, `{"u16":-1.0}`, `{"l":9223372036854775808.0}`,
		`{"ms":1e19}`, `{"us":0.5}`, `{"ns":1e999999999}`, `{"i":1e-999999999}`, `{"i":1e}`} {
		require.Error(t, c.Decode([]byte(bad), &v), bad)
	}
	require.ErrorContains(t, c.Decode([]byte(`{"i":1.5}`), &v),
		`column "i": want int, found 1.5, which is not a whole number`)
}

// Of equal names the last wins, whatever it is, and nothing of those before is left.
func TestJSONLastNameWins(t *testing.T) {
	type inner struct {
		A, B int
		Next *inner
	}
	type row struct {
		N   int            `ashi:"n,default=7"`
		S   string         `ashi:"s"`
		D   apd.Decimal    `ashi:"d,default=1.5"`
		At  time.Time      `ashi:"at,format=ms"`
		M   map[string]int `ashi:"m"`
		In  inner          `ashi:"in"`
		P   *inner         `ashi:"p"`
		L   []inner        `ashi:"l"`
		Two [2]int         `ashi:"two"`
		Any any            `ashi:"any"`
		Raw grade          `ashi:"raw"`
	}
	c := JSON[row]()
	whole :=
		`"n":1,"s":"x","d":2,"at":5,"m":{"a":1,"b":2},"in":{"A":1,"B":2,"Next":{"A":3}},"p":{"A":1,"B":2},"l":[{"A":1},{"A":2}],"two":[1,2],"any":{"a":1},"raw":{"grade":[1]}`
	nulls :=
		`"n":null,"s":null,"d":null,"at":null,"m":null,"in":null,"p":null,"l":null,"two":null,"any":null,"raw":null`
	part :=
		`"n":2,"s":"y","d":3,"at":6,"m":{"c":3},"in":{"B":9},"p":{"B":9},"l":[{"B":9}],"two":[9],"any":[1],"raw":{"grade":[2]}`
	read := func(parts ...string) row {
		var v row
		text := "{" + strings.Join(parts, ",") + "}"
		require.NoError(t, c.Decode([]byte(text), &v), text)
		return v
	}
	upper := func(s string) string { // of the columns only
		for _, name := range []string{"n", "s", "d", "at", "m", "in", "p", "l", "two", "any", "raw"} {
			s = strings.Replace(s, `"`+name+`":`, `"`+strings.ToUpper(name)+`":`, 1)
		}
		return s
	}
	none := read()
	require.Equal(t, 7, none.N)
	require.Equal(t, "1.5", none.D.Text('f'))
	for _, last := range []string{whole, nulls, part} {
		want := read(last)
		for _, first := range []string{whole, nulls, part} {
			require.Equal(t, want, read(first, last), "%s, then %s", first, last)
			require.Equal(t, want, read(first, upper(last)))
			require.Equal(t, want, read(upper(first), last))
			require.Equal(t, want, read(first, whole, nulls, last))
		}
	}
	require.Equal(t, none, read(nulls))
	require.Equal(t, inner{B: 9}, read(whole, part).In)
	var nested row
	require.NoError(t,
		c.Decode([]byte(`{"in":{"A":1,"Next":{"A":1,"B":2},"next":{"B":3},"a":null,"NEXT":{"A":4}},"m":{"a":1,"a":2}}`),
			&nested))
	require.Equal(t, inner{Next: &inner{A: 4}}, nested.In)
	require.Equal(t, map[string]int{"a": 2}, nested.M)
}

// Numbers in an any keep their digits, in both directions.
func TestJSONAnyKeepsDigits(t *testing.T) {
	type row struct{ Any any }
	c := JSON[row]()
	for _, text := range []string{`9007199254740993`, `1.50`, `{"a":[1e400,{"b":-0.10}],"c":null,"d":true,"e":"x"}`,
		`[]`, `{}`} {
		var v row
		require.NoError(t, c.Decode([]byte(`{"Any":`+text+`}`), &v))
		got, err := c.Encode(nil, &v)
		require.NoError(t, err)
		require.Equal(t, `{"Any":`+text+`}`, string(got))
	}
	size := apd.New(150, -2)
	for _, v := range []any{size, *size, map[string]any{"a": *size}, []any{size, time.Minute, &grade{1}, grade{1},
		map[int]time.Duration{1: 5}}, struct{ P *apd.Decimal }{size}} {
		got, err := c.Encode(nil, &row{v})
		require.NoError(t, err)
		require.True(t, stdjson.Valid(got))
		require.NotContains(t, string(got), "Coeff")
		require.NoError(t, c.Decode(got, &row{}))
	}
	_, err := c.Encode(nil, &row{make(chan int)})
	require.ErrorContains(t, err, "chan int cannot be in JSON")
	loop := map[string]any{}
	loop["a"] = loop
	_, err = c.Encode(nil, &row{loop})
	require.ErrorIs(t, err, errDeep)
}

// Types that could be written and not read, or not at all, are mistakes of the codec, all of them
// at once.
func TestJSONMistakenTypes(t *testing.T) {
	type lost struct {
		//lint:ignore U1000 that nobody can see it is the case
		secret int
	}
	type row struct {
		A fmt.Stringer
		B map[float64]int
		C []lost
		D struct{ F func() }
		E map[lost]int
		F error
		G struct{}
		H time.Time
	}
	err := Err(Codec[row](JSON[row]()))
	for _, want := range []string{"row.A: an interface with methods, fmt.Stringer", "row.B: a map by float64",
		"row.C: codecs.lost has no exported fields", "row.D.F: a func() cannot", "row.E: a map by codecs.lost",
		"row.F: an interface with methods, error"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "row.G")
	require.NotContains(t, err.Error(), "row.H")
}

// Whatever a value has, its error is short, names the place, and shows no type that nobody has
// written.
func TestJSONErrorsAreShort(t *testing.T) {
	type inner struct {
		N int
		M map[string]int
	}
	type row struct {
		N    int         `ashi:"n"`
		S    string      `ashi:"s"`
		D    apd.Decimal `ashi:"d,precision=4,scale=1"`
		At   time.Time   `ashi:"at"`
		Day  time.Time   `ashi:"day,format=2006-01-02"`
		F    float64     `ashi:"f"`
		Raw  []byte      `ashi:"raw"`
		In   []inner     `ashi:"in"`
		Temp celsius     `ashi:"temp"`
		Addr netip.Addr  `ashi:"addr"`
		Big  big.Int     `ashi:"big"`
	}
	c := JSON[row]()
	long := strings.Repeat("9", 1<<20)
	for _, text := range []string{`[]`, `""`, `1`, `[` + long + `]`, `{"n":` + long + `}`, `{"n":"` + long + `"}`,
		`{"s":` + long + `}`, `{"d":` + long + `}`, `{"d":"` + long + `"}`, `{"d":"x` + long + `"}`,
		`{"at":"` + long + `"}`, `{"day":"` + long + `"}`, `{"f":` + long + `}`, `{"f":"` + long + `"}`,
		`{"raw":"` + long + `!"}`, `{"in":[{"N":1},{"N":"` + long + `"}]}`, `{"in":[{"M":{"` + long + `":"x"}}]}`,
		`{"temp":"` + strings.Repeat("x", 1<<20) + `"}`, `{"addr":"` + long + `"}`, `{"big":` + long + `}`,
		`{"n":9223372036854775808}`, `{"` + long, `{"n":1` + strings.Repeat(" ", 1<<20) + `x}`,
		`{"in":` + strings.Repeat("[", 1<<20), "{\"s\":\"" + long + "\x01\"}"} {
		var v row
		err := c.Decode([]byte(text), &v)
		require.Error(t, err, "%.40s", text)
		require.Less(t, len(err.Error()), 450, "%.40s", text)
		require.NotContains(t, err.Error(), "struct {")
	}
	var v row
	require.EqualError(t, c.Decode([]byte(`[]`), &v), `codecs: json *codecs.row: want an object, found []`)
	require.EqualError(t, c.Decode([]byte(`{"in":[{"N":1},{"M":{"a":1,"b":true}}]}`), &v),
		`codecs: json *codecs.row: column "in[1].M.b": want int, found true`)
	require.EqualError(t, c.Decode([]byte(`{"n":9223372036854775808}}}`), &v),
		`codecs: json *codecs.row: column "n": want int, found 9223372036854775808, which does not fit`)
}

// What is written can be read: numbers at their bounds, depths at theirs, and texts that are
// refused in both directions.
func TestJSONReadsWhatItWrites(t *testing.T) {
	type node struct{ Next *node }
	c := JSON[node]()
	chain := &node{}
	for range maxDepth - 1 {
		chain = &node{chain}
	}
	data, err := c.Encode(nil, chain)
	require.NoError(t, err)
	require.NoError(t, c.Decode(data, &node{}))
	_, err = c.Encode(nil, &node{chain})
	require.ErrorIs(t, err, errDeep)
	loop := &node{}
	loop.Next = loop
	_, err = c.Encode(nil, loop)
	require.ErrorIs(t, err, errDeep)

	type decimals struct {
		D apd.Decimal
		L []apd.Decimal
		B *big.Int
		R *big.Rat
		F *big.Float
	}
	numbers := JSON[decimals]()
	for _, text := range []string{"1e999", "-1e999", "1e-1000", "1e1000", strings.Repeat("9", 1000),
		strings.Repeat("9", 1001), "0." + strings.Repeat("3", 999), "1e100000", "0e500"} {
		d, _, err := apd.NewFromString(text)
		require.NoError(t, err)
		row := decimals{D: *d, L: []apd.Decimal{*d}}
		data, err := numbers.Encode(nil, &row)
		if err != nil {
			require.Less(t, len(err.Error()), 400)
			continue
		}
		var back decimals
		require.NoError(t, numbers.Decode(data, &back), text)
		require.Zero(t, back.D.Cmp(d), text)
		require.Zero(t, back.L[0].Cmp(d), text)
	}
	for _, bits := range []uint{1, 1000, 29_999, 30_000, 31_000, 1 << 24} {
		n := new(big.Int).Lsh(big.NewInt(1), bits)
		for _, row := range []decimals{{B: n}, {R: new(big.Rat).SetInt(n)}, {R: new(big.Rat).SetFrac(big.NewInt(1), n)},
			{F: new(big.Float).SetInt(n)}, {F: new(big.Float).SetInf(true)}} {
			data, err := numbers.Encode(nil, &row)
			if err != nil {
				continue
			}
			var back decimals
			require.NoError(t, numbers.Decode(data, &back), "%d bits", bits)
			again, err := numbers.Encode(nil, &back)
			require.NoError(t, err)
			require.Equal(t, string(data), string(again))
		}
	}
	for _, text := range []string{`{"R":"1e999999999"}`, `{"F":"1e999999999"}`, `{"B":1e999999999}`,
		`{"R":1e-999999999}`, `{"F":"0x1p999999999"}`, `{"B":"0x10"}`, `{"D":1e999999999}`} {
		require.Error(t, numbers.Decode([]byte(text), &decimals{}), text)
	}

	type texts struct {
		L []string
		M map[string]string
		P *string
		A any
	}
	bad := "\xff"
	for _, row := range []texts{{L: []string{bad}}, {M: map[string]string{bad: ""}}, {M: map[string]string{"": bad}},
		{P: &bad}, {A: bad}, {A: []any{map[string]any{bad: 1}}}} {
		_, err := JSON[texts]().Encode(nil, &row)
		require.ErrorIs(t, err, errNotUTF8)
	}
}
