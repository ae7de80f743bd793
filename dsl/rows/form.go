package rows

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// code is a kind of value, as the bytes have it.
type code uint8

const (
	codeBool       code = iota + 1
	codeInt8            // signed integers of 1, 2, 4 and 8 bytes, big-endian
	codeInt16           //
	codeInt32           //
	codeInt64           // and int
	codeUint8           //
	codeUint16          //
	codeUint32          //
	codeUint64          // and uint
	codeFloat32         // bits, big-endian
	codeFloat64         //
	codeComplex64       // two floats
	codeComplex128      //
	codeText            // length as a uvarint, bytes
	codeBytes           // length and 1 as a uvarint, 0 of nil; bytes
	codeTime            // seconds since 1970 in 8 bytes, nanoseconds in 4, zone: see appendZone
	codeDecimal         // see appendDecimal
	codePointer         // 0 is nil; 1, the value
	codeSlice           // length and 1 as a uvarint, 0 of nil; the elements
	codeArray           // the elements
	codeMap             // length and 1 as a uvarint, 0 of nil; keys and values in the order of the keys' bytes
	codeStruct          // the fields
	codeBack            // the struct so many levels up: of types that contain themselves
	codeOpaque          // length as a uvarint, bytes that the type itself makes: see way
)

// scalars have a word in the text of a form and one for people.
var scalars = map[code][2]string{
	codeBool: {"b", "bool"}, codeInt8: {"i1", "int8"}, codeInt16: {"i2", "int16"}, codeInt32: {"i4", "int32"},
	codeInt64: {"i8", "int64"}, codeUint8: {"u1", "uint8"}, codeUint16: {"u2", "uint16"}, codeUint32: {"u4", "uint32"},
	codeUint64: {"u8", "uint64"}, codeFloat32: {"f4", "float32"}, codeFloat64: {"f8", "float64"},
	codeComplex64: {"c8", "complex64"}, codeComplex128: {"c16", "complex128"}, codeText: {"s", "string"},
	codeBytes: {"y", "[]byte"}, codeTime: {"t", "time.Time"}, codeDecimal: {"d", "decimal"},
}

var scalarWords = func() map[string]code {
	words := map[string]code{}
	for c, w := range scalars {
		words[w[0]] = c
	}
	return words
}()

// form is how values of a type are written.
type form struct {
	code    code
	elem    *form    // of a pointer, slice, array or map
	key     *form    // of a map
	n       int      // length of an array; of codeBack how many structs up
	columns []column // of a struct
	way     string   // of codeOpaque: a name of a way
	typ     string   // of codeOpaque: the type, or the full name of a Protobuf message
}

// column is a field of a struct.
type column struct {
	name string
	form *form
}

// String is the text that parse reads.
func (f *form) String() string { return string(f.append(nil)) }

func (f *form) append(dst []byte) []byte {
	switch f.code {
	case codePointer:
		return f.elem.append(append(dst, '*'))
	case codeSlice:
		return f.elem.append(append(dst, "[]"...))
	case codeArray:
		return f.elem.append(append(strconv.AppendInt(append(dst, '['), int64(f.n), 10), ']'))
	case codeMap:
		dst = append(f.key.append(append(dst, '<')), ' ')
		return append(f.elem.append(dst), '>')
	case codeBack:
		return strconv.AppendInt(append(dst, '^'), int64(f.n), 10)
	case codeOpaque:
		return append(strconv.AppendQuote(append(append(dst, f.way...), '('), f.typ), ')')
	case codeStruct:
		dst = append(dst, '{')
		for i, c := range f.columns {
			if i > 0 {
				dst = append(dst, ';')
			}
			if plainName(c.name) {
				dst = append(dst, c.name...)
			} else {
				dst = strconv.AppendQuote(dst, c.name)
			}
			dst = c.form.append(append(dst, ' '))
		}
		return append(dst, '}')
	}
	return append(dst, scalars[f.code][0]...)
}

// plainName says that a name stands in a form without quotes.
func plainName(s string) bool {
	for _, r := range s {
		if r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return s != ""
}

// described is a form for people: the Go type that has it, as far as that can be said.
func (f *form) described() string {
	switch f.code {
	case codePointer:
		return "*" + f.elem.described()
	case codeSlice:
		return "[]" + f.elem.described()
	case codeArray:
		return fmt.Sprintf("[%d]%s", f.n, f.elem.described())
	case codeMap:
		return "map[" + f.key.described() + "]" + f.elem.described()
	case codeStruct:
		return "struct"
	case codeBack:
		return "the struct around it"
	case codeOpaque:
		return f.typ
	}
	return scalars[f.code][1]
}

// maxNesting bounds forms, and values that contain themselves.
const maxNesting = 1000

var errForm = errors.New("rows: the text of a form is cut or is none")

// parse reads the text of a form.
func parse(text string) (*form, error) {
	p := parser{text}
	f, err := p.form(0)
	if err == nil && p.rest != "" {
		err = errForm
	}
	return f, err
}

type parser struct{ rest string }

func (p *parser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

func (p *parser) form(depth int) (*form, error) {
	if depth > maxNesting {
		return nil, errForm
	}
	switch {
	case p.take("*"):
		return p.of(&form{code: codePointer}, depth)
	case p.take("[]"):
		return p.of(&form{code: codeSlice}, depth)
	case p.take("["):
		n, err := p.number()
		if err != nil || !p.take("]") {
			return nil, errForm
		}
		return p.of(&form{code: codeArray, n: n}, depth)
	case p.take("^"):
		n, err := p.number()
		return &form{code: codeBack, n: n}, err
	case p.take("<"):
		key, err := p.form(depth + 1)
		if err != nil || !p.take(" ") {
			return nil, errForm
		}
		f, err := p.of(&form{code: codeMap, key: key}, depth)
		if err != nil || !p.take(">") {
			return nil, errForm
		}
		return f, nil
	case p.take("{"):
		return p.columns(depth)
	}
	word := p.word()
	if c, ok := scalarWords[word]; ok {
		return &form{code: c}, nil
	}
	if !p.take("(") {
		return nil, errForm
	}
	typ, err := p.quoted()
	if err != nil || ways[word] == nil || !p.take(")") {
		return nil, errForm
	}
	return &form{code: codeOpaque, way: word, typ: typ}, nil
}

// of reads the element of f.
func (p *parser) of(f *form, depth int) (_ *form, err error) {
	f.elem, err = p.form(depth + 1)
	return f, err
}

func (p *parser) columns(depth int) (*form, error) {
	f := &form{code: codeStruct}
	for !p.take("}") {
		if len(f.columns) > 0 && !p.take(";") {
			return nil, errForm
		}
		var c column
		var err error
		if strings.HasPrefix(p.rest, `"`) {
			c.name, err = p.quoted()
		} else {
			c.name = p.word()
		}
		if err != nil || c.name == "" || !p.take(" ") {
			return nil, errForm
		}
		if c.form, err = p.form(depth + 1); err != nil {
			return nil, err
		}
		f.columns = append(f.columns, c)
	}
	return f, nil
}

// word takes the longest plain name off the front.
func (p *parser) word() string {
	n := 0
	for n < len(p.rest) && plainName(p.rest[n:n+1]) {
		n++
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

func (p *parser) quoted() (string, error) {
	prefix, err := strconv.QuotedPrefix(p.rest)
	if err != nil {
		return "", errForm
	}
	p.rest = p.rest[len(prefix):]
	return strconv.Unquote(prefix)
}

func (p *parser) number() (int, error) {
	n := 0
	for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
		n++
	}
	digits := p.rest[:n]
	p.rest = p.rest[n:]
	number, err := strconv.Atoi(digits)
	if err != nil {
		return 0, errForm
	}
	return number, nil
}
