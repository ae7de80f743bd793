package entity

import (
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
)

// maxDecimal is how many characters a decimal may have that is a default, written without an
// exponent: codecs read no longer ones.
const maxDecimal = 1000

func (b *builder) defaultOption(field string, c *Column, o option) {
	if !o.valued {
		b.wrong(field, "default needs a value")
		return
	}
	v, err := parseDefault(c, o.value)
	if err != "" {
		b.wrong(field, "default=%s: %s", o.value, err)
		return
	}
	c.initial = v
}

// parseDefault reads a default as the column's type; the string says what is wrong.
func parseDefault(c *Column, s string) (reflect.Value, string) {
	v := reflect.New(c.Type).Elem()
	bad := func(err error) (reflect.Value, string) {
		if err != nil {
			return v, "not " + article(c.Type)
		}
		return v, ""
	}
	switch {
	case c.Type == timeType:
		t, err := ParseTime(c.Format, s)
		if err == nil && (c.Format == Micros || c.Format == Nanos) {
			_, err = ToEpoch(c.Format, t)
		}
		v.Set(reflect.ValueOf(t))
		return bad(err)
	case c.Type == decimalType:
		d := v.Addr().Interface().(*apd.Decimal)
		if _, _, err := d.SetString(s); err != nil || d.Form != apd.Finite {
			return v, "not a number"
		}
		if d.Exponent > maxDecimal || d.Exponent < -maxDecimal || len(d.Text('f')) > maxDecimal {
			return v, fmt.Sprintf("more than %d digits", maxDecimal)
		}
		if _, ok := c.Fit(d); !ok {
			return v, fmt.Sprintf("does not fit %d digits with %d behind the point", c.Precision, c.Scale)
		}
		return v, ""
	}
	switch c.Type.Kind() {
	case reflect.String:
		if n := utf8.RuneCountInString(s); c.MaxLen > 0 && n > c.MaxLen {
			return v, fmt.Sprintf("has %d characters, and maxlen=%d", n, c.MaxLen)
		}
		v.SetString(s)
		return v, ""
	case reflect.Bool:
		x, err := strconv.ParseBool(s)
		v.SetBool(x)
		return bad(err)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		x, err := strconv.ParseInt(s, 10, c.Type.Bits())
		v.SetInt(x)
		return bad(err)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		x, err := strconv.ParseUint(s, 10, c.Type.Bits())
		v.SetUint(x)
		return bad(err)
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(s, c.Type.Bits())
		v.SetFloat(x)
		return bad(err)
	}
	return v, article(c.Type) + " has no default"
}
