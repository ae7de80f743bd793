package codecs

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// schemaText is a JSON Schema, as far as one is derived here. Its fields are in the order in which they are written.
type schemaText struct {
	Version    string                 `json:"$schema,omitempty"`
	Title      string                 `json:"title,omitempty"`
	Types      any                    `json:"type,omitempty"` // a name, or several
	Format     string                 `json:"format,omitempty"`
	Encoding   string                 `json:"contentEncoding,omitempty"`
	MaxLength  int                    `json:"maxLength,omitempty"`
	Default    any                    `json:"default,omitempty"`
	Properties map[string]*schemaText `json:"properties,omitempty"`
	Items      *schemaText            `json:"items,omitempty"`
	Additional any                    `json:"additionalProperties,omitempty"` // false, or the schema of a map's values
}

// Schema is a JSON Schema (draft 7) of the rows. No column is required and no others are allowed, so that columns can be added. What is
// written by methods of its own, or is of an interface type, may be anything there.
func (c *JSONCodec[T]) Schema() (topology.Schema, error) {
	if c.err != nil {
		return topology.Schema{}, c.err
	}
	m, _ := entity.For[T]()
	s := &schemaText{Version: "http://json-schema.org/draft-07/schema#", Title: m.Type.Name(), Types: "object",
		Properties: map[string]*schemaText{}, Additional: false}
	for i := range m.Columns {
		column, err := columnSchema(&m.Columns[i])
		if err != nil {
			return topology.Schema{}, fmt.Errorf("codecs: json %s, column %q: %w", m.Type, m.Columns[i].Name, err)
		}
		s.Properties[m.Columns[i].Name] = column
	}
	text, err := json.Marshal(s)
	if err != nil {
		return topology.Schema{}, fmt.Errorf("codecs: json %s: %w", m.Type, err)
	}
	return topology.Schema{Format: topology.JSONSchema, Text: string(text)}, nil
}

func columnSchema(c *entity.Column) (*schemaText, error) {
	t, null := c.Type, c.Type.Kind() == reflect.Pointer
	if null {
		t = t.Elem()
	}
	s := typeSchema(t, c.Format)
	if t.Kind() == reflect.String && s.Types == "string" {
		s.MaxLength = c.MaxLen
	}
	if null {
		s.orNull()
	}
	v, ok := c.Default()
	if !ok {
		return s, nil
	}
	switch x := v.Interface().(type) {
	case time.Time:
		if s.Types == "integer" {
			n, err := entity.ToEpoch(c.Format, x)
			s.Default = n
			return s, err
		}
		if s.Default = x.UTC().Format(time.RFC3339Nano); c.Format != entity.RFC3339 {
			s.Default = x.UTC().Format(c.Format)
		}
	case apd.Decimal:
		s.Default = json.Number(x.Text('f'))
	default:
		s.Default = v.Interface()
	}
	return s, nil
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	rawJSON       = reflect.TypeFor[json.RawMessage]()
)

// orNull allows null too.
func (s *schemaText) orNull() *schemaText {
	switch types := s.Types.(type) {
	case string:
		s.Types = []any{types, "null"}
	case []any:
		if !slices.Contains(types, any("null")) {
			s.Types = append(types, "null")
		}
	}
	return s
}

// typeSchema is the schema of a type within others. One that contains itself may be anything there.
func typeSchema(t reflect.Type, format string, around ...reflect.Type) *schemaText {
	switch t {
	case timeType:
		switch format {
		case entity.Millis, entity.Micros, entity.Nanos:
			return &schemaText{Types: "integer"}
		case entity.RFC3339, "":
			return &schemaText{Types: "string", Format: "date-time"}
		}
		return &schemaText{Types: "string"}
	case decimalType:
		return &schemaText{Types: "number"}
	}
	if slices.Contains(around, t) || t == rawJSON || t.Implements(jsonMarshaler) || reflect.PointerTo(t).Implements(jsonMarshaler) {
		return &schemaText{}
	}
	if t.Implements(textMarshaler) {
		return &schemaText{Types: "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return &schemaText{Types: "boolean"}
	case reflect.String:
		return &schemaText{Types: "string"}
	case reflect.Float32, reflect.Float64:
		return &schemaText{Types: []any{"number", "string"}} // "NaN"
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return &schemaText{Types: []any{"string", "null"}, Encoding: "base64"}
		}
		return &schemaText{Types: []any{"array", "null"}, Items: typeSchema(t.Elem(), "", around...)}
	case reflect.Map:
		return &schemaText{Types: []any{"object", "null"}, Additional: typeSchema(t.Elem(), "", around...)}
	case reflect.Struct:
		s := &schemaText{Types: "object", Properties: map[string]*schemaText{}, Additional: false}
		around = append(slices.Clip(around), t)
		for i, name := range fieldNames(t) {
			if f := t.Field(i); f.Anonymous || strings.Contains(f.Tag.Get("json"), ",string") {
				return &schemaText{Types: "object"}
			} else if name != "" {
				s.Properties[name] = typeSchema(f.Type, "", around...)
			}
		}
		return s
	case reflect.Pointer:
		return typeSchema(t.Elem(), format, around...).orNull()
	case reflect.Interface:
		return &schemaText{}
	}
	return &schemaText{Types: "integer"}
}

// Index implements [Framed].
func (c *JSONCodec[T]) Index() []byte { return nil }

// Reader implements [Framed]. JSON needs no schema to be read.
func (c *JSONCodec[T]) Reader(writer topology.Schema) (func([]byte, *T) error, error) {
	if writer.Format != topology.JSONSchema {
		return nil, fmt.Errorf("the schema is %s, not JSON", writer.Format)
	}
	return c.Decode, nil
}
