package codecs

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
	"github.com/segmentio/encoding/json"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// jsonForm is how a type looks in JSON. The library does not know our names and formats, so it works on a shadow: a struct
// made at run time with the same columns, tagged with our names, in which a column that JSON shows differently has the
// type that JSON shows (a number for a time in ms). The moves carry each column between row and shadow.
type jsonForm struct {
	limits  limits
	relaxed *relaxed // nil: strict
	moves   []move
	initial reflect.Value // a shadow with the default of every column
	shadows sync.Pool     // of *shadow, equal to initial
	quoted  *jsonForm     // with floats that may be text; nil where there are none, and in itself
}

// shadow is one value of the shadow type.
type shadow struct {
	value reflect.Value
	base  unsafe.Pointer
	row   any // pointer to the value, as the library wants it
}

func newJSONForm(m *entity.Model) *jsonForm {
	same := func(t reflect.Type) reflect.Type { return t }
	plain, quoted := formOf(m, same), formOf(m, quotedType)
	if plain.relaxed = relaxedOf(m); plain.relaxed != nil {
		plain.rounding(m)
		quoted.relaxed = plain.relaxed
		quoted.rounding(m)
	}
	if plain.initial.Type() != quoted.initial.Type() {
		plain.quoted = quoted
	}
	return plain
}

// rounding makes the moves of decimals round, and count where they do. There is one move per column.
func (f *jsonForm) rounding(m *entity.Model) {
	for i := range m.Columns {
		f.moves[i].rounded = &f.relaxed.counts[i]
	}
}

// formOf makes the form whose shadow has columns of the types that as gives, which must lie in memory like their own.
func formOf(m *entity.Model, as func(reflect.Type) reflect.Type) *jsonForm {
	f := &jsonForm{limits: limitsOf(m)}
	var fields []reflect.StructField
	for i := range m.Columns {
		c := &m.Columns[i]
		mv := move{name: c.Name, format: c.Format, precision: c.Precision, scale: c.Scale, at: c.Offset, kind: moveOf(c.Type)}
		mv.kind, mv.pointer = special(c, mv.kind)
		if mv.kind == moveTyped {
			mv.typ = c.Type
		}
		f.moves = append(f.moves, mv)
		fields = append(fields, reflect.StructField{
			Name: "C" + strconv.Itoa(i), Type: as(shown(c, mv.kind)), Tag: reflect.StructTag("json:" + strconv.Quote(c.Name+",")),
		})
	}
	typ := reflect.StructOf(fields)
	f.initial = reflect.New(typ).Elem()
	for i := range m.Columns {
		f.moves[i].shown = typ.Field(i).Offset
		f.moves[i].initial(&m.Columns[i], f.initial.Field(i))
	}
	f.shadows.New = func() any {
		p := reflect.New(typ)
		p.Elem().Set(f.initial)
		return &shadow{p.Elem(), p.UnsafePointer(), p.Interface()}
	}
	return f
}

// release puts the defaults back, which also lets go of the row's memory.
func (f *jsonForm) release(s *shadow) {
	s.value.Set(f.initial)
	f.shadows.Put(s)
}

// special is the kind of a column that looks different in JSON, and whether it is behind a pointer.
func special(c *entity.Column, plain moveKind) (moveKind, bool) {
	base, pointer := c.Type, c.Type.Kind() == reflect.Pointer
	if pointer {
		base = base.Elem()
	}
	switch {
	case base == reflect.TypeFor[apd.Decimal]():
		return moveDecimal, pointer
	case base != timeType || c.Format == entity.RFC3339:
		return plain, pointer
	case c.Format == entity.Millis || c.Format == entity.Micros || c.Format == entity.Nanos:
		return moveEpoch, pointer
	}
	return moveLayout, pointer
}

// shown is the column's type in the shadow.
func shown(c *entity.Column, kind moveKind) reflect.Type {
	t, pointer := c.Type, c.Type.Kind() == reflect.Pointer
	switch {
	case kind == moveDecimal:
		return reflect.TypeFor[json.RawMessage]() // null included, behind a pointer or not
	case kind == moveEpoch, t.String() == "time.Duration", t.String() == "*time.Duration":
		t = reflect.TypeFor[int64]() // the library would write a duration as text
	case kind == moveLayout:
		t = reflect.TypeFor[string]()
	default:
		return t
	}
	if pointer {
		return reflect.PointerTo(t)
	}
	return t
}

// initial sets what a column is before a record is read into it.
func (m *move) initial(c *entity.Column, field reflect.Value) {
	v, ok := c.Default()
	if !ok {
		v = reflect.Zero(c.Type)
	}
	if m.pointer || (!ok && m.kind != moveEpoch) {
		return // nil and zero are right already
	}
	row := reflect.New(c.Type)
	row.Elem().Set(v)
	if err := m.show(row.UnsafePointer(), field.Addr().UnsafePointer()); err != nil {
		panic(fmt.Sprintf("codecs: default of column %q: %v", c.Name, err)) // the model has checked it
	}
}

// plainText is false for strings whose text goes through a method of their own.
func plainText(t reflect.Type) bool {
	return t.Kind() == reflect.String &&
		!t.Implements(reflect.TypeFor[json.Marshaler]()) && !t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}
