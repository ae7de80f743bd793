package codecs

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
	"github.com/segmentio/encoding/json"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// This file copies columns between a row and its shadow by their offsets in memory. Offsets and kinds come from the two struct
// types, and each copy goes through a type with the same pointers in the same places as the column's own, so that the garbage
// collector sees every pointer that is stored.

// moveKind is how a column gets from row to shadow and back.
type moveKind uint8

const (
	move1 moveKind = iota // scalars, by their size in bytes
	move2
	move4
	move8
	moveText    // string that must be UTF-8
	moveString  // string
	moveSlice   // slice of anything
	movePointer // pointer or map
	moveTime    // time.Time that the library writes itself
	moveTyped   // anything else
	moveEpoch   // time.Time, int64 in the shadow
	moveLayout  // time.Time, string in the shadow
	moveDecimal // apd.Decimal, raw JSON in the shadow
)

// move is one column.
type move struct {
	at, shown uintptr // offsets in the row and in the shadow
	kind      moveKind
	pointer   bool         // for the last three kinds: the column is a pointer
	typ       reflect.Type // of a moveTyped
	name      string
	format    string
	precision int
	scale     int
	rounded   *atomic.Int64 // of decimals that had to be; nil: they are refused
}

func moveOf(t reflect.Type) moveKind {
	switch t.Kind() {
	case reflect.String:
		if plainText(t) {
			return moveText
		}
		return moveString
	case reflect.Slice:
		return moveSlice
	case reflect.Pointer, reflect.Map:
		return movePointer
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		switch t.Size() {
		case 1:
			return move1
		case 2:
			return move2
		case 4:
			return move4
		}
		return move8
	}
	if t == timeType {
		return moveTime
	}
	return moveTyped
}

// out copies the column from the row to the shadow.
func (m *move) out(row, shadow unsafe.Pointer) error {
	from, to := unsafe.Add(row, m.at), unsafe.Add(shadow, m.shown)
	switch m.kind {
	case moveText:
		if s := *(*string)(from); !utf8.ValidString(s) {
			return m.wrong(errNotUTF8)
		}
	case moveTime, movePointer:
		if m.format == entity.RFC3339 {
			if err := m.outTime(from, to); err != nil {
				return m.wrong(err)
			}
			return nil
		}
	case moveEpoch, moveLayout, moveDecimal:
		if m.pointer {
			from = *(*unsafe.Pointer)(from)
		}
		if err := m.outSpecial(from, to); err != nil {
			return m.wrong(err)
		}
		return nil
	}
	m.copy(from, to)
	return nil
}

// outTime hands over a time in UTC: the library would write the zone of this machine. It refuses a time that RFC 3339
// cannot say, which the library would write as a text that nobody can read.
func (m *move) outTime(from, to unsafe.Pointer) error {
	if m.kind == movePointer {
		if from = *(*unsafe.Pointer)(from); from == nil {
			return nil
		}
		fresh := new(time.Time)
		*(**time.Time)(to) = fresh
		to = unsafe.Pointer(fresh)
	}
	t := (*time.Time)(from).UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return fmt.Errorf("the year %d has no RFC 3339 text", year)
	}
	*(*time.Time)(to) = t
	return nil
}

func (m *move) outSpecial(from, to unsafe.Pointer) error {
	if !m.pointer {
		return m.show(from, to)
	}
	if m.kind == moveDecimal {
		if from == nil {
			*(*json.RawMessage)(to) = json.RawMessage("null")
			return nil
		}
		return m.show(from, to)
	}
	if from == nil {
		*(*unsafe.Pointer)(to) = nil
		return nil
	}
	if m.kind == moveEpoch {
		n := new(int64)
		*(**int64)(to) = n
		return m.show(from, unsafe.Pointer(n))
	}
	s := new(string)
	*(**string)(to) = s
	return m.show(from, unsafe.Pointer(s))
}

// in copies the column from the shadow to the row.
func (m *move) in(shadow, row unsafe.Pointer) error {
	from, to := unsafe.Add(shadow, m.shown), unsafe.Add(row, m.at)
	if m.kind < moveEpoch {
		m.copy(from, to)
		if m.format == entity.RFC3339 {
			m.inUTC(to)
		}
		return nil
	}
	if m.kind == moveDecimal {
		raw := *(*json.RawMessage)(from)
		if raw == nil || string(raw) == "null" {
			return nil
		}
		if m.pointer {
			d := new(apd.Decimal)
			*(**apd.Decimal)(to) = d
			to = unsafe.Pointer(d)
		}
	} else if m.pointer {
		if from = *(*unsafe.Pointer)(from); from == nil {
			return nil
		}
		t := new(time.Time)
		*(**time.Time)(to) = t
		to = unsafe.Pointer(t)
	}
	if err := m.read(from, to); err != nil {
		return m.wrong(err)
	}
	return nil
}

// inUTC turns a time that the library has read to UTC.
func (m *move) inUTC(at unsafe.Pointer) {
	if m.kind == movePointer {
		if at = *(*unsafe.Pointer)(at); at == nil {
			return
		}
	}
	t := (*time.Time)(at)
	*t = t.UTC()
}

func (m *move) copy(from, to unsafe.Pointer) {
	switch m.kind {
	case move1:
		*(*uint8)(to) = *(*uint8)(from)
	case move2:
		*(*uint16)(to) = *(*uint16)(from)
	case move4:
		*(*uint32)(to) = *(*uint32)(from)
	case move8:
		*(*uint64)(to) = *(*uint64)(from)
	case moveText, moveString:
		*(*string)(to) = *(*string)(from)
	case moveSlice:
		*(*[]byte)(to) = *(*[]byte)(from) // pointer, length and capacity, whatever the elements are
	case movePointer:
		*(*unsafe.Pointer)(to) = *(*unsafe.Pointer)(from)
	case moveTime:
		*(*time.Time)(to) = *(*time.Time)(from)
	default:
		reflect.NewAt(m.typ, to).Elem().Set(reflect.NewAt(m.typ, from).Elem())
	}
}

// show writes the column at from as JSON will show it.
func (m *move) show(from, to unsafe.Pointer) (err error) {
	switch m.kind {
	case moveEpoch:
		*(*int64)(to), err = entity.ToEpoch(m.format, *(*time.Time)(from))
	case moveLayout:
		if t := (*time.Time)(from); !t.IsZero() {
			*(*string)(to) = t.UTC().Format(m.format)
		}
	case moveDecimal:
		d := (*apd.Decimal)(from)
		if d.Form != apd.Finite {
			return fmt.Errorf("JSON has no %v", d)
		}
		if d, err = m.fit(d); err == nil {
			*(*json.RawMessage)(to) = json.RawMessage(d.Text('f'))
		}
	default:
		m.copy(from, to)
	}
	return err
}

// read is the way back from show.
func (m *move) read(from, to unsafe.Pointer) (err error) {
	switch m.kind {
	case moveEpoch:
		*(*time.Time)(to) = entity.FromEpoch(m.format, *(*int64)(from))
	case moveLayout:
		*(*time.Time)(to), err = entity.ParseTime(m.format, *(*string)(from))
	case moveDecimal:
		err = m.readDecimal(*(*json.RawMessage)(from), (*apd.Decimal)(to))
	}
	return err
}

func (m *move) readDecimal(raw json.RawMessage, to *apd.Decimal) error {
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
	}
	if len(text) > maxExponent {
		return fmt.Errorf("decimal of %d characters", len(text))
	}
	d, _, err := apd.NewFromString(text)
	if err != nil {
		return fmt.Errorf("%.40q is not a decimal", text)
	}
	if d.Form != apd.Finite {
		return fmt.Errorf("%.40q is not a number", text)
	}
	if d, err = m.fit(d); err != nil {
		return err
	}
	to.Set(d)
	return nil
}

// maxExponent keeps a decimal of a few bytes, such as 1e99999, from becoming a text of many. Nor is a longer text read: the
// time that takes grows with the square of its length.
const maxExponent = 1000

// fit gives a decimal the column's scale, which must lose no digit, unless moves of this codec round.
func (m *move) fit(d *apd.Decimal) (*apd.Decimal, error) {
	if d.Exponent > maxExponent || d.Exponent < -maxExponent {
		return nil, fmt.Errorf("exponent %d is beyond %d", d.Exponent, maxExponent)
	}
	c := entity.Column{Precision: m.precision, Scale: m.scale}
	fitted, exact, ok := c.Round(d)
	switch {
	case ok && exact:
	case ok && m.rounded != nil:
		m.rounded.Add(1)
	default:
		return nil, fmt.Errorf("%.60s does not fit %d digits with %d behind the point", d, m.precision, m.scale)
	}
	return fitted, nil
}

func (m *move) wrong(err error) error { return fmt.Errorf("column %q: %w", m.name, err) }
