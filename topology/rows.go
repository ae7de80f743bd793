package topology

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Rows is how rows of one type are kept in the state of an operator, and written in an internal
// topic.
type Rows struct {
	Row   string // their type, for people
	Codec string // for people
	// what their bytes are made of, such as the names and types of columns: of rows of one Form all
	// have one meaning
	Form string
	// Open returns an encoder, which appends a row's bytes to dst, and a decoder, whose row is
	// reused: it is good until the next call.
	Open func() (encode func(row any, dst []byte) ([]byte, error), decode func(b []byte) (any, error))
	// From returns Open's decoder for rows of another Form, which a plan of before has written. The
	// error says what of it cannot be read, such as "column volume: was int64, is string"; several
	// are divided by "; ".
	From func(form string) (open func() func(b []byte) (any, error), err error)
}

// ErrForm says that a row was written by another version of the program, with columns that this one
// cannot read.
var ErrForm = errors.New("the row was written with other columns, which cannot be read")

var errWire = errors.New("topology: a row of an internal topic is cut: somebody else writes to the topic")

// mostForms is how many other forms OpenWire's decoder remembers.
const mostForms = 256

// OpenWire is Open for internal topics: each row has its form before it, so that whoever reads it
// needs to know nothing of who has written it: the length of the form as a uvarint, the form, the
// row. A row of a form that cannot be read is an error that wraps ErrForm.
func (r *Rows) OpenWire() (encode func(row any, dst []byte) ([]byte, error), decode func(b []byte) (any, error)) {
	header := append(binary.AppendUvarint(nil, uint64(len(r.Form))), r.Form...)
	encodeRow, decodeRow := r.Open()
	others := map[string]func([]byte) (any, error){}
	encode = func(row any, dst []byte) ([]byte, error) { return encodeRow(row, append(dst, header...)) }
	return encode, func(b []byte) (any, error) {
		if len(b) >= len(header) && string(b[:len(header)]) == string(header) {
			return decodeRow(b[len(header):])
		}
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return nil, errWire
		}
		form, row := b[w:w+int(n)], b[w+int(n):]
		if other := others[string(form)]; other != nil {
			return other(row)
		}
		open, err := r.From(string(form))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrForm, err)
		}
		other := open()
		if len(others) < mostForms {
			others[string(form)] = other
		}
		return other(row)
	}
}
