package codecs

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"

	"github.com/ashi-stream/ashi/topology"
)

// trade has what Avro carries that scalars does not.
type trade struct {
	ID     string       `ashi:"id,key"`
	Price  apd.Decimal  `ashi:"price,precision=10,scale=2"`
	Fee    *apd.Decimal `ashi:"fee,precision=4,scale=3"`
	Tags   []string     `ashi:"tags"`
	Counts map[string]int64
	Legs   []part
	Main   *part
	Venue  string    `ashi:"venue,default=X"`
	Lots   int32     `ashi:"lots,default=-3"`
	At     time.Time `ashi:"at,timestamp,format=us"`
}

type part struct {
	Side  side `json:"s"`
	Quant float64
	At    time.Time
}

func decimal(t testing.TB, text string) apd.Decimal {
	d, _, err := apd.NewFromString(text)
	require.NoError(t, err)
	return *d
}

func someTrade(t testing.TB) trade {
	fee := decimal(t, "-0.128")
	at := time.UnixMicro(1700006400000123).UTC()
	return trade{ID: "T1", Price: decimal(t, "-12345.67"), Fee: &fee, Tags: []string{"a", ""},
		Counts: map[string]int64{"n": -7}, Legs: []part{{Side: "buy", Quant: 1.5, At: at.Truncate(time.Millisecond)}},
		Venue: "V", Lots: 4, At: at}
}

const tradeAvro = "{\"type\":\"record\",\"name\":\"trade\",\"fields\":[" +
	`{"name":"id","type":"string"},` +
	`{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},` +
	`{"name":"fee","type":["null",{"type":"bytes","logicalType":"decimal","precision":4,"scale":3}],"default":null},` +
	`{"name":"tags","type":{"type":"array","items":"string"}},` +
	`{"name":"Counts","type":{"type":"map","values":"long"}},` +
	`{"name":"Legs","type":{"type":"array","items":{"type":"record","name":"part","fields":[{"name":"s","type":"string"},{"name":"Quant","type":"double"},{"name":"At","type":{"type":"long","logicalType":"timestamp-millis"}}]}}},` +
	`{"name":"Main","type":["null","part"],"default":null},` +
	`{"name":"venue","type":"string","default":"X"},` +
	`{"name":"lots","type":"int","default":-3},` +
	`{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}`

// tradeBytes is someTrade, a column a line.
const tradeBytes = "045431" +
	"06ed2979" +
	"020280" +
	"0402610000" +
	"02026e0d00" +
	"0206627579000000000000f83f80c0b884fa6200" +
	"00" +
	"0256" +
	"08" +
	"f681b4d9b2898506"

func TestAvroGolden(t *testing.T) {
	c := Avro[trade]()
	require.NoError(t, c.Err())
	s, err := c.Schema()
	require.NoError(t, err)
	require.Equal(t, topology.AvroSchema, s.Format)
	require.JSONEq(t, tradeAvro, s.Text)

	row := someTrade(t)
	data, err := c.Encode([]byte("x"), &row)
	require.NoError(t, err)
	require.Equal(t, tradeBytes, hex.EncodeToString(data[1:]))
	var back trade
	require.NoError(t, c.Decode(data[1:], &back))
	require.Equal(t, row, back)
}

func TestAvroScalars(t *testing.T) {
	c := Avro[scalars]()
	require.NoError(t, c.Err())
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		row := randomScalars(r)
		row.memo, row.U64, row.U = "", row.U64&math.MaxInt64, row.U&math.MaxInt64
		data, err := c.Encode(nil, &row)
		require.NoError(t, err)
		var back scalars
		require.NoError(t, c.Decode(data, &back))
		again, err := c.Encode(nil, &back)
		require.NoError(t, err)
		require.Equal(t, data, again)
		require.Error(t, c.Decode(data[:len(data)-1], &back))
		require.ErrorContains(t, c.Decode(append(data, 0), &back), "1 bytes behind the record")
	}
}

// What was written with other schemas is read: columns by name, in another case, promoted, missing,
// null, gone.
func TestAvroResolution(t *testing.T) {
	type row struct {
		ID    string      `ashi:"id"`
		N     float64     `ashi:"n"`
		P     *int64      `ashi:"p"`
		Price apd.Decimal `ashi:"price,precision=10,scale=3"`
		At    time.Time   `ashi:"at,format=ms"`
		Venue string      `ashi:"venue,default=X"`
		New   int32       `ashi:"new"`
	}
	writer := `{"type":"record","name":"KsqlDataSourceSchema","namespace":"io.confluent.ksql.avro_schemas","fields":[
		{"name":"GONE","type":["null","string"],"default":null},
		{"name":"ID","type":["null","string"],"default":null},
		{"name":"N","type":["null","int"],"default":null},
		{"name":"P","type":"int"},
		{"name":"PRICE","type":["null",{"type":"bytes","logicalType":"decimal","precision":8,"scale":2}],"default":null},
		{"name":"AT","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null}]}`
	decode, err := Avro[row]().Reader(topology.Schema{Format: topology.AvroSchema, Text: writer})
	require.NoError(t, err)
	encode := func(v map[string]any) []byte {
		data, err := avro.MustParse(writer).Encode(v)
		require.NoError(t, err)
		return data
	}
	var got row
	seven := int64(7)
	at := time.UnixMicro(1700006400000123).UTC()
	require.NoError(t, decode(encode(map[string]any{"GONE": "g", "ID": "a", "N": int32(3), "P": int32(7),
		"PRICE": []byte{0x04, 0xd2}, "AT": at}), &got))
	require.Equal(t, row{ID: "a", N: 3, P: &seven, Price: decimal(t, "12.340"), At: at, Venue: "X"}, got)
	require.NoError(t, decode(encode(map[string]any{"GONE": nil, "ID": nil, "N": nil, "P": int32(7), "PRICE": nil,
		"AT": nil}), &got))
	require.Equal(t, row{P: &seven, Venue: "X"}, got)

	for writer, want := range map[string]string{
		`{"type":"record","name":"r","fields":[{"name":"id","type":"long"}]}`: "cannot be read",
		`"string"`: "not of a record",
		`{"type":`: "the writer's schema",
	} {
		_, err := Avro[row]().Reader(topology.Schema{Format: topology.AvroSchema, Text: writer})
		require.ErrorContains(t, err, want)
	}
	_, err = Avro[row]().Reader(topology.Schema{Format: topology.JSONSchema, Text: "{}"})
	require.ErrorContains(t, err, "the schema is JSON, not AVRO")
}

func TestAvroMistakes(t *testing.T) {
	type loop struct{ Next []*loop }
	type bad struct {
		Odd  string `ashi:"a-b"`
		D    apd.Decimal
		T    time.Time `ashi:"t,format=2006-01-02"`
		A    [2]int
		Any  any
		Deep map[string]part
		Loop loop
		None struct{ x int }
	}
	err := Err[bad](Avro[bad]())
	for _, want := range []string{`"a-b": is no Avro name`, `"D": an Avro decimal`, `"t": a time with the layout`,
		`"A": a [2]int has no Avro form`, `"Any": a interface {} has no Avro form`,
		`"Deep": a map[string]codecs.part has no Avro form`, "contains itself", `has no fields to write`} {
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, 8, strings.Count(err.Error(), "codecs: avro"), err)
	_, err = Avro[bad]().Encode(nil, new(bad))
	require.Error(t, err)
	require.Error(t, Avro[bad]().Decode([]byte{0}, new(bad)))
}

func TestAvroRefuses(t *testing.T) {
	type row struct {
		S string      `ashi:"s,maxlen=3"`
		D apd.Decimal `ashi:"d,precision=3,scale=1"`
		U uint64
	}
	c := Avro[row]()
	for want, v := range map[string]row{
		"not UTF-8":            {S: "\xff"},
		"at most 3":            {S: "four"},
		"does not fit":         {D: decimal(t, "1.25")},
		"Avro has no Infinity": {D: apd.Decimal{Form: apd.Infinite}},
		"U":                    {U: math.MaxUint64},
	} {
		got, err := c.Encode([]byte("kept"), &v)
		require.ErrorContains(t, err, want)
		require.Equal(t, "kept", string(got))
	}
	require.ErrorIs(t, c.Decode(nil, new(row)), ErrNull)
	require.Error(t, c.Decode([]byte{}, new(row)))
}

// Decimals have the bytes of Java's BigInteger.toByteArray.
func TestAvroDecimals(t *testing.T) {
	for text, want := range map[string]string{"0": "00", "1": "01", "-1": "ff", "127": "7f", "128": "0080",
		"-128": "80", "-129": "ff7f", "255": "00ff", "256": "0100", "-256": "ff00", "32768": "008000", "-32768": "8000",
		"99999999999999999999999999999999999999": "4b3b4ca85a86c47a098a223fffffffff"} {
		d := decimal(t, text)
		got, err := decimalBytes(d, 38, 0)
		require.NoError(t, err)
		require.Equal(t, want, hex.EncodeToString(got), text)
		back := decimalOf(got, 0)
		require.Zero(t, back.Cmp(&d), text)
	}
}

func FuzzAvroDecode(f *testing.F) {
	c := Avro[trade]()
	row := someTrade(f)
	data, err := c.Encode(nil, &row)
	require.NoError(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, again trade
		if c.Decode(data, &v) != nil {
			return
		}
		out, err := c.Encode(nil, &v)
		if err != nil {
			return // text that is not UTF-8
		}
		require.NoError(t, c.Decode(out, &again))
	})
}

func BenchmarkAvro(b *testing.B) {
	benchmarkAvro(b, "tick", tickRow)
	benchmarkAvro(b, "bar", barRow)
	benchmarkAvro(b, "trade", someTrade(b))
}

func benchmarkAvro[T any](b *testing.B, name string, row T) {
	c := Avro[T]()
	data, err := c.Encode(nil, &row)
	require.NoError(b, err)
	b.Run("decode "+name, func(b *testing.B) {
		var v T
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Decode(data, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode "+name, func(b *testing.B) {
		dst := make([]byte, 0, 256)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Encode(dst, &row); err != nil {
				b.Fatal(err)
			}
		}
	})
}
