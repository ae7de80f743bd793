package codecs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// frameSize is the magic byte, which is 0, and the schema's id, 4 bytes big-endian.
const frameSize = 5

var errNoTopic = errors.New("a codec in a registry is of a topic: give it to a source or a sink, or use At")

// Framed is a codec that knows its schema: what [Registered] takes.
type Framed[T any] interface {
	Codec[T]
	// Schema is the one that values are written with.
	Schema() (topology.Schema, error)
	// Index is what stands between the id and the value.
	Index() []byte
	// Reader makes a decoder of what was written with another schema, the index before it.
	Reader(writer topology.Schema) (func([]byte, *T) error, error)
}

// Subject names the subject of a schema: from the topic, whether it is of keys, and the name of the
// record or message.
type Subject func(topic string, key bool, record string) string

// TopicName is the strategy that Confluent's serializers and ksqlDB have: topic-value, topic-key.
func TopicName(topic string, key bool, _ string) string {
	if key {
		return topic + "-key"
	}
	return topic + "-value"
}

// RecordName names subjects after the record, so that a topic may hold several.
func RecordName(_ string, _ bool, record string) string { return record }

// TopicRecordName is the topic and the record.
func TopicRecordName(topic string, _ bool, record string) string { return topic + "-" + record }

// RegisteredCodec is a codec whose schema is in a registry; see [Registered].
type RegisteredCodec[T any] struct {
	schemas topology.Schemas
	inner   Framed[T]
	subject Subject
	topic   string
	key     bool

	header atomic.Pointer[[]byte] // what stands before each value; nil until the schema is registered

	mu      sync.Mutex // for writers of readers
	readers atomic.Pointer[map[uint32]reader[T]]
}

// reader decodes what was written with one schema, or says why it cannot.
type reader[T any] struct {
	decode func([]byte, *T) error
	err    error
}

// Registered is Avro, Proto or JSON in Confluent's wire format: a zero byte, the id of the schema
// in 4 bytes big-endian, for Protobuf which message of the schema it is, and the value. The subject
// is that of [TopicName].
//
//	bars.To("bars").Codec(codecs.Registered(schemas, codecs.Avro[Bar]()))
//
// The schema that sinks write with is registered before the engine reads its first record, and a
// source's when it is first written to (engine.Add). Values are decoded by the schema that they
// were written with, which is asked for once. Errors that wrap [topology.ErrUnavailable] say that
// the registry could not be asked: the value may be sound.
func Registered[T any](schemas topology.Schemas, c Framed[T]) *RegisteredCodec[T] {
	return &RegisteredCodec[T]{schemas: schemas, inner: c, subject: TopicName}
}

// Subject sets how subjects are named: TopicName if it is not called. It is not for codecs in use.
func (c *RegisteredCodec[T]) Subject(s Subject) *RegisteredCodec[T] {
	c.subject = s
	return c
}

// Name is that of the codec within, and where its schema is: "avro, registered".
func (c *RegisteredCodec[T]) Name() string { return c.inner.Name() + ", registered" }

// Err is why T cannot be carried or has no schema, nil if it has one.
func (c *RegisteredCodec[T]) Err() error {
	if c.schemas == nil {
		return errors.New("codecs: no registry")
	}
	if c.subject == nil {
		return errors.New("codecs: no subject strategy")
	}
	if err := Err[T](c.inner); err != nil {
		return err
	}
	_, err := c.inner.Schema()
	return err
}

// Adjusted implements [Adjuster].
func (c *RegisteredCodec[T]) Adjusted() map[string]int64 {
	if a, ok := c.inner.(Adjuster); ok {
		return a.Adjusted()
	}
	return nil
}

// Within is the codec that [Registered] was given; topics share it.
func (c *RegisteredCodec[T]) Within() any { return c.inner }

// Of is c for the values or keys of a topic.
func (c *RegisteredCodec[T]) Of(topic string, key bool) Codec[T] {
	return &RegisteredCodec[T]{schemas: c.schemas, inner: c.inner, subject: c.subject, topic: topic, key: key}
}

// ForModel is c for the model of a source: see [WithModel].
func (c *RegisteredCodec[T]) ForModel(m *entity.Model) Codec[T] {
	inner, ok := WithModel[T](c.inner, m).(Framed[T])
	if !ok || inner == c.inner {
		return c
	}
	return &RegisteredCodec[T]{schemas: c.schemas, inner: inner, subject: c.subject, topic: c.topic, key: c.key}
}

// modelled is a codec that reads by the model of a source.
type modelled[T any] interface {
	ForModel(m *entity.Model) Codec[T]
}

var (
	_ modelled[struct{}] = (*AvroCodec[struct{}])(nil)
	_ modelled[struct{}] = (*RegisteredCodec[struct{}])(nil)
)

// WithModel is c for a source whose model says of the key and the event time other than the tags of
// T do: Avro reads the event time by the unit in which it was written. Codecs that read all columns
// alike are as they were.
func WithModel[T any](c Codec[T], m *entity.Model) Codec[T] {
	if of, ok := c.(modelled[T]); ok && m != nil {
		return of.ForModel(m)
	}
	return c
}

// At is c for the values of a topic: what a source or sink makes of the codec that it is given.
// Only codecs that depend on the topic differ.
func At[T any](c Codec[T], topic string) Codec[T] { return of(c, topic, false) }

// KeyAt is c for the keys of a topic.
func KeyAt[K any](c Codec[K], topic string) Codec[K] { return of(c, topic, true) }

func of[T any](c Codec[T], topic string, key bool) Codec[T] {
	if of, ok := c.(interface {
		Of(topic string, key bool) Codec[T]
	}); ok {
		return of.Of(topic, key)
	}
	return c
}

// Register makes sure that the schema is in the registry, under its subject.
func (c *RegisteredCodec[T]) Register(ctx context.Context) error {
	_, err := c.prefix(ctx)
	return err
}

func (c *RegisteredCodec[T]) prefix(ctx context.Context) ([]byte, error) {
	if h := c.header.Load(); h != nil {
		return *h, nil
	}
	if c.topic == "" {
		return nil, errNoTopic
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	schema, err := c.inner.Schema()
	if err != nil {
		return nil, err
	}
	id, err := c.schemas.Register(ctx, c.subject(c.topic, c.key, recordName[T](c.inner)), schema)
	if err != nil {
		return nil, err
	}
	h := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), c.inner.Index()...)
	c.header.Store(&h)
	return h, nil
}

// recordName is that of the record or message.
func recordName[T any](c Framed[T]) string {
	if named, ok := c.(interface{ record() string }); ok {
		return named.record()
	}
	return reflect.TypeFor[T]().Name()
}

// Encode implements [Codec]. The first call asks the registry where Register was not called.
func (c *RegisteredCodec[T]) Encode(dst []byte, v *T) ([]byte, error) {
	h, err := c.prefix(context.Background()) // the registry bounds how long it is waited for
	if err != nil {
		return dst, fmt.Errorf("codecs: %s %T: %w", c.inner.Name(), v, err)
	}
	out, err := c.inner.Encode(append(dst, h...), v)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Decode implements [Codec].
func (c *RegisteredCodec[T]) Decode(data []byte, v *T) error {
	if data == nil {
		return ErrNull
	}
	id, rest, err := cutFrame(data)
	if err != nil {
		return fmt.Errorf("codecs: %s %T: %w", c.inner.Name(), v, err)
	}
	r, err := c.readerOf(id)
	if err == nil {
		err = r.err
	}
	if err != nil {
		return fmt.Errorf("codecs: %s %T: schema %d: %w", c.inner.Name(), v, id, err)
	}
	return r.decode(rest, v)
}

func (c *RegisteredCodec[T]) readerOf(id uint32) (reader[T], error) {
	if known := c.readers.Load(); known != nil {
		if r, ok := (*known)[id]; ok {
			return r, nil
		}
	}
	if err := c.Err(); err != nil {
		return reader[T]{}, err
	}
	schema, err := c.schemas.Schema(context.Background(), int(id)) // as in Encode
	if err != nil {
		return reader[T]{}, err
	}
	var r reader[T]
	r.decode, r.err = c.inner.Reader(schema)
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := map[uint32]reader[T]{id: r}
	if known := c.readers.Load(); known != nil {
		fresh = maps.Clone(*known)
		fresh[id] = r
	}
	c.readers.Store(&fresh)
	return r, nil
}

// cutFrame takes the magic byte and the id off the front.
func cutFrame(data []byte) (id uint32, rest []byte, err error) {
	if len(data) < frameSize {
		return 0, nil, fmt.Errorf("%d bytes are no frame of a registry, which has %d", len(data), frameSize)
	}
	if data[0] != 0 {
		return 0, nil, fmt.Errorf("the first byte is %#x, not the 0 of a registry's frame: was it written without one?",
			data[0])
	}
	return binary.BigEndian.Uint32(data[1:]), data[frameSize:], nil
}
