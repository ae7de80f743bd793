package rows

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/topology"
)

// Format is how rows of type T are written in internal topics and state.
type Format[T any] struct {
	name  string
	form  string
	holds content
	row   *step           // of columns
	codec codecs.Codec[T] // of a codec; else nil
}

// Of is the format of columns. The error lists every field of T that would be lost.
func Of[T any]() (*Format[T], error) { return columns[T](anything) }

func columns[T any](holds content) (*Format[T], error) {
	t := reflect.TypeFor[T]()
	f, errs := derive(t, holds)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	row, err := compile(f, t, holds, reflect.Value{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err) // a form fits the type that it was made of
	}
	return &Format[T]{name: nameOf(f), form: f.String(), holds: holds, row: row}, nil
}

func nameOf(f *form) string {
	if f.code == codeOpaque && f.way == "proto" {
		return "protobuf"
	}
	return "columns"
}

// For is the format of rows that the program gave a codec; made says that a function of the program
// has made them, not that codec. What JSON, Fixed, Avro and Proto carry is written as [Of] has it,
// which is smaller and finds columns by name; where that cannot be (an interface that JSON has
// read), by JSON. Any other codec writes the rows itself. A codec of a registry is the one within:
// there is no frame, and nothing is registered.
func For[T any](c codecs.Codec[T], made bool) (*Format[T], error) {
	if registered, ok := c.(interface{ Within() any }); ok {
		if within, ok := registered.Within().(codecs.Codec[T]); ok {
			c = within
		}
	}
	holds := readable
	if made {
		holds = anything
	}
	switch c.(type) {
	case *codecs.JSONCodec[T]:
		f, err := columns[T](holds)
		if err != nil && !made {
			return By(c), nil
		}
		return f, err
	case *codecs.FixedCodec[T], *codecs.AvroCodec[T], interface{ Message() }:
		return columns[T](holds)
	}
	return By(c), nil
}

// By is the format of a codec.
func By[T any](c codecs.Codec[T]) *Format[T] {
	return &Format[T]{name: c.Name(), form: codecForm(c.Name()), codec: c}
}

const codecPrefix = "codec "

func codecForm(name string) string { return codecPrefix + name }

// Name is the format in plans and logs: columns, protobuf, or the name of a codec.
func (f *Format[T]) Name() string { return f.name }

// Form is what rows are written as: see the package.
func (f *Format[T]) Form() string { return f.form }

// Same says that rows of one format are rows of another.
func (f *Format[T]) Same(other *Format[T]) bool {
	if f.codec == nil || other.codec == nil {
		return f.codec == nil && other.codec == nil && f.form == other.form
	}
	a, b := reflect.TypeOf(f.codec), reflect.TypeOf(other.codec)
	return a == b && (!a.Comparable() || any(f.codec) == any(other.codec)) && f.form == other.form
}

// Append appends a row's bytes, without its form.
func (f *Format[T]) Append(dst []byte, v *T) ([]byte, error) {
	if f.codec != nil {
		return f.codec.Encode(dst, v)
	}
	out, err := f.row.append(dst, unsafe.Pointer(v), 0)
	if err != nil {
		return dst, fmt.Errorf("row of %T: %w", *v, err)
	}
	return out, nil
}

// Decode sets all of v to the row that Append wrote. Texts and []byte may be views of b.
func (f *Format[T]) Decode(b []byte, v *T) error {
	if f.codec != nil {
		return f.codec.Decode(b, v)
	}
	var zero T
	*v = zero
	return decoded(f.row, b, v)
}

func decoded[T any](row *step, b []byte, v *T) error {
	rest, err := row.read(b, unsafe.Pointer(v), 0)
	if err == nil && len(rest) > 0 {
		err = errCut
	}
	return described(err, reflect.TypeFor[T]())
}

// From is Decode for rows of another form. The error names each column that T cannot take over.
func (f *Format[T]) From(text string) (func(b []byte, v *T) error, error) {
	if text == f.form {
		return f.Decode, nil
	}
	if name, ok := strings.CutPrefix(text, codecPrefix); ok {
		if json := codecs.JSON[T](); name == json.Name() && json.Err() == nil {
			return json.Decode, nil
		}
		return nil, fmt.Errorf("codec: was %s, is %s", name, f.name)
	}
	written, err := parse(text)
	if err != nil {
		return nil, err
	}
	initial := new(T)
	row, err := compile(written, reflect.TypeFor[T](), f.holds, reflect.ValueOf(initial).Elem())
	if err != nil {
		return nil, err
	}
	return func(b []byte, v *T) error {
		*v = *initial
		return decoded(row, b, v)
	}, nil
}

// Rows is the format as plans have it.
func (f *Format[T]) Rows() topology.Rows {
	return topology.Rows{Row: reflect.TypeFor[T]().String(), Codec: f.name, Form: f.form,
		Open: func() (func(any, []byte) ([]byte, error), func([]byte) (any, error)) {
			return func(row any, dst []byte) ([]byte, error) { return f.Append(dst, row.(*T)) }, opened(f.Decode)
		},
		From: func(form string) (func() func([]byte) (any, error), error) {
			decode, err := f.From(form)
			return func() func([]byte) (any, error) { return opened(decode) }, err
		}}
}

// opened is a decoder with a row of its own.
func opened[T any](decode func([]byte, *T) error) func([]byte) (any, error) {
	row := new(T)
	return func(b []byte) (any, error) { return row, decode(b, row) }
}
