package aggregates

import (
	"errors"
	"fmt"
	"reflect"
)

// Definition is an aggregate of the user's: it turns values of type In into a State and that into
// an Out. Its functions are called by many tasks at once, so they must not share anything that
// changes; they get no clock, and must give equal results for equal arguments.
type Definition[In, State, Out any] struct {
	// Name stands in the signature of the row: a new name for a new meaning or layout of State.
	Name string
	// Init is the State before any value, which merged with another changes nothing; nil for the
	// zero State.
	Init func() State
	// Add returns s with v in it. It may change what s refers to. v is what the column returned, a
	// nil pointer for null. If it panics the row is not counted, by no accumulator of the group and
	// window.
	Add func(s State, v In) State
	// Merge returns the State of the values of both. It may change what a refers to, but not b.
	// Which of the two is earlier is not known. Nil: only for windows that need no merging, which
	// is checked when the plan is built.
	Merge func(a, b State) State
	// Undo returns s without v, under the rules of Add. Nil: only for streams, which is checked
	// when the plan is built.
	Undo func(s State, v In) State
	// Encode appends s; equal States should be equal bytes. Decode reads that; it must not keep b.
	// States that refer to nothing (no pointer, slice or map in them) are cheapest: for all others
	// Encode runs before each Add, to go back to if that panics.
	Encode func(dst []byte, s State) []byte
	Decode func(b []byte) (State, error)
	// Result is the outcome. It must not change what s refers to.
	Result func(s State) Out
}

// Custom is the aggregate that d defines, over a column's values, nulls too.
func Custom[T, In, State, Out any](g Rows[T], d Definition[In, State, Out], column func(*T) In) (out Out) {
	r := g.Recorder()
	if err := d.validate(r.program.needs.Merge); err != nil {
		r.fail("Custom %q: %w", d.Name, err)
		return out
	}
	var c input[T]
	if !r.reading {
		if column == nil {
			r.fail("Custom %q: the function of its column is nil", d.Name)
		}
		c = boxed(column)
		r.program.user = true
	}
	k := &custom[In, State, Out]{def: d, refers: refers(reflect.TypeFor[State]())}
	o := keep(r, d.Name, k, layout{nulls: true}, c)
	if r.reading && r.err == nil {
		return d.Result(k.stateOf(o))
	}
	return out
}

func (d *Definition[In, State, Out]) validate(mergeable bool) error {
	switch {
	case d.Name == "":
		return errors.New("no Name")
	case d.Add == nil || d.Encode == nil || d.Decode == nil || d.Result == nil:
		return errors.New("Add, Encode, Decode and Result are needed")
	case mergeable && d.Merge == nil:
		return errors.New("no Merge, which windows of this kind need")
	}
	return nil
}

// boxedID identifies a boxed column: the same function may be a plain one too.
type boxedID struct{ closure }

// boxed is a column whose cell holds a pointer to the value, the same one for each record: no
// allocation.
func boxed[T, In any](f func(*T) In) input[T] {
	return input[T]{id: boxedID{closureID(f)}, made: madeUpBox[In], any: func(row *T, c *Cell) {
		box, ok := c.Other.(*In)
		if !ok {
			box = new(In)
			c.Other = box
		}
		*box = f(row)
	}}
}

// refers says whether a value of type t can refer to memory that is not in it.
func refers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return refers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if refers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.String: // nobody can change one
		return false
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Chan, reflect.Func,
		reflect.UnsafePointer:
		return true
	}
	return false
}

// custom is a Custom.
type custom[In, S, Out any] struct {
	def    Definition[In, S, Out]
	col    int
	refers bool // a State is not copied by assigning it
}

// customState is its state. next is what stage has worked out; before is state as it was then,
// encoded, if it is not copied by assigning it.
type customState[S any] struct {
	encode      func([]byte, S) []byte
	state, next S
	before      []byte
	fresh       bool // nothing was put in place yet
	length      int  // of the encoded state, when last encoded
}

func (k *custom[In, S, Out]) String() string {
	return fmt.Sprintf("custom %s %v", k.def.Name, reflect.TypeFor[S]())
}

func (k *custom[In, S, Out]) columns(cols []int) { k.col = cols[0] }
func (k *custom[In, S, Out]) canUndo() bool      { return k.def.Undo != nil }

func (k *custom[In, S, Out]) empty() Object {
	return &customState[S]{encode: k.def.Encode, state: k.initial(), fresh: true}
}

func (k *custom[In, S, Out]) initial() (s S) {
	if k.def.Init != nil {
		return k.def.Init()
	}
	return s
}

// stateOf is the state in o, the initial one if there is none.
func (k *custom[In, S, Out]) stateOf(o Object) S {
	if o == nil {
		return k.initial()
	}
	return o.(*customState[S]).state
}

func (k *custom[In, S, Out]) load(b []byte) (Object, error) {
	s, err := k.def.Decode(b[1:])
	return &customState[S]{encode: k.def.Encode, state: s}, err
}

func (k *custom[In, S, Out]) stage(o *Object, cells []Cell, undo bool) (err error) {
	saved := false
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("aggregates: Custom %q panicked: %v", k.def.Name, r)
			if saved {
				err = errors.Join(err, k.cancel(o))
			}
		}
	}()
	s, _ := (*o).(*customState[S])
	if s == nil {
		s = k.empty().(*customState[S])
	} else if k.refers {
		s.before = k.def.Encode(s.before[:0], s.state)
		saved = true
	}
	f := k.def.Add
	if undo {
		f = k.def.Undo
	}
	s.next = f(s.state, *cells[k.col].Other.(*In))
	*o = s
	return nil
}

// cancel goes back to the state before stage.
func (k *custom[In, S, Out]) cancel(o *Object) (err error) {
	s := (*o).(*customState[S])
	switch {
	case s.fresh:
		*o = nil
	case k.refers:
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: Custom %q panicked in Decode: %v", ErrState, k.def.Name, r)
			}
		}()
		if s.state, err = k.def.Decode(s.before); err != nil {
			return fmt.Errorf("%w: Custom %q does not read what it wrote: %w", ErrState, k.def.Name, err)
		}
	}
	return nil
}

func (k *custom[In, S, Out]) add(o Object, _ []Cell, _ At) {
	s := o.(*customState[S])
	s.state, s.fresh = s.next, false
	var none S
	s.next = none
}

func (k *custom[In, S, Out]) undo(o Object, _ []Cell) { k.add(o, nil, At{}) }

func (k *custom[In, S, Out]) merge(dst, src Object) {
	d := dst.(*customState[S])
	d.state, d.fresh = k.def.Merge(d.state, src.(*customState[S]).state), false
}

// Append writes a byte first, so that no state is as short as none at all.
func (s *customState[S]) Append(dst []byte) []byte {
	start := len(dst)
	dst = s.encode(append(dst, 1), s.state)
	s.length = len(dst) - start
	return dst
}

// Bytes takes the state for twice as large as it is stored.
func (s *customState[S]) Bytes() int {
	return 64 + 2*int(reflect.TypeFor[S]().Size()) + 2*s.length + cap(s.before)
}
