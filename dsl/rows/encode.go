package rows

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
)

// This file and decode.go reach values by their offsets in memory. Offsets and kinds come from the
// reflect.Type of the very type that the pointer points to (Format's *T, and what is within), and
// each value is touched through a pointer of its own kind, so the garbage collector sees every
// pointer that is stored.

var errDeep = errors.New("rows: a value is nested more than 1,000 deep, or contains itself")

func (s *step) append(dst []byte, at unsafe.Pointer, depth int) (_ []byte, err error) {
	switch s.op {
	case opScalar:
		return s.appendScalar(dst, at)
	case opStruct:
		if depth > maxNesting {
			return dst, errDeep
		}
		for i := range s.fields {
			f := &s.fields[i]
			p := unsafe.Add(at, f.offset)
			switch f.wire { // most columns are one of these, and a call costs more than the copy
			case codeInt64, codeUint64, codeFloat64:
				dst = binary.BigEndian.AppendUint64(dst, *(*uint64)(p))
			case codeText:
				text := *(*string)(p)
				dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
			default:
				if dst, err = f.step.append(dst, p, depth+1); err != nil {
					return dst, err
				}
			}
		}
		return dst, nil
	case opPointer:
		if at = *(*unsafe.Pointer)(at); at == nil {
			return append(dst, 0), nil
		}
		if depth > maxNesting {
			return dst, errDeep
		}
		return s.elem.append(append(dst, 1), at, depth+1)
	case opArray:
		return s.appendElements(dst, at, s.n, depth)
	case opSlice:
		slice := (*struct { // as reflect.SliceHeader, with a pointer that counts
			data          unsafe.Pointer
			length, space int
		})(at)
		if slice.data == nil {
			return append(dst, 0), nil
		}
		return s.appendElements(binary.AppendUvarint(dst, uint64(slice.length)+1), slice.data, slice.length, depth)
	case opMap:
		return s.appendMap(dst, at, depth)
	}
	return s.appendOpaque(dst, at)
}

func (s *step) appendElements(dst []byte, at unsafe.Pointer, n, depth int) (_ []byte, err error) {
	if depth > maxNesting {
		return dst, errDeep
	}
	for i := range n {
		if dst, err = s.elem.append(dst, unsafe.Add(at, uintptr(i)*s.size), depth+1); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (s *step) appendScalar(dst []byte, at unsafe.Pointer) ([]byte, error) {
	switch s.wire {
	case codeBool, codeInt8, codeUint8:
		return append(dst, *(*uint8)(at)), nil
	case codeInt16, codeUint16:
		return binary.BigEndian.AppendUint16(dst, *(*uint16)(at)), nil
	case codeInt32, codeUint32, codeFloat32:
		return binary.BigEndian.AppendUint32(dst, *(*uint32)(at)), nil
	case codeInt64, codeUint64, codeFloat64:
		return binary.BigEndian.AppendUint64(dst, *(*uint64)(at)), nil
	case codeComplex64:
		halves := (*[2]uint32)(at)
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, halves[0]), halves[1]), nil
	case codeComplex128:
		halves := (*[2]uint64)(at)
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, halves[0]), halves[1]), nil
	case codeText:
		text := *(*string)(at)
		return append(binary.AppendUvarint(dst, uint64(len(text))), text...), nil
	case codeBytes:
		b := *(*[]byte)(at)
		if b == nil {
			return append(dst, 0), nil
		}
		return append(binary.AppendUvarint(dst, uint64(len(b))+1), b...), nil
	case codeTime:
		t := (*time.Time)(at)
		dst = binary.BigEndian.AppendUint64(dst, uint64(t.Unix()))
		dst = binary.BigEndian.AppendUint32(dst, uint32(t.Nanosecond()))
		return appendZone(dst, t), nil
	}
	return appendDecimal(dst, (*apd.Decimal)(at)), nil
}

// appendDecimal appends a decimal as it is: 1 byte, its form and 8 if it is negative; the exponent
// as a zigzag varint; the length of its digits as a big-endian number, as a uvarint; that number.
func appendDecimal(dst []byte, d *apd.Decimal) []byte {
	first := byte(d.Form)
	if d.Negative {
		first |= 8
	}
	digits := d.Coeff.Bytes()
	dst = binary.AppendVarint(append(dst, first), int64(d.Exponent))
	return append(binary.AppendUvarint(dst, uint64(len(digits))), digits...)
}

// appendMap appends the entries in the order of their keys' bytes, so that equal maps are equal
// bytes.
func (s *step) appendMap(dst []byte, at unsafe.Pointer, depth int) (_ []byte, err error) {
	m := reflect.NewAt(s.typ, at).Elem()
	if m.IsNil() {
		return append(dst, 0), nil
	}
	if depth > maxNesting {
		return dst, errDeep
	}
	dst = binary.AppendUvarint(dst, uint64(m.Len())+1)
	key, value := reflect.New(s.typ.Key()), reflect.New(s.typ.Elem())
	type entry struct{ key, all []byte }
	entries := make([]entry, 0, m.Len())
	for each := m.MapRange(); each.Next(); {
		key.Elem().SetIterKey(each)
		value.Elem().SetIterValue(each)
		b, err := s.key.append(nil, key.UnsafePointer(), depth+1)
		if err != nil {
			return dst, err
		}
		n := len(b)
		if b, err = s.elem.append(b, value.UnsafePointer(), depth+1); err != nil {
			return dst, err
		}
		entries = append(entries, entry{b[:n], b})
	}
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	for _, e := range entries {
		dst = append(dst, e.all...)
	}
	return dst, nil
}

// appendOpaque leaves room for the length of what the type writes, and moves that where the length
// takes more.
func (s *step) appendOpaque(dst []byte, at unsafe.Pointer) ([]byte, error) {
	start := len(dst)
	out, err := s.way.append(append(dst, 0), reflect.NewAt(s.typ, at).Interface())
	if err != nil {
		return dst, err
	}
	n := len(out) - start - 1
	if n < 0x80 {
		out[start] = byte(n)
		return out, nil
	}
	var length [binary.MaxVarintLen64]byte
	w := binary.PutUvarint(length[:], uint64(n))
	out = append(out, length[1:w]...)
	copy(out[start+w:], out[start+1:start+1+n])
	copy(out[start:], length[:w])
	return out, nil
}
