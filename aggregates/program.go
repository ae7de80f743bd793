package aggregates

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Aggregator is a Program without the type of its rows, as plans hold it and tasks run it.
//
// Add, Undo, Merge and Load may be called for one State by one goroutine at a time; all else may be
// called at any time.
type Aggregator interface {
	// Size is the length of State.Fixed, Vars the number of parts of State.Vars, Objs that of
	// State.Objs.
	Size() int
	Vars() int
	Objs() int
	// Cells is the number of cells that Eval fills.
	Cells() int
	// Eval runs the columns on a row, a *T. It is the user's code: it may panic.
	Eval(cells []Cell, row any) error
	// Add adds a row's cells to a state. If it returns an error s is as it was: the row cannot be
	// counted in it. It never panics.
	Add(s State, cells []Cell, at At) error
	// Undo takes a row's cells out of a state that they were added to, under the contract of Add:
	// the result is then that of the rows that are left, whatever has gone. The program must have
	// been recorded for it, and CheckUndo must have passed.
	Undo(s State, cells []Cell, at At) error
	// Merge adds the rows of src to dst, in any order of the two: the program must have been
	// recorded for it. src stays as it is and shares nothing with dst. After an error, which only
	// the code of a Custom can cause, dst is of no use.
	Merge(dst, src State) error
	// Append appends a state as it is stored, and Load reads that.
	Append(dst []byte, s State) ([]byte, error)
	Load(s State, b []byte) error
	// CheckUndo is nil if every accumulator can undo, else it names those that cannot: tables need
	// it.
	CheckUndo() error
	// Mergeable says that Merge may be called.
	Mergeable() bool
	// Bounded says that Add may refuse a row for what the state holds already (SumDecimal): whoever
	// wants to know whether a row counts in a window must add it to the state of that very window.
	Bounded() bool
	// Signature names the accumulators and their layout: states of equal signatures can be read by
	// each other's programs. It does not depend on the order of the calls, but accumulators of one
	// name are told apart by theirs.
	Signature() string
}

// Program is the accumulators that a projection over rows of type T calls.
type Program[T any] struct {
	columns []input[T]
	ops     []op
	objects []int // by place in State.Objs: its op
	staged  []int // ops whose keeper is a stager
	size    int
	vars    int
	needs   Needs
	user    bool // has a Custom
	bounded bool // has a SumDecimal
}

// Needs is what a plan does with states, beside adding rows to them. It decides what they keep.
type Needs struct {
	// Merge: what goes by the order of processing keeps it, 8 bytes.
	Merge bool
	// Undo: what is made of sums of floats or decimals has them without rounding, in an object of
	// some 15 bytes a sum for most columns, and 600 for the widest floats. Results are rounded
	// once.
	Undo bool
}

// input evaluates one function of the user's. One of the three is set; the first two spare the
// common types a step.
type input[T any] struct {
	float func(*T) float64
	int   func(*T) int64
	any   func(*T, *Cell)
	made  func(c *Cell, x int64, null bool) // fills c for Samples
	// identifies the function, so that several accumulators share one evaluation
	id any
}

// Size is the length of State.Fixed.
func (p *Program[T]) Size() int { return p.size }

// Vars is the number of parts without a fixed size.
func (p *Program[T]) Vars() int { return p.vars }

// Objs is the number of objects.
func (p *Program[T]) Objs() int { return len(p.objects) }

// Cells is the number of columns.
func (p *Program[T]) Cells() int { return len(p.columns) }

// Mergeable says that the program was recorded for Merge.
func (p *Program[T]) Mergeable() bool { return p.needs.Merge }

// Bounded says that Add may refuse a row for what the state holds already.
func (p *Program[T]) Bounded() bool { return p.bounded }

// Signature is the accumulators in the order of their names, such as "count,latest text,max float".
// It is that of their states in a row.
func (p *Program[T]) Signature() string {
	names := p.names()
	slices.Sort(names)
	return strings.Join(names, ",")
}

// names is the accumulators in the order of the calls.
func (p *Program[T]) names() []string {
	names := make([]string, len(p.ops))
	for i, o := range p.ops {
		names[i] = o.String()
	}
	return names
}

// place gives each accumulator its place in a State: by name, so that calls of different names can
// change places; those of one name stay in the order of their calls.
func (p *Program[T]) place() {
	names, order := p.names(), make([]int, len(p.ops))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(names[a], names[b]) })
	for _, i := range order {
		o := &p.ops[i]
		o.off, o.part, o.obj = p.size, p.vars, len(p.objects)
		p.size += o.fixed()
		switch {
		case o.code == opKeep:
			p.objects = append(p.objects, i)
		case o.kind.variable() && o.code != opCountOf:
			p.vars++
		}
	}
}

// CheckUndo is nil if every accumulator can undo; else the error names those that cannot.
func (p *Program[T]) CheckUndo() error {
	var cannot []string
	for i := range p.ops {
		if !p.ops[i].undoes() {
			cannot = append(cannot, p.ops[i].String())
		}
	}
	if len(cannot) > 0 {
		return fmt.Errorf("aggregates: no undo, so not over a table: %s", strings.Join(cannot, ", "))
	}
	return nil
}

// Eval fills cells, one for each column, from row, a *T.
func (p *Program[T]) Eval(cells []Cell, row any) error {
	r, ok := row.(*T)
	if !ok {
		return fmt.Errorf("aggregates: row is %T, want %T", row, r)
	}
	for i := range p.columns {
		col, c := &p.columns[i], &cells[i]
		switch {
		case col.float != nil:
			c.Bits = math.Float64bits(col.float(r))
		case col.int != nil:
			c.Bits = uint64(col.int(r))
		default:
			c.Decimal = nil
			col.any(r, c)
			if c.Decimal != nil {
				if err := checkDecimal(c.Decimal); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Add adds cells that Eval filled to s.
func (p *Program[T]) Add(s State, cells []Cell, at At) error {
	if p.staged != nil {
		if err := p.stage(s, cells, false); err != nil {
			return err
		}
	}
	for i := range p.ops {
		o := &p.ops[i]
		if o.code == opCount {
			addInt(s.Fixed[o.off:], 1)
			continue
		}
		c := &cells[o.col]
		switch {
		case c.Null && !o.nulls:
		case o.plain:
			o.addPlain(s.Fixed[o.off:], c.Bits, at.Seq)
		default:
			o.add(&s, cells, at)
		}
	}
	return nil
}

// Undo takes cells that Eval filled out of s.
func (p *Program[T]) Undo(s State, cells []Cell, at At) error {
	if !p.needs.Undo {
		panic("aggregates: Undo of a program that was not recorded for it")
	}
	if p.staged != nil {
		if err := p.stage(s, cells, true); err != nil {
			return err
		}
	}
	for i := range p.ops {
		if o := &p.ops[i]; o.code == opCount || !cells[o.col].Null || o.nulls {
			o.undo(&s, cells)
		}
	}
	return nil
}

// Merge adds the rows of src to dst.
func (p *Program[T]) Merge(dst, src State) (err error) {
	if !p.needs.Merge {
		panic("aggregates: Merge of a program that was not recorded for it")
	}
	if p.user {
		defer guard("Merge", &err)
	}
	for i := range p.ops {
		p.ops[i].merge(&dst, &src)
	}
	return nil
}

// stage lets the accumulators that may fail do their work beside their state. If one fails all
// forget it.
func (p *Program[T]) stage(s State, cells []Cell, undo bool) error {
	for n, i := range p.staged {
		o := &p.ops[i]
		if cells[o.col].Null && !o.nulls {
			continue
		}
		err := o.keeper.(stager).stage(&s.Objs[o.obj], cells, undo)
		if err == nil {
			continue
		}
		for _, j := range p.staged[:n] {
			before := &p.ops[j]
			if cells[before.col].Null && !before.nulls {
				continue
			}
			err = errors.Join(err, before.keeper.(stager).cancel(&s.Objs[before.obj]))
		}
		return err
	}
	return nil
}

func addInt(f []byte, n uint64) {
	binary.LittleEndian.PutUint64(f, binary.LittleEndian.Uint64(f)+n)
}

func addFloat(f []byte, v float64) {
	binary.LittleEndian.PutUint64(f, math.Float64bits(floatAt(f)+v))
}

func floatAt(f []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(f)) }
