package codecs

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// agreesWithSchema holds a value against the schema that its codec registers: the part of JSON
// Schema that one is derived in.
func agreesWithSchema[T any](t *testing.T, c *JSONCodec[T], value []byte) {
	t.Helper()
	s, err := c.Schema()
	require.NoError(t, err)
	var schema, v any
	require.NoError(t, stdjson.Unmarshal([]byte(s.Text), &schema))
	d := stdjson.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	require.NoError(t, agrees(schema, v, "$"), "%s\n%s", s.Text, value)
}

func agrees(schema, v any, place string) error {
	s := schema.(map[string]any)
	if types, ok := s["type"]; ok {
		list, ok := types.([]any)
		if !ok {
			list = []any{types}
		}
		fits := false
		for _, t := range list {
			fits = fits || isA(t.(string), v)
		}
		if !fits {
			return fmt.Errorf("%s: %v is none of %v", place, v, list)
		}
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			if items, ok := s["items"]; ok {
				if err := agrees(items, e, fmt.Sprintf("%s[%d]", place, i)); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		for name, e := range v {
			of, ok := properties[name]
			if !ok {
				if of, ok = s["additionalProperties"]; !ok {
					continue
				}
				if of == false {
					return fmt.Errorf("%s: no property %q", place, name)
				}
			}
			if err := agrees(of, e, place+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func isA(name string, v any) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case stdjson.Number:
		return name == "number" || name == "integer" && !bytes.ContainsAny([]byte(v), ".eE")
	case []any:
		return name == "array"
	}
	return name == "object"
}
