package rows

import (
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"
)

var seed = flag.Uint64("seed", 0, "of the random types; 0: another one each time")

// leaves are types of one value.
var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](),
	reflect.TypeFor[int64](), reflect.TypeFor[int](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](),
	reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[uint](), reflect.TypeFor[float32](),
	reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[time.Time](),
	reflect.TypeFor[time.Duration](), reflect.TypeFor[apd.Decimal](), reflect.TypeFor[complex64](),
	reflect.TypeFor[complex128](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[big.Int](),
}

func randomType(r *rand.Rand, depth int) reflect.Type {
	leaf := leaves[r.IntN(len(leaves))]
	if depth == 0 {
		return leaf
	}
	switch r.IntN(10) {
	case 0:
		return reflect.PointerTo(randomType(r, depth-1))
	case 1:
		return reflect.SliceOf(randomType(r, depth-1))
	case 2:
		return reflect.ArrayOf(r.IntN(4), randomType(r, depth-1))
	case 3:
		keys := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int32](), reflect.TypeFor[bool](),
			reflect.TypeFor[netip.Addr](), reflect.TypeFor[[2]uint8]()}
		return reflect.MapOf(keys[r.IntN(len(keys))], randomType(r, depth-1))
	case 4:
		return structOf(r, randomColumns(r, depth-1))
	}
	return leaf
}

// randomColumns are types by the name of a column.
func randomColumns(r *rand.Rand, depth int) map[string]reflect.Type {
	columns := map[string]reflect.Type{}
	for range 1 + r.IntN(6) {
		columns[fmt.Sprintf("c%d", r.IntN(9))] = randomType(r, depth)
	}
	return columns
}

// structOf is a struct of columns in any order.
func structOf(r *rand.Rand, columns map[string]reflect.Type) reflect.Type {
	var names []string
	for name := range columns {
		names = append(names, name)
	}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var fields []reflect.StructField
	for _, name := range names {
		fields = append(fields, reflect.StructField{Name: "F" + name, Type: columns[name],
			Tag: reflect.StructTag(fmt.Sprintf(`json:%q`, name))})
	}
	return reflect.StructOf(fields)
}

var zoneNames = []string{"UTC", "America/New_York", "Asia/Kolkata"}

// fill sets a value to one that nobody would think of.
func fill(t testing.TB, r *rand.Rand, v reflect.Value) {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		if r.IntN(4) == 0 {
			return
		}
		at := time.Unix(r.Int64N(1<<36)-1<<35, r.Int64N(1e9)).UTC()
		zone, err := time.LoadLocation(zoneNames[r.IntN(3)])
		require.NoError(t, err)
		if at = at.In(zone); r.IntN(4) == 0 {
			at = at.In(time.FixedZone([]string{"", "here"}[r.IntN(2)], r.IntN(50000)-25000))
		}
		v.Set(reflect.ValueOf(at))
		return
	case reflect.TypeFor[apd.Decimal]():
		d := apd.New(r.Int64()-r.Int64(), r.Int32N(80)-40)
		if r.IntN(6) == 0 {
			d.Form = apd.Form(r.IntN(4))
		}
		v.Set(reflect.ValueOf(*d))
		return
	case reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{byte(r.Uint32()), 2, 3, 4})))
		return
	case reflect.TypeFor[big.Int]():
		v.Addr().Interface().(*big.Int).Lsh(big.NewInt(r.Int64N(1000)-500), uint(r.IntN(200)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Float32, reflect.Float64:
		v.SetFloat([]float64{r.NormFloat64(), math.Inf(1), math.Copysign(0, -1), 0}[r.IntN(4)])
		if v.Kind() == reflect.Float32 {
			v.SetFloat(float64(float32(v.Float())))
		}
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(float64(float32(r.NormFloat64())), 1))
	case reflect.String:
		v.SetString([]string{"", "a", "\xff\xfe", "längerer Text"}[r.IntN(4)])
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, r, v.Elem())
		}
	case reflect.Slice:
		if r.IntN(3) > 0 {
			v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
			for i := range v.Len() {
				fill(t, r, v.Index(i))
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, r, v.Index(i))
		}
	case reflect.Map:
		if r.IntN(3) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range r.IntN(4) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(t, r, key)
				fill(t, r, value)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, r, v.Field(i))
		}
	}
}

// evolve is a type that rows of another can be read as: columns come, go, move, widen, and may
// become pointers or stop to be.
func evolve(r *rand.Rand, t reflect.Type) reflect.Type {
	switch {
	case t.Kind() == reflect.Struct && t.Name() == "":
		columns := map[string]reflect.Type{}
		for i := range t.NumField() {
			if r.IntN(4) > 0 {
				columns[t.Field(i).Tag.Get("json")] = evolve(r, t.Field(i).Type)
			}
		}
		for i := range r.IntN(3) {
			columns[fmt.Sprintf("n%d", i)] = randomType(r, 1)
		}
		return structOf(r, columns)
	case t.Kind() == reflect.Pointer && r.IntN(2) == 0:
		return evolve(r, t.Elem())
	case t.Kind() == reflect.Pointer:
		return reflect.PointerTo(evolve(r, t.Elem()))
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		if next := evolve(r, t.Elem()); next.Kind() != reflect.Uint8 {
			return reflect.SliceOf(next)
		}
	case t.Kind() == reflect.Array:
		return reflect.ArrayOf(t.Len(), evolve(r, t.Elem()))
	case t.Kind() == reflect.Map:
		return reflect.MapOf(t.Key(), evolve(r, t.Elem()))
	case r.IntN(6) == 0:
		return reflect.PointerTo(t)
	case t == reflect.TypeFor[int8](), t == reflect.TypeFor[uint16](), t == reflect.TypeFor[int32]():
		return []reflect.Type{t, reflect.TypeFor[int64](), reflect.TypeFor[float64]()}[r.IntN(3)]
	case t == reflect.TypeFor[uint32]():
		return []reflect.Type{t, reflect.TypeFor[uint64](), reflect.TypeFor[int64]()}[r.IntN(3)]
	case t == reflect.TypeFor[float32]():
		return reflect.TypeFor[float64]()
	}
	return t
}

// carry is what a value of one type is as one of another, by what the program sees of both: fields
// by their names.
func carry(from, to reflect.Value) {
	switch f, t := from.Kind(), to.Kind(); {
	case from.Type() == to.Type():
		to.Set(from)
	case t == reflect.Pointer && f == reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
			carry(from.Elem(), to.Elem())
		}
	case t == reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		carry(from, to.Elem())
	case f == reflect.Pointer:
		if !from.IsNil() {
			carry(from.Elem(), to)
		}
	case f == reflect.Struct:
		for i := range to.NumField() {
			for j := range from.NumField() {
				if from.Type().Field(j).Tag == to.Type().Field(i).Tag {
					carry(from.Field(j), to.Field(i))
				}
			}
		}
	case f == reflect.Slice:
		if !from.IsNil() {
			to.Set(reflect.MakeSlice(to.Type(), from.Len(), from.Len()))
			for i := range from.Len() {
				carry(from.Index(i), to.Index(i))
			}
		}
	case f == reflect.Array:
		for i := range from.Len() {
			carry(from.Index(i), to.Index(i))
		}
	case f == reflect.Map:
		if !from.IsNil() {
			to.Set(reflect.MakeMap(to.Type()))
			for each := from.MapRange(); each.Next(); {
				value := reflect.New(to.Type().Elem()).Elem()
				carry(each.Value(), value)
				to.SetMapIndex(each.Key(), value)
			}
		}
	default:
		to.Set(from.Convert(to.Type()))
	}
}

func compiled(t testing.TB, typ reflect.Type) (*form, *step) {
	f, errs := derive(typ, anything)
	require.Empty(t, errs, typ)
	s, err := compile(f, typ, anything, reflect.Value{})
	require.NoError(t, err)
	return f, s
}

// Rows of random types come back as they were, and as rows of a type that has evolved.
func TestRandomTypes(t *testing.T) {
	from, n := rand.Uint64N(1<<40), uint64(400)
	if *seed != 0 {
		from, n = *seed, 1
	}
	for at := from; at < from+n; at++ {
		r := rand.New(rand.NewPCG(at, 7))
		was := structOf(r, randomColumns(r, 3))
		is := evolve(r, was)
		f, write := compiled(t, was)
		parsed, err := parse(f.String())
		require.NoError(t, err, "seed %d", at)
		require.Equal(t, f, parsed, "seed %d", at)
		again, err := compile(parsed, is, anything, reflect.Value{})
		require.NoError(t, err, "seed %d: %v to %v", at, was, is)
		for range 20 {
			row, back, next, want := reflect.New(was), reflect.New(was), reflect.New(is), reflect.New(is)
			fill(t, r, row.Elem())
			b, err := write.append(nil, row.UnsafePointer(), 0)
			require.NoError(t, err, "seed %d", at)
			twice, err := write.append(nil, row.UnsafePointer(), 0)
			require.NoError(t, err)
			require.Equal(t, b, twice, "seed %d: equal rows are equal bytes", at)
			rest, err := write.read(b, back.UnsafePointer(), 0)
			require.NoError(t, err, "seed %d", at)
			require.Empty(t, rest, "seed %d", at)
			require.Equal(t, shown(row), shown(back), "seed %d: %v", at, was)
			rest, err = again.read(b, next.UnsafePointer(), 0)
			require.NoError(t, err, "seed %d", at)
			require.Empty(t, rest, "seed %d", at)
			carry(row.Elem(), want.Elem())
			require.Equal(t, shown(want), shown(next), "seed %d: %v to %v", at, was, is)
			for cut := range len(b) { // what is cut is an error, never a row
				_, err := write.read(b[:cut:cut], reflect.New(was).UnsafePointer(), 0)
				require.Error(t, err, "seed %d: cut at %d", at, cut)
			}
		}
	}
}

// shown is a value as the program sees it: locations and digits by what they say, not by where they
// lie.
func shown(v reflect.Value) string { return show(v.Elem()) }

func show(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && v.IsNil() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.IsNil() {
		return "nil"
	}
	switch x := v.Interface().(type) {
	case time.Time:
		name, east := x.Zone()
		return fmt.Sprint(x.Unix(), x.Nanosecond(), name, east, x.Location())
	case apd.Decimal:
		return fmt.Sprint(x.Form, x.Negative, x.Exponent, x.Coeff.String())
	case netip.Addr:
		return x.String()
	case big.Int:
		return x.String()
	}
	text := ""
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		return fmt.Sprintf("%x", math.Float64bits(v.Float()))
	case reflect.Pointer:
		return "*" + show(v.Elem())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			text += show(v.Index(i)) + ","
		}
		return "[" + text + "]"
	case reflect.Struct:
		for i := range v.NumField() {
			text += v.Type().Field(i).Name + " " + show(v.Field(i)) + ";"
		}
		return "{" + text + "}"
	case reflect.Map:
		shown := map[string]string{}
		for each := v.MapRange(); each.Next(); {
			shown[show(each.Key())] = show(each.Value())
		}
		return fmt.Sprint(shown)
	}
	return fmt.Sprintf("%#v", v.Interface())
}

func wireOf[T any](f *Format[T]) (func(any, []byte) ([]byte, error), func([]byte) (any, error)) {
	r := f.Rows()
	return r.OpenWire()
}

// Bytes that are no row are an error, whatever they are.
func FuzzRow(f *testing.F) {
	type inner struct {
		D apd.Decimal
		M map[string]*inner
	}
	type row struct {
		S string
		T time.Time
		L []inner
		P *int32
		A [2]netip.Addr
		B []byte
	}
	format, err := Of[row]()
	require.NoError(f, err)
	b, err := format.Append(nil, &row{S: "a", L: []inner{{M: map[string]*inner{"x": {}}}}, B: []byte{}})
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var v row
		if format.Decode(b, &v) == nil {
			_, err := format.Append(nil, &v)
			require.NoError(t, err)
		}
		_, decode := wireOf(format)
		_, _ = decode(b)
	})
}
