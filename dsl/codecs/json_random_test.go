package codecs

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// generated makes types and values that encoding/json can carry.
type generated struct{ *rand.Rand }

func (g generated) typ(depth int) reflect.Type {
	scalars := []reflect.Type{reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](),
		reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](),
		reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](),
		reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[side](), reflect.TypeFor[[]byte](),
		reflect.TypeFor[any](), reflect.TypeFor[stdjson.Number]()}
	if depth == 0 || g.IntN(3) == 0 {
		return scalars[g.IntN(len(scalars))]
	}
	switch g.IntN(5) {
	case 0:
		return reflect.PointerTo(g.typ(depth - 1))
	case 1:
		return reflect.SliceOf(g.typ(depth - 1))
	case 2:
		return reflect.ArrayOf(g.IntN(4), g.typ(depth-1))
	case 3:
		keys := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[side](), reflect.TypeFor[int8](),
			reflect.TypeFor[uint64]()}
		return reflect.MapOf(keys[g.IntN(len(keys))], g.typ(depth-1))
	}
	return g.structOf(depth-1, true)
}

// structOf has tags with options only within rows: those of columns have none.
func (g generated) structOf(depth int, options bool) reflect.Type {
	fields := make([]reflect.StructField, 1+g.IntN(6))
	for i := range fields {
		tag := []string{"", `json:"c` + strconv.Itoa(i) + `"`}[g.IntN(2)]
		if options {
			tag = []string{"", `json:"c%d"`, `json:"c%d,omitempty"`, `json:",omitempty"`, `json:"c%d,string"`,
				`json:"-"`, `json:",omitzero"`, `json:"c%d,omitempty,string"`}[g.IntN(8)]
			if bytes.Contains([]byte(tag), []byte("%d")) {
				tag = fmt.Sprintf(tag, i)
			}
		}
		typ := g.typ(depth)
		base := typ
		for base.Kind() == reflect.Pointer {
			base = base.Elem()
		}
		if base.Kind() == reflect.String && base != numberType {
			// a text in a text has its escapes twice, and encoding/json has more of them
			tag = strings.Replace(tag, ",string", "", 1)
		}
		fields[i] = reflect.StructField{Name: "F" + strconv.Itoa(i), Type: typ, Tag: reflect.StructTag(tag)}
	}
	return reflect.StructOf(fields)
}

func (g generated) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(g.Uint64()) >> g.IntN(64) << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(g.Uint64() >> (64 - v.Type().Bits()) >> g.IntN(v.Type().Bits()))
	case reflect.Float32:
		v.SetFloat(float64(float32(g.NormFloat64() * math.Pow(10, float64(g.IntN(60)-30)))))
	case reflect.Float64:
		v.SetFloat(g.NormFloat64() * math.Pow(10, float64(g.IntN(60)-30)))
	case reflect.String:
		v.SetString(randomText(g.Rand))
		if v.Type() == numberType {
			v.SetString([]string{"1.50", "-0", "1e400", "9007199254740993"}[g.IntN(4)])
		}
	case reflect.Interface:
		if x := []any{nil, true, "text", stdjson.Number("1.0"), []any{stdjson.Number("2"), nil},
			map[string]any{"a": "b", "c": map[string]any{}}}[g.IntN(6)]; x != nil {
			v.Set(reflect.ValueOf(x))
		}
	case reflect.Pointer:
		if g.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			g.fill(v.Elem())
		}
	case reflect.Slice:
		if g.IntN(4) == 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), g.IntN(10), 10))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			g.fill(v.Index(i))
		}
	case reflect.Map:
		if g.IntN(4) == 0 {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range g.IntN(5) {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			g.fill(key)
			g.fill(elem)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			g.fill(v.Field(i))
		}
	}
}

// loosely writes a value with members in any order and white space anywhere.
func (g generated) loosely(v any) string {
	space := func() string { return []string{"", "", " ", "\n\t", "\r\n"}[g.IntN(5)] }
	out := ""
	switch v := v.(type) {
	case map[string]any:
		for name, e := range v {
			text, _ := stdjson.Marshal(name)
			if out != "" {
				out += "," + space()
			}
			out += string(text) + space() + ":" + g.loosely(e)
		}
		out = "{" + space() + out + "}"
	case []any:
		for i, e := range v {
			if i > 0 {
				out += ","
			}
			out += g.loosely(e)
		}
		out = "[" + space() + out + "]"
	default:
		text, _ := stdjson.Marshal(v)
		out = string(text)
	}
	return space() + out + space()
}

func generic(t *testing.T, data []byte) any {
	var v any
	d := stdjson.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	return v
}

// Rows of generated types look as encoding/json has them, are read from what it writes as it reads
// them, and agree with their schema.
func TestJSONAgainstTheStandardLibrary(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := generated{rand.New(rand.NewPCG(seed, 0))}
	for range 100 {
		typ := g.structOf(3, false)
		m, errs := entity.Of(typ)
		if len(errs) > 0 {
			require.Contains(t, errs[0].Error(), "is already the field", "%s", typ)
			continue
		}
		form, err := newJSONForm(m)
		require.NoError(t, err, "%s", typ)
		schema, err := form.row.schema(nil).text()
		require.NoError(t, err)
		var parsed any
		require.NoError(t, stdjson.Unmarshal([]byte(schema), &parsed))
		for range 10 {
			row := reflect.New(typ)
			g.fill(row.Elem())
			want, err := stdjson.Marshal(row.Interface())
			require.NoError(t, err)
			got, err := form.encode(nil, row.UnsafePointer())
			require.NoError(t, err, "%s", typ)
			require.Equal(t, generic(t, want), generic(t, got), "%s", typ)
			require.NoError(t, agrees(parsed, generic(t, got), "$"), "%s\n%s", schema, got)

			theirs := reflect.New(typ)
			d := stdjson.NewDecoder(bytes.NewReader(want))
			d.UseNumber()
			require.NoError(t, d.Decode(theirs.Interface()))
			for _, data := range [][]byte{want, got, []byte(g.loosely(generic(t, want)))} {
				ours := reflect.New(typ)
				require.NoError(t, form.decode(data, unsafe.Pointer(ours.Pointer())), "%s\n%s", typ, data)
				require.Equal(t, theirs.Elem().Interface(), ours.Elem().Interface(), "%s\n%s", typ, data)
			}
		}
	}
}
