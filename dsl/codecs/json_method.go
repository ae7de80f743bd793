package codecs

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf8"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/internal/input"
)

// methodNode is of a type that has methods for its JSON or its text. Values always have an address
// here, so that methods of the pointer are found too.
type methodNode struct {
	typ                                            reflect.Type
	marshal, unmarshal, marshalText, unmarshalText bool
	other                                          jsonNode // for the direction without a method; nil if both have one
}

func (n *methodNode) append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error) {
	v := reflect.NewAt(n.typ, at).Interface()
	switch {
	case n.marshal:
		text, err := v.(json.Marshaler).MarshalJSON()
		if err != nil {
			return dst, input.Bounded(err)
		}
		return appendJSON(dst, text, depth, n.typ)
	case n.marshalText:
		text, err := v.(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return dst, input.Bounded(err)
		}
		return appendText(dst, view(text))
	}
	return n.other.append(dst, at, depth)
}

// appendJSON writes what a method has made, if it is JSON, without its white space.
func appendJSON(dst, text []byte, depth int, of reflect.Type) ([]byte, error) {
	r := jsonReader{data: text, depth: depth}
	err := r.skip()
	if err == nil {
		err = r.end()
	}
	if err == nil && !utf8.Valid(text) {
		err = errNotUTF8
	}
	if err != nil {
		return dst, fmt.Errorf("MarshalJSON of %s: %w", of, err)
	}
	quoted := false
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case b == '"':
			quoted = !quoted
		case quoted && b == '\\':
			dst = append(dst, b)
			i++
			b = text[i]
		case !quoted && (b == ' ' || b == '\t' || b == '\n' || b == '\r'):
			continue
		}
		dst = append(dst, b)
	}
	return dst, nil
}

func (n *methodNode) read(r *jsonReader, at unsafe.Pointer) error {
	v := reflect.NewAt(n.typ, at).Interface()
	switch {
	case n.unmarshal:
		r.next()
		start := r.at
		if err := r.skip(); err != nil {
			return err
		}
		return input.Bounded(v.(json.Unmarshaler).UnmarshalJSON(r.data[start:r.at:r.at]))
	case n.unmarshalText:
		if r.next() != '"' {
			return r.unfit("a text")
		}
		text, err := r.text()
		if err != nil {
			return err
		}
		return input.Bounded(v.(encoding.TextUnmarshaler).UnmarshalText([]byte(text)))
	}
	return n.other.read(r, at)
}

// schema is that of a text, or of anything.
func (n *methodNode) schema(open []jsonNode) *schemaText {
	switch {
	case n.marshal:
		return &schemaText{}
	case n.marshalText:
		return &schemaText{Types: "string"}
	}
	return n.other.schema(open)
}
