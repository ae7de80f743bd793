package codecs

import (
	"fmt"
	"unicode/utf8"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/internal/input"
)

// jsonReader reads JSON from data, which is UTF-8. Strings that it returns are views of data.
type jsonReader struct {
	data  []byte
	at    int
	depth int
	exact bool // a key: see jsonForm
}

// syntaxError is JSON that is none. It has no column: where one begins is not certain.
type syntaxError struct {
	at   int
	text string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.text, e.at) }

// broken says what is there in place of what was wanted.
func (r *jsonReader) broken(want string) error {
	if r.next(); r.at >= len(r.data) {
		return &syntaxError{r.at, "JSON ends where " + want + " should be"}
	}
	c, _ := utf8.DecodeRune(r.data[r.at:])
	return &syntaxError{r.at, fmt.Sprintf("%q where %s should be", c, want)}
}

// next steps over white space and is the byte that comes then; 0 at the end.
func (r *jsonReader) next() byte {
	for ; r.at < len(r.data); r.at++ {
		switch b := r.data[r.at]; b {
		case ' ', '\t', '\n', '\r':
		default:
			return b
		}
	}
	return 0
}

// end is an error if something is left.
func (r *jsonReader) end() error {
	if r.next(); r.at < len(r.data) {
		return &syntaxError{r.at, fmt.Sprintf("%d bytes behind the value", len(r.data)-r.at)}
	}
	return nil
}

// value reads into memory that is zero. False: it is null, and the memory still zero.
func (r *jsonReader) value(n jsonNode, at unsafe.Pointer) (bool, error) {
	if r.next() != 'n' {
		return true, n.read(r, at)
	}
	if m, ok := n.(*methodNode); ok && m.unmarshal {
		return true, n.read(r, at) // the type may have a null of its own
	}
	return false, r.literal("null")
}

// literal steps over true, false or null.
func (r *jsonReader) literal(word string) error {
	if len(r.data)-r.at < len(word) || string(r.data[r.at:r.at+len(word)]) != word {
		return &syntaxError{r.at, "no " + word}
	}
	r.at += len(word)
	return nil
}

// enter steps over an opening bracket.
func (r *jsonReader) enter() error {
	r.at++
	if r.depth++; r.depth > maxDepth {
		return errDeep
	}
	return nil
}

// member steps over what is before the value of an object's next member: a comma unless it is the
// first, the name and the colon. more is false at the end of the object, which is stepped over.
func (r *jsonReader) member(first bool) (name string, more bool, err error) {
	switch c := r.next(); {
	case c == '}':
		r.at++
		r.depth--
		return "", false, nil
	case first:
	case c == ',':
		r.at++
		r.next()
	default:
		return "", false, r.broken("a comma or }")
	}
	if r.at == len(r.data) || r.data[r.at] != '"' {
		return "", false, r.broken("a name")
	}
	if name, err = r.text(); err != nil {
		return "", false, err
	}
	if r.next() != ':' {
		return "", false, r.broken("a colon")
	}
	r.at++
	return name, true, nil
}

// element does the same in a list.
func (r *jsonReader) element(first bool) (more bool, err error) {
	switch c := r.next(); {
	case c == ']':
		r.at++
		r.depth--
		return false, nil
	case first:
	case c == ',':
		r.at++
		if r.next() == ']' {
			return false, r.broken("a value")
		}
	default:
		return false, r.broken("a comma or ]")
	}
	return true, nil
}

// object calls each with the name of every member; it must step over the value.
func (r *jsonReader) object(each func(name string) error) error {
	if r.next() != '{' {
		return r.unfit("an object")
	}
	if err := r.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, more, err := r.member(first)
		if err != nil || !more {
			return err
		}
		if err := each(name); err != nil {
			return err
		}
	}
}

// skip steps over a value of any kind.
func (r *jsonReader) skip() error {
	switch c := r.next(); c {
	case '{':
		return r.object(func(string) error { return r.skip() })
	case '[':
		if err := r.enter(); err != nil {
			return err
		}
		for first := true; ; first = false {
			if more, err := r.element(first); err != nil || !more {
				return err
			}
			if err := r.skip(); err != nil {
				return err
			}
		}
	case '"':
		_, err := r.text()
		return err
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	}
	_, err := r.number()
	return err
}

// number is the text of a number.
func (r *jsonReader) number() (string, error) {
	r.next()
	data, start := r.data, r.at
	i := start
	if i < len(data) && data[i] == '-' {
		i++
	}
	whole := i
	if i = digits(data, i); i == whole || data[whole] == '0' && i > whole+1 {
		return "", r.broken("a value")
	}
	if i < len(data) && data[i] == '.' {
		point := i + 1
		if i = digits(data, point); i == point {
			r.at = i
			return "", r.broken("a digit")
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		exponent := i + 1
		if exponent < len(data) && (data[exponent] == '+' || data[exponent] == '-') {
			exponent++
		}
		if i = digits(data, exponent); i == exponent {
			r.at = i
			return "", r.broken("a digit")
		}
	}
	r.at = i
	return view(data[start:i]), nil
}

// digits is where those that begin at i end.
func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// text is a string. A quote comes next.
func (r *jsonReader) text() (string, error) {
	data, start := r.data, r.at+1
	escaped := false
	for i := start; i < len(data); i++ {
		switch b := data[i]; {
		case b == '"':
			r.at = i + 1
			if !escaped {
				return view(data[start:i]), nil
			}
			text, at, err := input.Unescape(data[start:i], r.exact)
			if err != nil {
				err = &syntaxError{start + at, err.Error()}
			}
			return text, err
		case b == '\\':
			escaped = true
			i++ // the byte behind it ends nothing
		case b < ' ':
			return "", &syntaxError{i, input.ErrControl.Error()}
		}
	}
	r.at = len(data)
	return "", r.broken("the end of a string")
}

// unfit is the error of a value that is JSON and not what the column wants. The value is shown, as
// far as that is short.
func (r *jsonReader) unfit(want string) error {
	r.next()
	probe := jsonReader{data: r.data, at: r.at, depth: r.depth}
	if err := probe.skip(); err != nil {
		return err
	}
	return fmt.Errorf("want %s, found %s", want, input.Show(r.data[r.at:probe.at]))
}

// view is a string of the same bytes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
