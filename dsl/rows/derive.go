package rows

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/dsl/entity"
)

var (
	timeType    = reflect.TypeFor[time.Time]()
	decimalType = reflect.TypeFor[apd.Decimal]()
)

// content says what rows of a type can hold.
type content uint8

const (
	// anything: a function of the program has made the row.
	anything content = iota
	// readable: a codec that knows exported fields only has read the row, and nothing has changed
	// it since. What the codec does not know is zero, so it need not be written.
	readable
)

// member is a field of a struct as it is written.
type member struct {
	name    string
	field   reflect.StructField
	initial reflect.Value // the default of its tag; zero: none
}

// members are the fields of a struct that are written; hidden are those that cannot be. top says
// that it is the row itself: then names are those of the entity model.
func members(t reflect.Type, top bool, holds content) (all []member, hidden []string) {
	named := map[int]*entity.Column{}
	if top {
		if m, errs := entity.Of(t); len(errs) == 0 {
			for i := range m.Columns {
				named[m.Columns[i].Field] = &m.Columns[i]
			}
		}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		m := member{name: f.Name, field: f}
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch c := named[i]; {
		case f.Name == "_", f.Type.Size() == 0 && !f.IsExported():
			continue
		case !f.IsExported():
			if holds == anything {
				hidden = append(hidden, f.Name)
			}
			continue
		case c != nil:
			m.name = c.Name
			if v, ok := c.Default(); ok {
				m.initial = v
			}
		case f.Tag.Get("json") == "-", len(named) > 0:
			if m.name = "-" + f.Name; holds == readable {
				continue // the codec has left it as it was
			}
		case tag != "":
			m.name = tag
		}
		all = append(all, m)
	}
	return all, hidden
}

// kindOf is the code of a Go type; 0: values of it cannot be written.
func kindOf(t reflect.Type) (code, *way) {
	switch t.Kind() {
	case reflect.Bool:
		return codeBool, nil
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return map[uintptr]code{1: codeInt8, 2: codeInt16, 4: codeInt32, 8: codeInt64}[t.Size()], nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return map[uintptr]code{1: codeUint8, 2: codeUint16, 4: codeUint32, 8: codeUint64}[t.Size()], nil
	case reflect.Float32:
		return codeFloat32, nil
	case reflect.Float64:
		return codeFloat64, nil
	case reflect.Complex64:
		return codeComplex64, nil
	case reflect.Complex128:
		return codeComplex128, nil
	case reflect.String:
		return codeText, nil
	case reflect.Pointer:
		return codePointer, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return codeBytes, nil
		}
		return codeSlice, nil
	case reflect.Array:
		return codeArray, nil
	case reflect.Map:
		return codeMap, nil
	case reflect.Struct:
		switch {
		case t.ConvertibleTo(timeType):
			return codeTime, nil
		case t.ConvertibleTo(decimalType):
			return codeDecimal, nil
		}
		if w := wayOf(t); w != nil {
			return codeOpaque, w
		}
		return codeStruct, nil
	}
	return 0, nil
}

// deriver makes the form of a type.
type deriver struct {
	holds  content
	within []reflect.Type // structs around, the outermost first
	errs   []error
}

// derive is the form of a type, or why there is none: every field that cannot be written.
func derive(t reflect.Type, holds content) (*form, []error) {
	d := deriver{holds: holds}
	return d.form(t, t.String()), d.errs
}

func (d *deriver) wrong(place, format string, args ...any) *form {
	d.errs = append(d.errs, fmt.Errorf("%s: %s", place, fmt.Sprintf(format, args...)))
	return &form{code: codeStruct}
}

func (d *deriver) form(t reflect.Type, place string) *form {
	c, w := kindOf(t)
	f := &form{code: c}
	switch c {
	case 0:
		return d.wrong(place, "a value of type %s cannot be written", t)
	case codePointer, codeSlice, codeArray, codeMap:
		if t.Name() != "" && slices.Contains(d.within, t) {
			return d.wrong(place, "type %s contains itself without a struct in between", t)
		}
		d.within = append(d.within, t)
		if c == codeMap {
			f.key = d.form(t.Key(), place+" (key)")
			if k := f.key.code; k == codePointer || k == codeStruct && hasPointers(t.Key()) {
				d.wrong(place, "the keys of a map are pointers, whose identity would be lost")
			}
		}
		if c == codeArray {
			f.n = t.Len()
		}
		f.elem = d.form(t.Elem(), place)
		d.within = d.within[:len(d.within)-1]
	case codeOpaque:
		f.way, f.typ = w.name, w.typeOf(t)
		if err := w.proven(t); err != nil {
			return d.wrong(place, "%v", err)
		}
	case codeStruct:
		return d.structure(t, place)
	}
	return f
}

func (d *deriver) structure(t reflect.Type, place string) *form {
	structs := slices.DeleteFunc(slices.Clone(d.within),
		func(t reflect.Type) bool { return t.Kind() != reflect.Struct })
	if i := slices.Index(structs, t); i >= 0 {
		return &form{code: codeBack, n: len(structs) - i}
	}
	if problem := oneWay(t); problem != "" {
		return d.wrong(place, "%s", problem)
	}
	f := &form{code: codeStruct, columns: []column{}}
	all, hidden := members(t, len(structs) == 0, d.holds)
	for _, name := range hidden {
		d.wrong(place+"."+name, "the field is not exported, and would be lost")
	}
	d.within = append(d.within, t)
	for _, m := range all {
		f.columns = append(f.columns, column{m.name, d.form(m.field.Type, place+"."+m.field.Name)})
	}
	d.within = d.within[:len(d.within)-1]
	seen := map[string]bool{}
	for _, c := range f.columns {
		if seen[c.name] {
			d.wrong(place, "two fields are named %q", c.name)
		}
		seen[c.name] = true
	}
	return f
}

// hasPointers says that equal values of a struct may be different keys of a map.
func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer:
		return true
	case reflect.Array:
		return hasPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}
