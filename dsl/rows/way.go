package rows

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"reflect"

	//lint:ignore SA1019 its MessageV2 is what makes old generated messages usable
	legacy "github.com/golang/protobuf/proto"
	"google.golang.org/protobuf/proto"
)

// way is how a type writes itself: what hides its fields can be written by its own methods only.
type way struct {
	name string
	// has says that a pointer to a type has the methods.
	has func(pointer reflect.Type) bool
	// append and read get a pointer to the value.
	append func(dst []byte, v any) ([]byte, error)
	read   func(b []byte, v any) error
}

var ways = map[string]*way{
	"proto": {
		has: func(t reflect.Type) bool { return t.Implements(reflect.TypeFor[legacy.Message]()) },
		append: func(dst []byte, v any) ([]byte, error) {
			return proto.MarshalOptions{Deterministic: true, AllowPartial: true}.MarshalAppend(dst, legacy.MessageV2(v))
		},
		read: func(b []byte, v any) error {
			return proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(b, legacy.MessageV2(v))
		},
	},
	"binary": {
		has: both[encoding.BinaryMarshaler, encoding.BinaryUnmarshaler],
		append: func(dst []byte, v any) ([]byte, error) {
			b, err := v.(encoding.BinaryMarshaler).MarshalBinary()
			return append(dst, b...), err
		},
		read: func(b []byte, v any) error { return v.(encoding.BinaryUnmarshaler).UnmarshalBinary(b) },
	},
	"gob": {
		has: both[gob.GobEncoder, gob.GobDecoder],
		append: func(dst []byte, v any) ([]byte, error) {
			b, err := v.(gob.GobEncoder).GobEncode()
			return append(dst, b...), err
		},
		read: func(b []byte, v any) error { return v.(gob.GobDecoder).GobDecode(b) },
	},
	"text": {
		has: both[encoding.TextMarshaler, encoding.TextUnmarshaler],
		append: func(dst []byte, v any) ([]byte, error) {
			b, err := v.(encoding.TextMarshaler).MarshalText()
			return append(dst, b...), err
		},
		read: func(b []byte, v any) error { return v.(encoding.TextUnmarshaler).UnmarshalText(b) },
	},
	"json": {
		has: both[json.Marshaler, json.Unmarshaler],
		append: func(dst []byte, v any) ([]byte, error) {
			b, err := v.(json.Marshaler).MarshalJSON()
			return append(dst, b...), err
		},
		read: func(b []byte, v any) error { return v.(json.Unmarshaler).UnmarshalJSON(b) },
	},
}

func init() {
	for name, w := range ways {
		w.name = name
	}
}

// preferred is the order in which ways are tried: what keeps most comes first.
var preferred = []string{"binary", "gob", "text", "json"}

func both[M, U any](t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[M]()) && t.Implements(reflect.TypeFor[U]())
}

// wayOf is the way of a struct that is a Protobuf message or has fields that nobody can see; nil:
// its fields are written one by one.
func wayOf(t reflect.Type) *way {
	pointer := reflect.PointerTo(t)
	if ways["proto"].has(pointer) {
		return ways["proto"]
	}
	if !hides(t) {
		return nil
	}
	for _, name := range preferred {
		if ways[name].has(pointer) {
			return ways[name]
		}
	}
	return nil
}

// hides says that a struct has fields of its own that are not exported.
func hides(t reflect.Type) bool {
	for i := range t.NumField() {
		if f := t.Field(i); !f.IsExported() && f.Name != "_" && f.Type.Size() > 0 {
			return true
		}
	}
	return false
}

// oneWay is what is wrong with a struct that hides fields which its methods can set and not write,
// or write and not set.
func oneWay(t reflect.Type) string {
	if !hides(t) {
		return ""
	}
	pointer := reflect.PointerTo(t)
	for _, m := range []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
		reflect.TypeFor[encoding.BinaryUnmarshaler]()} {
		if pointer.Implements(m) {
			return fmt.Sprintf("type %s has %s and nothing that writes what it reads, which would be lost", t,
				m.Method(0).Name)
		}
	}
	return ""
}

// typeOf is the type's name in a form.
func (w *way) typeOf(t reflect.Type) string {
	if w.name == "proto" {
		return string(legacy.MessageV2(reflect.New(t).Interface()).ProtoReflect().Descriptor().FullName())
	}
	if t.PkgPath() != "" {
		return t.PkgPath() + "." + t.Name()
	}
	return t.String()
}

// proven lets the methods of a type write a zero value, read that, and write it again: an error
// says that it does not come back as it was. A value that they do not write proves nothing.
func (w *way) proven(t reflect.Type) (err error) {
	defer func() {
		if recover() != nil {
			err = nil
		}
	}()
	first, err := w.append(nil, reflect.New(t).Interface())
	if err != nil {
		return nil
	}
	back := reflect.New(t).Interface()
	if err := w.read(first, back); err != nil {
		return fmt.Errorf("type %s does not read what it writes itself (%s %q): %w", t, w.name, first, err)
	}
	second, err := w.append(nil, back)
	if err != nil || !bytes.Equal(first, second) {
		return fmt.Errorf("type %s does not come back as it went in: by its methods (%s) it is %q first and %q then", t,
			w.name, first, second)
	}
	return nil
}
