package rows

import (
	"fmt"
	"reflect"
	"strings"
)

// op is what a step does.
type op uint8

const (
	opScalar  op = iota // a scalar as its type is: wire says which
	opNumber            // a number that was written with another width
	opPointer           //
	opSlice             //
	opArray             //
	opMap               //
	opStruct            //
	opOpaque            //
	opWrap              // a value into a pointer
	opUnwrap            // a pointer's value into a value; nil leaves it as it is
	opBytes             // text into bytes
	opSkip              // passed over: there is nothing to put it in
)

// step reads values of one form into values of one Go type, and writes them where the form is the
// type's own.
type step struct {
	op   op
	wire code
	kind code         // of numbers: what they become
	typ  reflect.Type // nil of opSkip
	form *form
	elem *step
	key  *step
	n    int
	size uintptr // of an element
	way  *way

	fields []stepField
}

// stepField is a field of a struct, in the order of the form.
type stepField struct {
	offset uintptr
	*step
}

// compiler makes the steps from a form to a type.
type compiler struct {
	holds  content
	around []*form // structs that are being made, the outermost first
	made   map[target]*step
	errs   []string
	top    reflect.Value // where defaults of columns that the form does not have are set; zero: nowhere
}

// target is a struct's form and what it is read into; nil: nothing.
type target struct {
	form *form
	typ  reflect.Type
}

// compile makes the steps that read rows of a form into a type. initial, if not zero, is a row that
// gets the defaults of columns that the form does not have. The error has a line for each column
// that cannot be read.
func compile(f *form, t reflect.Type, holds content, initial reflect.Value) (*step, error) {
	c := compiler{holds: holds, made: map[target]*step{}, top: initial}
	s := c.step(f, t, "")
	if len(c.errs) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(c.errs, "; "))
	}
	return s, nil
}

func (c *compiler) differs(place string, was, is any) *step {
	if place == "" {
		place = "row"
	} else {
		place = "column " + place
	}
	c.errs = append(c.errs, fmt.Sprintf("%s: was %v, is %v", place, was, is))
	return &step{op: opSkip}
}

// step reads a form into a type; nil is none: it is passed over.
func (c *compiler) step(f *form, t reflect.Type, place string) *step {
	if f.code == codeBack {
		return c.back(f, t, place)
	}
	if made := c.made[target{f, t}]; made != nil {
		return made
	}
	if t == nil {
		return c.skip(f)
	}
	kind, w := kindOf(t)
	switch {
	case kind == codePointer && f.code != codePointer:
		return &step{op: opWrap, typ: t, elem: c.step(f, t.Elem(), place)}
	case kind != codePointer && f.code == codePointer:
		return &step{op: opUnwrap, typ: t, elem: c.step(f.elem, t, place)}
	case kind == codeBytes && f.code == codeText:
		return &step{op: opBytes, typ: t}
	case kind != f.code && widens(f.code, kind):
		return &step{op: opNumber, wire: f.code, kind: kind, typ: t}
	case kind != f.code:
		return c.differs(place, f.described(), t)
	}
	s := &step{wire: f.code, kind: kind, typ: t, form: f}
	switch f.code {
	case codePointer:
		s.op, s.elem = opPointer, c.step(f.elem, t.Elem(), place)
	case codeSlice:
		s.op, s.elem, s.size = opSlice, c.step(f.elem, t.Elem(), place), t.Elem().Size()
	case codeArray:
		s.op, s.elem, s.size, s.n = opArray, c.step(f.elem, t.Elem(), place), t.Elem().Size(), t.Len()
		if f.n != t.Len() {
			return c.differs(place, f.described(), t)
		}
	case codeMap:
		s.op, s.key, s.elem = opMap, c.step(f.key, t.Key(), place+" (key)"), c.step(f.elem, t.Elem(), place)
	case codeOpaque:
		s.op, s.way = opOpaque, w
		if f.way != w.name || f.typ != w.typeOf(t) {
			return c.differs(place, f.described(), w.typeOf(t))
		}
	case codeStruct:
		c.structure(s, f, t, place)
	}
	return s
}

// back is the step of a struct that is around: its form may be read into several types.
func (c *compiler) back(f *form, t reflect.Type, place string) *step {
	i := len(c.around) - f.n
	if f.n < 1 || i < 0 {
		return c.differs(place, "cut", t)
	}
	around := c.around
	c.around = around[:i:i]
	s := c.step(around[i], t, place)
	c.around = around
	return s
}

func (c *compiler) structure(s *step, f *form, t reflect.Type, place string) {
	s.op = opStruct
	all, _ := members(t, len(c.around) == 0, c.holds)
	top := c.top
	if len(c.around) > 0 {
		top = reflect.Value{}
	}
	c.around, c.made[target{f, t}] = append(c.around, f), s
	read := map[string]bool{}
	for _, col := range f.columns {
		var field stepField
		m := find(all, col.name)
		if m == nil {
			field.step = c.step(col.form, nil, "")
		} else {
			read[m.name] = true
			field.offset, field.step = m.field.Offset, c.step(col.form, m.field.Type,
				strings.TrimPrefix(place+"."+col.name, "."))
			if op := field.step.op; top.IsValid() && m.initial.IsValid() && op == opUnwrap {
				top.Field(m.field.Index[0]).Set(m.initial)
			}
		}
		s.fields = append(s.fields, field)
	}
	c.around = c.around[:len(c.around)-1]
	for _, m := range all {
		if top.IsValid() && m.initial.IsValid() && !read[m.name] {
			top.Field(m.field.Index[0]).Set(m.initial)
		}
	}
}

func find(all []member, name string) *member {
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// skip passes values of a form over.
func (c *compiler) skip(f *form) *step {
	s := &step{op: opSkip, wire: f.code, form: f, n: f.n}
	switch f.code {
	case codePointer, codeSlice, codeArray:
		s.elem = c.step(f.elem, nil, "")
	case codeMap:
		s.key, s.elem = c.step(f.key, nil, ""), c.step(f.elem, nil, "")
	case codeStruct:
		c.around, c.made[target{f, nil}] = append(c.around, f), s
		for _, col := range f.columns {
			s.fields = append(s.fields, stepField{step: c.step(col.form, nil, "")})
		}
		c.around = c.around[:len(c.around)-1]
	}
	return s
}

// widens says that every number of a kind is one of another kind too.
func widens(from, to code) bool {
	width := map[code]int{codeInt8: 1, codeInt16: 2, codeInt32: 4, codeInt64: 8, codeUint8: 1, codeUint16: 2,
		codeUint32: 4, codeUint64: 8, codeFloat32: 4, codeFloat64: 8}
	signed := func(c code) bool { return c >= codeInt8 && c <= codeInt64 }
	unsigned := func(c code) bool { return c >= codeUint8 && c <= codeUint64 }
	float := func(c code) bool { return c == codeFloat32 || c == codeFloat64 }
	switch {
	case signed(from) && signed(to), unsigned(from) && unsigned(to), unsigned(from) && signed(to), float(from) &&
		float(to):
		return width[from] < width[to]
	case (signed(from) || unsigned(from)) && float(to):
		return width[from] < width[to]
	}
	return false
}
