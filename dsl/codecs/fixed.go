package codecs

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// FixedCodec is the compact binary format; see [Fixed].
type FixedCodec[T any] struct {
	program fixedProgram
	err     error
}

// Fixed writes the columns of T that are not in the key, in field order, with nothing before,
// between or behind them:
//
//	int64, uint64, int, uint, float64                8 bytes, big-endian
//	int32, uint32, float32                           4 bytes, big-endian
//	int16, uint16                                    2 bytes, big-endian
//	int8, uint8; bool                                1 byte; 0 or 1
//	time.Time                                        8 bytes: milliseconds since 1970 (format us: microseconds, ns: nanoseconds)
//	string, []byte                                   length as a uvarint, then the bytes; an empty []byte comes back nil
//	pointer to any of them but []byte                1 byte: 0 is nil; 1, then the value
//
// The key columns of a decoded row are zero until the Kafka key is read into them
// (entity.Model.SetKey). Without strings and pointers all rows have one size, and encoding and
// decoding allocate nothing. Any other column type, and a type without such columns, is a mistake
// ([Err]).
func Fixed[T any]() *FixedCodec[T] {
	m, errs := entity.For[T]()
	if len(errs) > 0 {
		return &FixedCodec[T]{err: errors.Join(errs...)}
	}
	program, errs := compileFixed(m, false)
	return &FixedCodec[T]{program, errors.Join(errs...)}
}

// Name is "fixed".
func (c *FixedCodec[T]) Name() string { return "fixed" }

// Err is why T cannot be carried, nil if it can.
func (c *FixedCodec[T]) Err() error { return c.err }

// Adjusted implements [Adjuster].
func (c *FixedCodec[T]) Adjusted() map[string]int64 { return c.program.relaxed.adjusted() }

// WithoutKey says that the key columns that tags name are not in values.
func (c *FixedCodec[T]) WithoutKey() bool { return true }

// Size is the number of bytes of every row; 0 if rows differ in size.
func (c *FixedCodec[T]) Size() int {
	if c.program.varies {
		return 0
	}
	return c.program.least
}

// Encode implements [Codec]. A time that its format cannot hold is an error, and so is a column
// over its maxlen, unless T is tagged relaxed.
func (c *FixedCodec[T]) Encode(dst []byte, v *T) ([]byte, error) {
	if c.err != nil {
		return dst, c.err
	}
	return c.program.encode(dst, unsafe.Pointer(fitted(c.program.relaxed, v)))
}

// Decode implements [Codec]. Data of another length than the columns need is an error that says
// both.
func (c *FixedCodec[T]) Decode(data []byte, v *T) error {
	if c.err != nil {
		return c.err
	}
	var zero T
	*v = zero
	return c.program.decode(data, unsafe.Pointer(v))
}

// fixedCode says how one column is read and written.
type fixedCode uint8

const (
	fixed8 fixedCode = iota
	fixed4
	fixed2
	fixed1
	fixedBool
	fixedInt
	fixedUint
	fixedMillis
	fixedMicros
	fixedNanos
	fixedText
	fixedBytes
)

// fixedOp is one column. It is small, so that the program of a row fits a cache line or two.
type fixedOp struct {
	offset uintptr
	column uint16 // index into the program's columns, for errors and allocation
	code   fixedCode
	width  uint8 // bytes it takes, at least
	null   bool  // a pointer: a presence byte stands before the value
}

// fixedProgram is the format of a type, compiled into a flat list of columns.
type fixedProgram struct {
	place   string
	ops     []fixedOp
	columns []entity.Column
	limits  limits
	relaxed *relaxed // nil: strict
	least   int      // bytes of a row; if it varies, the fewest
	varies  bool     // with strings and nulls
}

// compileFixed compiles the columns that are not in the key, or all.
func compileFixed(m *entity.Model, all bool) (fixedProgram, []error) {
	p := fixedProgram{place: m.Type.String(), columns: m.Columns, limits: limitsOf(m), relaxed: relaxedOf(m)}
	var errs []error
	for i := range m.Columns {
		c := &m.Columns[i]
		if c.Key && !all {
			continue
		}
		t, null := c.Type, c.Type.Kind() == reflect.Pointer
		if null {
			t = t.Elem()
		}
		code, width, ok := fixedCodeOf(t, c.Format)
		if !ok || null && code == fixedBytes {
			errs = append(errs, fmt.Errorf("codecs: fixed %s.%s: a %s has no fixed form", p.place,
				m.Type.Field(c.Field).Name, c.Type))
			continue
		}
		p.varies = p.varies || null || code >= fixedText
		if null {
			width = 1
		}
		p.least += int(width)
		p.ops = append(p.ops, fixedOp{c.Offset, uint16(i), code, width, null})
	}
	if len(p.ops) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("codecs: fixed %s: no columns besides the key", p.place))
	}
	return p, errs
}

func fixedCodeOf(t reflect.Type, format string) (code fixedCode, width uint8, ok bool) {
	if t == timeType {
		switch format {
		case entity.Micros:
			return fixedMicros, 8, true
		case entity.Nanos:
			return fixedNanos, 8, true
		}
		return fixedMillis, 8, true
	}
	switch t.Kind() {
	case reflect.Float64, reflect.Int64, reflect.Uint64:
		return fixed8, 8, true
	case reflect.Int:
		return fixedInt, 8, true
	case reflect.Uint:
		return fixedUint, 8, true
	case reflect.Float32, reflect.Int32, reflect.Uint32:
		return fixed4, 4, true
	case reflect.Int16, reflect.Uint16:
		return fixed2, 2, true
	case reflect.Int8, reflect.Uint8:
		return fixed1, 1, true
	case reflect.Bool:
		return fixedBool, 1, true
	case reflect.String:
		return fixedText, 1, true
	case reflect.Slice:
		return fixedBytes, 1, t.Elem().Kind() == reflect.Uint8
	}
	return 0, 0, false
}
