package aggregates

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
)

// Rows is a group of rows of type T, as a projection gets it and hands it on to the functions of
// this package.
type Rows[T any] interface {
	Recorder() *Recorder[T]
}

// Recorder stands between the calls of a projection and a Program: it writes the Program down, or
// reads results by it.
type Recorder[T any] struct {
	program *Program[T]
	reading bool
	state   State
	next    int // the op that the next call reads
	err     error
}

// ErrUnstable says that a projection did not make the same calls in the same order each time it
// ran. It must make every call on every path: no call may depend on data.
var ErrUnstable = errors.New("aggregates: the projection does not make the same aggregate calls on each run: " +
	"call every aggregate on every path, in the same order, and choose between their results afterwards")

// Record runs project, which must hand the Recorder to the functions of this package, and returns
// what it called. It runs it twice: if the calls differ the error wraps ErrUnstable.
//
// States can be merged, and rows undone, only as far as the program was recorded for that.
func Record[T any](project func(*Recorder[T]), needs Needs) (*Program[T], error) {
	first := &Recorder[T]{program: &Program[T]{needs: needs}}
	second := &Recorder[T]{program: &Program[T]{needs: needs}}
	project(first)
	if first.err != nil {
		return nil, first.err
	}
	project(second)
	a, b := first.program, second.program
	if !slices.Equal(a.names(), b.names()) || len(a.columns) != len(b.columns) {
		return nil, fmt.Errorf("%w: first %q, then %q", ErrUnstable, strings.Join(a.names(), ","),
			strings.Join(b.names(), ","))
	}
	if len(a.ops) == 0 {
		return nil, errors.New("aggregates: the projection calls no aggregate")
	}
	a.place()
	return a, nil
}

// NewReader is a Recorder that reads results of p.
func NewReader[T any](p *Program[T]) *Recorder[T] {
	return &Recorder[T]{program: p, reading: true}
}

// Reset makes the next calls read s, from the first accumulator on.
func (r *Recorder[T]) Reset(s State) { r.state, r.next, r.err = s, 0, nil }

// Done returns an error that wraps ErrUnstable if the calls since Reset were not those of the
// Program.
func (r *Recorder[T]) Done() error {
	if r.err == nil && r.next != len(r.program.ops) {
		return fmt.Errorf("%w: %d calls, want %d", ErrUnstable, r.next, len(r.program.ops))
	}
	return r.err
}

// fail notes the first thing that is wrong with a call.
func (r *Recorder[T]) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("aggregates: "+format, args...)
	}
}

// call records o, which reads columns, or, when reading, finds it. Nil: there is nothing to read.
func (r *Recorder[T]) call(o op, columns ...input[T]) *op {
	p := r.program
	if r.reading {
		if r.next >= len(p.ops) || !p.ops[r.next].same(&o) {
			r.err = fmt.Errorf("%w: call %d is %v", ErrUnstable, r.next+1, o)
			return nil
		}
		r.next++
		return &p.ops[r.next-1]
	}
	o.prepare()
	cols := make([]int, len(columns))
	for i, c := range columns {
		cols[i] = p.addColumn(c)
	}
	if len(cols) > 0 {
		o.col, o.second = cols[0], cols[len(cols)-1]
	}
	if o.code == opKeep {
		o.keeper.columns(cols)
		if _, ok := o.keeper.(stager); ok {
			p.staged = append(p.staged, len(p.ops))
		}
	}
	p.ops = append(p.ops, o)
	return nil
}

// same says that two calls are of one function and one type of value.
func (o *op) same(other *op) bool {
	return o.code == other.code && o.kind == other.kind && o.kind2 == other.kind2 && o.nulls == other.nulls &&
		o.title == other.title
}

// addColumn adds c unless the same function is there already.
func (p *Program[T]) addColumn(c input[T]) int {
	for i := range p.columns {
		if p.columns[i].id == c.id {
			return i
		}
	}
	p.columns = append(p.columns, c)
	return len(p.columns) - 1
}

// kindFor is the kind of V, or an error for the Recorder.
func kindFor[T, V any](r *Recorder[T], name string) kind {
	k := kindOf(reflect.TypeFor[V]())
	if k == 0 {
		r.fail("%s: values of type %v cannot be aggregated", name, reflect.TypeFor[V]())
	}
	return k
}

// closure identifies a function: two are one when they are the same closure, told by the pointer
// that a func value is.
type closure struct {
	pointer unsafe.Pointer
	typ     reflect.Type
}

func closureID[F any](f F) closure {
	return closure{*(*unsafe.Pointer)(unsafe.Pointer(&f)), reflect.TypeFor[F]()}
}

// columnOf wraps f; when results are read it need not.
func columnOf[T, V any](r *Recorder[T], f func(*T) V) input[T] {
	if r.reading {
		return input[T]{}
	}
	id := closureID(f)
	if f == nil {
		r.fail("the function of a column is nil")
	}
	switch g := any(f).(type) {
	case func(*T) float64:
		return input[T]{float: g, id: id, made: madeUp[V]}
	case func(*T) int64:
		return input[T]{int: g, id: id, made: madeUp[V]}
	case func(*T) apd.Decimal:
		return input[T]{id: id, made: madeUp[V], any: func(row *T, c *Cell) {
			d := g(row)
			c.Decimal = &d
		}}
	}
	return input[T]{id: id, made: madeUp[V], any: func(row *T, c *Cell) {
		v := f(row)
		fill(c, &v)
	}}
}
