package rows

import (
	"encoding/binary"
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

// For is the format of rows that the program gave a codec; made says that a function of the program has made them, not that codec. What
// JSON, Fixed, Avro and Proto carry is written as [Of] has it, which is smaller and finds columns by name; where that cannot be (an interface
// that JSON has read), by JSON. Any other codec writes the rows itself. A codec of a registry is the one within: there is no frame, and nothing
// is registered.
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

// Wire writes and reads rows with their forms before them: the length of the form as a uvarint, the form, the row.
type Wire[T any] struct {
	format *Format[T]
	header []byte
	others map[string]func([]byte, *T) error
}

// Wire is for one goroutine.
func (f *Format[T]) Wire() *Wire[T] {
	return &Wire[T]{f, append(binary.AppendUvarint(nil, uint64(len(f.form))), f.form...), map[string]func([]byte, *T) error{}}
}

// Append appends a row and its form.
func (w *Wire[T]) Append(dst []byte, v *T) ([]byte, error) {
	out, err := w.format.Append(append(dst, w.header...), v)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// mostForms is how many other forms a Wire remembers.
const mostForms = 256

// Decode reads a row of any form that T can take over; of any other the error wraps [topology.ErrForm].
func (w *Wire[T]) Decode(b []byte, v *T) error {
	if len(b) >= len(w.header) && string(b[:len(w.header)]) == string(w.header) {
		return w.format.Decode(b[len(w.header):], v)
	}
	text, row, err := cut(b)
	if err != nil {
		return fmt.Errorf("row of %T: its form is cut", *v)
	}
	decode := w.others[string(text)]
	if decode == nil {
		if decode, err = w.format.From(string(text)); err != nil {
			return fmt.Errorf("row of %T: %w: %w", *v, topology.ErrForm, err)
		}
		if len(w.others) < mostForms {
			w.others[string(text)] = decode
		}
	}
	return decode(row, v)
}
