package dsl

import (
	"reflect"
	"slices"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// Key says which columns make the key of the topic, and in which order, in place of those that the
// tags of T say. Columns are named as in messages. It must be called before any step is put below
// the stream.
func (s *StreamOf[T]) Key(columns ...string) *StreamOf[T] {
	if !s.own("Key") {
		return s
	}
	s.source.override(s.b, "Key", func(m *entity.Model) (*entity.Model, error) { return m.WithKey(columns...) })
	s.keyedBySource()
	return s
}

// Timestamp says which column has the event time, in place of the one that the tags of T say. It
// must be called before any step is put below the stream.
func (s *StreamOf[T]) Timestamp(column string) *StreamOf[T] {
	if s.own("Timestamp") {
		s.source.override(s.b, "Timestamp", func(m *entity.Model) (*entity.Model,
			error) {
			return m.WithTimestamp(column)
		})
	}
	return s
}

// own says that s is declared and nothing is below it yet; else it is a mistake.
func (s *StreamOf[T]) own(what string) bool {
	switch {
	case s.source == nil:
		s.b.wrong(place(), "%s: only a stream that was declared with Stream has columns in a topic", what)
	case len(s.node.Next) > 0:
		s.b.wrong(place(), "%s: call it right after Stream: %s has steps below it already", what, s.node.Name)
	default:
		return true
	}
	return false
}

// keyedBySource notes how the records of a declared stream are keyed. A key of several columns may
// have been written in many forms, each in the partition of its own bytes: rows are grouped and
// joined through an internal topic.
func (s *StreamOf[T]) keyedBySource() {
	m := s.source.model
	if m == nil || len(m.Key) == 0 || s.source.keyed != nil {
		return
	}
	s.keyed, s.form = m, m.KeyForm()
	s.source.key, s.moved = nil, nil
	if len(m.Key) > 1 {
		s.source.key, s.moved = m.CanonicalKey, &moved[T]{}
	}
}

// inOneForm brings the keys of a declared table into one form, where they may come in several:
// those of several columns.
func (t *TableOf[K, T]) inOneForm() {
	if s := t.source; s.key == nil && s.model != nil && len(s.model.Key) > 1 {
		s.key = s.model.CanonicalKey
		t.table.Keys, t.table.PlainKey = "JSON of "+s.model.KeyForm(), s.key
	}
}

// Topic is the topic of a declared stream: what Stream was given, or else the tags or the name of
// T. It is empty for what steps put out.
func (s *StreamOf[T]) Topic() string { return s.source.name() }

// Model is what is known about the columns of a declared stream, with what Key and Timestamp have
// said. It is nil for what steps put out, and where T has mistakes, and must not be changed.
// [entity.For] has the model of any type.
func (s *StreamOf[T]) Model() *entity.Model { return s.source.columns() }

// Key is that of a stream: the tags of T need not have a key then.
func (t *TableOf[K, T]) Key(columns ...string) *TableOf[K, T] {
	return t.override("Key", func(m *entity.Model) (*entity.Model, error) { return m.WithKey(columns...) })
}

// Timestamp is that of a stream.
func (t *TableOf[K, T]) Timestamp(column string) *TableOf[K, T] {
	return t.override("Timestamp", func(m *entity.Model) (*entity.Model, error) { return m.WithTimestamp(column) })
}

func (t *TableOf[K, T]) override(what string, with func(*entity.Model) (*entity.Model, error)) *TableOf[K, T] {
	if t.source == nil {
		t.b.wrong(place(), "%s: only a table that was declared with Table has columns in a topic", what)
		return t
	}
	t.source.override(t.b, what, with)
	return t
}

// Topic is that of a stream.
func (t *TableOf[K, T]) Topic() string { return t.source.name() }

// Model is that of a stream.
func (t *TableOf[K, T]) Model() *entity.Model { return t.source.columns() }

func (s *sourceOf[T]) name() string {
	if s == nil {
		return ""
	}
	return s.topic
}

func (s *sourceOf[T]) columns() *entity.Model {
	if s == nil {
		return nil
	}
	return s.model
}

// override puts another model in the place of that of the tags.
func (s *sourceOf[T]) override(b *Builder, what string, with func(*entity.Model) (*entity.Model, error)) {
	if s.model == nil {
		return
	}
	m, err := with(s.model)
	if err != nil {
		b.wrong(place(), "%s: %w", what, err)
		return
	}
	s.model = m
}

// checkKey notes at Build what is wrong with the key of a source, once all that may change it is
// said. form is that of the keys by which a table is read; empty of a stream.
func (s *sourceOf[T]) checkKey(b *Builder, what, form string) {
	if s.model == nil {
		return
	}
	b.atBuild = append(b.atBuild, func() {
		m := s.model
		switch {
		case what == "table" && len(m.Key) == 0:
			b.wrong(s.at,
				"table %q: %s has no key column: a table must have a key (tag a field with `ashi:\"name,key\"`, or "+
					"call Key)", s.topic, typeName[T]())
		case form != "" && form != m.KeyForm():
			b.wrong(s.at, "table %q: it is read by keys that are %s, but those of %s are %s", s.topic, form,
				typeName[T](), m.KeyForm())
		}
		if c, ok := s.codec.(interface{ WithoutKey() bool }); !ok || !c.WithoutKey() {
			return
		}
		tagged, _ := entity.For[T]()
		for _, i := range tagged.Key {
			if !slices.Contains(m.Key, i) {
				b.wrong(s.at,
					"%s %q: codec %s leaves column %q out of values, as its tag says key: name it in Key too, or "+
						"use another codec", what, s.topic, s.codec.Name(), tagged.Columns[i].Name)
			}
		}
	})
}

// adjusts notes a codec that may change values to make them fit, once.
func (b *Builder) adjusts(row string, codec any) {
	if registered, ok := codec.(interface{ Within() any }); ok {
		codec = registered.Within() // sources and sinks have copies of what is around it
	}
	c, ok := codec.(codecs.Adjuster)
	if !ok || c.Adjusted() == nil || !reflect.TypeOf(codec).Comparable() || b.adjusters[codec] {
		return
	}
	b.adjusters[codec] = true
	b.plan.Adjusters = append(b.plan.Adjusters, topology.Adjuster{Row: row, Adjusted: c.Adjusted})
}
