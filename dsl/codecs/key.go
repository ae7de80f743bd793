package codecs

import (
	"fmt"
	"reflect"
	"unicode/utf8"
	"unsafe"

	"github.com/twmb/avro"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// scalarCodec carries keys of one column as ksqlDB writes them in formats other than its KAFKA: the
// value alone, without a record around it.
type scalarCodec[K any] struct {
	name   string
	schema topology.Schema
	avro   *avro.Schema // nil for JSON
	json   jsonNode     // nil for Avro
	own    avroRead     // of what was written with avro
	text   bool         // K is made of a string
	err    error
}

// AvroKey writes keys of type K in Avro's binary encoding: a string, whole number, float64 or
// []byte as it is, without a record, a struct as [Avro] does. It is given to [Registered], as
// ksqlDB's keys have a schema.
func AvroKey[K any]() Framed[K] {
	if reflect.TypeFor[K]().Kind() == reflect.Struct {
		return avroOf[K](strict(entity.For[K]()))
	}
	c := &scalarCodec[K]{name: "avro", text: reflect.TypeFor[K]().Kind() == reflect.String}
	b := avroBuilder{place: reflect.TypeFor[K]().String()}
	n := b.node("key", reflect.TypeFor[K](), nil)
	if len(b.errs) > 0 || n.Type == "array" || n.Type == "map" {
		c.err = fmt.Errorf("codecs: avro: a %s cannot be a key", b.place)
		return c
	}
	if c.avro, c.err = n.Schema(); c.err == nil {
		c.schema = topology.Schema{Format: topology.AvroSchema, Text: c.avro.String()}
		c.own, c.err = readerOfAvro(c.schema,
			func(w *avroType) (avroRead, error) { return resolveKey(reflect.TypeFor[K](), w) })
	}
	return c
}

// JSONKey writes keys of type K as JSON: a string, whole number or float64 as it is, a struct as
// [JSON] does. By itself it is ksqlDB's JSON, in a registry its JSON_SR. A struct is read in
// whatever order, case of names, white space and notation it was written; each of its columns must
// be there once and not be null, and no others, as two keys that differ only in one of these would
// become one.
func JSONKey[K any]() Framed[K] {
	t := reflect.TypeFor[K]()
	if t.Kind() == reflect.Struct && specialNode(t) == nil {
		c := jsonOf[K](strict(entity.For[K]()))
		if c.form != nil {
			c.form.exact = true
		}
		return c
	}
	c := &scalarCodec[K]{name: "json", text: t.Kind() == reflect.String}
	if c.json, c.err = newCompiler().node(t, t.String()); c.err != nil {
		return c
	}
	s := c.json.schema(nil)
	if s.Types == nil || s.Properties != nil || s.Items != nil || s.Additional != nil || t.Kind() == reflect.Pointer {
		c.err = fmt.Errorf("codecs: json: a %s cannot be a key", t)
		return c
	}
	text, err := s.text()
	c.schema, c.err = topology.Schema{Format: topology.JSONSchema, Text: text}, err
	return c
}

// Name is "avro" or "json".
func (c *scalarCodec[K]) Name() string { return c.name }

// Err is why K cannot be carried, nil if it can.
func (c *scalarCodec[K]) Err() error { return c.err }

// Schema is that of the keys.
func (c *scalarCodec[K]) Schema() (topology.Schema, error) { return c.schema, c.err }

// Index implements [Framed].
func (c *scalarCodec[K]) Index() []byte { return nil }

// Encode implements [Codec].
func (c *scalarCodec[K]) Encode(dst []byte, k *K) ([]byte, error) {
	if c.err != nil {
		return dst, c.err
	}
	// another text would take its place, and two keys be one
	if c.text && !utf8.ValidString(*(*string)(unsafe.Pointer(k))) {
		return dst, fmt.Errorf("codecs: %s key: %w", c.name, errNotUTF8)
	}
	var out []byte
	var err error
	if c.avro != nil {
		out, err = c.avro.AppendEncode(dst, k)
	} else {
		if out, err = c.json.append(dst, unsafe.Pointer(k), 0); err == nil && string(out[len(dst):]) == "null" {
			err = entity.ErrNull // a nil []byte
		}
	}
	if err != nil {
		return dst, fmt.Errorf("codecs: %s key %T: %w", c.name, *k, err)
	}
	return out, nil
}

// Decode implements [Codec].
func (c *scalarCodec[K]) Decode(data []byte, k *K) error {
	if c.err != nil {
		return c.err
	}
	return c.decode(c.own, data, k)
}

func (c *scalarCodec[K]) decode(read avroRead, data []byte, k *K) error {
	if data == nil {
		return ErrNull
	}
	var zero K
	*k = zero
	var err error
	if read != nil {
		err = readAvro(read, "key", data, unsafe.Pointer(k))
	} else {
		err = c.readJSON(data, k)
	}
	if err != nil && err != ErrNull {
		return fmt.Errorf("codecs: %s key %T: %w", c.name, *k, err)
	}
	return err
}

func (c *scalarCodec[K]) readJSON(data []byte, k *K) error {
	switch {
	case isNull(data):
		return ErrNull
	case !utf8.Valid(data):
		return errNotUTF8
	}
	r := &jsonReader{data: withoutMark(data), exact: true}
	if _, err := r.value(c.json, unsafe.Pointer(k)); err != nil {
		return err
	}
	return r.end()
}

// Reader implements [Framed]. A null is no key.
func (c *scalarCodec[K]) Reader(writer topology.Schema) (func([]byte, *K) error, error) {
	if c.avro == nil {
		if writer.Format != c.schema.Format {
			return nil, fmt.Errorf("the schema is %s, not %s", writer.Format, c.schema.Format)
		}
		return c.Decode, nil
	}
	read, err := readerOfAvro(writer, func(w *avroType) (avroRead, error) {
		return resolveKey(reflect.TypeFor[K](),
			w)
	})
	if err != nil {
		return nil, err
	}
	return func(data []byte, k *K) error { return c.decode(read, data, k) }, nil
}
