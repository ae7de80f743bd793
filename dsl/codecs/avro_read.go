package codecs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"unicode/utf8"
	"unsafe"
)

// avroReader takes values off the front of a record. Errors leave it where it is.
type avroReader struct {
	data  []byte
	depth int // of the value that is skipped
	empty int // items without bytes so far
}

// avroRead reads one value to where a value of its Go type lies, which is zero before.
type avroRead func(r *avroReader, at unsafe.Pointer) error

// avroReaders keeps a record from costing an allocation.
var avroReaders = sync.Pool{New: func() any { return new(avroReader) }}

// maxEmpty bounds the items of arrays and maps that have no bytes (null, records without fields),
// of which a few bytes can hold any number.
const maxEmpty = 1 << 16

var (
	errAvroCut   = errors.New("the data ends too early")
	errAvroInt   = errors.New("a number in the data is too large")
	errAvroEmpty = fmt.Errorf("more than %d items without bytes", maxEmpty)
)

// readAvro reads a value that takes all of data; what names it in errors.
func readAvro(read avroRead, what string, data []byte, at unsafe.Pointer) error {
	r := avroReaders.Get().(*avroReader)
	*r = avroReader{data: data}
	err := read(r, at)
	if err == nil && len(r.data) > 0 {
		err = fmt.Errorf("%d bytes behind the %s", len(r.data), what)
	}
	r.data = nil
	avroReaders.Put(r)
	return err
}

func (r *avroReader) long() (int64, error) {
	n, size := binary.Varint(r.data)
	if size <= 0 {
		if size < 0 {
			return 0, errAvroInt
		}
		return 0, errAvroCut
	}
	r.data = r.data[size:]
	return n, nil
}

func (r *avroReader) int() (int64, error) {
	n, err := r.long()
	if err == nil && n != int64(int32(n)) {
		err = errAvroInt
	}
	return n, err
}

// take is a view of the next n bytes.
func (r *avroReader) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(r.data)) {
		return nil, errAvroCut
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b, nil
}

// bytes is a view of a bytes or string.
func (r *avroReader) bytes() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// text is a view of a bytes or string, which must be UTF-8.
func (r *avroReader) text() (string, error) {
	b, err := r.bytes()
	if err != nil || len(b) == 0 {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errNotUTF8
	}
	return unsafe.String(&b[0], len(b)), nil
}

func (r *avroReader) boolean() (bool, error) {
	b, err := r.take(1)
	if err != nil {
		return false, err
	}
	if b[0] > 1 {
		return false, fmt.Errorf("%#x is no boolean", b[0])
	}
	return b[0] == 1, nil
}

func (r *avroReader) float() (float32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b)), nil
}

func (r *avroReader) double() (float64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

// choice is the index of the branch of a union, or of the symbol of an enum.
func (r *avroReader) choice(of int) (int, error) {
	n, err := r.long()
	if err != nil {
		return 0, err
	}
	if n < 0 || n >= int64(of) {
		return 0, fmt.Errorf("the data has choice %d of %d", n, of)
	}
	return int(n), nil
}

// block is the number of items of the next block of an array or map, 0 at its end.
func (r *avroReader) block() (int64, error) {
	n, err := r.long()
	if err != nil || n >= 0 {
		return n, err
	}
	if n == math.MinInt64 {
		return 0, errAvroInt
	}
	_, err = r.long() // its size in bytes
	return -n, err
}

// items calls one for each item of an array or map.
func (r *avroReader) items(one func() error) error {
	for {
		n, err := r.block()
		if err != nil || n == 0 {
			return err
		}
		for range n {
			before := len(r.data)
			if err := one(); err != nil {
				return err
			}
			if err := r.taken(before); err != nil {
				return err
			}
		}
	}
}

// taken counts an item, before which there were so many bytes left.
func (r *avroReader) taken(before int) error {
	if len(r.data) < before {
		return nil
	}
	if r.empty++; r.empty > maxEmpty {
		return errAvroEmpty
	}
	return nil
}

// skip passes over a value that the row does not have.
func (r *avroReader) skip(t *avroType) (err error) {
	if r.depth++; r.depth > maxAvroDepth {
		return errAvroDepth
	}
	switch t.kind {
	case "boolean":
		_, err = r.take(1)
	case "int", "long", "enum":
		_, err = r.long()
	case "float":
		_, err = r.take(4)
	case "double":
		_, err = r.take(8)
	case "string", "bytes":
		_, err = r.bytes()
	case "fixed":
		_, err = r.take(int64(t.size))
	case "record":
		before := len(r.data)
		for i := range t.fields {
			if err = r.skip(t.fields[i].typ); err != nil {
				return err
			}
		}
		err = r.taken(before) // records of nothing but records may be without end
	case "array":
		err = r.items(func() error { return r.skip(t.items) })
	case "map":
		err = r.items(func() error {
			if _, err := r.bytes(); err != nil {
				return err
			}
			return r.skip(t.items)
		})
	case "union":
		var branch int
		if branch, err = r.choice(len(t.branches)); err == nil {
			err = r.skip(t.branches[branch])
		}
	}
	r.depth--
	return err
}
