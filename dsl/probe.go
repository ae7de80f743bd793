package dsl

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// probes is how many rows hasKey tries.
const probes = 3

// trial is a row, and the keys that a record with it can have: that it has one of them is known, not which.
type trial[T any] struct {
	row  *T
	keys [][]byte
}

// hasKey says whether key gives the key that records of s have. It is found out by trying rows whose columns differ: a
// function that depends on more than them may be misjudged, and the task then ends with an error that says so when a row's group turns
// out to belong to another partition.
func (s *StreamOf[T]) hasKey(key func(*T) ([]byte, error)) bool {
	for n := range probes {
		trials := s.trials(n)
		for _, t := range trials {
			got, err := tried(key, t.row)
			if err != nil || !slices.ContainsFunc(t.keys, func(want []byte) bool { return bytes.Equal(got, want) }) {
				return false
			}
		}
		if len(trials) == 0 {
			return false
		}
	}
	return true
}

// trials are rows to try, others for each n; none: the key is not known to be a function of the row.
func (s *StreamOf[T]) trials(n int) []trial[T] {
	if s.joined != nil {
		return s.joined(n)
	}
	if s.keyed == nil {
		return nil
	}
	row := new(T)
	fields := 0
	fillRow(reflect.ValueOf(row).Elem(), n, &fields)
	key, err := tried(s.keyed, row)
	if err != nil {
		return nil
	}
	return []trial[T]{{row, [][]byte{key}}}
}

// tried is key's answer; a panic is an error.
func tried[T any](key func(*T) ([]byte, error), row *T) (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return key(row)
}

// fillRow sets the fields of a row to values that differ from field to field, and from one n to the next.
func fillRow(v reflect.Value, n int, fields *int) {
	*fields++
	x := 1 + n + probes**fields
	switch {
	case !v.CanSet():
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.UnixMilli(int64(x)).UTC()))
	case v.CanInt():
		v.SetInt(int64(x))
	case v.CanUint():
		v.SetUint(uint64(x))
	case v.CanFloat():
		v.SetFloat(float64(x) + 0.5)
	case v.Kind() == reflect.Bool:
		v.SetBool(n%2 == 0)
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("field %d", x))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillRow(v.Elem(), n, fields)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fillRow(v.Field(i), n, fields)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes(fmt.Appendf(nil, "field %d", x))
	}
}
