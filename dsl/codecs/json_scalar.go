package codecs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/internal/input"
)

type boolNode struct{}

func (boolNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	return strconv.AppendBool(dst, *(*bool)(at)), nil
}

func (boolNode) read(r *jsonReader, at unsafe.Pointer) error {
	switch r.next() {
	case 't':
		*(*bool)(at) = true
		return r.literal("true")
	case 'f':
		return r.literal("false")
	}
	return r.unfit("bool")
}

func (boolNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "boolean"} }

// wholeNode is of ints of any size.
type wholeNode struct{ typ reflect.Type }

func (n wholeNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	var v int64
	switch n.typ.Size() {
	case 1:
		v = int64(*(*int8)(at))
	case 2:
		v = int64(*(*int16)(at))
	case 4:
		v = int64(*(*int32)(at))
	default:
		v = *(*int64)(at)
	}
	return strconv.AppendInt(dst, v, 10), nil
}

func (n wholeNode) read(r *jsonReader, at unsafe.Pointer) error {
	v, err := r.whole(n.typ.Bits(), n.typ)
	if err != nil {
		return err
	}
	switch n.typ.Size() {
	case 1:
		*(*int8)(at) = int8(v)
	case 2:
		*(*int16)(at) = int16(v)
	case 4:
		*(*int32)(at) = int32(v)
	default:
		*(*int64)(at) = v
	}
	return nil
}

func (wholeNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "integer"} }

// whole reads a whole number in any notation.
func (r *jsonReader) whole(bits int, want reflect.Type) (int64, error) {
	text, err := r.numeric(want)
	if err != nil {
		return 0, err
	}
	v, err := input.Int(text, bits)
	if err != nil {
		return 0, fmt.Errorf("want %s, found %s, which %w", want, input.Show(text), err)
	}
	return v, nil
}

// numeric is the text of a number for a column of a type.
func (r *jsonReader) numeric(want reflect.Type) (string, error) {
	if c := r.next(); c != '-' && (c < '0' || c > '9') {
		return "", r.unfit(want.String())
	}
	return r.number()
}

// naturalNode is of uints of any size.
type naturalNode struct{ typ reflect.Type }

func (n naturalNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	var v uint64
	switch n.typ.Size() {
	case 1:
		v = uint64(*(*uint8)(at))
	case 2:
		v = uint64(*(*uint16)(at))
	case 4:
		v = uint64(*(*uint32)(at))
	default:
		v = *(*uint64)(at)
	}
	return strconv.AppendUint(dst, v, 10), nil
}

func (n naturalNode) read(r *jsonReader, at unsafe.Pointer) error {
	text, err := r.numeric(n.typ)
	if err != nil {
		return err
	}
	v, err := input.Uint(text, n.typ.Bits())
	if err != nil {
		return fmt.Errorf("want %s, found %s, which %w", n.typ, input.Show(text), err)
	}
	switch n.typ.Size() {
	case 1:
		*(*uint8)(at) = uint8(v)
	case 2:
		*(*uint16)(at) = uint16(v)
	case 4:
		*(*uint32)(at) = uint32(v)
	default:
		*(*uint64)(at) = v
	}
	return nil
}

func (naturalNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "integer"} }

// floatNode is of floats: what JSON has no number for is a text, as Jackson writes it in ksqlDB.
type floatNode struct{ typ reflect.Type }

func (n floatNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	f, bits := 0.0, n.typ.Bits()
	if bits == 32 {
		f = float64(*(*float32)(at))
	} else {
		f = *(*float64)(at)
	}
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...), nil
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...), nil
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...), nil
	}
	return appendFloat(dst, f, bits), nil
}

// appendFloat writes the shortest number that is read as f, as encoding/json does.
func appendFloat(dst []byte, f float64, bits int) []byte {
	a := math.Abs(f)
	if a == 0 || bits == 64 && a >= 1e-6 && a < 1e21 || bits == 32 && float32(a) >= 1e-6 && float32(a) < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, bits)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, bits)
	if n := len(dst); dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' { // e-09 is e-9
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

func (n floatNode) read(r *jsonReader, at unsafe.Pointer) error {
	var f float64
	if r.next() == '"' {
		var ok bool
		if f, ok = r.noNumber(); !ok {
			return r.unfit(n.typ.String())
		}
	} else {
		text, err := r.numeric(n.typ)
		if err != nil {
			return err
		}
		if f, err = strconv.ParseFloat(text, n.typ.Bits()); err != nil {
			return fmt.Errorf("want %s, found %s, which %w", n.typ, input.Show(text), input.ErrRange)
		}
	}
	if n.typ.Bits() == 32 {
		*(*float32)(at) = float32(f)
	} else {
		*(*float64)(at) = f
	}
	return nil
}

// noNumber steps over the text of a float that JSON has no number for. Java reads a plus too.
func (r *jsonReader) noNumber() (float64, bool) {
	start := r.at
	text, err := r.text()
	if err == nil {
		switch text {
		case "NaN":
			return math.NaN(), true
		case "Infinity", "+Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
	}
	r.at = start
	return 0, false
}

func (floatNode) schema([]jsonNode) *schemaText { return &schemaText{Types: []any{"number", "string"}} }

// textNode is of strings.
type textNode struct{}

func (textNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	return appendText(dst, *(*string)(at))
}

func (textNode) read(r *jsonReader, at unsafe.Pointer) error {
	if r.next() != '"' {
		return r.unfit("string")
	}
	s, err := r.text()
	*(*string)(at) = s
	return err
}

func (textNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "string"} }

// appendText writes a string with the escapes that JSON demands, and no others.
func appendText(dst []byte, s string) ([]byte, error) {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from, ascii := 0, true
	for i := range len(s) {
		b := s[i]
		if b >= utf8.RuneSelf {
			ascii = false
			continue
		}
		if b >= ' ' && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
	}
	if !ascii && !utf8.ValidString(s) {
		return dst, errNotUTF8
	}
	return append(append(dst, s[from:]...), '"'), nil
}

// bytesNode is of []byte: base64, null where it is nil.
type bytesNode struct{}

func (bytesNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	b := *(*[]byte)(at)
	if b == nil {
		return append(dst, "null"...), nil
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"'), nil
}

func (bytesNode) read(r *jsonReader, at unsafe.Pointer) error {
	if r.next() != '"' {
		return r.unfit("base64")
	}
	s, err := r.text()
	if err != nil {
		return err
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(b, unsafe.Slice(unsafe.StringData(s), len(s)))
	if err != nil {
		return fmt.Errorf("want base64, found %q: %w", input.Show(s), err)
	}
	*(*[]byte)(at) = b[:n:n]
	return nil
}

func (bytesNode) schema(open []jsonNode) *schemaText {
	return &schemaText{Types: []any{"string", "null"}, Encoding: "base64"}
}

// numberNode is of json.Number: a number that is kept as its text.
type numberNode struct{}

func (numberNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	s := *(*string)(at)
	if s == "" {
		return append(dst, '0'), nil // as encoding/json has it
	}
	r := jsonReader{data: []byte(s)}
	if text, err := r.number(); err != nil || text != s {
		return dst, fmt.Errorf("json.Number %q is not a number", input.Show(s))
	}
	return append(dst, s...), nil
}

func (numberNode) read(r *jsonReader, at unsafe.Pointer) error {
	text, err := r.numeric(numberType)
	*(*json.Number)(at) = json.Number(text)
	return err
}

func (numberNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "number"} }

// quotedNode is a scalar whose tag says ",string": its JSON is in a text.
type quotedNode struct {
	inner jsonNode
	text  bool // of a string, which is quoted twice
}

func (n *quotedNode) append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error) {
	if n.text {
		inner, err := n.inner.append(nil, at, depth)
		if err != nil {
			return dst, err
		}
		return appendText(dst, view(inner))
	}
	start := len(dst)
	dst, err := n.inner.append(append(dst, '"'), at, depth)
	if err != nil {
		return dst, err
	}
	if dst[start+1] == '"' { // "NaN" has quotes already
		return slices.Delete(dst, start, start+1), nil
	}
	return append(dst, '"'), nil
}

func (n *quotedNode) read(r *jsonReader, at unsafe.Pointer) error {
	if r.next() != '"' {
		return r.unfit("a value in a text")
	}
	if _, float := n.inner.(floatNode); float {
		start := r.at
		if _, ok := r.noNumber(); ok {
			r.at = start
			return n.inner.read(r, at)
		}
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	inner := jsonReader{data: unsafe.Slice(unsafe.StringData(text), len(text)), depth: r.depth, exact: r.exact}
	if err := n.inner.read(&inner, at); err != nil {
		return err
	}
	return inner.end()
}

func (n *quotedNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "string"} }
