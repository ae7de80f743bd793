package codecs

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strconv"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// randomLeg is a record within rows.
type randomLeg struct {
	ID   int64
	Name *string
	Size float64
}

// randomColumn is a type of a column, with the options of its tag and what a null makes of it.
type randomColumn struct {
	typ     reflect.Type
	options string
	initial any
}

var randomColumns = []randomColumn{
	{reflect.TypeFor[bool](), "", nil}, {reflect.TypeFor[int8](), "", nil}, {reflect.TypeFor[int32](), ",default=-3",
		int32(-3)}, {reflect.TypeFor[int64](), ",default=7", int64(7)},
	{reflect.TypeFor[uint32](), "", nil}, {reflect.TypeFor[float32](), "", nil},
	{reflect.TypeFor[float64](), ",default=0.5", 0.5}, {reflect.TypeFor[string](), ",default=spot", "spot"},
	{reflect.TypeFor[side](), "", nil}, {reflect.TypeFor[[]byte](), "", nil}, {reflect.TypeFor[time.Time](),
		",format=ms", nil}, {reflect.TypeFor[time.Duration](), "", nil},
	{reflect.TypeFor[apd.Decimal](), ",precision=20,scale=4", nil}, {reflect.TypeFor[*apd.Decimal](),
		",precision=20,scale=4", nil},
	{reflect.TypeFor[*int64](), "", nil}, {reflect.TypeFor[*string](), "", nil}, {reflect.TypeFor[*time.Time](),
		",format=ms", nil}, {reflect.TypeFor[*bool](), "", nil},
	{reflect.TypeFor[[]string](), "", nil}, {reflect.TypeFor[[]*int64](), "", nil}, {reflect.TypeFor[[]float32](), "",
		nil}, {reflect.TypeFor[[]time.Time](), "", nil},
	{reflect.TypeFor[map[string]int64](), "", nil}, {reflect.TypeFor[map[string]string](), "", nil},
	{reflect.TypeFor[randomLeg](), "", nil}, {reflect.TypeFor[*randomLeg](), "", nil}, {reflect.TypeFor[[]randomLeg](),
		"", nil}, {reflect.TypeFor[[]*randomLeg](), "", nil},
}

// randomType is a writer's type, and values of it: as goavro has them, and what a row has of them;
// ok is false if reading is an error.
type randomType struct {
	schema any
	key    string // of goavro, in a union
	value  func() (native any, want any, ok bool)
}

// randomAvro draws writers' types for columns.
type randomAvro struct {
	*rand.Rand
	names int
	named []struct { // what can be referred to by its name
		reader reflect.Type
		writer randomType
	}
}

func (r *randomAvro) name() string {
	r.names++
	return "gen.N" + strconv.Itoa(r.names)
}

// of is a type that is read as t, more or less.
func (r *randomAvro) of(t reflect.Type, initial any, depth int) randomType {
	switch {
	case r.IntN(3) == 0 && depth < 10:
		return r.union(t, initial, depth)
	case t.Kind() == reflect.Pointer:
		return r.of(t.Elem(), nil, depth)
	}
	for _, n := range r.named {
		if n.reader == t && r.IntN(2) == 0 {
			return randomType{n.writer.key, n.writer.key, n.writer.value}
		}
	}
	if r.IntN(25) == 0 {
		return r.unreadable(t)
	}
	switch {
	case isRecord(t):
		return r.record(t, depth)
	case t.Kind() != reflect.Slice && t.Kind() != reflect.Map || t == reflect.TypeFor[[]byte]():
		written := r.scalar(t)
		if m, ok := written.schema.(map[string]any); ok && m["name"] != nil {
			r.remember(t, written)
		}
		return written
	}
	items := r.of(t.Elem(), nil, depth+1)
	if t.Kind() == reflect.Slice {
		return randomType{map[string]any{"type": "array", "items": items.schema}, "array", func() (any, any, bool) {
			native, want, ok := []any{}, []any(nil), true
			for range r.IntN(4) {
				n, w, fine := items.value()
				native, want, ok = append(native, n), append(want, w), ok && fine
			}
			return native, want, ok
		}}
	}
	return randomType{map[string]any{"type": "map", "values": items.schema}, "map", func() (any, any, bool) {
		native, want, ok := map[string]any{}, map[string]any{}, true
		for i := range r.IntN(3) {
			n, w, fine := items.value()
			if w == nil { // a null in a map of scalars
				w = reflect.Zero(t.Elem()).Interface()
			}
			native["k"+strconv.Itoa(i)], want["k"+strconv.Itoa(i)], ok = n, w, ok && fine
		}
		return native, want, ok
	}}
}

// unreadable is a type from which no column is read. It may have no values that matter.
func (r *randomAvro) unreadable(t reflect.Type) randomType {
	if t.Kind() == reflect.Map {
		return randomType{"boolean", "boolean", func() (any, any, bool) { return true, nil, false }}
	}
	return randomType{map[string]any{"type": "map", "values": "int"}, "map",
		func() (any, any, bool) { return map[string]any{"a": int32(1)}, nil, false }}
}

func isRecord(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != timeType && t != decimalType
}

// union has branches that are read as t, and others, which have no values here.
func (r *randomAvro) union(t reflect.Type, initial any, depth int) randomType {
	var branches []randomType
	var schemas []any
	taken := map[string]bool{}
	for i := range 1 + r.IntN(5) {
		named := len(r.named)
		b := randomType{"null", "null", func() (any, any, bool) { return nil, initial, true }}
		if r.IntN(3) > 0 {
			of := base(t)
			if i > 0 && r.IntN(4) == 0 {
				of = base(randomColumns[r.IntN(len(randomColumns))].typ)
			}
			if isRecord(of) && taken["record"] {
				continue
			}
			b = r.of(of, nil, depth+10)
			taken["record"] = taken["record"] || isRecord(of)
			if of != base(t) {
				b.value = nil
			}
		}
		if taken[b.key] {
			r.named = r.named[:named] // what it defines is not there
			continue
		}
		taken[b.key] = true
		schemas = append(schemas, b.schema)
		if b.value != nil {
			branches = append(branches, b)
		}
	}
	return randomType{schemas, "", func() (any, any, bool) {
		b := branches[r.IntN(len(branches))]
		n, w, ok := b.value()
		if n == nil {
			return nil, w, ok
		}
		return map[string]any{b.key: n}, w, ok
	}}
}

func (r *randomAvro) record(t reflect.Type, depth int) randomType {
	name := r.name()
	type field struct {
		name string
		randomType
	}
	var fields []field
	var schemas []any
	for i := range t.NumField() {
		f := t.Field(i)
		if r.IntN(4) == 0 {
			fields = append(fields, field{"extra" + f.Name, r.of(reflect.TypeFor[[]string](), nil, depth+1)})
			schemas = append(schemas, map[string]any{"name": "extra" + f.Name, "type": fields[len(fields)-1].schema})
		}
		fields = append(fields, field{f.Name, r.of(f.Type, nil, depth+1)})
		schemas = append(schemas, map[string]any{"name": f.Name, "type": fields[len(fields)-1].schema})
	}
	written := randomType{map[string]any{"type": "record", "name": name, "fields": schemas}, name,
		func() (any, any, bool) {
			native, want, ok := map[string]any{}, map[string]any{}, true
			for _, f := range fields {
				n, w, fine := f.value()
				native[f.name] = n
				if _, has := t.FieldByName(f.name); has {
					want[f.name], ok = w, ok && fine
				}
			}
			return native, want, ok
		}}
	r.remember(t, written)
	return written
}

func (r *randomAvro) remember(t reflect.Type, written randomType) {
	r.named = append(r.named, struct {
		reader reflect.Type
		writer randomType
	}{t, written})
}

func logical(typ, logical string) map[string]any {
	return map[string]any{"type": typ, "logicalType": logical}
}

// scalar draws one of the types from which a scalar is read.
func (r *randomAvro) scalar(t reflect.Type) randomType {
	plain := func(typ string, value func() (any, any)) randomType {
		return randomType{typ, typ, func() (any, any, bool) {
			n, w := value()
			return n, w, true
		}}
	}
	var list []randomType
	as := func(v any) any { return reflect.ValueOf(v).Convert(t).Interface() }
	small := func() int64 { return r.Int64N(100) }
	switch t {
	case timeType:
		ms := func() time.Time { return time.UnixMilli(r.Int64N(4e12) - 2e12).UTC() }
		same := func(f func() time.Time) func() (any, any, bool) {
			return func() (any, any, bool) { v := f(); return v, v, true }
		}
		list = []randomType{
			{logical("long", "timestamp-millis"), "long.timestamp-millis", same(ms)},
			{logical("long", "timestamp-micros"), "long.timestamp-micros", same(ms)},
			{logical("int", "date"), "int.date",
				same(func() time.Time { return time.Unix((r.Int64N(40000)-10000)*86400, 0).UTC() })},
			plain("long", func() (any, any) { v := ms(); return v.UnixMilli(), v }),
		}
		return list[r.IntN(len(list))]
	case durationType:
		list = []randomType{
			{logical("int", "time-millis"), "int.time-millis", func() (any, any, bool) {
				v := time.Duration(r.IntN(86400000)) * time.Millisecond
				return v, v, true
			}},
			{logical("long", "time-micros"), "long.time-micros", func() (any, any, bool) {
				v := time.Duration(r.Int64N(86400000000)) * time.Microsecond
				return v, v, true
			}},
			plain("long", func() (any, any) { n := r.Int64(); return n, time.Duration(n) }),
		}
		return list[r.IntN(len(list))]
	case decimalType:
		return r.decimal()
	}
	switch t.Kind() {
	case reflect.Bool:
		return plain("boolean", func() (any, any) { v := r.IntN(2) == 0; return v, v })
	case reflect.Int8, reflect.Int32:
		return plain("int", func() (any, any) { n := int32(small()); return n, as(n) })
	case reflect.Int64, reflect.Uint32:
		list = []randomType{
			plain("int", func() (any, any) { n := int32(small()); return n, as(n) }),
			plain("long", func() (any, any) { n := small() << r.IntN(25); return n, as(n) }),
		}
	case reflect.Float32, reflect.Float64:
		list = []randomType{
			plain("int", func() (any, any) { n := int32(small()); return n, as(n) }),
			plain("long", func() (any, any) { n := small(); return n, as(n) }),
			plain("float", func() (any, any) { f := r.Float32(); return f, as(f) }),
		}
		if t.Kind() == reflect.Float64 {
			list = append(list, plain("double", func() (any, any) { f := r.NormFloat64(); return f, f }))
		}
	case reflect.String:
		list = r.texts(as)
	default:
		list = []randomType{
			plain("bytes", func() (any, any) { b := r.bytes(r.IntN(5)); return b, b }),
			plain("string", func() (any, any) { s := r.text(); return s, []byte(s) }),
		}
	}
	return list[r.IntN(len(list))]
}

func (r *randomAvro) text() string {
	return []string{"", "a", "äöü", "EUR/USD", "12.5"}[r.IntN(5)]
}

func (r *randomAvro) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r *randomAvro) texts(as func(any) any) []randomType {
	name, symbols := r.name(), []string{"A", "B", "C"}
	enum := randomType{map[string]any{"type": "enum", "name": name, "symbols": symbols}, name, func() (any, any, bool) {
		s := symbols[r.IntN(3)]
		return s, as(s), true
	}}
	decimal := map[string]any{"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 3}
	return []randomType{
		{"string", "string", func() (any, any, bool) { s := r.text(); return s, as(s), true }},
		{"bytes", "bytes", func() (any, any, bool) {
			if r.IntN(5) == 0 {
				return []byte{0xff}, nil, false
			}
			s := r.text()
			return []byte(s), as(s), true
		}},
		enum,
		{decimal, "bytes.decimal", func() (any, any, bool) {
			n := big.NewRat(r.Int64N(1e12)-5e11, 1000)
			return n, as(n.FloatString(3)), true
		}},
	}
}

// decimal draws the types from which a decimal of scale 4 is read. Three digits more than that are
// an error.
func (r *randomAvro) decimal() randomType {
	number := func(scale int) (*big.Rat, any, bool) {
		digits := big.NewInt(r.Int64N(2e9) - 1e9)
		n := new(big.Rat).SetFrac(digits, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		text := n.FloatString(4)
		d, _, err := apd.NewFromString(text)
		back, ok := new(big.Rat).SetString(text)
		return n, *d, err == nil && ok && back.Cmp(n) == 0
	}
	scale := r.IntN(7)
	kind := map[string]any{"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": scale}
	name := r.name()
	fixed := map[string]any{"type": "fixed", "name": name, "size": 9, "logicalType": "decimal", "precision": 12,
		"scale": scale}
	rat := func() (any, any, bool) { n, w, ok := number(scale); return n, w, ok }
	return []randomType{
		{kind, "bytes.decimal", rat},
		{fixed, name, rat},
		{"string", "string", func() (any, any, bool) { n, w, ok := number(scale); return n.FloatString(scale), w, ok }},
		{"long", "long", func() (any, any, bool) { n, w, ok := number(0); return n.Num().Int64(), w, ok }},
		{"int", "int", func() (any, any, bool) { n, w, ok := number(0); return int32(n.Num().Int64()), w, ok }},
		{"double", "double", func() (any, any, bool) {
			n, w, ok := number(3)
			f, _ := n.Float64()
			return f, w, ok
		}},
		{"bytes", "bytes", func() (any, any, bool) { return []byte("1.5"), nil, false }},
	}[r.IntN(7)]
}

// row draws the type of a row and what was written for it.
func (r *randomAvro) row() (row reflect.Type, written randomType) {
	var columns []reflect.StructField
	schemas := []any{}
	type field struct {
		column string
		randomType
	}
	var fields []field
	missing := map[string]any{}
	for i := range 1 + r.IntN(6) {
		c := randomColumns[r.IntN(len(randomColumns))]
		name := "c" + strconv.Itoa(i)
		columns = append(columns, reflect.StructField{Name: "C" + strconv.Itoa(i), Type: c.typ,
			Tag: reflect.StructTag(fmt.Sprintf(`ashi:"%s%s"`, name, c.options))})
		if r.IntN(8) == 0 {
			missing[name] = c.initial
			continue
		}
		if r.IntN(4) == 0 {
			of := randomColumns[r.IntN(len(randomColumns))]
			extra := r.of(of.typ, nil, 0)
			fields, schemas = append(fields, field{"", extra}),
				append(schemas, map[string]any{"name": "extra" + name, "type": extra.schema})
		}
		f := r.of(c.typ, c.initial, 0)
		fields, schemas = append(fields, field{name, f}),
			append(schemas, map[string]any{"name": name, "type": f.schema})
	}
	names := make([]string, len(schemas))
	for i := range schemas {
		names[i] = schemas[i].(map[string]any)["name"].(string)
	}
	return reflect.StructOf(columns), randomType{map[string]any{"type": "record", "name": "gen.Row", "fields": schemas},
		"", func() (any, any, bool) {
			native, want, ok := map[string]any{}, map[string]any{}, true
			for name, initial := range missing {
				want[name] = initial
			}
			for i, f := range fields {
				n, w, fine := f.value()
				native[names[i]] = n
				if f.column != "" {
					want[f.column], ok = w, ok && fine
				}
			}
			return native, want, ok
		}}
}

// plainValue is a value without pointers, structs and types: nil is null, zero or empty.
func plainValue(v reflect.Value, names []string) any {
	switch v.Type() {
	case timeType:
		return v.Interface().(time.Time).UTC().UnixNano()
	case decimalType:
		d := v.Interface().(apd.Decimal)
		reduced, _ := new(apd.Decimal).Reduce(&d) // a zero that was not written has no digits
		return reduced.Text('f')
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plainValue(v.Elem(), nil)
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if names != nil {
				name = names[i]
			}
			m[name] = plainValue(v.Field(i), nil)
		}
		return m
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, plainValue(v.Index(i), nil))
		}
		return list
	case reflect.Map:
		m := map[string]any{}
		for _, k := range v.MapKeys() {
			m[k.String()] = plainValue(v.MapIndex(k), nil)
		}
		return m
	}
	return fmt.Sprint(v.Interface())
}

// wantedValue is the same of what a row should have; t is its type.
func wantedValue(t reflect.Type, want any) any {
	switch {
	case want == nil && t.Kind() == reflect.Pointer:
		return nil
	case want == nil:
		return plainValue(reflect.Zero(t), nil)
	case t.Kind() == reflect.Pointer:
		return wantedValue(t.Elem(), want)
	}
	switch w := want.(type) {
	case []any:
		list := []any{}
		for _, item := range w {
			list = append(list, wantedValue(t.Elem(), item))
		}
		return list
	case map[string]any:
		m := map[string]any{}
		if t.Kind() == reflect.Map {
			for k, item := range w {
				m[k] = wantedValue(t.Elem(), item)
			}
			return m
		}
		for i := range t.NumField() {
			f := t.Field(i)
			m[f.Name] = wantedValue(f.Type, w[f.Name])
		}
		return m
	}
	return plainValue(reflect.ValueOf(want), nil)
}
