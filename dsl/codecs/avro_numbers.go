package codecs

import (
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// number is the read of an int or a long, nil if it is neither.
func (t *avroType) number() func(*avroReader) (int64, error) {
	switch t.kind {
	case "int":
		return (*avroReader).int
	case "long":
		return (*avroReader).long
	}
	return nil
}

// integer reads whole numbers as they were written, and the event time in milliseconds, whatever
// the unit was.
func (x *avroResolver) integer(t reflect.Type, c *entity.Column, writer *avroType) (avroRead, error) {
	number := writer.number()
	if number == nil || writer.kind == "long" && isAvroInt(t.Kind()) {
		return nil, unreadable(t, writer)
	}
	if x.isEventTime(c) && writer.logical != "" {
		instant := instantOf(writer)
		if instant == nil {
			return nil, fmt.Errorf("a %s is no event time", writer)
		}
		return func(r *avroReader, at unsafe.Pointer) error {
			n, err := number(r)
			if err == nil {
				*(*int64)(at) = instant(n).UnixMilli()
			}
			return err
		}, nil
	}
	if t.Kind() == reflect.Int64 {
		return func(r *avroReader, at unsafe.Pointer) (err error) {
			*(*int64)(at), err = number(r)
			return err
		}, nil
	}
	signed := reflect.Zero(t).CanInt()
	return func(r *avroReader, at unsafe.Pointer) error {
		n, err := number(r)
		if err != nil {
			return err
		}
		v := reflect.NewAt(t, at).Elem()
		switch {
		case signed && !v.OverflowInt(n):
			v.SetInt(n)
		case !signed && n >= 0 && !v.OverflowUint(uint64(n)):
			v.SetUint(uint64(n))
		default:
			return fmt.Errorf("%d does not fit %s", n, t)
		}
		return nil
	}, nil
}

// isAvroInt says that a kind is written as Avro's int, into which a long cannot be read.
func isAvroInt(k reflect.Kind) bool {
	switch k {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16:
		return true
	}
	return false
}

func (x *avroResolver) isEventTime(c *entity.Column) bool {
	return c != nil && x.model != nil && x.model.Timestamp >= 0 && c == &x.model.Columns[x.model.Timestamp]
}

// floatRead promotes numbers as Avro does.
func floatRead(t reflect.Type, writer *avroType) (avroRead, error) {
	set := func(at unsafe.Pointer, f float64) { *(*float64)(at) = f }
	if t.Kind() == reflect.Float32 {
		set = func(at unsafe.Pointer, f float64) { *(*float32)(at) = float32(f) }
	}
	switch number := writer.number(); {
	case number != nil:
		return func(r *avroReader, at unsafe.Pointer) error {
			n, err := number(r)
			if t.Kind() == reflect.Float32 {
				*(*float32)(at) = float32(n) // by way of a float64 it would be rounded twice
			} else {
				*(*float64)(at) = float64(n)
			}
			return err
		}, nil
	case writer.kind == "float":
		return func(r *avroReader, at unsafe.Pointer) error {
			f, err := r.float()
			set(at, float64(f))
			return err
		}, nil
	case writer.kind == "double" && t.Kind() == reflect.Float64:
		return func(r *avroReader, at unsafe.Pointer) (err error) {
			*(*float64)(at), err = r.double()
			return err
		}, nil
	}
	return nil, unreadable(t, writer)
}

// bytesRead reads the bytes that were written, whatever they mean.
func bytesRead(t reflect.Type, writer *avroType) (avroRead, error) {
	switch writer.kind {
	case "bytes", "string":
		return func(r *avroReader, at unsafe.Pointer) (err error) {
			*(*[]byte)(at), err = r.bytes()
			return err
		}, nil
	case "fixed":
		return func(r *avroReader, at unsafe.Pointer) (err error) {
			*(*[]byte)(at), err = r.take(int64(writer.size))
			return err
		}, nil
	}
	return nil, unreadable(t, writer)
}

// instantOf makes a time of a number, nil if it means none.
func instantOf(writer *avroType) func(int64) time.Time {
	switch writer.logical {
	case avroDate:
		return func(days int64) time.Time { return time.Unix(days*24*60*60, 0).UTC() }
	case avroMs:
		return func(n int64) time.Time { return entity.FromEpoch(entity.Millis, n) }
	case avroUs:
		return func(n int64) time.Time { return entity.FromEpoch(entity.Micros, n) }
	case avroNs:
		return func(n int64) time.Time { return entity.FromEpoch(entity.Nanos, n) }
	}
	return nil
}

// time reads times in the unit in which they were written. A number that does not say its unit is
// in that of the column.
func (x *avroResolver) time(c *entity.Column, writer *avroType) (avroRead, error) {
	if writer.logical == avroTimeText {
		return func(r *avroReader, at unsafe.Pointer) error {
			text, err := r.text()
			if err == nil {
				*(*time.Time)(at), err = entity.ParseTime(entity.RFC3339, text)
			}
			return err
		}, nil
	}
	number, instant := writer.number(), instantOf(writer)
	if writer.logical == "" {
		format := entity.Millis
		if c != nil {
			format = c.Format
		}
		instant = func(n int64) time.Time { return entity.FromEpoch(format, n) }
	}
	if number == nil || instant == nil {
		return nil, unreadable(timeType, writer)
	}
	return func(r *avroReader, at unsafe.Pointer) error {
		n, err := number(r)
		if err == nil {
			*(*time.Time)(at) = instant(n)
		}
		return err
	}, nil
}

// duration reads times of day and durations in their unit. A number that does not say its unit is
// nanoseconds.
func (x *avroResolver) duration(writer *avroType) (avroRead, error) {
	var unit int64
	switch writer.logical {
	case "", avroTimeNs:
		unit = 1
	case avroTimeUs:
		unit = int64(time.Microsecond)
	case avroTimeMs:
		unit = int64(time.Millisecond)
	case avroDuration:
		return readPeriod, nil
	}
	number := writer.number()
	if number == nil || unit == 0 {
		return nil, unreadable(durationType, writer)
	}
	return func(r *avroReader, at unsafe.Pointer) error {
		n, err := number(r)
		if err == nil && (n > math.MaxInt64/unit || n < math.MinInt64/unit) {
			err = fmt.Errorf("%d %v do not fit a time.Duration", n, time.Duration(unit))
		}
		*(*int64)(at) = n * unit
		return err
	}, nil
}
