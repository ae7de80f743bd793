package entity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/internal/input"
)

var errNotUTF8 = errors.New("text is not UTF-8")

// appendObject writes a key of several columns as the bytes that ksqlDB's JSON writer makes: no
// white space, columns in key order, only the escapes that JSON demands, numbers as Java prints
// them. Equal rows therefore have equal bytes.
func (p *keyProgram) appendObject(dst []byte, row unsafe.Pointer) ([]byte, error) {
	start := len(dst)
	for i := range p.columns {
		c := &p.columns[i]
		dst = append(dst, c.prefix...)
		at := unsafe.Add(row, c.offset)
		switch c.kind {
		case textKey:
			s := *(*string)(at)
			if !utf8.ValidString(s) {
				return dst[:start], p.wrong(c, errNotUTF8)
			}
			dst = appendQuoted(dst, s)
		case bytesKey:
			b := *(*[]byte)(at)
			if b == nil {
				return dst[:start], p.wrong(c, ErrNull)
			}
			dst = append(dst, '"')
			dst = base64.StdEncoding.AppendEncode(dst, b)
			dst = append(dst, '"')
		case intKey:
			dst = strconv.AppendInt(dst, int64(*(*int)(at)), 10)
		case longKey:
			dst = strconv.AppendInt(dst, *(*int64)(at), 10)
		case int32Key:
			dst = strconv.AppendInt(dst, int64(*(*int32)(at)), 10)
		case doubleKey:
			f := *(*float64)(at)
			if math.IsNaN(f) || math.IsInf(f, 0) {
				return dst[:start], p.wrong(c, fmt.Errorf("JSON has no %v", f))
			}
			dst = appendDouble(dst, f)
		}
	}
	return append(dst, '}'), nil
}

// appendDouble prints f as Java's Double.toString does: 1.0, 1.5, 1.0E10, 1.5E-4.
func appendDouble(dst []byte, f float64) []byte {
	if a := math.Abs(f); a == 0 || a >= 1e-3 && a < 1e7 {
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		for _, b := range dst[start:] {
			if b == '.' {
				return dst
			}
		}
		return append(dst, '.', '0')
	}
	var digits [32]byte
	text := strconv.AppendFloat(digits[:0], f, 'e', -1, 64)
	for i, b := range text {
		if b != 'e' {
			continue
		}
		dst = append(dst, text[:i]...)
		if mantissa := text[:i]; mantissa[len(mantissa)-1] != '.' && (len(mantissa) == 1 || len(mantissa) == 2 &&
			f < 0) {
			dst = append(dst, '.', '0')
		}
		dst = append(dst, 'E')
		exponent := text[i+1:]
		if exponent[0] == '-' {
			dst = append(dst, '-')
		}
		exponent = exponent[1:]
		for len(exponent) > 1 && exponent[0] == '0' {
			exponent = exponent[1:]
		}
		return append(dst, exponent...)
	}
	return append(dst, text...)
}

// appendQuoted appends s as a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	dst = append(dst, '"')
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b >= ' ':
			dst = append(dst, b)
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b == '\r':
			dst = append(dst, '\\', 'r')
		case b == '\t':
			dst = append(dst, '\\', 't')
		case b == '\b':
			dst = append(dst, '\\', 'b')
		case b == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
	}
	return append(dst, '"')
}

// decodeObject reads a key of several columns: each of them exactly once, in any order, and nothing
// else. A column that we do not know is refused, since two keys that differ only in it would become
// one row.
func (p *keyProgram) decodeObject(b []byte, row unsafe.Pointer) error {
	r := keyReader{data: bytes.TrimPrefix(b, mark)}
	seen := 0
	if !r.take('{') {
		return fmt.Errorf("entity: key %s: not a JSON object", p.place)
	}
	var few [16]bool
	found := few[:]
	if len(p.columns) > len(few) {
		found = make([]bool, len(p.columns))
	}
	for more := !r.take('}'); more; {
		name, err := r.text()
		if err != nil {
			return fmt.Errorf("entity: key %s: name of a column: %w", p.place, err)
		}
		i := p.index(name)
		if i < 0 {
			return fmt.Errorf("entity: key %s: no column %q", p.place, input.Show(name))
		}
		if found[i] {
			return fmt.Errorf("entity: key %s: column %q twice", p.place, p.columns[i].name)
		}
		found[i] = true
		seen++
		if !r.take(':') {
			return p.wrong(&p.columns[i], errors.New("no colon behind the name"))
		}
		if err := r.value(p.columns[i].kind, unsafe.Add(row, p.columns[i].offset)); err != nil {
			return p.wrong(&p.columns[i], err)
		}
		more = r.take(',')
		if !more && !r.take('}') {
			return fmt.Errorf("entity: key %s: neither comma nor brace at byte %d of %d", p.place, r.at, len(r.data))
		}
	}
	if r.space(); r.at != len(r.data) {
		return fmt.Errorf("entity: key %s: %d bytes behind the object", p.place, len(r.data)-r.at)
	}
	if seen < len(p.columns) {
		for i := range p.columns {
			if !found[i] {
				return p.wrong(&p.columns[i], errors.New("is missing"))
			}
		}
	}
	return nil
}

// index is the column of a name, in any case where only one has it but for its case, as in values;
// -1: there is none.
func (p *keyProgram) index(name string) int {
	found := -1
	for i := range p.columns {
		switch {
		case p.columns[i].name == name:
			return i
		case !strings.EqualFold(p.columns[i].name, name):
		case found >= 0:
			found = len(p.columns) // two, unless a later one has it exactly
		default:
			found = i
		}
	}
	if found == len(p.columns) {
		return -1
	}
	return found
}

// mark is the byte order mark that some programs put before a text.
var mark = []byte("\xef\xbb\xbf")

// keyReader reads the few parts of JSON that a key has.
type keyReader struct {
	data []byte
	at   int
}

func (r *keyReader) space() {
	for r.at < len(r.data) {
		switch r.data[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// take steps over b if it comes next.
func (r *keyReader) take(b byte) bool {
	r.space()
	if r.at == len(r.data) || r.data[r.at] != b {
		return false
	}
	r.at++
	return true
}

func (r *keyReader) value(kind keyType, at unsafe.Pointer) error {
	if kind == textKey {
		s, err := r.text()
		*(*string)(at) = s
		return err
	}
	if kind == bytesKey {
		s, err := r.text()
		if err != nil {
			return err
		}
		b, err := base64.StdEncoding.DecodeString(s)
		*(*[]byte)(at) = b
		return err
	}
	s, err := r.number()
	if err != nil {
		return err
	}
	if kind == doubleKey {
		if *(*float64)(at), err = strconv.ParseFloat(s, 64); err != nil {
			return fmt.Errorf("%s %w", input.Show(s), input.ErrRange)
		}
		return nil
	}
	bits := 64
	switch kind {
	case int32Key:
		bits = 32
	case intKey:
		bits = strconv.IntSize
	}
	n, err := input.Int(s, bits)
	if err != nil {
		return fmt.Errorf("%s %w", input.Show(s), err)
	}
	switch kind {
	case int32Key:
		*(*int32)(at) = int32(n)
	case intKey:
		*(*int)(at) = int(n)
	default:
		*(*int64)(at) = n
	}
	return nil
}

// text reads a string: a view of the data, unless it has escapes.
func (r *keyReader) text() (string, error) {
	if !r.take('"') {
		return "", r.unexpected("a string")
	}
	start, escaped := r.at, false
	for ; r.at < len(r.data); r.at++ {
		switch b := r.data[r.at]; {
		case b == '\\':
			escaped = true
			r.at++ // the byte behind it ends nothing
		case b < ' ':
			return "", fmt.Errorf("control character at byte %d", r.at)
		case b == '"':
			raw := r.data[start:r.at]
			r.at++
			if !utf8.Valid(raw) {
				return "", errNotUTF8
			}
			if !escaped {
				return unsafe.String(unsafe.SliceData(raw), len(raw)), nil
			}
			s, _, err := input.Unescape(raw, true)
			return s, err
		}
	}
	r.at = len(r.data)
	return "", errors.New("string without an end")
}

// number reads a number as a view of the data.
func (r *keyReader) number() (string, error) {
	r.space()
	start := r.at
	for r.at < len(r.data) {
		if b := r.data[r.at]; (b < '0' || b > '9') && b != '-' && b != '+' && b != '.' && b != 'e' && b != 'E' {
			break
		}
		r.at++
	}
	raw := r.data[start:r.at]
	if len(raw) == 0 {
		return "", r.unexpected("a number")
	}
	if !json.Valid(raw) { // strconv also takes 01, +1 and 1.
		return "", fmt.Errorf("%q is not a number", input.Show(raw))
	}
	return unsafe.String(&raw[0], len(raw)), nil
}

// unexpected says what is there in place of what was wanted.
func (r *keyReader) unexpected(want string) error {
	rest := r.data[r.at:]
	if len(rest) == 0 {
		return fmt.Errorf("ends where %s should be", want)
	}
	if len(rest) >= 4 && string(rest[:4]) == "null" {
		return ErrNull
	}
	return fmt.Errorf("%q where %s should be", rest[0], want)
}
