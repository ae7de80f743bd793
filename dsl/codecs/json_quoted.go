package codecs

import (
	"bytes"
	"encoding"
	"errors"
	"math"
	"reflect"
	"strings"

	"github.com/segmentio/encoding/json"
)

// JSON has no NaN and no infinities. Where one comes up a row is written and read again through a second shadow, in which every float
// is of a type with its own text; all other rows go the way of the library. Such a type lies in memory like the float, and what is
// made of it like what is made of the float, so that the moves are the same.

// quoted64 is a float64 that is a text where JSON has no number for it: "NaN", "Infinity", "-Infinity", as Jackson writes them.
type quoted64 float64

// quoted32 is the same of a float32.
type quoted32 float32

func (f quoted64) MarshalJSON() ([]byte, error) {
	if text := beyondJSON(float64(f)); text != "" {
		return []byte(text), nil
	}
	return json.Append(nil, float64(f), 0)
}

func (f *quoted64) UnmarshalJSON(b []byte) error {
	if v, ok := fromText(b); ok {
		*f = quoted64(v)
		return nil
	}
	return json.Unmarshal(b, (*float64)(f))
}

func (f quoted32) MarshalJSON() ([]byte, error) {
	if text := beyondJSON(float64(f)); text != "" {
		return []byte(text), nil
	}
	return json.Append(nil, float32(f), 0)
}

func (f *quoted32) UnmarshalJSON(b []byte) error {
	if v, ok := fromText(b); ok {
		*f = quoted32(v)
		return nil
	}
	return json.Unmarshal(b, (*float32)(f))
}

func beyondJSON(f float64) string {
	switch {
	case math.IsNaN(f):
		return `"NaN"`
	case math.IsInf(f, 1):
		return `"Infinity"`
	case math.IsInf(f, -1):
		return `"-Infinity"`
	}
	return ""
}

func fromText(b []byte) (float64, bool) {
	switch string(b) {
	case `"NaN"`:
		return math.NaN(), true
	case `"Infinity"`, `"+Infinity"`: // Java reads the plus too
		return math.Inf(1), true
	case `"-Infinity"`:
		return math.Inf(-1), true
	}
	return 0, false
}

// hasNoNumber says that an error of the library may be due to a float that JSON has no number for.
func hasNoNumber(err error) bool {
	var unsupported *json.UnsupportedValueError
	return errors.As(err, &unsupported)
}

// mayQuote says that a value may have a float as text.
func mayQuote(data []byte) bool {
	return bytes.Contains(data, []byte(`NaN"`)) || bytes.Contains(data, []byte(`Infinity"`))
}

// quotedType is t with its floats replaced, inside slices, arrays, maps and structs and behind pointers: t itself where there are
// none. Left as they are: types with methods for JSON or text, structs that embed others or have fields that are not exported,
// and a type inside itself.
func quotedType(t reflect.Type) reflect.Type { return quotedIn(t, map[reflect.Type]bool{}) }

func quotedIn(t reflect.Type, around map[reflect.Type]bool) reflect.Type {
	if around[t] || ownText(t) {
		return t
	}
	around[t] = true
	defer delete(around, t)
	switch t.Kind() {
	case reflect.Float64:
		return reflect.TypeFor[quoted64]()
	case reflect.Float32:
		return reflect.TypeFor[quoted32]()
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		e := quotedIn(t.Elem(), around)
		switch {
		case e == t.Elem():
			return t
		case t.Kind() == reflect.Pointer:
			return reflect.PointerTo(e)
		case t.Kind() == reflect.Slice:
			return reflect.SliceOf(e)
		case t.Kind() == reflect.Array:
			return reflect.ArrayOf(t.Len(), e)
		}
		return reflect.MapOf(t.Key(), e)
	case reflect.Struct:
		return quotedStruct(t, around)
	}
	return t
}

func quotedStruct(t reflect.Type, around map[reflect.Type]bool) reflect.Type {
	fields, changed := make([]reflect.StructField, t.NumField()), false
	for i := range fields {
		f := t.Field(i)
		if f.Anonymous || !f.IsExported() {
			return t
		}
		if !strings.Contains(f.Tag.Get("json"), ",string") {
			q := quotedIn(f.Type, around)
			f.Type, changed = q, changed || q != f.Type
		}
		fields[i] = f
	}
	if !changed {
		return t
	}
	return reflect.StructOf(fields)
}

// ownText says that a type has a method for its JSON or its text.
func ownText(t reflect.Type) bool {
	for _, own := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()} {
		if t.Implements(own) || t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(own) {
			return true
		}
	}
	return false
}
