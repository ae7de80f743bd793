package codecs

import (
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
	"unsafe"

	"github.com/twmb/avro"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// AvroCodec is the Avro format; see [Avro].
type AvroCodec[T any] struct {
	form *avroForm
	err  error
}

// Avro writes all columns of T, key columns too, in field order, as a record of Avro's binary encoding. The schema is derived from the
// entity model; docs/codecs.md has the table of types:
//
//	bool; int8 to int32, uint8, uint16         boolean; int
//	int, int64, uint32, uint, uint64           long; a uint64 beyond it is an error, a time.Duration is nanoseconds
//	float32, float64; string; []byte           float, double; string; bytes
//	time.Time                                  long, timestamp-millis; with format us or ns timestamp-micros or -nanos
//	apd.Decimal with precision and scale       bytes, decimal
//	pointer                                    union of null and that, null where a record does not have it
//	slice; map of strings to scalars; struct   array; map; record
//
// By itself the codec writes the bare record, and reads only what was written with the very same schema. In a registry
// ([Registered]) it reads what was written with other schemas too: columns are found by name, or where the case differs by that of any
// case; one that is missing has its default or is zero, one that is null is zero; others are passed over; numbers are promoted.
//
// Refused are decimals beyond precision or scale, columns over their maxlen, and string columns that are not UTF-8. Where T is tagged
// relaxed the first two are rounded and cut ([Adjuster]), save keys and digits before the point.
func Avro[T any]() *AvroCodec[T] { return avroOf[T](entity.For[T]()) }

func avroOf[T any](m *entity.Model, errs []error) *AvroCodec[T] {
	if len(errs) > 0 {
		return &AvroCodec[T]{err: errors.Join(errs...)}
	}
	form, err := newAvroForm(m)
	return &AvroCodec[T]{form, err}
}

// Name is "avro".
func (c *AvroCodec[T]) Name() string { return "avro" }

// Err is why T cannot be carried, nil if it can.
func (c *AvroCodec[T]) Err() error { return c.err }

// Adjusted implements [Adjuster].
func (c *AvroCodec[T]) Adjusted() map[string]int64 {
	if c.form == nil {
		return nil
	}
	return c.form.relaxed.adjusted()
}

// Schema is the schema that rows are written with.
func (c *AvroCodec[T]) Schema() (topology.Schema, error) {
	if c.err != nil {
		return topology.Schema{}, c.err
	}
	return topology.Schema{Format: topology.AvroSchema, Text: c.form.schema.String()}, nil
}

// Encode implements [Codec].
func (c *AvroCodec[T]) Encode(dst []byte, v *T) ([]byte, error) {
	if c.err != nil {
		return dst, c.err
	}
	out, err := c.form.encode(dst, unsafe.Pointer(fitted(c.form.relaxed, v)))
	if err != nil {
		return dst, fmt.Errorf("codecs: avro %T: %w", v, err)
	}
	return out, nil
}

// Decode implements [Codec].
func (c *AvroCodec[T]) Decode(data []byte, v *T) error {
	if c.err != nil {
		return c.err
	}
	return c.decode(c.form.schema, data, v)
}

func (c *AvroCodec[T]) decode(schema *avro.Schema, data []byte, v *T) error {
	if data == nil {
		return ErrNull
	}
	var zero T
	*v = zero
	if err := c.form.decode(schema, data, unsafe.Pointer(v)); err != nil {
		return fmt.Errorf("codecs: avro %T: %w", v, err)
	}
	return nil
}

// Reader implements [Framed].
func (c *AvroCodec[T]) Reader(writer topology.Schema) (func([]byte, *T) error, error) {
	if writer.Format != topology.AvroSchema {
		return nil, fmt.Errorf("the schema is %s, not AVRO", writer.Format)
	}
	schema, err := c.form.resolve(writer.Text)
	if err != nil {
		return nil, err
	}
	return func(data []byte, v *T) error { return c.decode(schema, data, v) }, nil
}

// Index implements [Framed].
func (c *AvroCodec[T]) Index() []byte { return nil }

// avroForm is what the library is given in place of T: a struct type of its own tags that lies in memory like T, so that a pointer
// to the one is a pointer to the other, and nothing is copied.
type avroForm struct {
	model    *entity.Model
	twin     reflect.Type
	schema   *avro.Schema
	limits   limits
	relaxed  *relaxed // nil: strict
	texts    []textColumn
	decimals []move
}

// textColumn is a string column, which must be UTF-8.
type textColumn struct {
	name   string
	offset uintptr
	null   bool
}

func newAvroForm(m *entity.Model) (*avroForm, error) {
	f := &avroForm{model: m, limits: limitsOf(m), relaxed: relaxedOf(m)}
	b := avroBuilder{place: m.Type.String()}
	f.twin = b.twin(m)
	node := b.record(m, nil)
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	var err error
	if f.schema, err = node.Schema(avroTypes...); err != nil {
		return nil, fmt.Errorf("codecs: avro %s: %w", b.place, err)
	}
	for i := range m.Columns {
		c := &m.Columns[i]
		t, null := c.Type, c.Type.Kind() == reflect.Pointer
		if null {
			t = t.Elem()
		}
		switch {
		case t.Kind() == reflect.String:
			f.texts = append(f.texts, textColumn{c.Name, c.Offset, null})
		case t == decimalType:
			f.decimals = append(f.decimals, move{at: c.Offset, pointer: null, name: c.Name, precision: c.Precision, scale: c.Scale})
		}
	}
	return f, nil
}

func (f *avroForm) encode(dst []byte, row unsafe.Pointer) ([]byte, error) {
	if err := f.limits.check(row); err != nil {
		return nil, err
	}
	for i := range f.texts {
		t := &f.texts[i]
		at := unsafe.Add(row, t.offset)
		if t.null {
			if at = *(*unsafe.Pointer)(at); at == nil {
				continue
			}
		}
		if !utf8.ValidString(*(*string)(at)) {
			return nil, fmt.Errorf("column %q: %w", t.name, errNotUTF8)
		}
	}
	return f.schema.AppendEncode(dst, reflect.NewAt(f.twin, row).Interface())
}

func (f *avroForm) decode(schema *avro.Schema, data []byte, row unsafe.Pointer) error {
	rest, err := schema.Decode(data, reflect.NewAt(f.twin, row).Interface(), avro.AliasInput())
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes behind the record", len(rest))
	}
	if f.relaxed != nil {
		f.relaxed.adjust(row)
	}
	for i := range f.decimals {
		if err := f.decimals[i].refit(row); err != nil {
			return err
		}
	}
	return f.limits.check(row)
}
