package codecs

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/entity"
)

var (
	errNotUTF8 = errors.New("text is not UTF-8")
	errDeep    = fmt.Errorf("nested more than %d deep", maxDepth)
)

// maxDepth bounds how deep a value may be nested: it is read and written by functions that call
// themselves.
const maxDepth = 1000

// JSONCodec is the JSON format; see [JSON].
type JSONCodec[T any] struct {
	form *jsonForm
	err  error
}

// JSON writes an object of all columns of T, key columns too, in field order and by the names of
// the entity model, and what is inside columns by the rules and tags of encoding/json, save for
// these types, wherever they are:
//
//	time.Time       RFC 3339 in UTC; a column has the format that its tag says
//	time.Duration   a number, of nanoseconds
//	apd.Decimal     a number with all its digits; read from a number or a text; at most 1,000 digits
//	big.Int         a number with all its digits; read from a number or a text; at most some 9,000 digits
//	big.Rat         text, 1/3 or 5, and big.Float too; read from a number or a text
//	float           a number, or the text "NaN", "Infinity" or "-Infinity", as ksqlDB writes and reads them
//	[]byte          base64
//	any             read as nil, bool, string, json.Number (of encoding/json), []any and map[string]any: numbers keep their digits
//
// Other types with MarshalJSON, UnmarshalJSON, MarshalText or UnmarshalText use them, also where
// the method is that of a pointer. What is written can be read again. A type of which that cannot
// be is a mistake ([Err]): channels, functions, interfaces with methods, structs without an
// exported field, maps whose keys are neither texts nor whole numbers.
//
// Decode takes whole numbers in any notation (1.0, 1e3) into ints and times of format ms, us and
// ns, exactly; names in any case, where only one column has the name but for its case; and a byte
// order mark before the object. It ignores names that it does not know, and lets the last of two
// equal names win, whatever it is: nothing of the first is left. A column that is missing or null
// has its default, or is zero. No value at all, white space, and the text null are null
// ([ErrNull]): a deletion in a table. Refused are: a number for a string and the other way round, a
// number that the column cannot hold, a list that is longer than its array, anything behind the
// object, and text that is not UTF-8, which Encode refuses too. Both refuse decimals beyond
// precision or scale and columns over their maxlen; where T is tagged relaxed these are rounded and
// cut ([Adjuster]), save keys and digits before the point.
func JSON[T any]() *JSONCodec[T] { return jsonOf[T](entity.For[T]()) }

func jsonOf[T any](m *entity.Model, errs []error) *JSONCodec[T] {
	if len(errs) > 0 {
		return &JSONCodec[T]{err: errors.Join(errs...)}
	}
	form, err := newJSONForm(m)
	return &JSONCodec[T]{form, err}
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
	out, err := c.form.encode(dst, unsafe.Pointer(fitted(c.form.relaxed, v)))
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
	if err != nil && err != ErrNull {
		return fmt.Errorf("codecs: json %T: %w", v, err)
	}
	return err
}

// IsNull implements [Nuller].
func (c *JSONCodec[T]) IsNull(data []byte) bool { return isNull(data) }

// Has implements [Presence].
func (c *JSONCodec[T]) Has(data []byte, column string) (bool, error) {
	if c.err != nil {
		return false, c.err
	}
	return c.form.has(data, column)
}

// jsonForm is how a type looks in JSON.
type jsonForm struct {
	model   *entity.Model
	row     *structNode
	limits  limits
	relaxed *relaxed // nil: strict
	exact   bool     // of keys: each column once and not null, and no others
	readers sync.Pool
}

func newJSONForm(m *entity.Model) (*jsonForm, error) {
	f := &jsonForm{model: m, limits: limitsOf(m), relaxed: relaxedOf(m)}
	f.readers.New = func() any { return new(jsonReader) }
	var err error
	f.row, err = jsonRow(m, f.relaxed)
	return f, err
}

func (f *jsonForm) encode(dst []byte, row unsafe.Pointer) ([]byte, error) {
	if err := f.limits.check(row); err != nil {
		return nil, err
	}
	return f.row.append(dst, row, 0)
}

// decode fills a row that is zero.
func (f *jsonForm) decode(data []byte, row unsafe.Pointer) error {
	r, err := f.reader(data)
	if err != nil {
		return err
	}
	defer f.release(r)
	if err := f.row.read(r, row); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	if f.relaxed != nil {
		f.relaxed.adjust(row)
	}
	return f.limits.check(row)
}

// reader is one of a value that is not null.
func (f *jsonForm) reader(data []byte) (*jsonReader, error) {
	if isNull(data) {
		return nil, ErrNull
	}
	if !utf8.Valid(data) {
		return nil, errNotUTF8
	}
	r := f.readers.Get().(*jsonReader)
	*r = jsonReader{data: withoutMark(data), exact: f.exact}
	return r, nil
}

// release lets go of the data.
func (f *jsonForm) release(r *jsonReader) {
	r.data = nil
	f.readers.Put(r)
}

// has says whether a value has the column, and not as null.
func (f *jsonForm) has(data []byte, column string) (found bool, err error) {
	r, err := f.reader(data)
	if err != nil {
		return false, err
	}
	defer f.release(r)
	err = r.object(func(name string) error {
		if i := f.row.find(name, 0); i >= 0 && f.row.fields[i].name == column {
			found = r.next() != 'n'
		}
		return r.skip()
	})
	return found, err
}

// mark is the byte order mark that some programs put before a text.
var mark = []byte("\xef\xbb\xbf")

func withoutMark(data []byte) []byte { return bytes.TrimPrefix(data, mark) }

// isNull says that a value is no row: there is no value, nothing in it, or the JSON null. Kafka
// Streams and ksqlDB take these for a null row too.
func isNull(data []byte) bool {
	if len(data) > 0 && data[0] == '{' {
		return false
	}
	data = bytes.Trim(withoutMark(data), " \t\r\n")
	return len(data) == 0 || string(data) == "null"
}
