package codecs

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
	"unsafe"

	"github.com/segmentio/encoding/json"

	"github.com/ashi-stream/ashi/dsl/entity"
)

var (
	errEmpty   = errors.New("value is empty")
	errNotUTF8 = errors.New("text is not UTF-8")
	errDeep    = fmt.Errorf("nested more than %d deep", maxDepth)
)

// maxDepth bounds how deep a value may be nested. The library calls itself per level, so without a bound ten megabytes of
// '[' end the process.
const maxDepth = 1000

// JSONCodec is the JSON format; see [JSON].
type JSONCodec[T any] struct {
	form *jsonForm
	err  error
}

// JSON writes an object of all columns of T, key columns too, in field order and by the names of the entity model. Times are
// text or numbers as their format says; a decimal (apd.Decimal) is a number, and comes in as a number or a text; a []byte is
// base64; a type with MarshalJSON or MarshalText uses it, a time.Duration is nanoseconds.
//
// Decode takes names in any case, ignores names it does not know, and lets the last of two equal names win. A column that
// is missing or null has its default, or is zero. Refused are: a number for a string and the other way round, a number
// that the column cannot hold, anything behind the object, and invalid UTF-8. Encode refuses a string column that is not UTF-8
// (inside slices, maps and structs and behind pointers, bad bytes become U+FFFD). Both refuse decimals beyond precision or scale
// and columns over their maxlen; where T is tagged relaxed these are rounded and cut ([Adjuster]), save keys and digits before the point.
//
// Floats that JSON has no number for are the texts "NaN", "Infinity" and "-Infinity", as ksqlDB writes and reads them. Such a row
// takes longer. They are refused in an any, in a struct that embeds another or has a field that is not exported, and in the inner
// values of a type that refers to itself.
func JSON[T any]() *JSONCodec[T] { return jsonOf[T](entity.For[T]()) }

func jsonOf[T any](m *entity.Model, errs []error) *JSONCodec[T] {
	if len(errs) > 0 {
		return &JSONCodec[T]{err: errors.Join(errs...)}
	}
	return &JSONCodec[T]{form: newJSONForm(m)}
}

// Name is "json".
func (c *JSONCodec[T]) Name() string { return "json" }

// Err is why T cannot be carried, nil if it can.
func (c *JSONCodec[T]) Err() error { return c.err }

// Adjusted implements [Adjuster].
func (c *JSONCodec[T]) Adjusted() map[string]int64 {
	if c.form == nil {
		return nil
	}
	return c.form.relaxed.adjusted()
}

// Encode implements [Codec].
func (c *JSONCodec[T]) Encode(dst []byte, v *T) ([]byte, error) {
	if c.err != nil {
		return dst, c.err
	}
	v = fitted(c.form.relaxed, v)
	out, err := c.form.encode(dst, unsafe.Pointer(v))
	if err != nil && c.form.quoted != nil && hasNoNumber(err) {
		out, err = c.form.quoted.encode(dst, unsafe.Pointer(v))
	}
	if err != nil {
		return dst, fmt.Errorf("codecs: json %T: %w", v, err)
	}
	return out, nil
}

// Decode implements [Codec].
func (c *JSONCodec[T]) Decode(data []byte, v *T) error {
	if c.err != nil {
		return c.err
	}
	var zero T
	*v = zero
	err := c.form.decode(data, unsafe.Pointer(v))
	if err != nil && c.form.quoted != nil && mayQuote(data) {
		*v = zero
		err = c.form.quoted.decode(data, unsafe.Pointer(v))
	}
	if err != nil && err != ErrNull {
		return fmt.Errorf("codecs: json %T: %w", v, err)
	}
	return err
}

func (f *jsonForm) encode(dst []byte, row unsafe.Pointer) ([]byte, error) {
	if err := f.limits.check(row); err != nil {
		return nil, err
	}
	s := f.shadows.Get().(*shadow)
	defer f.release(s)
	for i := range f.moves {
		if err := f.moves[i].out(row, s.base); err != nil {
			return nil, err
		}
	}
	return json.Append(dst, s.row, json.SortMapKeys)
}

func (f *jsonForm) decode(data []byte, row unsafe.Pointer) error {
	if err := admissible(data); err != nil {
		return err
	}
	s := f.shadows.Get().(*shadow)
	defer f.release(s)
	rest, err := json.Parse(data, s.row, json.ZeroCopy)
	if err != nil {
		return mismatch(err)
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes behind the object", len(rest))
	}
	for i := range f.moves {
		if err := f.moves[i].in(s.base, row); err != nil {
			return err
		}
	}
	if f.relaxed != nil {
		f.relaxed.adjust(row)
	}
	return f.limits.check(row)
}

// admissible refuses what the library would take, or would not survive.
func admissible(data []byte) error {
	if data == nil {
		return ErrNull
	}
	if len(data) == 0 {
		return errEmpty
	}
	if data[0] != '{' && string(bytes.TrimSpace(data)) == "null" {
		return ErrNull
	}
	if !utf8.Valid(data) {
		return errNotUTF8
	}
	if len(data) > maxDepth && tooDeep(data) {
		return errDeep
	}
	return nil
}

// tooDeep first counts all opening brackets, which is quick and nearly always enough. The exact count steps over strings; in
// malformed data it may be wrong, but only behind the place where the library stops.
func tooDeep(data []byte) bool {
	if bytes.Count(data, []byte{'['})+bytes.Count(data, []byte{'{'}) <= maxDepth {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch b := data[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '[' || b == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case b == ']' || b == '}':
			depth--
		}
	}
	return false
}
