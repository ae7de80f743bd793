package codecs

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/topology"
)

// schemaText is a JSON Schema, as far as one is derived here. Its fields are in the order in which
// they are written.
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

// Schema is a JSON Schema (draft 7) of the rows. No column is required and no others are allowed,
// so that columns can be added. What is written by a MarshalJSON, is of an interface type, or is a
// type inside itself, may be anything there.
func (c *JSONCodec[T]) Schema() (topology.Schema, error) {
	if c.err != nil {
		return topology.Schema{}, c.err
	}
	s := c.form.row.schema(nil)
	s.Title = c.form.model.Type.Name()
	text, err := s.text()
	if err != nil {
		return topology.Schema{}, fmt.Errorf("codecs: json %s: %w", c.form.model.Type, err)
	}
	return topology.Schema{Format: topology.JSONSchema, Text: text}, nil
}

// text is the schema as a document of its own.
func (s *schemaText) text() (string, error) {
	s.Version = "http://json-schema.org/draft-07/schema#"
	text, err := json.Marshal(s)
	return string(text), err
}

func (n *structNode) schema(open []jsonNode) *schemaText {
	s := &schemaText{Types: "object", Properties: map[string]*schemaText{}, Additional: false}
	for i := range n.fields {
		f := &n.fields[i]
		column := f.node.schema(append(slices.Clip(open), n))
		if f.maxLen > 0 && column.allows("string") && column.Encoding == "" {
			column.MaxLength = f.maxLen
		}
		if f.initial.IsValid() {
			if text, err := f.node.append(nil, f.initial.Addr().UnsafePointer(), 0); err == nil {
				column.Default = json.RawMessage(text)
			}
		}
		s.Properties[f.name] = column
	}
	return s
}

// allows says that the schema allows a type.
func (s *schemaText) allows(name string) bool {
	switch types := s.Types.(type) {
	case string:
		return types == name
	case []any:
		return slices.Contains(types, any(name))
	}
	return false
}

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

// Index implements [Framed].
func (c *JSONCodec[T]) Index() []byte { return nil }

// Reader implements [Framed]. JSON needs no schema to be read.
func (c *JSONCodec[T]) Reader(writer topology.Schema) (func([]byte, *T) error, error) {
	if writer.Format != topology.JSONSchema {
		return nil, fmt.Errorf("the schema is %s, not JSON", writer.Format)
	}
	return c.Decode, nil
}
