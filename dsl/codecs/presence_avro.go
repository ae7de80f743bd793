package codecs

import (
	"fmt"
	"strings"

	"github.com/twmb/avro"

	"github.com/ashi-stream/ashi/topology"
)

// HasWritten implements [Presence] with the writer's schema: the writer may not have the column, or
// have null in it. Without a registry all rows are written with the schema of T, and have all
// columns.
func (c *AvroCodec[T]) HasWritten(writer topology.Schema, data []byte, column string) (bool, error) {
	schema, err := avro.Parse(writer.Text)
	if err != nil {
		return false, fmt.Errorf("codecs: avro: the writer's schema: %w", err)
	}
	var v any
	if _, err := schema.Decode(data, &v); err != nil {
		return false, fmt.Errorf("codecs: avro: %w", err)
	}
	row, ok := v.(map[string]any)
	if !ok {
		return false, fmt.Errorf("codecs: avro: a %T is no record", v)
	}
	if value, ok := row[column]; ok {
		return value != nil, nil
	}
	for name, value := range row { // as columns are found
		if strings.EqualFold(name, column) {
			return value != nil, nil
		}
	}
	return false, nil
}
