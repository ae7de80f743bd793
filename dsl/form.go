package dsl

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// formOf says what rows of type T are made of: a plan with rows of another form must not read those that are kept.
func formOf[T any]() string { return " " + form(reflect.TypeFor[T](), nil) }

// form is that of a type: of a struct its fields, those of structs in it too. What hides its fields, or writes itself, is known by its name.
func form(t reflect.Type, within []reflect.Type) string {
	switch {
	case slices.Contains(within, t):
		return t.String()
	case t.Kind() == reflect.Pointer:
		return "*" + form(t.Elem(), append(within, t))
	case t.Kind() == reflect.Slice:
		return "[]" + form(t.Elem(), append(within, t))
	case t.Kind() != reflect.Struct, reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return t.String()
	}
	var fields []string
	for f := range t.Fields() {
		if !f.IsExported() {
			return t.String()
		}
		text := f.Name + " " + form(f.Type, append(within, t))
		if f.Tag != "" {
			text += fmt.Sprintf(" %q", f.Tag)
		}
		fields = append(fields, text)
	}
	return "{" + strings.Join(fields, "; ") + "}"
}
