package codecs

import (
	"fmt"
	"reflect"
	"unicode/utf8"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// limit is the maxlen of a column.
type limit struct {
	name   string
	column int // index in the model
	offset uintptr
	length int
	text   bool // characters of a string or *string, else bytes of a []byte
	null   bool // behind a pointer
}

type limits []limit

func limitsOf(m *entity.Model) limits {
	var ls limits
	for i := range m.Columns {
		if c := &m.Columns[i]; c.MaxLen > 0 {
			pointer := c.Type.Kind() == reflect.Pointer
			ls = append(ls, limit{c.Name, i, c.Offset, c.MaxLen, pointer || c.Type.Kind() == reflect.String, pointer})
		}
	}
	return ls
}

func (ls limits) check(row unsafe.Pointer) error {
	for i := range ls {
		if err := ls[i].check(unsafe.Add(row, ls[i].offset)); err != nil {
			return err
		}
	}
	return nil
}

func (l *limit) check(at unsafe.Pointer) error {
	if l.null {
		if at = *(*unsafe.Pointer)(at); at == nil {
			return nil
		}
	}
	if !l.text {
		if n := len(*(*[]byte)(at)); n > l.length {
			return fmt.Errorf("column %q has %d bytes, at most %d are allowed", l.name, n, l.length)
		}
		return nil
	}
	s := *(*string)(at)
	if len(s) <= l.length {
		return nil
	}
	if n := utf8.RuneCountInString(s); n > l.length {
		return fmt.Errorf("column %q has %d characters, at most %d are allowed", l.name, n, l.length)
	}
	return nil
}
