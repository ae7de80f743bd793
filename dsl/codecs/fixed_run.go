package codecs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// This file reads and writes the columns of a row by their offsets in memory. The offsets and kinds
// come from the reflect.Type of the very struct (the caller's *T), and each column is touched
// through a pointer of its own kind, so the garbage collector sees every pointer that is stored.

var timeType = reflect.TypeFor[time.Time]()

func (p *fixedProgram) encode(dst []byte, row unsafe.Pointer) ([]byte, error) {
	start := len(dst)
	if p.limits != nil {
		if err := p.limits.check(row); err != nil {
			return dst, p.wrong(err)
		}
	}
	for i := range p.ops {
		op := &p.ops[i]
		at := unsafe.Add(row, op.offset)
		if op.null {
			if at = *(*unsafe.Pointer)(at); at == nil {
				dst = append(dst, 0)
				continue
			}
			dst = append(dst, 1)
		}
		var err error
		if dst, err = appendFixed(dst, op.code, at); err != nil {
			return dst[:start], p.column(op, err)
		}
	}
	return dst, nil
}

func appendFixed(dst []byte, code fixedCode, at unsafe.Pointer) ([]byte, error) {
	switch code {
	case fixed8:
		return binary.BigEndian.AppendUint64(dst, *(*uint64)(at)), nil
	case fixed4:
		return binary.BigEndian.AppendUint32(dst, *(*uint32)(at)), nil
	case fixed2:
		return binary.BigEndian.AppendUint16(dst, *(*uint16)(at)), nil
	case fixed1:
		return append(dst, *(*uint8)(at)), nil
	case fixedBool:
		if *(*bool)(at) {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case fixedInt:
		return binary.BigEndian.AppendUint64(dst, uint64(*(*int)(at))), nil
	case fixedUint:
		return binary.BigEndian.AppendUint64(dst, uint64(*(*uint)(at))), nil
	case fixedMillis:
		return binary.BigEndian.AppendUint64(dst, uint64((*time.Time)(at).UnixMilli())), nil
	case fixedMicros, fixedNanos:
		n, err := entity.ToEpoch(epochFormat(code), *(*time.Time)(at))
		return binary.BigEndian.AppendUint64(dst, uint64(n)), err
	case fixedText:
		s := *(*string)(at)
		return append(binary.AppendUvarint(dst, uint64(len(s))), s...), nil
	}
	b := *(*[]byte)(at)
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...), nil
}

func epochFormat(code fixedCode) string {
	if code == fixedMicros {
		return entity.Micros
	}
	return entity.Nanos
}

// decode fills a row that is zero.
func (p *fixedProgram) decode(data []byte, row unsafe.Pointer) error {
	if data == nil {
		return ErrNull
	}
	if p.varies {
		return p.decodeVarying(data, row)
	}
	if len(data) != p.least {
		return p.wrong(fmt.Errorf("got %d bytes, want %d", len(data), p.least))
	}
	for i := range p.ops {
		op := &p.ops[i]
		at := unsafe.Add(row, op.offset)
		if op.code == fixed8 { // most columns are, and a call costs more than the copy
			*(*uint64)(at) = binary.BigEndian.Uint64(data)
		} else if err := setFixed(op.code, data, at); err != nil {
			return p.column(op, err)
		}
		data = data[op.width:]
	}
	return p.check(row)
}

// check holds a decoded row against its limits, or makes it keep them.
func (p *fixedProgram) check(row unsafe.Pointer) error {
	if p.limits == nil {
		return nil
	}
	if p.relaxed != nil {
		p.relaxed.adjust(row)
	}
	return p.wrong(p.limits.check(row))
}

// decodeVarying checks before each column that its bytes are there.
func (p *fixedProgram) decodeVarying(data []byte, row unsafe.Pointer) error {
	size := len(data)
	for i := range p.ops {
		op := &p.ops[i]
		if len(data) < int(op.width) {
			return p.column(op, fmt.Errorf("got %d bytes, want %d more", size, int(op.width)-len(data)))
		}
		at := unsafe.Add(row, op.offset)
		width := int(op.width)
		if op.null {
			present := data[0]
			if data = data[1:]; present > 1 {
				return p.column(op, fmt.Errorf("presence byte is %d, want 0 or 1", present))
			}
			if present == 0 {
				continue
			}
			elem := p.columns[op.column].Type.Elem()
			fresh := reflect.New(elem).UnsafePointer()
			*(*unsafe.Pointer)(at) = fresh
			at = fresh
			_, w, _ := fixedCodeOf(elem, "")
			if width = int(w); len(data) < width {
				return p.column(op, fmt.Errorf("got %d bytes, want %d more", size, width-len(data)))
			}
		}
		if op.code >= fixedText {
			value, rest, err := cutValue(data)
			if err != nil {
				return p.column(op, err)
			}
			setValue(op.code, value, at)
			data = rest
			continue
		}
		if err := setFixed(op.code, data, at); err != nil {
			return p.column(op, err)
		}
		data = data[width:]
	}
	if len(data) > 0 {
		return p.wrong(fmt.Errorf("got %d bytes, want %d", size, size-len(data)))
	}
	return p.check(row)
}

// setFixed reads one column from the front of data, which is long enough.
func setFixed(code fixedCode, data []byte, at unsafe.Pointer) error {
	switch code {
	case fixed8:
		*(*uint64)(at) = binary.BigEndian.Uint64(data)
	case fixed4:
		*(*uint32)(at) = binary.BigEndian.Uint32(data)
	case fixed2:
		*(*uint16)(at) = binary.BigEndian.Uint16(data)
	case fixed1:
		*(*uint8)(at) = data[0]
	case fixedBool:
		if data[0] > 1 {
			return fmt.Errorf("bool is %d, want 0 or 1", data[0])
		}
		*(*bool)(at) = data[0] == 1
	case fixedInt:
		n := int64(binary.BigEndian.Uint64(data))
		if int64(int(n)) != n {
			return fmt.Errorf("%d does not fit an int of this machine", n)
		}
		*(*int)(at) = int(n)
	case fixedUint:
		n := binary.BigEndian.Uint64(data)
		if uint64(uint(n)) != n {
			return fmt.Errorf("%d does not fit a uint of this machine", n)
		}
		*(*uint)(at) = uint(n)
	case fixedMillis:
		*(*time.Time)(at) = time.UnixMilli(int64(binary.BigEndian.Uint64(data))).UTC()
	default:
		*(*time.Time)(at) = entity.FromEpoch(epochFormat(code), int64(binary.BigEndian.Uint64(data)))
	}
	return nil
}

// cutValue takes a length and that many bytes off the front.
func cutValue(data []byte) (value, rest []byte, err error) {
	length, n := binary.Uvarint(data)
	if n <= 0 {
		return nil, nil, errors.New("length is cut off or over 64 bits")
	}
	if data = data[n:]; length > uint64(len(data)) {
		return nil, nil, fmt.Errorf("length is %d, but %d bytes are left", length, len(data))
	}
	return data[:length:length], data[length:], nil
}

// setValue makes a column a view of value.
func setValue(code fixedCode, value []byte, at unsafe.Pointer) {
	if len(value) == 0 {
		return
	}
	if code == fixedText {
		*(*string)(at) = unsafe.String(&value[0], len(value))
		return
	}
	*(*[]byte)(at) = value
}

// wrong gives an error the place of the type; nil stays nil.
func (p *fixedProgram) wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("codecs: fixed %s: %w", p.place, err)
}

func (p *fixedProgram) column(op *fixedOp, err error) error {
	return fmt.Errorf("codecs: fixed %s: column %q: %w", p.place, p.columns[op.column].Name, err)
}
