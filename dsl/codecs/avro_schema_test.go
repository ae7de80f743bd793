package codecs

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
)

// Named types are found by their names in lists, maps, unions and fields, through namespaces, in
// other records, and in themselves.
func TestAvroNames(t *testing.T) {
	type row struct {
		A    string           `ashi:"a"`
		B    *string          `ashi:"b"`
		List []string         `ashi:"list"`
		Map  map[string]side  `ashi:"map"`
		F    []byte           `ashi:"f"`
		G    []byte           `ashi:"g"`
		Legs []*customer      `ashi:"legs"`
		In   struct{ C side } `ashi:"in"`
	}
	schema := `{"type":"record","name":"R","namespace":"x.y","fields":[
		{"name":"a","type":{"type":"enum","name":"Side","aliases":["Direction"],"symbols":["BUY","SELL"],"default":"HOLD"}},
		{"name":"b","type":["null","Side"]},
		{"name":"list","type":{"type":"array","items":"x.y.Side"}},
		{"name":"map","type":{"type":"map","values":{"type":"Side"}}},
		{"name":"f","type":{"type":"fixed","name":"z.Hash","size":2}},
		{"name":"g","type":"z.Hash"},
		{"name":"tree","type":["null",{"type":"record","name":"Tree","fields":[{"name":"side","type":"Side"},{"name":"next","type":["null","Tree"]}]}]},
		{"name":"legs","type":{"type":"array","items":["null",{"type":"record","name":"Leg","namespace":"","fields":[{"name":"id","type":"int"},{"name":"more","type":["null","Leg"]},{"name":"email","type":"string"}]}]}},
		{"name":"in","type":{"type":"record","name":"q.In","fields":[{"name":"C","type":"x.y.Side"},{"name":"D","type":["Leg","null"]}]}}]}`
	leg := func(id int64, more wire, email string) wire { return append(wire(nil).long(id), more...).text(email) }
	data := wire(nil).long(1).long(1).long(0).long(2).long(0).long(1).long(0).long(1).text("k").long(1).long(0).
		raw(1, 2).raw(3, 4).long(1).long(0).long(1).long(1).long(0).long(2).long(0).long(1)
	data = append(data, leg(7, append(wire(nil).long(1), leg(8, wire(nil).long(0), "in")...), "out")...).long(0).long(1)
	data = append(data.long(0), leg(9, wire(nil).long(0), "skipped")...)
	buy := "BUY"
	got, err := written[row](t, schema, data)
	require.NoError(t, err)
	want := row{A: "SELL", B: &buy, List: []string{"BUY", "SELL"}, Map: map[string]side{"k": "SELL"}, F: []byte{1, 2},
		G: []byte{3, 4}, Legs: []*customer{nil, {7, "out"}}}
	want.In.C = "SELL"
	require.Equal(t, want, got)

	for bad, text := range map[string]string{
		`there is no type "Nobody"`: fieldOf("a", `"Nobody"`),
		"defined twice": fieldOf("a",
			`[{"type":"enum","name":"E","symbols":["A"]},{"type":"enum","name":"E","symbols":["B"]}]`),
		"without a name":         `{"type":"record","fields":[]}`,
		"no list of fields":      `{"type":"record","name":"r"}`,
		"a field without a name": `{"type":"record","name":"r","fields":[{"type":"int"}]}`,
		"a fixed of size":        fieldOf("a", `{"type":"fixed","name":"F","size":-1}`),
		"is no type":             fieldOf("a", `7`),
		"nested more than 1000": fieldOf("a", strings.Repeat(`{"type":"array","items":`, 2000)+`"int"`+
			strings.Repeat(`}`, 2000)),
		"exceeded max depth":          fieldOf("a", strings.Repeat(`[`, 20000)+strings.Repeat(`]`, 20000)),
		"a symbol that is no text":    fieldOf("a", `{"type":"enum","name":"E","symbols":[1]}`),
		"the writer's schema: unexpe": `{"type":"record"`,
	} {
		_, err := written[row](t, text, nil)
		require.ErrorContains(t, err, bad)
	}
}

// A union is read by the branch that was written. Null is the default, zero or nil.
func TestAvroUnions(t *testing.T) {
	type row struct {
		N   int64       `ashi:"n"`
		P   *float64    `ashi:"p"`
		S   string      `ashi:"s,default=spot"`
		I   int32       `ashi:"i,default=7"`
		B   bool        `ashi:"b,default=true"`
		F   float32     `ashi:"f,default=1.5"`
		D   apd.Decimal `ashi:"d,precision=4,scale=1,default=2.5"`
		At  time.Time   `ashi:"at,format=ms,default=5"`
		Leg customer    `ashi:"leg"`
	}
	at := time.UnixMilli(5).UTC()
	initial := row{S: "spot", I: 7, B: true, F: 1.5, D: decimal(t, "2.5"), At: at}
	nulls := wire(nil)
	const null = `["null"]`
	fields := fmt.Sprintf(`{"name":"n","type":"null"},{"name":"p","type":%[1]s},{"name":"s","type":["null","string"]},{"name":"i","type":"null"},{"name":"b","type":["boolean","null"]},
		{"name":"f","type":["null","float","double"]},{"name":"d","type":["null","string"]},{"name":"at","type":["null","long"]},{"name":"leg","type":%[1]s}`, null)
	nulls = nulls.long(0).long(0).long(1).long(0).long(0).long(0).long(0)
	got, err := written[row](t, `{"type":"record","name":"r","fields":[`+fields+`]}`, nulls)
	require.NoError(t, err)
	require.Equal(t, initial, got)
	got, err = written[row](t, `{"type":"record","name":"r","fields":[]}`, wire{})
	require.NoError(t, err)
	require.Equal(t, initial, got)

	const three = `["null","int","long","string",{"type":"array","items":"int"}]`
	for _, c := range []struct {
		column, typ string
		data        wire
		want        func(*row)
		bad         string
	}{
		{"n", three, wire(nil).long(0), func(*row) {}, ""},
		{"n", three, wire(nil).long(1).long(3), func(r *row) { r.N = 3 }, ""},
		{"n", three, wire(nil).long(2).long(5000000000), func(r *row) { r.N = 5000000000 }, ""},
		{"n", three, wire(nil).long(3).text("3"), nil, "cannot be read as int64"},
		{"n", three, wire(nil).long(4).long(0), nil, "cannot be read as int64"},
		{"n", three, wire(nil).long(5), nil, "choice 5 of 5"},
		{"n", three, wire(nil).long(-1), nil, "choice -1 of 5"},
		{"p", `["double","null","float","int"]`, wire(nil).long(1), func(*row) {}, ""},
		{"p", `["double","null","float","int"]`, wire(nil).long(2).float(0.5), func(r *row) { r.P = ptr(0.5) }, ""},
		{"p", `["double","null","float","int"]`, wire(nil).long(3).long(-2), func(r *row) { r.P = ptr(-2.0) }, ""},
		{"s", `["bytes",{"type":"enum","name":"E","symbols":["A"]},"null"]`, wire(nil).long(1).long(0),
			func(r *row) { r.S = "A" }, ""},
		{"s", `["bytes","string"]`, wire(nil).long(1).text("x"), func(r *row) { r.S = "x" }, ""},
		{"i", `["null","int","long"]`, wire(nil).long(2).long(1), nil, "long cannot be read as int32"},
		{"i", `["null","int","long"]`, wire(nil).long(1).long(1), func(r *row) { r.I = 1 }, ""},
		{"i", `"int"`, wire(nil).long(1 << 33), nil, "too large"},
		{"i", `"long"`, wire(nil).long(1), nil, "long cannot be read as int32"},
		{"f", `"double"`, wire(nil).double(1), nil, "double cannot be read as float32"},
		{"b", `"boolean"`, wire(nil).raw(2), nil, "0x2 is no boolean"},
		{"d", `[{"type":"fixed","name":"M","size":2,"logicalType":"decimal","precision":4,"scale":1},"string"]`,
			wire(nil).long(0).raw(0, 33), func(r *row) { r.D = decimal(t, "3.3") }, ""},
	} {
		got, err := written[row](t, fieldOf(c.column, c.typ), c.data)
		if c.bad != "" {
			require.ErrorContains(t, err, c.bad, "%s %s", c.column, c.typ)
			continue
		}
		require.NoError(t, err, "%s %s", c.column, c.typ)
		want := initial
		c.want(&want)
		require.Equal(t, want, got, "%s %s", c.column, c.typ)
	}
}

func ptr[T any](v T) *T { return &v }

// Of several records the one is read that is called as the Go type is; else those that have every
// column.
func TestAvroUnionsOfRecords(t *testing.T) {
	type Leg struct {
		ID int32
		W  *int32
	}
	type row struct {
		Leg *Leg `ashi:"leg"`
	}
	record := func(name, field string) string {
		return fmt.Sprintf(`{"type":"record","name":%q,"fields":[{"name":%q,"type":"int"}]}`, name, field)
	}
	read := func(branch int64, types ...string) (row, error) {
		return written[row](t, fieldOf("leg", "["+strings.Join(types, ",")+"]"), wire(nil).long(branch).long(9))
	}
	got, err := read(2, `"null"`, record("a.Other", "ID"), record("b.leg", "ID"))
	require.NoError(t, err)
	require.Equal(t, row{&Leg{ID: 9}}, got)
	_, err = read(1, `"null"`, record("a.Other", "ID"), record("b.leg", "ID"))
	require.ErrorContains(t, err, "a record a.Other was written, not a record b.leg")
	got, err = read(0, record("A", "id"), record("B", "no"))
	require.NoError(t, err)
	require.Equal(t, row{&Leg{ID: 9}}, got)
	_, err = read(1, record("A", "id"), record("B", "no"))
	require.ErrorContains(t, err, `record shop.B has no field for column "ID"`)
	got, err = read(1, `"null"`, record("B", "no"))
	require.NoError(t, err, "a record alone may have any name and any columns")
	require.Equal(t, row{&Leg{}}, got)

	two := "[" + record("Leg", "ID") + "," + record("Trip", "ID") + `,"null"]`
	top, err := written[Leg](t, two, wire(nil).long(0).long(5))
	require.NoError(t, err)
	require.Equal(t, int32(5), top.ID)
	_, err = written[Leg](t, two, wire(nil).long(1).long(5))
	require.ErrorContains(t, err, "a record Trip was written")
	_, err = written[Leg](t, two, wire(nil).long(2))
	require.ErrorIs(t, err, ErrNull)
}

// A value may be null as a whole.
func TestAvroNullRoot(t *testing.T) {
	record := fieldOf("id", `"string"`)
	type row struct {
		ID string `ashi:"id"`
	}
	for _, c := range []struct {
		schema      string
		null, value int64
	}{{`["null",` + record + `]`, 0, 1}, {`[` + record + `,"null"]`, 1, 0}, {`{"type":["null",` + record + `]}`, 0, 1},
		{`["null","int",` + record + `]`, 0, 2}} {
		got, err := written[row](t, c.schema, wire(nil).long(c.value).text("a"))
		require.NoError(t, err, c.schema)
		require.Equal(t, row{"a"}, got)
		_, err = written[row](t, c.schema, wire(nil).long(c.null))
		require.ErrorIs(t, err, ErrNull, c.schema)
	}
	for _, schema := range []string{`"null"`, `{"type":"null"}`} {
		_, err := written[row](t, schema, wire{})
		require.ErrorIs(t, err, ErrNull)
	}
	_, err := written[row](t, `["null"]`, wire(nil).long(0))
	require.ErrorIs(t, err, ErrNull)
	_, err = written[row](t, `["null","int",`+record+`]`, wire(nil).long(1).long(7))
	require.ErrorContains(t, err, "of a int, not of a record")
}

type timed struct {
	ID   string        `ashi:"id"`
	T    int64         `ashi:"t,timestamp"`
	N    int64         `ashi:"n"`
	At   time.Time     `ashi:"at,format=us"`
	Ago  time.Duration `ashi:"ago"`
	Next *time.Time    `ashi:"next"`
}

type timedOrNot struct {
	T *int64 `ashi:"t,timestamp"`
}

// Times are read by the unit in which they were written.
func TestAvroTimes(t *testing.T) {
	const ms = 1764547200123
	at := time.UnixMilli(ms).UTC()
	day := time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		typ  string
		n    int64
		at   time.Time
		want string
	}{
		{`{"type":"long","logicalType":"timestamp-millis"}`, ms, at, ""},
		{`{"type":"long","logicalType":"timestamp-micros"}`, ms * 1000, at, ""},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, ms * 1000000, at, ""},
		{`{"type":"long","logicalType":"local-timestamp-millis"}`, ms, at, ""},
		{`{"type":"long","logicalType":"local-timestamp-micros"}`, ms * 1000, at, ""},
		{`{"type":"long","logicalType":"local-timestamp-nanos"}`, ms * 1000000, at, ""},
		{`{"type":"long","connect.name":"io.debezium.time.Timestamp"}`, ms, at, ""},
		{`{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}`, ms * 1000, at, ""},
		{`{"type":"long","connect.name":"io.debezium.time.NanoTimestamp"}`, ms * 1000000, at, ""},
		{`{"type":"long","connect.name":"org.apache.kafka.connect.data.Timestamp"}`, ms, at, ""},
		{`{"type":"int","logicalType":"date"}`, 20423, day, ""},
		{`{"type":"int","connect.name":"io.debezium.time.Date"}`, 20423, day, ""},
		{`{"type":"long","logicalType":"timestamp-micros"}`, -1, time.UnixMicro(-1).UTC(), ""},
		{`{"type":"long","logicalType":"time-micros"}`, 5, time.Time{}, "no event time"},
		{`{"type":"int","logicalType":"time-millis"}`, 5, time.Time{}, "no event time"},
		{`{"type":"long","connect.name":"io.debezium.time.NanoTime"}`, 5, time.Time{}, "no event time"},
	} {
		row, err := written[timed](t, fieldOf("t", c.typ), wire(nil).long(c.n))
		orNull, nullErr := written[timedOrNot](t, fieldOf("t", `["null","string",`+c.typ+`]`),
			wire(nil).long(2).long(c.n))
		if c.want != "" {
			require.ErrorContains(t, err, c.want, c.typ)
			require.ErrorContains(t, nullErr, c.want, c.typ)
			_, err = written[timed](t, fieldOf("at", c.typ), wire(nil).long(c.n))
			require.ErrorContains(t, err, "cannot be read as time.Time", c.typ)
			continue
		}
		require.NoError(t, err, c.typ)
		require.Equal(t, c.at.UnixMilli(), row.T, c.typ)
		require.NoError(t, nullErr)
		require.Equal(t, c.at.UnixMilli(), *orNull.T, c.typ)
		row, err = written[timed](t, fieldOf("at", c.typ), wire(nil).long(c.n))
		require.NoError(t, err)
		require.Equal(t, c.at, row.At, c.typ)
		row, err = written[timed](t, fieldOf("next", `["null",`+c.typ+`]`), wire(nil).long(1).long(c.n))
		require.NoError(t, err)
		require.Equal(t, c.at, *row.Next, c.typ)
		row, err = written[timed](t, fieldOf("n", c.typ), wire(nil).long(c.n))
		require.NoError(t, err)
		require.Equal(t, c.n, row.N, "a number that is no event time is as it was written")
		_, err = written[timed](t, fieldOf("ago", c.typ), wire(nil).long(c.n))
		require.ErrorContains(t, err, "cannot be read as time.Duration", c.typ)
	}

	// Numbers that do not say what they are: milliseconds for an event time, the unit of a column,
	// nanoseconds of a duration. A logical type on a type that it is not for says nothing.
	for _, typ := range []string{`"long"`, `"int"`, `{"type":"int","logicalType":"timestamp-micros"}`,
		`{"type":"long","logicalType":"date"}`, `{"type":"long","logicalType":"unheard-of"}`} {
		row, err := written[timed](t, fieldOf("t", typ), wire(nil).long(1234567))
		require.NoError(t, err)
		require.EqualValues(t, 1234567, row.T)
		row, err = written[timed](t, fieldOf("at", typ), wire(nil).long(1234567))
		require.NoError(t, err)
		require.Equal(t, time.UnixMicro(1234567).UTC(), row.At)
		row, err = written[timed](t, fieldOf("ago", typ), wire(nil).long(1234567))
		require.NoError(t, err)
		require.EqualValues(t, 1234567, row.Ago)
	}
	// Some write the logical type beside the type.
	row,
		err := written[timed](t,
		`{"type":"record","name":"r","fields":[{"name":"t","type":"long","logicalType":"timestamp-micros"}]}`,
		wire(nil).long(ms*1000))
	require.NoError(t, err)
	require.EqualValues(t, ms, row.T)

	zoned, err := written[timed](t, fieldOf("at", `{"type":"string","connect.name":"io.debezium.time.ZonedTimestamp"}`),
		wire(nil).text("2025-12-01T01:00:00.123+01:00"))
	require.NoError(t, err)
	require.Equal(t, at, zoned.At)
	_, err = written[timed](t, fieldOf("at", `"string"`), wire(nil).text("2025-12-01T01:00:00.123+01:00"))
	require.ErrorContains(t, err, "cannot be read as time.Time")
}

func TestAvroDurations(t *testing.T) {
	for _, c := range []struct {
		typ  string
		data wire
		want time.Duration
		bad  string
	}{
		{`{"type":"int","logicalType":"time-millis"}`, wire(nil).long(1500), 1500 * time.Millisecond, ""},
		{`{"type":"long","logicalType":"time-micros"}`, wire(nil).long(-7), -7 * time.Microsecond, ""},
		{`{"type":"long","connect.name":"io.debezium.time.MicroDuration"}`, wire(nil).long(7), 7 * time.Microsecond,
			""},
		{`{"type":"long","connect.name":"io.debezium.time.NanoTime"}`, wire(nil).long(7), 7, ""},
		{`{"type":"long","logicalType":"time-micros"}`, wire(nil).long(math.MaxInt64 / 10), 0, "do not fit"},
		{`{"type":"fixed","name":"D","size":12,"logicalType":"duration"}`, wire(nil).hex("000000000200000005000000"),
			48*time.Hour + 5*time.Millisecond, ""},
		{`{"type":"fixed","name":"D","size":12,"logicalType":"duration"}`, wire(nil).hex("010000000200000005000000"), 0,
			"months"},
		{`{"type":"fixed","name":"D","size":12,"logicalType":"duration"}`, wire(nil).hex("00000000ffffffff00000000"), 0,
			"does not fit"},
		{`{"type":"fixed","name":"D","size":12}`, wire(nil).hex("000000000200000005000000"), 0, "cannot be read"},
	} {
		row, err := written[timed](t, fieldOf("ago", c.typ), c.data)
		if c.bad != "" {
			require.ErrorContains(t, err, c.bad, c.typ)
			continue
		}
		require.NoError(t, err, c.typ)
		require.Equal(t, c.want, row.Ago)
	}
}

// Values that the Go type cannot hold are errors.
func TestAvroNumbersThatDoNotFit(t *testing.T) {
	type row struct {
		I8  int8   `ashi:"i8"`
		U8  *uint8 `ashi:"u8"`
		U32 uint32 `ashi:"u32"`
		U64 uint64 `ashi:"u64"`
		L   []int16
	}
	for _, c := range []struct {
		column, typ string
		data        wire
		ok          bool
	}{
		{"i8", `"int"`, wire(nil).long(-128), true}, {"i8", `"int"`, wire(nil).long(128), false},
		{"u8", `["null","int"]`, wire(nil).long(1).long(255), true},
		{"u8", `["null","int"]`, wire(nil).long(1).long(-1), false}, {"u32", `"long"`, wire(nil).long(math.MaxUint32),
			true}, {"u32", `"long"`, wire(nil).long(math.MaxUint32 + 1), false},
		{"u64", `"long"`, wire(nil).long(math.MaxInt64), true}, {"u64", `"long"`, wire(nil).long(-1), false},
		{"L", `{"type":"array","items":"int"}`, wire(nil).long(1).long(40000).long(0), false},
	} {
		_, err := written[row](t, fieldOf(c.column, c.typ), c.data)
		if c.ok {
			require.NoError(t, err, "%s %x", c.column, c.data)
		} else {
			require.ErrorContains(t, err, "does not fit", "%s %x", c.column, c.data)
		}
	}
}
