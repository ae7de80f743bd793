package codecs

import (
	"errors"
	"fmt"
	"reflect"
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

// Avro writes all columns of T, key columns too, in field order, as a record of Avro's binary
// encoding. The schema is derived from the entity model; docs/codecs.md has the table of types:
//
//	bool; int8 to int32, uint8, uint16         boolean; int
//	int, int64, uint32, uint, uint64           long; a uint64 beyond it is an error, a time.Duration is nanoseconds
//	float32, float64; string; []byte           float, double; string; bytes
//	time.Time                                  long, timestamp-millis; with format us or ns timestamp-micros or -nanos
//	apd.Decimal with precision and scale       bytes, decimal; in a nested struct too
//	pointer                                    union of null and that, null where a record does not have it
//	slice; map of strings to scalars; struct   array; map; record
//
// By itself the codec writes the bare record, and reads only what was written with the very same
// schema. In a registry ([Registered]) it reads what was written with other schemas too, by Avro's
// rules of resolution: columns are found by name, or where the case differs by that of any case;
// one that is missing or null has its default or is zero; others are passed over; numbers are
// widened; times and decimals are read by what the writer's schema says of them. docs/codecs.md has
// the rules as a table. A value that is null as a whole is [ErrNull].
//
// Refused are decimals beyond precision or scale, columns over their maxlen, and texts that are not
// UTF-8. Where T is tagged relaxed the first two are rounded and cut ([Adjuster]), save keys and
// digits before the point.
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
	return c.decode(c.form.own, data, v)
}

func (c *AvroCodec[T]) decode(read avroRead, data []byte, v *T) error {
	if data == nil {
		return ErrNull
	}
	var zero T
	*v = zero
	switch err := c.form.decode(read, data, unsafe.Pointer(v)); {
	case err == ErrNull:
		return ErrNull
	case err != nil:
		return fmt.Errorf("codecs: avro %T: %w", v, err)
	}
	return nil
}

// Reader implements [Framed].
func (c *AvroCodec[T]) Reader(writer topology.Schema) (func([]byte, *T) error, error) {
	read, err := readerOfAvro(writer, func(w *avroType) (avroRead, error) { return resolveRow(c.form.model, w) })
	if err != nil {
		return nil, err
	}
	return func(data []byte, v *T) error { return c.decode(read, data, v) }, nil
}

// readerOfAvro resolves what a writer's schema has written.
func readerOfAvro(writer topology.Schema, resolve func(*avroType) (avroRead, error)) (avroRead, error) {
	if writer.Format != topology.AvroSchema {
		return nil, fmt.Errorf("the schema is %s, not AVRO", writer.Format)
	}
	written, err := parseAvro(writer)
	if err != nil {
		return nil, err
	}
	read, err := resolve(written)
	if err != nil {
		return nil, fmt.Errorf("what was written with another schema cannot be read: %w", err)
	}
	return read, nil
}

// Index implements [Framed].
func (c *AvroCodec[T]) Index() []byte { return nil }

// ForModel is c for a model that differs in the key and the column of the event time.
func (c *AvroCodec[T]) ForModel(m *entity.Model) Codec[T] {
	if c.err != nil || m == c.form.model {
		return c
	}
	form := *c.form
	form.model = m
	err := form.readOwn()
	return &AvroCodec[T]{&form, err}
}

// avroForm is what the library is given in place of T: a struct type of its own tags that lies in
// memory like T, so that a pointer to the one is a pointer to the other, and nothing is copied.
type avroForm struct {
	model    *entity.Model
	twin     reflect.Type
	schema   *avro.Schema
	own      avroRead // of what was written with schema
	limits   limits
	relaxed  *relaxed // nil: strict
	texts    []textColumn
	decimals []move
}

// textColumn is a column that has texts, which must be UTF-8.
type textColumn struct {
	name   string
	offset uintptr
	check  textCheck
}

func newAvroForm(m *entity.Model) (*avroForm, error) {
	f := &avroForm{model: m, limits: limitsOf(m), relaxed: relaxedOf(m)}
	b := avroBuilder{place: m.Type.String()}
	f.twin = b.twin(m)
	node := b.record(m)
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	var err error
	if f.schema, err = node.Schema(avroTypes...); err != nil {
		return nil, fmt.Errorf("codecs: avro %s: %w", b.place, err)
	}
	if err := f.readOwn(); err != nil {
		return nil, fmt.Errorf("codecs: avro %s: %w", b.place, err)
	}
	for i := range m.Columns {
		c := &m.Columns[i]
		if check := textCheckOf(c.Type); check != nil {
			f.texts = append(f.texts, textColumn{c.Name, c.Offset, check})
		}
		if base(c.Type) == decimalType {
			pointer := c.Type.Kind() == reflect.Pointer
			f.decimals = append(f.decimals, move{at: c.Offset, pointer: pointer, name: c.Name, precision: c.Precision,
				scale: c.Scale})
		}
	}
	return f, nil
}

func (f *avroForm) readOwn() (err error) {
	own := topology.Schema{Format: topology.AvroSchema, Text: f.schema.String()}
	f.own, err = readerOfAvro(own, func(w *avroType) (avroRead, error) { return resolveRow(f.model, w) })
	return err
}

func (f *avroForm) encode(dst []byte, row unsafe.Pointer) ([]byte, error) {
	if err := f.limits.check(row); err != nil {
		return nil, err
	}
	for i := range f.texts {
		if t := &f.texts[i]; !t.check(unsafe.Add(row, t.offset)) {
			return nil, fmt.Errorf("column %q: %w", t.name, errNotUTF8)
		}
	}
	return f.schema.AppendEncode(dst, reflect.NewAt(f.twin, row).Interface())
}

func (f *avroForm) decode(read avroRead, data []byte, row unsafe.Pointer) error {
	if err := readAvro(read, "record", data, row); err != nil {
		return err
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
