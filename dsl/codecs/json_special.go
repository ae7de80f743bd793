package codecs

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"time"
	"unsafe"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/dsl/internal/input"
)

// timeNode is of times in RFC 3339.
type timeNode struct{}

func (timeNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	t := (*time.Time)(at).UTC() // equal rows of two machines are equal bytes
	if err := writable(t); err != nil {
		return dst, err
	}
	dst = t.AppendFormat(append(dst, '"'), time.RFC3339Nano)
	return append(dst, '"'), nil
}

// writable refuses a year that would be written as a text that nobody can read.
func writable(t time.Time) error {
	if year := t.Year(); year < 0 || year > 9999 {
		return fmt.Errorf("the year %d has no text of four digits", year)
	}
	return nil
}

func (timeNode) read(r *jsonReader, at unsafe.Pointer) error {
	const want = "an RFC 3339 text (numbers: tag format=ms)"
	if r.next() != '"' {
		return r.unfit(want)
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	var t time.Time
	if err := t.UnmarshalText(unsafe.Slice(unsafe.StringData(text), len(text))); err != nil {
		return fmt.Errorf("want %s, found %q", want, input.Show(text))
	}
	*(*time.Time)(at) = t.UTC()
	return nil
}

func (timeNode) schema([]jsonNode) *schemaText {
	return &schemaText{Types: "string", Format: "date-time"}
}

// epochNode is of times that are numbers: format ms, us or ns.
type epochNode struct{ format string }

func (n epochNode) append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error) {
	v, err := entity.ToEpoch(n.format, *(*time.Time)(at))
	if err != nil {
		return dst, err
	}
	return wholeNode{int64Type}.append(dst, unsafe.Pointer(&v), depth)
}

var int64Type = reflect.TypeFor[int64]()

func (n epochNode) read(r *jsonReader, at unsafe.Pointer) error {
	v, err := r.whole(64, int64Type)
	if err != nil {
		return err
	}
	*(*time.Time)(at) = entity.FromEpoch(n.format, v)
	return nil
}

func (epochNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "integer"} }

// layoutNode is of times in a layout of package time. The zero time is the empty text.
type layoutNode struct{ layout string }

func (n layoutNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	t := (*time.Time)(at).UTC()
	if t.IsZero() {
		return append(dst, `""`...), nil
	}
	if err := writable(t); err != nil {
		return dst, err
	}
	return appendText(dst, t.Format(n.layout))
}

func (n layoutNode) read(r *jsonReader, at unsafe.Pointer) error {
	if r.next() != '"' {
		return r.unfit("a text as " + n.layout)
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	if *(*time.Time)(at), err = entity.ParseTime(n.layout, text); err != nil {
		return input.Bounded(err)
	}
	return nil
}

func (layoutNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "string"} }

// decimalNode is of decimals: a number with all its digits.
type decimalNode struct{ move }

func (n *decimalNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	d := (*apd.Decimal)(at)
	if d.Form != apd.Finite {
		return dst, fmt.Errorf("JSON has no %v", d)
	}
	d, err := n.fit(d)
	if err != nil {
		return dst, err
	}
	if d.Exponent > 0 && d.IsZero() { // it would be 000
		d = &apd.Decimal{Negative: d.Negative}
	}
	return d.Append(dst, 'f'), nil
}

func (n *decimalNode) read(r *jsonReader, at unsafe.Pointer) error {
	text, err := r.digits("decimal", 2*maxExponent)
	if err != nil {
		return err
	}
	d, _, err := apd.NewFromString(text)
	if err != nil {
		return fmt.Errorf("%q is not a decimal", input.Show(text))
	}
	if d.Form != apd.Finite {
		return fmt.Errorf("%q is not a number", input.Show(text))
	}
	if d, err = n.fit(d); err != nil {
		return err
	}
	(*apd.Decimal)(at).Set(d)
	return nil
}

func (*decimalNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "number"} }

// digits is the text of a number, or one that is in a text, of so many bytes at most.
func (r *jsonReader) digits(want string, most int) (text string, err error) {
	switch c := r.next(); {
	case c == '"':
		text, err = r.text()
	case c == '-' || c >= '0' && c <= '9':
		text, err = r.number()
	default:
		return "", r.unfit(want)
	}
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s of %d characters, at most %d are read", want, len(text), most)
	}
	return text, err
}

// maxBig is the longest text of a number of package big.
const maxBig = 2 * input.MaxBits

// bigIntNode is of big.Int: a number with all its digits.
type bigIntNode struct{}

func (bigIntNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	n := (*big.Int)(at)
	if n.BitLen() > input.MaxBits {
		return dst, fmt.Errorf("big.Int of %d bits, at most %d are allowed", n.BitLen(), input.MaxBits)
	}
	return n.Append(dst, 10), nil
}

func (bigIntNode) read(r *jsonReader, at unsafe.Pointer) error {
	text, err := r.digits("big.Int", maxBig)
	if err != nil {
		return err
	}
	probe := jsonReader{data: []byte(text)} // of a text it is not known yet that it is a number
	if number, err := probe.number(); err != nil || number != text {
		return fmt.Errorf("%q is not a number", input.Show(text))
	}
	if err := input.Big(text, (*big.Int)(at)); err != nil {
		return fmt.Errorf("want big.Int, found %s, which %w", input.Show(text), err)
	}
	return nil
}

func (bigIntNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "integer"} }

// bigRatNode is of big.Rat: a text, as 1/3 has no number.
type bigRatNode struct{}

func (bigRatNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	n := (*big.Rat)(at)
	if n.Num().BitLen() > input.MaxBits || n.Denom().BitLen() > input.MaxBits {
		return dst, fmt.Errorf("big.Rat of more than %d bits", input.MaxBits)
	}
	return appendText(dst, n.RatString())
}

func (bigRatNode) read(r *jsonReader, at unsafe.Pointer) error {
	text, err := r.digits("big.Rat", maxBig)
	if err != nil {
		return err
	}
	if farAway(text) {
		return fmt.Errorf("the exponent of %s is beyond %d", input.Show(text), maxExponent)
	}
	if _, ok := (*big.Rat)(at).SetString(text); !ok {
		return fmt.Errorf("%q is not a number", input.Show(text))
	}
	return nil
}

func (bigRatNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "string"} }

// farAway says that a number has an exponent that would make it one of many digits.
func farAway(text string) bool {
	e := strings.IndexAny(text, "eEpP")
	if e < 0 {
		return false
	}
	n, err := input.Int(strings.TrimPrefix(text[e+1:], "+"), 16)
	return err != nil || n > maxExponent || n < -maxExponent
}

// bigFloatNode is of big.Float: a text with the digits that tell it from its neighbours.
type bigFloatNode struct{}

func (bigFloatNode) append(dst []byte, at unsafe.Pointer, _ int) ([]byte, error) {
	f := (*big.Float)(at)
	if e := f.MantExp(nil); f.Prec() > input.MaxBits || e > 3*maxExponent || e < -3*maxExponent {
		return dst, fmt.Errorf("big.Float of more than %d bits, or beyond an exponent of %d", input.MaxBits,
			3*maxExponent)
	}
	dst = f.Append(append(dst, '"'), 'g', -1)
	return append(dst, '"'), nil
}

func (bigFloatNode) read(r *jsonReader, at unsafe.Pointer) error {
	text, err := r.digits("big.Float", maxBig)
	if err != nil {
		return err
	}
	if farAway(text) {
		return fmt.Errorf("the exponent of %s is beyond %d", input.Show(text), maxExponent)
	}
	precision := uint(math.Ceil(float64(len(text))*math.Log2(10))) + 1 // as many digits as there are
	f, _, err := big.ParseFloat(text, 10, max(64, precision), big.ToNearestEven)
	if err != nil {
		return fmt.Errorf("%q is not a number", input.Show(text))
	}
	*(*big.Float)(at) = *f
	return nil
}

func (bigFloatNode) schema([]jsonNode) *schemaText { return &schemaText{Types: "string"} }
