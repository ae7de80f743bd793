package codecs

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/topology"
)

// wire builds Avro's binary encoding by hand, so that tests do not depend on what a library makes
// of a schema.
type wire []byte

func (w wire) long(n int64) wire     { return binary.AppendVarint(w, n) }
func (w wire) text(s string) wire    { return append(w.long(int64(len(s))), s...) }
func (w wire) raw(b ...byte) wire    { return append(w, b...) }
func (w wire) hex(text string) wire  { b, _ := hex.DecodeString(text); return append(w, b...) }
func (w wire) bytes(b ...byte) wire  { return append(w.long(int64(len(b))), b...) }
func (w wire) double(f float64) wire { return binary.LittleEndian.AppendUint64(w, math.Float64bits(f)) }
func (w wire) float(f float32) wire  { return binary.LittleEndian.AppendUint32(w, math.Float32bits(f)) }

// written reads a row that was written with another schema.
func written[T any](t testing.TB, schema string, data wire) (row T, err error) {
	t.Helper()
	decode, err := Avro[T]().Reader(topology.Schema{Format: topology.AvroSchema, Text: schema})
	if err == nil {
		err = decode(data, &row)
	}
	return row, err
}

// fieldOf is a record of one field.
func fieldOf(name, typ string) string {
	return fmt.Sprintf(`{"type":"record","name":"Rec","namespace":"shop","fields":[{"name":%q,"type":%s}]}`, name, typ)
}

type priced struct {
	D apd.Decimal `ashi:"d,precision=10,scale=2"`
}

type pricedOrNot struct {
	D *apd.Decimal `ashi:"d,precision=10,scale=2"`
}

// A decimal column is read from what says that it is a number, and from nothing else.
func TestAvroDecimalColumns(t *testing.T) {
	big := func(scale int64, digits ...byte) wire {
		return wire(nil).bytes(wire(nil).bytes(digits...).long(scale)...)
	}
	const variable = `{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}]}`
	for _, c := range []struct {
		typ  string
		data wire
		want string // of errors a part
	}{
		{`"string"`, wire(nil).text("1.50"), "1.50"},
		{`"string"`, wire(nil).text("5"), "5.00"},
		{`"string"`, wire(nil).text("-12345678.9"), "-12345678.90"},
		{`"string"`, wire(nil).text("1.5E+3"), "1500.00"},
		{`"string"`, wire(nil).text("1.505"), "does not fit"},
		{`"string"`, wire(nil).text("123456789"), "does not fit"},
		{`"string"`, wire(nil).text(""), "is not a decimal"},
		{`"string"`, wire(nil).text("a"), "is not a decimal"},
		{`"string"`, wire(nil).text("NaN"), "is not a number"},
		{`"string"`, wire(nil).text("1e99999"), "exponent"},
		{`"string"`, wire(nil).text(strings.Repeat("1", 5000)), "5000 characters"},
		{`{"type":"string","logicalType":"uuid"}`, wire(nil).text("1"), "cannot be read"},
		{`"bytes"`, wire(nil).bytes('1'), "cannot be read"},
		{`{"type":"bytes","logicalType":"decimal","precision":4}`, wire(nil).bytes(0x7b), "123.00"},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}`, wire(nil).bytes(0xff, 0x85), "-12.30"},
		{`{"type":"bytes","logicalType":"decimal","precision":2,"scale":4}`, wire(nil).bytes(1), "cannot be read"}, // no decimal, by the specification
		{`{"type":"bytes","logicalType":"decimal"}`, wire(nil).bytes(1), "cannot be read"},
		{`{"type":"bytes","scale":3,"connect.name":"org.apache.kafka.connect.data.Decimal"}`, wire(nil).bytes(0x04, 0xce), "1.23"},
		{`{"type":"bytes","connect.parameters":{"scale":"1"},"connect.name":"org.apache.kafka.connect.data.Decimal"}`, wire(nil).bytes(0x7b), "12.30"},
		{`{"type":"fixed","name":"F","size":3,"logicalType":"decimal","precision":6,"scale":2}`, wire(nil).raw(0xff, 0xff, 0xfe), "-0.02"},
		{`{"type":"fixed","name":"F","size":3}`, wire(nil).raw(0, 0, 1), "cannot be read"},
		{`{"type":"bytes","logicalType":"big-decimal"}`, big(1, 0x7b), "12.30"},
		{`{"type":"bytes","logicalType":"big-decimal"}`, big(-2, 0x7b), "12300.00"},
		{`{"type":"bytes","logicalType":"big-decimal"}`, big(3, 0x7b), "does not fit"},
		{`{"type":"bytes","logicalType":"big-decimal"}`, big(math.MaxInt32, 0x7b), "scale"},
		{`{"type":"bytes","logicalType":"big-decimal"}`, wire(nil).bytes('5'), "too early"},
		{variable, wire(nil).long(1).bytes(0x7b), "12.30"},
		{`{"type":"record","name":"other","fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}]}`, wire(nil).long(1).bytes(0x7b), "cannot be read"},
		{`"int"`, wire(nil).long(-7), "-7.00"},
		{`"long"`, wire(nil).long(12345678), "12345678.00"},
		{`{"type":"long","logicalType":"timestamp-millis"}`, wire(nil).long(1), "cannot be read"},
		{`"double"`, wire(nil).double(1.1), "1.10"},
		{`"double"`, wire(nil).double(1e7), "10000000.00"},
		{`"double"`, wire(nil).double(0.125), "does not fit"},
		{`"double"`, wire(nil).double(math.Inf(1)), "is not a number"},
		{`"float"`, wire(nil).float(0.1), "0.10"},
		{`"boolean"`, wire(nil).raw(1), "cannot be read"},
		{`{"type":"enum","name":"E","symbols":["A"]}`, wire(nil).long(0), "cannot be read"},
	} {
		row, err := written[priced](t, fieldOf("d", c.typ), c.data)
		orNull, nullErr := written[pricedOrNot](t, fieldOf("d", `["null",`+c.typ+`]`),
			append(wire(nil).long(1), c.data...))
		null, noneErr := written[pricedOrNot](t, fieldOf("d", `["null",`+c.typ+`]`), wire(nil).long(0))
		require.NoError(t, noneErr, c.typ)
		require.Nil(t, null.D)
		if err != nil {
			require.ErrorContains(t, err, c.want, "%s", c.typ)
			require.ErrorContains(t, nullErr, c.want, "%s", c.typ)
			continue
		}
		require.Equal(t, c.want, row.D.Text('f'), "%s %x", c.typ, c.data)
		require.NoError(t, nullErr)
		require.Equal(t, c.want, orNull.D.Text('f'))
	}
}

type noted struct {
	S    string            `ashi:"s"`
	P    *string           `ashi:"p"`
	List []string          `ashi:"list"`
	Map  map[string]side   `ashi:"map"`
	In   struct{ S *side } `ashi:"in"`
}

// A text column is a text: never the bytes of something else.
func TestAvroTextColumns(t *testing.T) {
	const decimal = `{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`
	for _, c := range []struct {
		typ  string
		data wire
		want string
		bad  string
	}{
		{`"string"`, wire(nil).text("a"), "a", ""},
		{`"string"`, wire(nil).text("a\xff"), "", "not UTF-8"},
		{`"bytes"`, wire(nil).text("ä"), "ä", ""},
		{`"bytes"`, wire(nil).bytes(0x30, 0xff), "", "not UTF-8"},
		{decimal, wire(nil).bytes(0x30, 0x39), "123.45", ""},
		{decimal, wire(nil).bytes(0xff), "-0.01", ""},
		{`{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":4,"scale":4}`, wire(nil).raw(0x30, 0x39), "1.2345", ""},
		{`{"type":"fixed","name":"F","size":2}`, wire(nil).text("a"), "", "cannot be read"},
		{`{"type":"bytes","logicalType":"big-decimal"}`, wire(nil).bytes(wire(nil).bytes(0x7b).long(2)...), "1.23", ""},
		{`{"type":"string","logicalType":"uuid"}`, wire(nil).text("01020304-0506-0708-090a-0b0c0d0e0f10"),
			"01020304-0506-0708-090a-0b0c0d0e0f10", ""},
		{`{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`,
			wire(nil).hex("0102030405060708090a0b0c0d0e0f10"),
			"01020304-0506-0708-090a-0b0c0d0e0f10", ""},
		{`{"type":"enum","name":"E","symbols":["BUY","SELL"]}`, wire(nil).long(1), "SELL", ""},
		{`{"type":"enum","name":"E","symbols":["BUY","SELL"],"default":"NONE"}`, wire(nil).long(0), "BUY", ""},
		{`{"type":"enum","name":"E","symbols":["BUY","SELL"],"default":7}`, wire(nil).long(0), "BUY", ""},
		{`{"type":"enum","name":"E","symbols":["BUY","SELL"],"default":"NONE"}`, wire(nil).long(2), "", "choice 2 of 2"},
		{`"int"`, wire(nil).long(1), "", "cannot be read"},
		{`{"type":"int","logicalType":"date"}`, wire(nil).long(1), "", "cannot be read"},
		{`"double"`, wire(nil).double(1), "", "cannot be read"},
		{`"boolean"`, wire(nil).raw(1), "", "cannot be read"},
		{`{"type":"array","items":"string"}`, wire(nil).long(0), "", "cannot be read"},
	} {
		check := func(field string, schema string, data wire, got func(noted) string) {
			row, err := written[noted](t, fieldOf(field, schema), data)
			if c.bad != "" {
				require.ErrorContains(t, err, c.bad, "%s of %s", schema, field)
				return
			}
			require.NoError(t, err, "%s of %s", schema, field)
			require.Equal(t, c.want, got(row), "%s of %s", schema, field)
		}
		check("s", c.typ, c.data, func(n noted) string { return n.S })
		check("p", c.typ, c.data, func(n noted) string { return *n.P })
		check("p", `[`+c.typ+`,"null"]`, append(wire(nil).long(0), c.data...), func(n noted) string { return *n.P })
		check("list", `{"type":"array","items":`+c.typ+`}`, append(wire(nil).long(1), c.data...).long(0),
			func(n noted) string { return n.List[0] })
		check("map", `{"type":"map","values":`+c.typ+`}`, append(wire(nil).long(1).text("k"), c.data...).long(0),
			func(n noted) string { return string(n.Map["k"]) })
		check("in", `{"type":"record","name":"In","fields":[{"name":"S","type":`+c.typ+`}]}`, c.data,
			func(n noted) string { return string(*n.In.S) })
	}
	_, err := written[noted](t, fieldOf("map", `{"type":"map","values":"string"}`),
		wire(nil).long(1).text("\xff").text("v").long(0))
	require.ErrorContains(t, err, "not UTF-8")
}

// What cannot be read again is not written either, however deep the text is.
func TestAvroTextsWithinAreUTF8(t *testing.T) {
	c := Avro[noted]()
	odd, fine := side("\xff"), side("a")
	for _, row := range []noted{{List: []string{"a", "\xff"}}, {Map: map[string]side{"\xff": "a"}},
		{Map: map[string]side{"a": "\xff"}}, {In: struct{ S *side }{&odd}}} {
		_, err := c.Encode(nil, &row)
		require.ErrorContains(t, err, "not UTF-8", "%v", row)
	}
	row := noted{List: []string{"a"}, Map: map[string]side{"a": "b"}, In: struct{ S *side }{&fine}}
	data, err := c.Encode(nil, &row)
	require.NoError(t, err)
	var back noted
	require.NoError(t, c.Decode(data, &back))
	require.Equal(t, row, back)
}

type customer struct {
	ID    int32  `json:"id"`
	Email string `json:"email"`
}

type envelope struct {
	Before *customer `ashi:"before"`
	After  *customer `ashi:"after"`
	Op     string    `ashi:"op"`
	At     time.Time `ashi:"ts_ms,timestamp,format=ms"`
	Source struct {
		Table string `json:"table"`
	} `ashi:"source"`
	Transaction *struct {
		ID    string `json:"id"`
		Order int64  `json:"total_order"`
	} `ashi:"transaction"`
}

const debezium = `{"type":"record","name":"Envelope","namespace":"pg.public.customers","fields":[
	{"name":"before","type":["null",{"type":"record","name":"Value","fields":[
		{"name":"id","type":{"type":"int","connect.default":0},"default":0},
		{"name":"email","type":["null","string"],"default":null},
		{"name":"total","type":["null",{"type":"bytes","scale":2,"precision":10,"connect.version":1,"connect.parameters":{"scale":"2","connect.decimal.precision":"10"},
			"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}],"default":null},
		{"name":"weight","type":["null",{"type":"record","name":"VariableScaleDecimal","namespace":"io.debezium.data","fields":[{"name":"scale","type":"int"},{"name":"value","type":"bytes"}],
			"connect.doc":"Variable scaled decimal","connect.version":1,"connect.name":"io.debezium.data.VariableScaleDecimal"}],"default":null},
		{"name":"seen","type":{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}}],
		"connect.name":"pg.public.customers.Value"}],"default":null},
	{"name":"after","type":["null","Value"],"default":null},
	{"name":"source","type":{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":[
		{"name":"version","type":"string"},
		{"name":"snapshot","type":[{"type":"string","connect.version":1,"connect.parameters":{"allowed":"true,last,false"},"connect.default":"false","connect.name":"io.debezium.data.Enum"},"null"],"default":"false"},
		{"name":"table","type":"string"}],"connect.name":"io.debezium.connector.postgresql.Source"}},
	{"name":"transaction","type":["null",{"type":"record","name":"block","namespace":"event","fields":[{"name":"id","type":"string"},{"name":"total_order","type":"long"},
		{"name":"data_collection_order","type":"long"}],"connect.version":1,"connect.name":"event.block"}],"default":null},
	{"name":"op","type":"string"},
	{"name":"ts_ms","type":["null","long"],"default":null}],"connect.version":2,"connect.name":"pg.public.customers.Envelope"}`

// Debezium's envelope says the type of a row once, and then its name.
func TestAvroDebeziumEnvelope(t *testing.T) {
	value := func(id int64, email string) wire {
		return wire(nil).long(id).long(1).text(email).long(1).bytes(0x7b).long(0).long(1764547200000000)
	}
	tail := wire(nil).text("3.3").long(0).text("last").text("customers").long(1).text("571").long(1).
		long(2).text("u").long(1).long(1764547200123)
	data := append(append(append(wire(nil).long(1), value(1, "old")...).long(1), value(1, "a@b")...), tail...)
	row, err := written[envelope](t, debezium, data)
	require.NoError(t, err)
	require.Equal(t, []any{customer{1, "old"}, customer{1, "a@b"}, "u", "customers", "571", int64(1)},
		[]any{*row.Before, *row.After, row.Op, row.Source.Table, row.Transaction.ID, row.Transaction.Order})
	require.Equal(t, time.UnixMilli(1764547200123).UTC(), row.At)

	// Only the second use is read, and its decimals as what the columns are.
	type state struct {
		Total  apd.Decimal `ashi:"total,precision=10,scale=2"`
		Weight *string     `json:"weight"`
		Seen   time.Time   `json:"seen"`
	}
	type only struct {
		After state `ashi:"after"`
	}
	after, err := written[only](t, debezium, data)
	require.NoError(t, err)
	require.Equal(t, "1.23", after.After.Total.Text('f'))
	require.Nil(t, after.After.Weight)
	require.Equal(t, time.UnixMilli(1764547200000).UTC(), after.After.Seen)
	none, err := written[only](t, debezium, append(wire(nil).long(0).long(0), tail...))
	require.NoError(t, err)
	require.Equal(t, only{}, none)

	// A row of decimals within is written and read too.
	c := Avro[only]()
	require.NoError(t, c.Err())
	encoded, err := c.Encode(nil, &after)
	require.NoError(t, err)
	var back only
	require.NoError(t, c.Decode(encoded, &back))
	require.Equal(t, "1.23", back.After.Total.Text('f'))
}
