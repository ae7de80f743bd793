package dsl

import (
	"reflect"
	"slices"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// moved is a stream whose rows have other keys than the topic that they come from, so that rows of
// one key may be in several partitions. An operator that needs them together reads them from an
// internal topic.
type moved[T any] struct {
	to *StreamOf[T] // by way of the internal topic; nil: not needed yet
}

// PartitionBy gives rows another key. Where an operator below needs the rows of one key together,
// such as an aggregation or a join, they go through an internal topic that is partitioned by it,
// with their event times; see Repartition to choose its name and partitions.
func PartitionBy[T, K any](s *StreamOf[T], key func(*T) K) *StreamOf[T] {
	s.b.given("PartitionBy", map[string]any{"key": key})
	c, err := entity.KeyOf[K]()
	if err != nil {
		s.b.wrong(place(), "PartitionBy: key of type %v: %w", reflect.TypeFor[K](), err)
	}
	below := s.rekey("partition", func(r *topology.Record, dst []byte) ([]byte, error) {
		return c.Append(dst,
			key(r.Value.(*T)))
	})
	below.form = c.Form()
	return below
}

// PartitionByColumns gives rows the key that columns of theirs make, named as in messages: what
// PartitionBy does with a function, but where the records of s are known to have that key already,
// nothing is done. K is the type of the key: that of the column, or for several a struct with the
// same columns in the same order.
//
// The key is known to be that of the columns where the rows are those of a declared topic (or of
// PartitionByColumns), only filtered, peeked at, split or merged since, and the columns are its key
// columns in their order.
func PartitionByColumns[K, T any](s *StreamOf[T], columns ...string) *StreamOf[T] {
	_, m := keyOfColumns[K, T](s, "PartitionByColumns", columns)
	if m == nil || s.keyedBy(m) {
		return s
	}
	below := s.rekey("partition", func(r *topology.Record, dst []byte) ([]byte, error) {
		return m.AppendKey(dst,
			r.Value.(*T))
	})
	below.keyed, below.form = m, m.KeyForm()
	return below
}

// keyOfColumns is the codec of keys of type K, and the model of the rows of s whose key the columns
// are; nil where that is a mistake, which it notes.
func keyOfColumns[K, T any](s *StreamOf[T], what string, columns []string) (entity.KeyCodec[K], *entity.Model) {
	at := place()
	c, err := entity.KeyOf[K]()
	if err != nil {
		s.b.wrong(at, "%s: key of type %v: %w", what, reflect.TypeFor[K](), err)
		return c, nil
	}
	m, errs := entity.For[T]()
	for _, err := range errs {
		s.b.wrong(at, "%s: %w", what, err)
	}
	if m == nil {
		return c, nil
	}
	if m, err = m.WithKey(columns...); err != nil {
		s.b.wrong(at, "%s: %w", what, err)
		return c, nil
	}
	if c.Form() != m.KeyForm() {
		s.b.wrong(at,
			"%s: keys of type %v are %s, those of the columns %q are %s: give a type with these columns in this order",
			what, reflect.TypeFor[K](), c.Form(), columns, m.KeyForm())
		return c, nil
	}
	return c, m
}

// keyedBy says that the key of the stream's records is what the key columns of m have in their
// rows.
func (s *StreamOf[T]) keyedBy(m *entity.Model) bool {
	return s.keyed != nil && slices.Equal(s.keyed.Key, m.Key)
}

// rekey adds a step that gives rows another key.
func (s *StreamOf[T]) rekey(kind string, appendKey func(*topology.Record, []byte) ([]byte, error)) *StreamOf[T] {
	below := step[T, T](s, kind, func() func(*topology.Record, []*topology.Record) ([]*topology.Record, error) {
		var buf []byte
		var rekeyed topology.Record
		return func(r *topology.Record, out []*topology.Record) (_ []*topology.Record, err error) {
			if buf, err = appendKey(r, buf[:0]); err != nil {
				return out, err
			}
			rekeyed = *r
			rekeyed.Key, rekeyed.Group = buf, buf
			return append(out, &rekeyed), nil
		}
	})
	below.moved, below.form, below.format = &moved[T]{}, "", same(s.format)
	return below
}

// Repartition sends the rows through an internal topic, named after the application and name, with
// so many partitions; 0 leaves the number to the engine: that of the topics that are joined below,
// or else that of the topic that they come from.
func (s *StreamOf[T]) Repartition(name string, partitions int) *StreamOf[T] {
	s.b.named("Repartition", name)
	return s.through(s.b.unique(name), int32(partitions))
}

// placed is the stream with the rows of one key in one partition.
func (s *StreamOf[T]) placed() *StreamOf[T] {
	if s.moved == nil {
		return s
	}
	if s.moved.to == nil {
		s.moved.to = s.through(s.b.unique(s.origin+"-repartition"), 0)
	}
	return s.moved.to
}

// through writes the stream to an internal topic and reads it again, in another sub-topology.
func (s *StreamOf[T]) through(name string, partitions int32) *StreamOf[T] {
	topic := s.b.internal(name, partitions)
	sink, source := &topology.Sink{Topic: topic, Internal: true, Row: typeName[T]()}, &topology.Source{Topic: topic,
		Internal: true, Row: typeName[T]()}
	s.format.passThrough(s.b, sink, source)
	s.node.Next = append(s.node.Next, &topology.Node{Name: s.b.unique("to-" + topic), Place: place(), Op: sink})
	node := &topology.Node{Name: s.b.unique(topic), Place: place(), Op: source}
	return &StreamOf[T]{b: s.b, node: node, part: s.b.root(node, true), origin: s.origin, form: s.form, keyed: s.keyed,
		format: same(s.format)}
}

// internal notes an internal topic, named after the application.
func (b *Builder) internal(name string, partitions int32) (topic string) {
	topic = topology.InternalName(b.plan.Name, name)
	b.plan.Internal = append(b.plan.Internal, &topology.Internal{Topic: topic, Place: place(), Partitions: partitions})
	return topic
}

// Merge is a stream of the rows of several. Their topics must have the same number of partitions.
func Merge[T any](first *StreamOf[T], others ...*StreamOf[T]) *StreamOf[T] {
	b := first.b
	n := &topology.Node{Name: b.unique(first.node.Name + "-merge"), Place: place(),
		Op: &topology.Merge{Inputs: 1 + len(others)}}
	merged := &StreamOf[T]{b: b, node: n, part: first.part, origin: first.origin, keyed: first.keyed, form: first.form,
		format: &format[T]{}}
	for i, s := range append([]*StreamOf[T]{first}, others...) {
		b.alone("Merge", s.b)
		merged.format.of = append(merged.format.of, s.format)
		b.feed(s.node, n, i)
		unite(first.part, s.part)
		if s.moved != nil {
			merged.moved = &moved[T]{}
		}
		if s.keyed == nil || !merged.keyedBy(s.keyed) {
			merged.keyed = nil
		}
		if s.form != merged.form {
			merged.form = ""
		}
	}
	return merged
}

// feed makes from an input of the operator to.
func (b *Builder) feed(from, to *topology.Node, port int) {
	from.Next = append(from.Next, &topology.Node{Name: b.unique(to.Name + "-input"), Place: to.Place,
		Op: &topology.Input{To: to, Port: port}})
}
