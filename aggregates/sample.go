package aggregates

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// many is how many rows the largest sample has: more than a list of results that somebody counts
// on.
const many = 1000

// sample is a group of made-up rows: each has one number, from which all its columns are made, or
// null where they can be.
type sample struct {
	name string
	rows []int64
	null func(row int) bool
}

var samples = []sample{
	{"one row of zeros", []int64{0}, nil},
	{"one row", []int64{1}, nil},
	{"one row of negative values", []int64{-7}, nil},
	{"several rows", []int64{3, 1, 2, 5, 4}, nil},
	{"several equal rows", []int64{2, 2, 2}, nil},
	{"rows some of whose values are null", []int64{1, 2, 3, 4}, func(row int) bool { return row%2 == 0 }},
	{"rows all of whose values are null", []int64{1, 2}, func(int) bool { return true }},
	{"large values", []int64{1 << 50, -1 << 50}, nil},
	{"many rows", nil, nil},
}

// Samples yields states of made-up groups with what they are: one row, several, nulls, large
// values. They are for whoever wants to find out whether a projection can cope with all of them.
// The functions of the columns are not called, those of a Custom are. A row that an accumulator
// refuses is left out.
func (p *Program[T]) Samples() iter.Seq2[string, State] {
	return func(yield func(string, State) bool) {
		for _, made := range samples {
			if s, ok := p.fill(&made); ok && !yield(made.name, s) {
				return
			}
		}
	}
}

// fill is the state of a sample; false if no row of it could be added.
func (p *Program[T]) fill(made *sample) (s State, ok bool) {
	s = NewState(p)
	cells := make([]Cell, len(p.columns))
	n := len(made.rows)
	if n == 0 {
		n = many
	}
	for row := range n {
		x := int64(row)
		if made.rows != nil {
			x = made.rows[row]
		}
		for i := range p.columns {
			p.columns[i].made(&cells[i], x, made.null != nil && made.null(row))
		}
		err := p.Add(s, cells, At{Time: int64(row), Seq: int64(row)})
		if errors.Is(err, ErrState) {
			return s, false
		}
		ok = ok || err == nil
	}
	return s, ok
}

// madeUp fills a cell as a column of type V does that returns x, in the way that its type has
// numbers.
func madeUp[V any](c *Cell, x int64, null bool) {
	var v V
	*c = Cell{}
	makeUp(reflect.ValueOf(&v).Elem(), x, null)
	if d, ok := any(v).(apd.Decimal); ok {
		c.Decimal = &d
		return
	}
	fill(c, &v)
}

// madeUpBox is madeUp for a boxed column.
func madeUpBox[In any](c *Cell, x int64, null bool) {
	box := new(In)
	makeUp(reflect.ValueOf(box).Elem(), x, null)
	*c = Cell{Other: box}
}

func makeUp(v reflect.Value, x int64, null bool) {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = time.UnixMilli(x).UTC()
		return
	case *apd.Decimal:
		p.SetInt64(x)
		return
	}
	switch {
	case v.Kind() == reflect.Pointer:
		if !null {
			v.Set(reflect.New(v.Type().Elem()))
			makeUp(v.Elem(), x, null)
		}
	case v.CanInt():
		v.SetInt(x)
	case v.CanUint():
		v.SetUint(uint64(max(x, -x)))
	case v.CanFloat():
		v.SetFloat(float64(x))
	case v.Kind() == reflect.Bool:
		v.SetBool(x%2 != 0)
	case v.Kind() == reflect.String && x != 0:
		v.SetString(fmt.Sprintf("text %d", x))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && f.Kind() != reflect.Pointer { // a type may lead to itself
				makeUp(f, x, null)
			}
		}
	}
}
