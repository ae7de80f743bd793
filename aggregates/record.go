package aggregates

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
)

// Rows is a group of rows of type T, as a projection gets it and hands it on to the functions of this package.
type Rows[T any] interface {
	Recorder() *Recorder[T]
}

// Recorder stands between the calls of a projection and a Program: it writes the Program down, or reads results by it.
type Recorder[T any] struct {
	program *Program[T]
	reading bool
	state   State
	next    int // the op that the next call reads
	err     error
}

// ErrUnstable says that a projection did not make the same calls in the same order each time it ran. It must make every call
// on every path: no call may depend on data.
var ErrUnstable = errors.New("aggregates: the projection does not make the same aggregate calls on each run: " +
	"call every aggregate on every path, in the same order, and choose between their results afterwards")

// Record runs project, which must hand the Recorder to the functions of this package, and returns what it called. It runs it
// twice: if the calls differ the error wraps ErrUnstable.
func Record[T any](project func(*Recorder[T])) (*Program[T], error) {
	first, second := &Recorder[T]{program: &Program[T]{}}, &Recorder[T]{program: &Program[T]{}}
	project(first)
	if first.err != nil {
		return nil, first.err
	}
	project(second)
	a, b := first.program, second.program
	if a.Signature() != b.Signature() || len(a.columns) != len(b.columns) {
		return nil, fmt.Errorf("%w: first %q, then %q", ErrUnstable, a.Signature(), b.Signature())
	}
	if len(a.ops) == 0 {
		return nil, errors.New("aggregates: the projection calls no aggregate")
	}
	return a, nil
}

// NewReader is a Recorder that reads results of p.
func NewReader[T any](p *Program[T]) *Recorder[T] {
	return &Recorder[T]{program: p, reading: true}
}

// Reset makes the next calls read s, from the first accumulator on.
func (r *Recorder[T]) Reset(s State) { r.state, r.next, r.err = s, 0, nil }

// Done returns an error that wraps ErrUnstable if the calls since Reset were not those of the Program.
func (r *Recorder[T]) Done() error {
	if r.err == nil && r.next != len(r.program.ops) {
		return fmt.Errorf("%w: %d calls, want %d", ErrUnstable, r.next, len(r.program.ops))
	}
	return r.err
}

// call records the accumulator or, when reading, finds it. Nil: there is nothing to read.
func (r *Recorder[T]) call(code opcode, k kind, column func() input[T]) *op {
	p := r.program
	if r.reading {
		if r.next >= len(p.ops) || p.ops[r.next].code != code || p.ops[r.next].kind != k {
			r.err = fmt.Errorf("%w: call %d is %v", ErrUnstable, r.next+1, op{code: code, kind: k})
			return nil
		}
		r.next++
		return &p.ops[r.next-1]
	}
	o := op{code: code, kind: k, off: p.size, part: p.vars}
	p.size += o.fixed()
	if code != opCount {
		o.col = p.addColumn(column())
		if k.variable() {
			p.vars++
		}
	}
	p.ops = append(p.ops, o)
	return nil
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
	if k == 0 && r.err == nil {
		r.err = fmt.Errorf("aggregates: %s: values of type %v cannot be aggregated", name, reflect.TypeFor[V]())
	}
	return k
}

// columnOf wraps f. Two columns are one when their functions are the same closure, told by the pointer that a func value is.
func columnOf[T, V any](f func(*T) V) input[T] {
	id := struct {
		closure unsafe.Pointer
		typ     reflect.Type
	}{*(*unsafe.Pointer)(unsafe.Pointer(&f)), reflect.TypeFor[V]()}
	switch g := any(f).(type) {
	case func(*T) float64:
		return input[T]{float: g, id: id}
	case func(*T) int64:
		return input[T]{int: g, id: id}
	case func(*T) apd.Decimal:
		return input[T]{id: id, any: func(row *T, c *Cell) {
			d := g(row)
			c.Decimal = &d
		}}
	}
	return input[T]{id: id, any: func(row *T, c *Cell) {
		v := f(row)
		fill(c, &v)
	}}
}

// result reads the accumulator's value as a V: the zero V where there is none.
func result[T, V any](r *Recorder[T], o *op) (v V) {
	if o == nil {
		return v
	}
	f := r.state.Fixed[o.off:]
	if o.kind.variable() {
		if f[0] == 0 && o.code != opSum {
			return v
		}
		return value[V](0, r.state.Vars[o.part])
	}
	if o.code != opSum && f[8] == 0 {
		return v
	}
	return value[V](binary.LittleEndian.Uint64(f), nil)
}

// count reads a Count.
func count[T any](r *Recorder[T], o *op) int64 {
	if o == nil {
		return 0
	}
	n := binary.LittleEndian.Uint64(r.state.Fixed[o.off:])
	return int64(min(n, math.MaxInt64))
}
