package config

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unicode"

	"github.com/agnivade/levenshtein"
)

// prefix begins the names of all variables that are settings.
const prefix = "ASHI_"

// leaf is a key with a value, outside of maps.
type leaf struct {
	path  string
	index [][]int // the fields that lead to it
	tag   reflect.StructTag
	typ   reflect.Type
}

// variable is its name in the environment.
func (l *leaf) variable() string { return variableOf(l.path) }

// variableOf is the name of a key in the environment: core.stateDir is ASHI_CORE_STATE_DIR.
func variableOf(path string) string {
	var b strings.Builder
	b.WriteString(prefix)
	before := '.'
	for _, r := range path {
		switch {
		case r == '.':
			b.WriteByte('_')
		case unicode.IsUpper(r) && unicode.IsLower(before):
			b.WriteByte('_')
			fallthrough
		default:
			b.WriteRune(unicode.ToUpper(r))
		}
		before = r
	}
	return b.String()
}

// leaves are all of them, in the order of the document.
var leaves = sync.OnceValue(func() []leaf { return leavesOf(reflect.TypeFor[document](), "", nil) })

func leavesOf(t reflect.Type, path string, index [][]int) (all []leaf) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := join(path, f.Tag.Get("key"))
		way := append(index[:len(index):len(index)], f.Index)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case isSection(inner):
			all = append(all, leavesOf(inner, key, way)...)
		case inner.Kind() != reflect.Map:
			all = append(all, leaf{key, way, f.Tag, f.Type})
		}
	}
	return all
}

// in is the field of doc. Sections on the way are made.
func (l *leaf) in(doc *document) reflect.Value {
	v := reflect.ValueOf(doc).Elem()
	for _, i := range l.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.FieldByIndex(i)
	}
	return v
}

// environment lets the variables of environ, each NAME=VALUE, override doc. Names that are nearly a
// setting's are problems; others that begin with ASHI_ are not: orchestrators make variables such
// as ASHI_SERVICE_HOST by themselves. An empty variable is none.
func (d *decoder) environment(environ []string, doc *document) {
	known := map[string]*leaf{}
	var names []string
	for _, l := range leaves() {
		known[l.variable()] = &l
		names = append(names, l.variable())
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		l := known[name]
		if text == "" {
			continue // templates leave such behind
		}
		p := place{text: name}
		if l == nil {
			if near := nearest(name, names); strings.HasPrefix(name, prefix) && near != "" && similar(name, near) {
				d.problem(p, "", "is no setting: did you mean %s?", near).harmless = true
			}
			continue
		}
		d.places[l.path] = p
		v := l.in(doc)
		if v.Kind() != reflect.Slice {
			d.fromVariable(p, v, l, text)
			continue
		}
		v.SetZero()
		for item := range strings.SplitSeq(text, ",") {
			one := reflect.New(v.Type().Elem()).Elem()
			d.fromVariable(p, one, l, strings.TrimSpace(item))
			v.Set(reflect.Append(v, one))
		}
	}
}

// fromVariable does not print what a variable holds: it may be meant for another one.
func (d *decoder) fromVariable(p place, v reflect.Value, l *leaf, text string) {
	if err := set(v, l.tag, text); err != nil {
		d.problem(p, l.path, "its value does not fit; wanted: %s", typeOf(v, l.tag))
	}
}

// similar is stricter than nearest: long names have much in common anyway.
func similar(a, b string) bool { return levenshtein.ComputeDistance(bare(a), bare(b)) <= 2 }

// typeOf is what a value of a field must be, in words.
func typeOf(v reflect.Value, tag reflect.StructTag) string { return typeName(v.Type(), tag) }

func typeName(t reflect.Type, tag reflect.StructTag) string {
	if enum := tag.Get("enum"); enum != "" {
		return oneOf(strings.Split(enum, ","))
	}
	text := map[string]string{"time.Duration": "duration", "config.size": "size", "int64": "number",
		"bool": "true or false", "*bool": "true or false", "kafka.Secret": "secret", "[]string": "list",
		"map[string]string": "names with texts"}[t.String()]
	switch form := tag.Get("form"); {
	case form == "file":
		text = "file"
	case form == "hostport" && t.Kind() == reflect.String:
		text = "host:port"
	case form == "hostport":
		text = "list of host:port"
	case form == "url" && t.Kind() == reflect.String:
		text = "URL"
	case form == "url":
		text = "list of URLs"
	case form == "listen":
		text = "host:port or port"
	case text == "":
		text = "text"
	}
	least, most := tag.Get("min"), tag.Get("max")
	switch {
	case least != "" && most != "":
		text += fmt.Sprintf(", %s to %s", least, most)
	case least != "":
		text += fmt.Sprintf(", %s or more", least)
	}
	return text + orNone(tag)
}
