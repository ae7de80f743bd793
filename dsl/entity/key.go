package entity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"
	"unsafe"
)

// What is wrong with a key.
var (
	ErrNoKey = errors.New("no key columns")
	ErrNull  = errors.New("key is null")
)

// keyType is how a key column is written.
type keyType uint8

const (
	textKey keyType = iota
	bytesKey
	intKey // Go's int: 8 bytes in a key on every machine
	longKey
	int32Key
	doubleKey
)

// canonicalNaN is the only NaN that Java writes.
const canonicalNaN = 0x7ff8000000000000

func keyTypeOf(t reflect.Type) (keyType, bool) {
	switch t.Kind() {
	case reflect.String:
		return textKey, true
	case reflect.Int:
		return intKey, true
	case reflect.Int64:
		return longKey, true
	case reflect.Int32:
		return int32Key, true
	case reflect.Float64:
		return doubleKey, true
	}
	return bytesKey, isBytes(t)
}

// KeyCodec turns a key of type K into the bytes of a Kafka key and back. The zero value is of no
// use: see [KeyOf].
type KeyCodec[K any] struct {
	program *keyProgram
}

// KeyOf is the codec of K: a string, a []byte, an int, int32, int64 or float64, a type made of one
// of them, or a struct whose columns are. A struct of one column has the same bytes as the column
// alone; of several, a JSON object. All columns of a struct are in the key: in field order, or
// where the tags say `key`, in the order of the tags.
func KeyOf[K any]() (KeyCodec[K], error) {
	t := reflect.TypeFor[K]()
	if kind, ok := keyTypeOf(t); ok {
		return KeyCodec[K]{&keyProgram{place: t.String(), columns: []keyColumn{{kind: kind}}}}, nil
	}
	if t.Kind() != reflect.Struct || t == timeType {
		return KeyCodec[K]{},
			fmt.Errorf("entity: %s cannot be a key; string, []byte, int, int32, int64, float64 and structs of them can",
				t)
	}
	m, errs := Of(t)
	for i := range t.NumField() {
		// A field outside the bytes would make different groups look equal.
		if f := t.Field(i); f.Name != "_" && (!f.IsExported() || f.Tag.Get("ashi") == "-") {
			errs = append(errs[:len(errs):len(errs)], fmt.Errorf("entity: %s.%s: a field that is not a column in a key",
				t, f.Name))
		}
	}
	if len(errs) > 0 {
		return KeyCodec[K]{}, errors.Join(errs...)
	}
	return keyOfStruct[K](m)
}

func keyOfStruct[K any](m *Model) (KeyCodec[K], error) {
	order := m.Key
	if len(order) == 0 {
		for i := range m.Columns {
			order = append(order, i)
		}
	}
	var errs []error
	if len(order) != len(m.Columns) {
		errs = append(errs, fmt.Errorf("entity: %s: some columns are marked as key and some not; a key has no others",
			m.Type))
	}
	for _, i := range order {
		if c := &m.Columns[i]; !keyable(c.Type) {
			errs = append(errs, fmt.Errorf("entity: %s.%s: %s cannot be in a key", m.Type, m.Type.Field(c.Field).Name,
				article(c.Type)))
		}
	}
	if len(errs) > 0 {
		return KeyCodec[K]{}, errors.Join(errs...)
	}
	return KeyCodec[K]{compileKey(m, order)}, nil
}

func keyable(t reflect.Type) bool {
	_, ok := keyTypeOf(t)
	return ok
}

// Append appends the bytes of k to dst. A nil []byte is [ErrNull]. The result is never nil, also of
// an empty string: nil is Kafka's null. Nothing is allocated but room in dst.
func (c KeyCodec[K]) Append(dst []byte, k K) ([]byte, error) {
	return c.program.append(dst, unsafe.Pointer(&k))
}

// Decode reads a key. Strings and []byte are views of b: valid as long as nobody writes to it. A
// nil b is [ErrNull]; a wrong length and anything but exactly the columns of K are errors too.
func (c KeyCodec[K]) Decode(b []byte) (K, error) {
	var k K
	if err := c.program.decode(b, unsafe.Pointer(&k)); err != nil {
		var none K
		return none, err
	}
	return k, nil
}

// Form says how keys are written: keys of equal forms are equal where their bytes are.
func (c KeyCodec[K]) Form() string { return c.program.form() }

// KeyForm is the form of the keys of the model's rows, as KeyCodec.Form has it; empty where there
// are no key columns.
func (m *Model) KeyForm() string { return newKeyProgram(m).form() }

var keyForms = [...]string{textKey: "text", bytesKey: "text", intKey: "8 bytes, a whole number",
	longKey: "8 bytes, a whole number", int32Key: "4 bytes, a whole number",
	doubleKey: "8 bytes, a floating point number"}

func (p *keyProgram) form() string {
	switch {
	case p == nil:
		return ""
	case len(p.columns) == 1:
		return keyForms[p.columns[0].kind]
	}
	form := "JSON of"
	for i := range p.columns {
		form += fmt.Sprintf(" %s (%s)", p.columns[i].name, keyForms[p.columns[i].kind])
	}
	return form
}

// CanonicalKey is a Kafka key of the model's rows in the one form that [Model.AppendKey] writes. A
// key of several columns comes in any order, case of names, white space and notation that JSON has;
// the result is key itself where that has the form. The errors are those of [Model.SetKey].
func (m *Model) CanonicalKey(key []byte) ([]byte, error) {
	switch {
	case m.keys == nil:
		return nil, fmt.Errorf("entity: %s: %w", m.Type, ErrNoKey)
	case len(m.keys.columns) == 1:
		return key, nil
	}
	row := reflect.New(m.Type)
	if err := m.keys.decode(key, row.UnsafePointer()); err != nil {
		return nil, err
	}
	own, err := m.keys.append(make([]byte, 0, len(key)), row.UnsafePointer())
	if err != nil || bytes.Equal(own, key) {
		return key, err
	}
	return own, nil
}

// keyProgram is a key format, compiled: which columns, in which order, where in the row.
type keyProgram struct {
	place   string
	columns []keyColumn
	limited bool // some column has a max
}

type keyColumn struct {
	name   string
	prefix string // what stands before the value in JSON: {"name": or ,"name":
	kind   keyType
	offset uintptr
	max    int // characters of text, bytes of a []byte; 0: no limit
}

func newKeyProgram(m *Model) *keyProgram {
	if len(m.Key) == 0 {
		return nil
	}
	return compileKey(m, m.Key)
}

func compileKey(m *Model, order []int) *keyProgram {
	p := &keyProgram{place: m.Type.String()}
	open := "{"
	for _, i := range order {
		c := &m.Columns[i]
		kind, _ := keyTypeOf(c.Type)
		prefix := open + string(appendQuoted(nil, c.Name)) + ":"
		p.columns = append(p.columns, keyColumn{name: c.Name, prefix: prefix, kind: kind, offset: c.Offset,
			max: c.MaxLen})
		p.limited = p.limited || c.MaxLen > 0
		open = ","
	}
	return p
}

// fit is an error for a column over its maxlen. Keys are never cut: two keys would become one. Of
// keys that are written the codec sees to it, which holds all columns against their limits; keys as
// such are also made of rows that are only tried.
func (p *keyProgram) fit(row unsafe.Pointer) error {
	for i := range p.columns {
		c := &p.columns[i]
		if c.max == 0 {
			continue
		}
		at := unsafe.Add(row, c.offset)
		if c.kind == bytesKey {
			if n := len(*(*[]byte)(at)); n > c.max {
				return p.wrong(c, fmt.Errorf("has %d bytes, at most %d are allowed", n, c.max))
			}
		} else if s := *(*string)(at); len(s) > c.max {
			if n := utf8.RuneCountInString(s); n > c.max {
				return p.wrong(c, fmt.Errorf("has %d characters, at most %d are allowed", n, c.max))
			}
		}
	}
	return nil
}

func (p *keyProgram) append(dst []byte, row unsafe.Pointer) ([]byte, error) {
	if len(p.columns) > 1 {
		return p.appendObject(dst, row)
	}
	c := &p.columns[0]
	at := unsafe.Add(row, c.offset)
	switch c.kind {
	case textKey:
		return appendKept(dst, *(*string)(at)), nil
	case bytesKey:
		b := *(*[]byte)(at)
		if b == nil {
			return dst, p.wrong(c, ErrNull)
		}
		return appendKept(dst, b), nil
	case intKey:
		return binary.BigEndian.AppendUint64(dst, uint64(*(*int)(at))), nil
	case longKey:
		return binary.BigEndian.AppendUint64(dst, uint64(*(*int64)(at))), nil
	case int32Key:
		return binary.BigEndian.AppendUint32(dst, uint32(*(*int32)(at))), nil
	}
	f := *(*float64)(at)
	if f != f {
		return binary.BigEndian.AppendUint64(dst, canonicalNaN), nil
	}
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), nil
}

func (p *keyProgram) decode(b []byte, row unsafe.Pointer) error {
	c := &p.columns[0]
	if b == nil {
		return p.wrong(c, ErrNull)
	}
	if len(p.columns) > 1 {
		return p.decodeObject(b, row)
	}
	at := unsafe.Add(row, c.offset)
	switch c.kind {
	case textKey:
		*(*string)(at) = unsafe.String(unsafe.SliceData(b), len(b))
		return nil
	case bytesKey:
		*(*[]byte)(at) = b[:len(b):len(b)]
		return nil
	case int32Key:
		if len(b) != 4 {
			return p.wrong(c, fmt.Errorf("key has %d bytes, want 4", len(b)))
		}
		*(*int32)(at) = int32(binary.BigEndian.Uint32(b))
		return nil
	}
	if len(b) != 8 {
		return p.wrong(c, fmt.Errorf("key has %d bytes, want 8", len(b)))
	}
	n := binary.BigEndian.Uint64(b)
	switch c.kind {
	case intKey:
		if int64(int(n)) != int64(n) {
			return p.wrong(c, fmt.Errorf("key %d does not fit an int of this machine", int64(n)))
		}
		*(*int)(at) = int(n)
	case longKey:
		*(*int64)(at) = int64(n)
	default:
		*(*float64)(at) = math.Float64frombits(n)
	}
	return nil
}

// appendKept appends s to dst, which is not nil afterwards.
func appendKept[S string | []byte](dst []byte, s S) []byte {
	if dst == nil {
		dst = make([]byte, 0, len(s))
	}
	return append(dst, s...)
}

// wrong gives an error its place.
func (p *keyProgram) wrong(c *keyColumn, err error) error {
	if c.name == "" {
		return fmt.Errorf("entity: key %s: %w", p.place, err)
	}
	return fmt.Errorf("entity: key %s, column %q: %w", p.place, c.name, err)
}
