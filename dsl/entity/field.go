package entity

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxPrecision is ksqlDB's own upper bound of a decimal's digits.
const maxPrecision = 38

// field reads one struct field: the type's own tag, a column, or nothing.
func (b *builder) field(i int) {
	f := b.model.Type.Field(i)
	tag, tagged := f.Tag.Lookup("ashi")
	if f.Name == "_" {
		if tagged {
			b.typeTag(tag)
		}
		return
	}
	if tag == "-" {
		return
	}
	if !f.IsExported() {
		if tagged {
			b.wrong(f.Name, "an unexported field cannot be a column")
		}
		return
	}
	name, ok := jsonName(f)
	if !ok && !tagged {
		return
	}
	c := Column{Name: name, Field: i, Offset: f.Offset, Type: f.Type}
	parts := []option{{}}
	if tagged {
		var err error
		if parts, err = splitTag(tag); err != nil {
			b.wrong(f.Name, "%v", err)
			return
		}
	}
	if parts[0].valued {
		b.wrong(f.Name, "a tag starts with the column's name; write %q to keep the field's own", ","+tag)
		return
	}
	if len(parts) == 1 && slices.Contains(columnOptions, parts[0].name) && parts[0].name != jsonTag(f) {
		b.wrong(f.Name,
			"%q is an option, but a tag starts with the column's name: write %q; for a column of that name repeat "+
				"it: json:%q", parts[0].name, ","+tag, parts[0].name)
		return
	}
	if parts[0].name == "-" {
		b.wrong(f.Name, "an ignored field takes no options")
		return
	}
	if parts[0].name != "" {
		c.Name = parts[0].name
	}
	if why := nameProblem(c.Name); why != "" {
		b.wrong(f.Name, "column name %q %s", c.Name, why)
		return
	}
	if f.Anonymous && parts[0].name == "" {
		b.wrong(f.Name, "an embedded struct is not flattened: name it in a tag, or ignore it with \"-\"")
		return
	}
	if !carried(f.Type) {
		b.wrong(f.Name, "%s cannot be a column", article(f.Type))
		return
	}
	b.column(f.Name, c, parts[1:])
}

// typeTag reads the tag of a blank field.
func (b *builder) typeTag(tag string) {
	m := b.model
	parts, err := splitTag(tag)
	if err != nil {
		b.wrong("_", "%v", err)
		return
	}
	for _, o := range parts {
		switch o.name {
		case "topic":
			if why := topicProblem(o.value); why != "" {
				b.wrong("_", "topic %q %s", o.value, why)
			} else if m.Topic != "" {
				b.wrong("_", "a second topic %q beside %q", o.value, m.Topic)
			} else {
				m.Topic = o.value
			}
		case "nomirror":
			if m.NoMirror = strings.TrimSpace(o.value); m.NoMirror == "" {
				b.wrong("_", "nomirror needs a reason: nomirror='too large for every process'")
			}
		case "onerror":
			b.policy(o, &m.OnError)
		case "ondecode":
			b.policy(o, &m.OnDecode)
		case "relaxed":
			if m.Relaxed = true; o.valued {
				b.wrong("_", "option %q takes no value", o.name)
			}
		case "table", "stream":
			kind := Stream
			if o.name == "table" {
				kind = Table
			}
			if o.valued {
				b.wrong("_", "option %q takes no value", o.name)
			} else if m.Kind != Unstated {
				b.wrong("_", "%s beside %s: a topic is one of them", o.name, m.Kind)
			} else {
				m.Kind = kind
			}
		default:
			b.wrong("_", "%s", unknownOption(o.name, typeOptions))
		}
	}
}

// policies are what onerror and ondecode may be.
var policies = []string{"skip", "dlq", "fail"}

func (b *builder) policy(o option, to *string) {
	switch {
	case *to != "":
		b.wrong("_", "%s twice", o.name)
	case !slices.Contains(policies, o.value):
		b.wrong("_", "%s=%q: give one of %s; for retries call OnError of the stream", o.name, o.value,
			strings.Join(policies, ", "))
	default:
		*to = o.value
	}
}

// column reads the options of one column and appends it, mistaken or not, so that later checks see
// all columns.
func (b *builder) column(field string, c Column, options []option) {
	if isTime(c.Type) {
		c.Format = RFC3339
	}
	order := -1
	given := map[string]bool{}
	for _, o := range options {
		if !slices.Contains(columnOptions, o.name) {
			b.wrong(field, "%s", unknownOption(o.name, columnOptions))
			continue
		}
		if given[o.name] {
			b.wrong(field, "option %q twice", o.name)
			continue
		}
		given[o.name] = true
		switch o.name {
		case "key":
			order = b.keyOption(field, &c, o)
		case "timestamp":
			b.timestampOption(field, &c, o)
		case "format":
			b.formatOption(field, &c, o)
		case "precision", "scale", "maxlen":
			b.sizeOption(field, &c, o)
		}
	}
	b.consistent(field, &c, given)
	// The default last: how it is read depends on the other options, in whatever order they stand.
	for _, o := range options {
		if o.name == "default" {
			b.defaultOption(field, &c, o)
		}
	}
	b.model.Columns = append(b.model.Columns, c)
	b.order = append(b.order, order)
}

func (b *builder) keyOption(field string, c *Column, o option) int {
	if _, ok := keyTypeOf(c.Type); !ok {
		b.wrong(field, "%s cannot be a key; string, []byte, int, int32, int64 and float64 can", article(c.Type))
		return -1
	}
	c.Key = true
	if !o.valued {
		return 0
	}
	n, err := strconv.Atoi(o.value)
	if err != nil || n < 1 {
		b.wrong(field, "key=%s: the order of a key column is a number from 1", o.value)
		return -1
	}
	return n
}

func (b *builder) timestampOption(field string, c *Column, o option) {
	m := b.model
	if o.valued {
		b.wrong(field, "option %q takes no value", o.name)
	}
	if !timed(c.Type) {
		b.wrong(field, "%s cannot be the timestamp; time.Time, int64 and pointers to them can", article(c.Type))
		return
	}
	if m.Timestamp >= 0 {
		b.wrong(field, "a second timestamp beside %s", m.Type.Field(m.Columns[m.Timestamp].Field).Name)
		return
	}
	m.Timestamp = len(m.Columns)
}

func (b *builder) formatOption(field string, c *Column, o option) {
	if !timed(c.Type) {
		b.wrong(field, "format on %s; only a time.Time and an int64 have one", article(c.Type))
		return
	}
	switch o.value {
	case Millis, Micros, Nanos:
	case RFC3339:
		if !isTime(c.Type) {
			b.wrong(field, "format=rfc3339 on %s: its numbers are ms, us or ns since 1970", article(c.Type))
			return
		}
	default:
		if !isTime(c.Type) {
			b.wrong(field, "format %q on %s: its numbers are ms, us or ns since 1970", o.value, article(c.Type))
			return
		}
		// A layout without a single reference element prints itself whatever the time.
		if probe := time.Date(1987, 10, 29, 13, 57, 38, 0, time.UTC); probe.Format(o.value) == o.value {
			b.wrong(field, "format %q is none of rfc3339, ms, us, ns and no layout of package time", o.value)
			return
		}
	}
	c.Format = o.value
}

func (b *builder) sizeOption(field string, c *Column, o option) {
	n, err := strconv.Atoi(o.value)
	if err != nil || n < 0 || n == 0 && o.name != "scale" {
		least := 1
		if o.name == "scale" {
			least = 0
		}
		b.wrong(field, "%s=%s: give a whole number from %d", o.name, o.value, least)
		return
	}
	switch o.name {
	case "precision":
		if n > maxPrecision {
			b.wrong(field, "precision=%d is over %d, the most digits of a decimal", n, maxPrecision)
		}
		c.Precision = n
	case "scale":
		c.Scale = n
	case "maxlen":
		c.MaxLen = n
	}
}

// consistent checks options against the column's type and against each other.
func (b *builder) consistent(field string, c *Column, given map[string]bool) {
	base := deref(c.Type)
	for _, name := range []string{"precision", "scale"} {
		if given[name] && base != decimalType {
			b.wrong(field, "%s on %s; only an apd.Decimal has one", name, article(c.Type))
		}
	}
	if given["scale"] && !given["precision"] {
		b.wrong(field, "scale without precision")
	} else if c.Precision > 0 && c.Scale > c.Precision {
		b.wrong(field, "scale=%d is over precision=%d", c.Scale, c.Precision)
	}
	if given["maxlen"] && base.Kind() != reflect.String && !isBytes(c.Type) {
		b.wrong(field, "maxlen on %s; only a string and a []byte have one", article(c.Type))
	}
	if c.Key && given["default"] {
		b.wrong(field, "default on a key column: a record without its key is not a row")
	}
}

// jsonName is the column name of a field whose tag gives none; false for a field that its json tag
// leaves out.
func jsonName(f reflect.StructField) (string, bool) {
	if f.Tag.Get("json") == "-" {
		return f.Name, false
	}
	return cmp.Or(jsonTag(f), f.Name), true
}

// jsonTag is the name in a field's json tag; empty if there is none.
func jsonTag(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// carried is false for types that no codec could write. It looks a few levels deep only: a type may
// contain itself.
func carried(t reflect.Type) bool {
	for range 4 {
		switch t.Kind() {
		case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
			return false
		case reflect.Pointer, reflect.Slice, reflect.Array:
			t = t.Elem()
		default:
			return true
		}
	}
	return true
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// timed says that a column of the type can be the event time.
func timed(t reflect.Type) bool {
	return isTime(t) || deref(t).Kind() == reflect.Int64 && deref(t) != durationType
}

// article is the name of a type in a sentence.
func article(t reflect.Type) string {
	if name := t.String(); strings.ContainsRune("aeiou", rune(name[0])) && !strings.HasPrefix(name, "uint") {
		return "an " + name
	}
	return "a " + t.String()
}

func isTime(t reflect.Type) bool { return deref(t) == timeType }

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

func sortedNumbers(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }
