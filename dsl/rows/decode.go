package rows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
)

var errCut = errors.New("rows: a row is cut, or has another form than it says")

// width is the bytes of scalars of one width.
var width = [codeOpaque + 1]uint8{codeBool: 1, codeInt8: 1, codeInt16: 2, codeInt32: 4, codeInt64: 8, codeUint8: 1,
	codeUint16: 2, codeUint32: 4, codeUint64: 8, codeFloat32: 4, codeFloat64: 8, codeComplex64: 8, codeComplex128: 16,
	codeTime: 12}

// read takes a value off the front of b into the zero value at at. Texts and []byte become views of
// b.
func (s *step) read(b []byte, at unsafe.Pointer, depth int) (rest []byte, err error) {
	if depth > maxNesting {
		return nil, errDeep
	}
	switch s.op {
	case opScalar:
		return readScalar(s.wire, b, at)
	case opStruct:
		for i := range s.fields {
			f := &s.fields[i]
			if f.op != opScalar { // it may have another offset
				b, err = f.step.read(b, unsafe.Add(at, f.offset), depth+1)
			} else if w := width[f.wire]; w == 8 && f.wire != codeComplex64 && len(b) >= 8 {
				*(*uint64)(unsafe.Add(at, f.offset)) = binary.BigEndian.Uint64(b)
				b = b[8:]
			} else {
				b, err = readScalar(f.wire, b, unsafe.Add(at, f.offset))
			}
			if err != nil {
				return nil, err
			}
		}
		return b, nil
	case opNumber:
		return s.readNumber(b, at)
	case opPointer, opUnwrap:
		present, b, err := onOff(b)
		if err != nil || !present {
			return b, err
		}
		if s.op == opPointer {
			at = fresh(s.typ, at)
		} else {
			reflect.NewAt(s.typ, at).Elem().SetZero() // the default that stood there is of none
		}
		return s.elem.read(b, at, depth+1)
	case opWrap:
		return s.elem.read(b, fresh(s.typ, at), depth+1)
	case opArray:
		for i := range s.n {
			if b, err = s.elem.read(b, unsafe.Add(at, uintptr(i)*s.size), depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	case opSlice:
		n, b, err := length(b)
		if err != nil || n < 0 {
			return b, err
		}
		return s.readSlice(b, at, n, depth)
	case opMap:
		n, b, err := length(b)
		if err != nil || n < 0 {
			return b, err
		}
		return s.readMap(b, at, n, depth)
	case opBytes:
		value, b, err := cut(b)
		if err == nil {
			*(*[]byte)(at) = value[:len(value):len(value)]
		}
		return b, err
	case opOpaque:
		value, b, err := cut(b)
		if err != nil {
			return nil, err
		}
		return b, s.way.read(value, reflect.NewAt(s.typ, at).Interface())
	}
	return s.pass(b, depth)
}

// fresh makes what the pointer at at points to.
func fresh(pointer reflect.Type, at unsafe.Pointer) unsafe.Pointer {
	p := reflect.New(pointer.Elem()).UnsafePointer()
	*(*unsafe.Pointer)(at) = p
	return p
}

func readScalar(wire code, b []byte, at unsafe.Pointer) (rest []byte, err error) {
	if w := int(width[wire]); len(b) < w {
		return nil, errCut
	}
	switch wire {
	case codeBool:
		present, b, err := onOff(b)
		*(*bool)(at) = present
		return b, err
	case codeInt8, codeUint8:
		*(*uint8)(at) = b[0]
		return b[1:], nil
	case codeInt16, codeUint16:
		*(*uint16)(at) = binary.BigEndian.Uint16(b)
		return b[2:], nil
	case codeInt32, codeUint32, codeFloat32:
		*(*uint32)(at) = binary.BigEndian.Uint32(b)
		return b[4:], nil
	case codeInt64, codeUint64, codeFloat64:
		*(*uint64)(at) = binary.BigEndian.Uint64(b)
		return b[8:], nil
	case codeComplex64:
		*(*[2]uint32)(at) = [2]uint32{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
		return b[8:], nil
	case codeComplex128:
		*(*[2]uint64)(at) = [2]uint64{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
		return b[16:], nil
	case codeText:
		value, b, err := cut(b)
		if err == nil && len(value) > 0 {
			*(*string)(at) = unsafe.String(&value[0], len(value))
		}
		return b, err
	case codeBytes:
		n, b, err := length(b)
		if err != nil || n < 0 {
			return b, err
		}
		if n > len(b) {
			return nil, errCut
		}
		*(*[]byte)(at) = b[:n:n]
		return b[n:], nil
	case codeTime:
		seconds, nanos := int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])
		if nanos >= 1e9 {
			return nil, errCut
		}
		t := time.Unix(seconds, int64(nanos)).UTC()
		rest, err = readZone(b[12:], &t)
		*(*time.Time)(at) = t
		return rest, err
	}
	return readDecimal(b, (*apd.Decimal)(at))
}

func readDecimal(b []byte, d *apd.Decimal) ([]byte, error) {
	if len(b) == 0 || b[0]&7 > byte(apd.NaN) || b[0] > 15 {
		return nil, errCut
	}
	d.Form, d.Negative = apd.Form(b[0]&7), b[0]&8 != 0
	exponent, w := binary.Varint(b[1:])
	if w <= 0 || exponent < math.MinInt32 || exponent > math.MaxInt32 {
		return nil, errCut
	}
	digits, b, err := cut(b[1+w:])
	if err != nil {
		return nil, err
	}
	d.Exponent = int32(exponent)
	d.Coeff.SetBytes(digits)
	return b, nil
}

func (s *step) readSlice(b []byte, at unsafe.Pointer, n, depth int) (_ []byte, err error) {
	slice := reflect.MakeSlice(s.typ, n, n)
	base := slice.UnsafePointer()
	for i := range n {
		if b, err = s.elem.read(b, unsafe.Add(base, uintptr(i)*s.size), depth+1); err != nil {
			return nil, err
		}
	}
	reflect.NewAt(s.typ, at).Elem().Set(slice)
	return b, nil
}

func (s *step) readMap(b []byte, at unsafe.Pointer, n, depth int) (_ []byte, err error) {
	m := reflect.MakeMapWithSize(s.typ, n)
	for range n {
		key, value := reflect.New(s.typ.Key()), reflect.New(s.typ.Elem())
		if b, err = s.key.read(b, key.UnsafePointer(), depth+1); err != nil {
			return nil, err
		}
		if b, err = s.elem.read(b, value.UnsafePointer(), depth+1); err != nil {
			return nil, err
		}
		m.SetMapIndex(key.Elem(), value.Elem())
	}
	reflect.NewAt(s.typ, at).Elem().Set(m)
	return b, nil
}

// readNumber reads a number into a wider one.
func (s *step) readNumber(b []byte, at unsafe.Pointer) ([]byte, error) {
	var raw [8]byte
	b, err := readScalar(s.wire, b, unsafe.Pointer(&raw))
	if err != nil {
		return nil, err
	}
	var n int64
	var f float64
	switch p := unsafe.Pointer(&raw); s.wire {
	case codeInt8:
		n = int64(*(*int8)(p))
	case codeInt16:
		n = int64(*(*int16)(p))
	case codeInt32:
		n = int64(*(*int32)(p))
	case codeUint8:
		n = int64(*(*uint8)(p))
	case codeUint16:
		n = int64(*(*uint16)(p))
	case codeUint32:
		n = int64(*(*uint32)(p))
	case codeFloat32:
		f = float64(*(*float32)(p))
	}
	if s.wire != codeFloat32 {
		f = float64(n)
	}
	switch v := reflect.NewAt(s.typ, at).Elem(); {
	case v.CanInt():
		v.SetInt(n)
	case v.CanUint():
		v.SetUint(uint64(n))
	default:
		v.SetFloat(f)
	}
	return b, nil
}

// pass passes a value over.
func (s *step) pass(b []byte, depth int) (rest []byte, err error) {
	if depth > maxNesting {
		return nil, errDeep
	}
	switch s.wire {
	case codeText, codeOpaque:
		_, b, err = cut(b)
		return b, err
	case codePointer:
		present, b, err := onOff(b)
		if err != nil || !present {
			return b, err
		}
		return s.elem.read(b, nil, depth+1)
	case codeArray:
		return s.passAll(b, s.n, depth)
	case codeSlice, codeMap:
		n, b, err := length(b)
		if err != nil || n < 0 {
			return b, err
		}
		return s.passAll(b, n, depth)
	case codeStruct:
		for _, f := range s.fields {
			if b, err = f.step.read(b, nil, depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	var scrap struct { // large enough for any scalar, and for its pointers
		text  []byte
		at    time.Time
		value apd.Decimal
	}
	switch s.wire {
	case codeTime:
		return readScalar(s.wire, b, unsafe.Pointer(&scrap.at))
	case codeDecimal:
		return readDecimal(b, &scrap.value)
	}
	return readScalar(s.wire, b, unsafe.Pointer(&scrap.text))
}

func (s *step) passAll(b []byte, n, depth int) (_ []byte, err error) {
	for range n {
		if s.key != nil {
			if b, err = s.key.read(b, nil, depth+1); err != nil {
				return nil, err
			}
		}
		if b, err = s.elem.read(b, nil, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// onOff is a byte of 0 or 1.
func onOff(b []byte) (on bool, rest []byte, err error) {
	if len(b) == 0 || b[0] > 1 {
		return false, nil, errCut
	}
	return b[0] == 1, b[1:], nil
}

// cut takes a length and that many bytes off the front.
func cut(b []byte) (value, rest []byte, err error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, errCut
	}
	b = b[w:]
	return b[:n:n], b[n:], nil
}

// mostEmpty is how many elements without any bytes a slice, or a map, may have.
const mostEmpty = 1 << 16

// length is that of a slice or map, or of bytes, whose elements follow; -1 of nil.
func length(b []byte) (n int, rest []byte, err error) {
	u, w := binary.Uvarint(b)
	if w <= 0 || u > uint64(len(b))+mostEmpty {
		return 0, nil, errCut
	}
	return int(u) - 1, b[w:], nil
}

// described is what is wrong with a row's bytes, with its type.
func described(err error, t reflect.Type) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("row of %s: %w", t, err)
}
