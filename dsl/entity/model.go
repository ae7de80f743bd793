package entity

import (
	"cmp"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// Kind says whether an entity is a stream of events or a table of latest rows.
type Kind uint8

// The kinds of an entity. Unstated is a type whose tags do not say.
const (
	Unstated Kind = iota
	Stream
	Table
)

// String is the word of the tag, or "unstated".
func (k Kind) String() string {
	switch k {
	case Stream:
		return "stream"
	case Table:
		return "table"
	}
	return "unstated"
}

// Formats of a time column that have a name; any other format is a layout of package time.
const (
	RFC3339 = "rfc3339" // text, up to nanoseconds; the default
	Millis  = "ms"      // number of milliseconds since 1970
	Micros  = "us"      // number of microseconds since 1970
	Nanos   = "ns"      // number of nanoseconds since 1970: the years 1678 to 2261
)

// Column is one field of an entity.
type Column struct {
	Name   string       // in messages; unique in its model
	Field  int          // index of the struct's field
	Offset uintptr      // of the field in the struct, in bytes
	Type   reflect.Type // of the field
	Key    bool         // part of the key

	Precision int // digits of a decimal; 0 is unlimited
	Scale     int // digits of a decimal behind the point; means something only with a Precision
	MaxLen    int // characters of a string, bytes of a []byte; 0 is unlimited
	// of a time column: RFC3339, Millis, Micros, Nanos or a layout; of an int64 that is a time: its
	// unit, if the tag says one; else empty
	Format string

	initial reflect.Value
}

// Default is the value that the tag gives to a column that a record does not have; ok is false if
// the tag gives none.
func (c *Column) Default() (value reflect.Value, ok bool) { return c.initial, c.initial.IsValid() }

// Unit is what the numbers of an int64 column count that is an event time: Millis, unless its tag
// has another format. Codecs whose formats know units turn theirs into it.
func (c *Column) Unit() string { return cmp.Or(c.Format, Millis) }

// Model is what a struct type says about itself.
type Model struct {
	Type      reflect.Type // the struct
	Topic     string       // from the tag, or the type's name; empty for a type without a usable name
	Kind      Kind
	Columns   []Column // in field order
	Key       []int    // indices into Columns, in key order; empty without a key
	Timestamp int      // index into Columns, -1 without one
	NoMirror  string   // why a table of it is not to be mirrored (nomirror='...'); empty: it is
	// skip, dlq or fail: what becomes of records that fail; empty: the program says so, or the
	// default
	OnError  string
	OnDecode string   // the same for those that cannot be decoded
	Relaxed  bool     // values that break maxlen or scale are cut or rounded to fit, and counted; else they are errors
	Warnings []string // things to tell the user that are not mistakes

	row  reflect.Type // pointer to Type
	keys *keyProgram  // nil without a key
	time timeReader
}

// Column finds a column by its name.
func (m *Model) Column(name string) (*Column, bool) {
	for i := range m.Columns {
		if m.Columns[i].Name == name {
			return &m.Columns[i], true
		}
	}
	return nil, false
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	decimalType  = reflect.TypeFor[apd.Decimal]()
	durationType = reflect.TypeFor[time.Duration]()
)

type outcome struct {
	model *Model
	errs  []error
}

// models remembers every outcome by its reflect.Type: a type never changes, so neither does its
// model.
var models sync.Map

// For is the model of T; see [Of].
func For[T any]() (*Model, []error) { return Of(reflect.TypeFor[T]()) }

// Of is the model of a struct type. Every mistake in the tags is reported at once, each with its
// place, and then there is no model. The answer is shared: do not change it.
func Of(t reflect.Type) (*Model, []error) {
	if known, ok := models.Load(t); ok {
		o := known.(outcome)
		return o.model, o.errs
	}
	b := builder{model: &Model{Type: t, Timestamp: -1}}
	b.build()
	o := outcome{model: b.model, errs: b.errs}
	if len(o.errs) > 0 {
		o.model = nil
	}
	known, _ := models.LoadOrStore(t, o)
	o = known.(outcome)
	return o.model, o.errs
}

// builder gathers a model and every mistake on the way.
type builder struct {
	model *Model
	errs  []error
	order []int // per column: its number in the key, 0 for a bare key, -1 for no key
}

func (b *builder) wrong(field, format string, args ...any) {
	place := b.model.Type.String()
	if field != "" {
		place += "." + field
	}
	b.errs = append(b.errs, fmt.Errorf("entity: %s: %s", place, fmt.Sprintf(format, args...)))
}

func (b *builder) build() {
	m := b.model
	if m.Type == nil {
		b.errs = append(b.errs, fmt.Errorf("entity: no type"))
		return
	}
	if m.Type.Kind() == reflect.Pointer && m.Type.Elem().Kind() == reflect.Struct {
		b.wrong("", "a pointer is not an entity; use %s", m.Type.Elem())
		return
	}
	if m.Type.Kind() != reflect.Struct || m.Type == timeType || m.Type == decimalType {
		b.wrong("", "an entity is a struct with columns")
		return
	}
	for i := range m.Type.NumField() {
		b.field(i)
	}
	b.unique()
	b.topic()
	b.key()
	if len(b.errs) > 0 {
		return
	}
	m.compile()
}

// compile makes what works on rows.
func (m *Model) compile() {
	m.row = reflect.PointerTo(m.Type)
	m.keys = newKeyProgram(m)
	m.time = newTimeReader(m)
}

func (b *builder) unique() {
	m := b.model
	if len(m.Columns) == 0 && len(b.errs) == 0 {
		b.wrong("", "no columns")
	}
	first := map[string]string{}
	for _, c := range m.Columns {
		name := m.Type.Field(c.Field).Name
		if other, twice := first[c.Name]; twice {
			b.wrong(name, "column %q is already the field %s", c.Name, other)
			continue
		}
		first[c.Name] = name
	}
}

// topic falls back to the type's name; a generic or anonymous type has none that Kafka would take.
func (b *builder) topic() {
	m := b.model
	if m.Topic != "" {
		return
	}
	name := m.Type.Name()
	if topicProblem(name) != "" {
		m.Warnings = append(m.Warnings, fmt.Sprintf("entity: %s: no topic in a tag, and no type name that could be one",
			m.Type))
		return
	}
	m.Topic = name
	m.Warnings = append(m.Warnings, fmt.Sprintf("entity: %s: no topic in a tag; the type's name %q is the topic",
		m.Type, name))
}

// key puts the key columns in order: all by field, or all by number.
func (b *builder) key() {
	m := b.model
	byNumber := map[int]int{}
	bare, numbered := 0, 0
	for i, n := range b.order {
		name := m.Type.Field(m.Columns[i].Field).Name
		switch {
		case n < 0:
			continue
		case n == 0:
			bare++
			m.Key = append(m.Key, i)
		default:
			numbered++
			if other, twice := byNumber[n]; twice {
				b.wrong(name, "key=%d is already the field %s", n, m.Type.Field(m.Columns[other].Field).Name)
				continue
			}
			byNumber[n] = i
		}
	}
	if bare > 0 && numbered > 0 {
		b.wrong("", "key with a number beside key without one: give every key column its number, or none")
	}
	if numbered == 0 {
		return
	}
	m.Key = m.Key[:0]
	for _, n := range sortedNumbers(byNumber) {
		m.Key = append(m.Key, byNumber[n])
	}
}
