package codecs

import (
	"fmt"
	"reflect"

	"github.com/ashi-stream/ashi/topology"
)

// ErrNull is a value that is null: no bytes at all (a tombstone), or what the format has for null
// ([Nuller]).
var ErrNull = topology.ErrNull

// Codec is one format for rows of type T. It may be called by many goroutines at once.
type Codec[T any] interface {
	// Name is the format in plans and logs: "json", "fixed", "protobuf".
	Name() string
	// Encode appends the bytes of v to dst, and does not keep or change v. After an error the
	// result is dst as it was. The result is never nil: nil bytes are Kafka's null.
	Encode(dst []byte, v *T) ([]byte, error)
	// Decode sets all of v from data: nothing of the previous row is left. Strings and []byte may
	// be views of data, which nobody may write to again. After an error v is undefined.
	Decode(data []byte, v *T) error
}

// Err is the mistake that c was made with, or nil. It asks for an optional method `Err() error`.
func Err[T any](c Codec[T]) error {
	if c == nil {
		return fmt.Errorf("codecs: no codec for %s", reflect.TypeFor[T]())
	}
	if broken, ok := c.(interface{ Err() error }); ok {
		return broken.Err()
	}
	return nil
}
