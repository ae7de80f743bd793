package entity

import (
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/ashi-stream/ashi/windows"
)

// This file and key.go reach the fields of a row by their offsets in memory, so that nothing is
// allocated and no reflection runs per record. It is sound because of two things. The offsets and
// types come from reflect.Type for exactly the struct that the pointer is checked (rowPointer) or
// compiled (KeyCodec) to point to. And each field is read and written through a pointer of the
// field's own kind, so that the garbage collector sees every pointer that is stored.

// rowPointer is the address of the struct that row points to.
func (m *Model) rowPointer(row any) (unsafe.Pointer, error) {
	if t := reflect.TypeOf(row); t != m.row {
		return nil, fmt.Errorf("entity: %s: a row is a *%s, not a %v", m.Type, m.Type, t)
	}
	p := reflect.ValueOf(row).UnsafePointer()
	if p == nil {
		return nil, fmt.Errorf("entity: %s: a row that is a nil pointer", m.Type)
	}
	return p, nil
}

// timeReader is where the event time is and what it looks like.
type timeReader struct {
	offset  uintptr
	form    timeForm
	pointer bool
	unit    int64 // of an epochTime: how many are a millisecond
}

type timeForm uint8

const (
	noTime timeForm = iota
	clockTime
	epochTime
)

func newTimeReader(m *Model) timeReader {
	if m.Timestamp < 0 {
		return timeReader{}
	}
	c := &m.Columns[m.Timestamp]
	r := timeReader{offset: c.Offset, form: epochTime, unit: perMilli(c.Unit()),
		pointer: c.Type.Kind() == reflect.Pointer}
	if isTime(c.Type) {
		r.form = clockTime
	}
	return r
}

// perMilli is how many of a unit are a millisecond.
func perMilli(unit string) int64 {
	switch unit {
	case Micros:
		return 1000
	case Nanos:
		return 1_000_000
	}
	return 1
}

// EventTime is the time in the timestamp column of row, a pointer to the model's type, rounded down
// to the millisecond. It is false, and the time of the Kafka record counts, if the model has no
// such column or the column has no time: a nil pointer, or the zero time.Time. An int64 always has
// a time, in milliseconds or the unit of its format: 0 is 1970, but see [Model.TimeInDoubt].
// Nothing is allocated. A row of another type is a mistake in the program, and has no time.
func (m *Model) EventTime(row any) (windows.Time, bool) {
	if m.time.form == noTime {
		return 0, false
	}
	base, err := m.rowPointer(row)
	if err != nil {
		return 0, false
	}
	p := unsafe.Add(base, m.time.offset)
	if m.time.pointer {
		if p = *(*unsafe.Pointer)(p); p == nil {
			return 0, false
		}
	}
	if m.time.form == epochTime {
		n := *(*int64)(p)
		ms := n / m.time.unit
		if n%m.time.unit < 0 {
			ms-- // down, also before 1970
		}
		return windows.Time(ms), true
	}
	t := (*time.Time)(p)
	if t.IsZero() {
		return 0, false
	}
	return windows.At(*t), true
}

// TimeInDoubt is the timestamp column of row where that is an int64 that is 0: 1970, or the value
// that was decoded had no such column, or null. Only the value itself can tell then, and where it
// has none, the time of the Kafka record counts. Columns of the key are in no doubt.
func (m *Model) TimeInDoubt(row any) (column string, doubt bool) {
	if m.time.form != epochTime || m.time.pointer || m.Columns[m.Timestamp].Key {
		return "", false
	}
	base, err := m.rowPointer(row)
	if err != nil {
		return "", false
	}
	return m.Columns[m.Timestamp].Name, *(*int64)(unsafe.Add(base, m.time.offset)) == 0
}

// AppendKey appends the Kafka key of row, a pointer to the model's type, to dst. The errors are
// [ErrNoKey] for a model without key columns, [ErrNull] for a nil []byte, and text that is not
// UTF-8 in a key of several columns. One column allocates nothing but room in dst.
func (m *Model) AppendKey(dst []byte, row any) ([]byte, error) {
	p, err := m.rowPointer(row)
	if err != nil {
		return dst, err
	}
	if m.keys == nil {
		return dst, fmt.Errorf("entity: %s: %w", m.Type, ErrNoKey)
	}
	return m.keys.append(dst, p)
}

// SetKey fills the key columns of row, a pointer to the model's type, from a Kafka key. Strings and
// []byte become views of key: valid as long as nobody writes to it. The errors are those of
// [KeyCodec.Decode], [ErrNoKey], and a column over its maxlen; after an error the key columns are
// undefined.
func (m *Model) SetKey(row any, key []byte) error {
	p, err := m.rowPointer(row)
	if err != nil {
		return err
	}
	if m.keys == nil {
		return fmt.Errorf("entity: %s: %w", m.Type, ErrNoKey)
	}
	if err := m.keys.decode(key, p); err != nil || !m.keys.limited {
		return err
	}
	return m.keys.fit(p)
}
