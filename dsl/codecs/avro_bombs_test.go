package codecs

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/topology"
)

// Nothing in a record or a schema makes reading take time or memory without bound.
func TestAvroBombs(t *testing.T) {
	type row struct {
		List []*int64         `ashi:"list"`
		Map  map[string]int64 `ashi:"map"`
		S    string           `ashi:"s"`
		B    []byte           `ashi:"b"`
	}
	const tree = `{"type":"record","name":"Tree","fields":[{"name":"next","type":["null","Tree"]}]}`
	doubling := `{"type":"record","name":"T0","fields":[]}`
	for i := range 60 {
		doubling = fmt.Sprintf(
			`{"type":"record","name":"T%d","fields":[{"name":"a","type":%s},{"name":"b","type":"T%d"}]}`, i+1, doubling,
			i)
	}
	endless := wire(nil)
	for range 100000 {
		endless = endless.long(1)
	}
	for _, c := range []struct {
		field, typ string
		data       wire
		want       string
	}{
		{"list", `{"type":"array","items":"null"}`, wire(nil).long(1 << 62), "without bytes"},
		{"list", `{"type":"array","items":{"type":"array","items":"null"}}`, wire(nil).long(1 << 62).long(1 << 62),
			"cannot be read"},
		{"list", `{"type":"array","items":"long"}`, wire(nil).long(1 << 62), "too early"},
		{"list", `{"type":"array","items":"long"}`, wire(nil).long(math.MinInt64).long(1), "too large"},
		{"map", `{"type":"map","values":"long"}`, wire(nil).long(1 << 62), "too early"},
		{"gone", `{"type":"array","items":"null"}`, wire(nil).long(1 << 62), "without bytes"},
		{"gone", `{"type":"array","items":{"type":"record","name":"E","fields":[]}}`, wire(nil).long(-1 << 62).long(0),
			"without bytes"},
		{"gone", tree, endless, "nested more than"},
		{"gone", `{"type":"record","name":"Self","fields":[{"name":"self","type":"Self"}]}`, nil, "nested more than"},
		{"gone", doubling, nil, "without bytes"},
		{"s", `"string"`, wire(nil).long(1 << 62), "too early"},
		{"s", `"string"`, wire(nil).long(-1), "too early"},
		{"b", `{"type":"fixed","name":"F","size":4611686018427387904}`, nil, "too early"},
		{"s", `"string"`, wire(nil).raw(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "too large"},
	} {
		_, err := written[row](t, fieldOf(c.field, c.typ), append(c.data, 0)[:len(c.data)])
		require.ErrorContains(t, err, c.want, "%s %.80s", c.field, c.typ)
	}
	// The types of a doubled schema are resolved once each, although they are named without end.
	_, err := written[struct {
		A struct {
			A, B struct{ A, B struct{ A, B *customer } }
		} `ashi:"gone"`
	}](t, fieldOf("gone", doubling), wire{})
	require.ErrorContains(t, err, "without bytes")
}

// Schemas that a schema refers to define its types, through as many steps as it takes.
func TestAvroReferences(t *testing.T) {
	of := func(name, subject string, text string, refs ...topology.Reference) topology.Reference {
		return topology.Reference{Name: name, Subject: subject, Version: 1,
			Schema: topology.Schema{Format: topology.AvroSchema, Text: text, References: refs}}
	}
	side := of("x.Side", "side", `{"type":"enum","name":"Side","namespace":"x","symbols":["BUY","SELL"]}`)
	leg := of("x.Leg", "leg", `{"type":"record","name":"Leg","namespace":"x","fields":[{"name":"side","type":"Side"}]}`,
		side)
	type row struct {
		Legs []struct{ Side string } `ashi:"legs"`
		Side string                  `ashi:"side"`
	}
	schema := topology.Schema{Format: topology.AvroSchema, References: []topology.Reference{leg, side},
		Text: `{"type":"record","name":"Trade","namespace":"y","fields":[{"name":"legs","type":{"type":"array","items":"x.Leg"}},{"name":"side","type":"x.Side"}]}`}
	decode, err := Avro[row]().Reader(schema)
	require.NoError(t, err)
	var got row
	require.NoError(t, decode(wire(nil).long(1).long(1).long(0).long(0), &got))
	require.Equal(t, row{Legs: []struct{ Side string }{{"SELL"}}, Side: "BUY"}, got)
	schema.References[0].Schema.References = nil
	schema.References = schema.References[:1]
	_, err = Avro[row]().Reader(schema)
	require.ErrorContains(t, err,
		`the writer's schema refers to x.Leg, version 1 of subject leg: field "side": there is no type "Side"`)
}

// Keys without columns are read by the same rules.
func TestAvroKeyResolution(t *testing.T) {
	read := func(schema string, data wire) (k string, err error) {
		decode, err := AvroKey[string]().Reader(topology.Schema{Format: topology.AvroSchema, Text: schema})
		if err == nil {
			err = decode(data, &k)
		}
		return k, err
	}
	for _, c := range []struct {
		schema string
		data   wire
		want   string
	}{
		{`["null","int","string"]`, wire(nil).long(2).text("a"), "a"},
		{`["string","null"]`, wire(nil).long(0).text("a"), "a"},
		{`{"type":"enum","name":"E","symbols":["A"],"default":"B"}`, wire(nil).long(0), "A"},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, wire(nil).bytes(0x7b), "1.23"},
	} {
		got, err := read(c.schema, c.data)
		require.NoError(t, err, c.schema)
		require.Equal(t, c.want, got)
	}
	_, err := read(`["null","int","string"]`, wire(nil).long(0))
	require.ErrorIs(t, err, ErrNull)
	_, err = read(`["null","int","string"]`, wire(nil).long(1).long(7))
	require.ErrorContains(t, err, "int cannot be read as string")
	_, err = read(`"bytes"`, wire(nil).bytes(0xff))
	require.ErrorContains(t, err, "not UTF-8")
	_, err = read(`"long"`, wire(nil).long(1))
	require.ErrorContains(t, err, "long cannot be read as string")
}

// The event time may be another column than that of the tags.
func TestAvroEventTimeOfTheModel(t *testing.T) {
	c := Registered(&shelf{schemas: []topology.Schema{{Format: topology.AvroSchema,
		Text: fieldOf("n", `{"type":"long","logicalType":"timestamp-micros"}`)}}}, Avro[timed]())
	m, err := Avro[timed]().form.model.WithTimestamp("n")
	require.NoError(t, err)
	frame := []byte(wire(nil).raw(0, 0, 0, 0, 7).long(1764547200123000))
	var row timed
	require.NoError(t, WithModel[timed](c, m).Decode(frame, &row))
	require.EqualValues(t, 1764547200123, row.N)
	require.NoError(t, c.Decode(frame, &row))
	require.EqualValues(t, 1764547200123000, row.N)
	require.Same(t, c, WithModel[timed](c, c.inner.(*AvroCodec[timed]).form.model))
}

func FuzzAvroSchemas(f *testing.F) {
	for _, schema := range []string{tradeAvro, debezium,
		fieldOf("s", `["null",{"type":"bytes","logicalType":"big-decimal"}]`),
		`["null",{"type":"record","name":"A","fields":[{"name":"n","type":["null","A"]}]}]`} {
		f.Add(schema, []byte("\x02\x02\x00\x04ab\x06abc"))
	}
	// panics and rows that cannot be written are what is looked for
	f.Fuzz(func(t *testing.T, schema string, data []byte) {
		if row, err := written[noted](t, schema, data); err == nil {
			_, err = Avro[noted]().Encode(nil, &row)
			require.NoError(t, err)
		}
		_, _ = written[envelope](t, schema, data)
		_, _ = written[trade](t, schema, data)
		_, _ = written[timed](t, schema, data)
		_, _ = written[pricedOrNot](t, schema, data)
	})
}
