package codecs

import (
	"context"

	"github.com/ashi-stream/ashi/topology"
)

// Nuller is a codec in whose format some bytes are a null value, beside Kafka's null. Decode gives
// [ErrNull] for them.
type Nuller interface {
	// IsNull says that data is a null value. It is quick, and does not say that other data is
	// sound.
	IsNull(data []byte) bool
}

// IsNull says that data is a null value for c: no bytes, or what c takes for null.
func IsNull[T any](c Codec[T], data []byte) bool {
	if data == nil {
		return true
	}
	n, ok := c.(Nuller)
	return ok && n.IsNull(data)
}

// Presence is a codec that can tell a column that a value does not have, or has as null, from one
// that is zero. An event time that is an int64 needs it: where the value has none, that of the
// Kafka record counts.
type Presence interface {
	// Has says whether data has the column, and not as null. It is asked only for columns that
	// Decode has found to be zero.
	Has(data []byte, column string) (bool, error)
}

// Has says whether data has a column that c has decoded as zero. A codec without [Presence] has all
// columns in every value.
func Has[T any](c Codec[T], data []byte, column string) (bool, error) {
	if p, ok := c.(Presence); ok {
		return p.Has(data, column)
	}
	return true, nil
}

// writtenPresence is [Presence] of a codec whose values can be told apart only with the schema that
// they were written with.
type writtenPresence interface {
	HasWritten(writer topology.Schema, data []byte, column string) (bool, error)
}

// IsNull implements [Nuller].
func (c *RegisteredCodec[T]) IsNull(data []byte) bool {
	n, ok := c.inner.(Nuller)
	if !ok {
		return false
	}
	_, rest, err := cutFrame(data)
	return err == nil && n.IsNull(rest)
}

// Has implements [Presence].
func (c *RegisteredCodec[T]) Has(data []byte, column string) (bool, error) {
	id, rest, err := cutFrame(data)
	if err != nil {
		return false, err
	}
	switch p := c.inner.(type) {
	case writtenPresence:
		schema, err := c.schemas.Schema(context.Background(), int(id)) // as in Encode
		if err != nil {
			return false, err
		}
		return p.HasWritten(schema, rest, column)
	case Presence:
		return p.Has(rest, column)
	}
	return true, nil
}

// Has implements [Presence]: a number that is 0 is not written. Fields that tell 0 from none are
// pointers.
func (*ProtoCodec[T, P]) Has([]byte, string) (bool, error) { return false, nil }
