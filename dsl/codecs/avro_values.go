package codecs

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// textRead reads texts: what was written as text or as an enum, bytes that are UTF-8, and decimals
// and UUIDs in their text form.
func textRead(t reflect.Type, writer *avroType) (avroRead, error) {
	if decimal := binaryDecimal(writer); decimal != nil {
		return func(r *avroReader, at unsafe.Pointer) error {
			var d apd.Decimal
			err := decimal(r, &d)
			if err == nil {
				*(*string)(at) = d.Text('f')
			}
			return err
		}, nil
	}
	switch {
	case writer.kind == "string" || writer.kind == "bytes":
		return func(r *avroReader, at unsafe.Pointer) (err error) {
			*(*string)(at), err = r.text()
			return err
		}, nil
	case writer.kind == "enum":
		return func(r *avroReader, at unsafe.Pointer) error {
			i, err := r.choice(len(writer.symbols))
			if err == nil {
				*(*string)(at) = writer.symbols[i]
			}
			return err
		}, nil
	case writer.kind == "fixed" && writer.logical == avroUUID:
		return func(r *avroReader, at unsafe.Pointer) error {
			b, err := r.take(16)
			if err == nil {
				h := hex.EncodeToString(b)
				*(*string)(at) = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
			}
			return err
		}, nil
	}
	return nil, unreadable(t, writer)
}

// readPeriod reads Avro's duration: months, days and milliseconds. Months have no length in time.
func readPeriod(r *avroReader, at unsafe.Pointer) error {
	b, err := r.take(12)
	if err != nil {
		return err
	}
	months, days, ms := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]),
		binary.LittleEndian.Uint32(b[8:])
	if months != 0 {
		return fmt.Errorf("a duration with months (%d) is no time.Duration", months)
	}
	const day = 24 * int64(time.Hour)
	if int64(days) > math.MaxInt64/day-1 {
		return fmt.Errorf("a duration of %d days does not fit a time.Duration", days)
	}
	*(*int64)(at) = int64(days)*day + int64(ms)*int64(time.Millisecond)
	return nil
}

// setDecimal copies a decimal: an assignment would share its digits.
func setDecimal(at unsafe.Pointer, v any) {
	d := v.(apd.Decimal)
	(*apd.Decimal)(at).Set(&d)
}

// avroDecimalRead takes a number off the front.
type avroDecimalRead func(r *avroReader, d *apd.Decimal) error

// decimal reads numbers that say that they are: decimals in any scale, whole numbers, floats in
// their shortest decimal form, and texts of decimal numbers. Bytes that do not say so are none. The
// row's own columns get their scale later, with what is relaxed.
func (x *avroResolver) decimal(c *entity.Column, writer *avroType) (avroRead, error) {
	read := binaryDecimal(writer)
	if read == nil {
		read = otherDecimal(writer)
	}
	if read == nil {
		return nil, unreadable(decimalType, writer)
	}
	if c == nil || c.Field >= 0 {
		return func(r *avroReader, at unsafe.Pointer) error { return read(r, (*apd.Decimal)(at)) }, nil
	}
	m := move{precision: c.Precision, scale: c.Scale}
	return func(r *avroReader, at unsafe.Pointer) error {
		d := (*apd.Decimal)(at)
		if err := read(r, d); err != nil {
			return err
		}
		fitted, err := m.fit(d)
		if err == nil && fitted != d {
			d.Set(fitted)
		}
		return err
	}, nil
}

// binaryDecimal reads what was written as a decimal, nil if it was not.
func binaryDecimal(writer *avroType) avroDecimalRead {
	switch {
	case writer.logical == avroDecimal && writer.kind == "fixed":
		return func(r *avroReader, d *apd.Decimal) error {
			raw, err := r.take(int64(writer.size))
			if err == nil {
				err = unscaled(d, raw, writer.scale)
			}
			return err
		}
	case writer.logical == avroDecimal:
		return func(r *avroReader, d *apd.Decimal) error {
			raw, err := r.bytes()
			if err == nil {
				err = unscaled(d, raw, writer.scale)
			}
			return err
		}
	case writer.logical == avroBigDecimal:
		return readBigDecimal
	case writer.kind == "record" && writer.name == "io.debezium.data.VariableScaleDecimal":
		return variableDecimal(writer)
	}
	return nil
}

// readBigDecimal reads bytes that hold the digits, as bytes themselves, and the scale.
func readBigDecimal(r *avroReader, d *apd.Decimal) error {
	raw, err := r.bytes()
	if err != nil {
		return err
	}
	within := avroReader{data: raw}
	digits, err := within.bytes()
	if err != nil {
		return err
	}
	scale, err := within.int()
	if err == nil && len(within.data) > 0 {
		err = fmt.Errorf("%d bytes behind a big-decimal", len(within.data))
	}
	if err != nil {
		return err
	}
	return unscaled(d, digits, int(scale))
}

// variableDecimal reads Debezium's record of a scale and digits, nil if writer is another record.
func variableDecimal(writer *avroType) avroDecimalRead {
	var has int
	for _, f := range writer.fields {
		if f.name == "scale" && f.typ.kind == "int" || f.name == "value" && f.typ.kind == "bytes" {
			has++
		}
	}
	if has != 2 {
		return nil
	}
	return func(r *avroReader, d *apd.Decimal) (err error) {
		var scale int64
		var digits []byte
		for _, f := range writer.fields {
			switch f.name {
			case "scale":
				scale, err = r.int()
			case "value":
				digits, err = r.bytes()
			default:
				err = r.skip(f.typ)
			}
			if err != nil {
				return err
			}
		}
		return unscaled(d, digits, int(scale))
	}
}

// unscaled sets d to digits as two's complement and a scale.
func unscaled(d *apd.Decimal, digits []byte, scale int) error {
	if len(digits) > maxExponent {
		return fmt.Errorf("a decimal of %d bytes", len(digits))
	}
	if scale > maxExponent || scale < -maxExponent {
		return fmt.Errorf("a decimal of scale %d, beyond %d", scale, maxExponent)
	}
	own := decimalOf(digits, scale)
	d.Set(&own)
	return nil
}

// otherDecimal reads what is a number without being a decimal, nil if it is none.
func otherDecimal(writer *avroType) avroDecimalRead {
	if writer.logical != "" {
		return nil
	}
	if number := writer.number(); number != nil {
		return func(r *avroReader, d *apd.Decimal) error {
			n, err := number(r)
			d.SetInt64(n)
			return err
		}
	}
	switch writer.kind {
	case "string":
		return func(r *avroReader, d *apd.Decimal) error {
			text, err := r.text()
			if err != nil {
				return err
			}
			return parseDecimal(text, d)
		}
	case "float":
		return func(r *avroReader, d *apd.Decimal) error {
			f, err := r.float()
			if err != nil {
				return err
			}
			return parseDecimal(strconv.FormatFloat(float64(f), 'e', -1, 32), d)
		}
	case "double":
		return func(r *avroReader, d *apd.Decimal) error {
			f, err := r.double()
			if err != nil {
				return err
			}
			return parseDecimal(strconv.FormatFloat(f, 'e', -1, 64), d)
		}
	}
	return nil
}

// parseDecimal reads a decimal number.
func parseDecimal(text string, d *apd.Decimal) error {
	if len(text) > maxExponent {
		return fmt.Errorf("decimal of %d characters", len(text))
	}
	n, _, err := apd.NewFromString(text)
	switch {
	case err != nil:
		return fmt.Errorf("%.40q is not a decimal", text)
	case n.Form != apd.Finite:
		return fmt.Errorf("%.40q is not a number", text)
	case n.Exponent > maxExponent || n.Exponent < -maxExponent:
		return fmt.Errorf("exponent %d is beyond %d", n.Exponent, maxExponent)
	case n.IsZero():
		n.Negative = false
	}
	d.Set(n)
	return nil
}

// textCheck says that all texts of a value are UTF-8: Avro has no others.
type textCheck func(at unsafe.Pointer) bool

// textCheckOf is nil where a type has no texts. The types of rows do not contain themselves.
func textCheckOf(t reflect.Type) textCheck {
	switch t.Kind() {
	case reflect.String:
		return func(at unsafe.Pointer) bool { return utf8.ValidString(*(*string)(at)) }
	case reflect.Pointer:
		if within := textCheckOf(t.Elem()); within != nil {
			return func(at unsafe.Pointer) bool {
				to := *(*unsafe.Pointer)(at)
				return to == nil || within(to)
			}
		}
	case reflect.Slice:
		if within := textCheckOf(t.Elem()); within != nil {
			return func(at unsafe.Pointer) bool {
				list := reflect.NewAt(t, at).Elem()
				for i := range list.Len() {
					if !within(unsafe.Add(list.UnsafePointer(), uintptr(i)*t.Elem().Size())) {
						return false
					}
				}
				return true
			}
		}
	case reflect.Map:
		return func(at unsafe.Pointer) bool { return validEntries(reflect.NewAt(t, at).Elem()) }
	case reflect.Struct:
		return structCheck(t)
	}
	return nil
}

// validEntries looks at keys and values, which are scalars.
func validEntries(table reflect.Value) bool {
	for i := table.MapRange(); i.Next(); {
		if !utf8.ValidString(i.Key().String()) || i.Value().Kind() == reflect.String &&
			!utf8.ValidString(i.Value().String()) {
			return false
		}
	}
	return true
}

func structCheck(t reflect.Type) textCheck {
	if t == timeType || t == decimalType {
		return nil
	}
	checks := map[uintptr]textCheck{}
	for i, name := range fieldNames(t) {
		if name == "" {
			continue
		}
		if check := textCheckOf(t.Field(i).Type); check != nil {
			checks[t.Field(i).Offset] = check
		}
	}
	if len(checks) == 0 {
		return nil
	}
	return func(at unsafe.Pointer) bool {
		for offset, check := range checks {
			if !check(unsafe.Add(at, offset)) {
				return false
			}
		}
		return true
	}
}
