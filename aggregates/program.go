package aggregates

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// Aggregator is a Program without the type of its rows, as plans hold it and tasks run it.
type Aggregator interface {
	// Size is the length of State.Fixed, and Vars the number of parts of State.Vars.
	Size() int
	Vars() int
	// Cells is the number of cells that Eval fills.
	Cells() int
	// Eval runs the columns on a row, a *T. It is the user's code: it may panic.
	Eval(cells []Cell, row any) error
	// Add adds a row's cells to a state.
	Add(s State, cells []Cell)
	// Merge adds the state of later rows to that of earlier ones.
	Merge(earlier, later State)
	// Signature names the accumulators and their layout: states of equal signatures can be read by each other's programs.
	Signature() string
}

// Program is the accumulators that a projection over rows of type T calls.
type Program[T any] struct {
	columns []input[T]
	ops     []op
	size    int
	vars    int
}

// input evaluates one function of the user's. One of the three is set; the first two spare the common types a step.
type input[T any] struct {
	float func(*T) float64
	int   func(*T) int64
	any   func(*T, *Cell)
	id    any // identifies the function, so that several accumulators share one evaluation
}

// op is one accumulator: what it does, the column it reads, and where its state is.
type op struct {
	code opcode
	kind kind
	col  int // index of the column; Count has none
	off  int // in State.Fixed
	part int // in State.Vars, for kinds without a fixed size
}

type opcode uint8

const (
	opCount opcode = iota + 1
	opSum
	opAvg
	opMin
	opMax
	opEarliest
	opLatest
)

var opNames = [...]string{"", "count", "sum", "avg", "min", "max", "earliest", "latest"}

func (o op) String() string {
	if o.code == opCount {
		return "count"
	}
	return opNames[o.code] + " " + o.kind.String()
}

// fixed is how many bytes of State.Fixed the accumulator takes: 8 for a number; a byte that says whether there is a value.
func (o op) fixed() int {
	switch {
	case o.code == opCount:
		return 8
	case o.code == opAvg && o.kind.variable():
		return 8 // the count; the sum is a part
	case o.code == opAvg:
		return 16
	case o.kind.variable():
		return 1
	case o.code == opSum:
		return 8
	default:
		return 9
	}
}

// Size, Vars, Cells: see Aggregator.
func (p *Program[T]) Size() int { return p.size }

// Vars is the number of parts without a fixed size.
func (p *Program[T]) Vars() int { return p.vars }

// Cells is the number of columns.
func (p *Program[T]) Cells() int { return len(p.columns) }

// Signature is the accumulators in their order, such as "count,max float,latest text".
func (p *Program[T]) Signature() string {
	names := make([]string, len(p.ops))
	for i, o := range p.ops {
		names[i] = o.String()
	}
	return strings.Join(names, ",")
}

var errDecimal = errors.New("aggregates: decimal is infinite or not a number")

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
			if c.Decimal != nil && c.Decimal.Form != apd.Finite {
				return errDecimal
			}
		}
	}
	return nil
}

// Add adds cells that Eval filled to s.
func (p *Program[T]) Add(s State, cells []Cell) {
	for i := range p.ops {
		o := &p.ops[i]
		f := s.Fixed[o.off:]
		if o.code == opCount {
			addInt(f, 1)
			continue
		}
		c := &cells[o.col]
		if c.Null {
			continue
		}
		if o.kind.variable() {
			o.addVariable(f, &s.Vars[o.part], c)
			continue
		}
		o.add(f, c.Bits)
	}
}

// add adds the bits of one value that is not null.
func (o *op) add(f []byte, bits uint64) {
	switch o.code {
	case opSum:
		o.sum(f, bits)
	case opAvg:
		o.sum(f, bits)
		addInt(f[8:], 1)
	case opMin:
		if f[8] == 0 || o.kind.order(bits) < o.kind.order(binary.LittleEndian.Uint64(f)) {
			set(f, bits)
		}
	case opMax:
		if f[8] == 0 || o.kind.order(bits) > o.kind.order(binary.LittleEndian.Uint64(f)) {
			set(f, bits)
		}
	case opEarliest:
		if f[8] == 0 {
			set(f, bits)
		}
	case opLatest:
		set(f, bits)
	}
}

func (o *op) sum(f []byte, bits uint64) {
	if o.kind == kindFloat {
		sum := math.Float64frombits(binary.LittleEndian.Uint64(f)) + math.Float64frombits(bits)
		binary.LittleEndian.PutUint64(f, math.Float64bits(sum))
		return
	}
	addInt(f, bits) // wraps, as ksqlDB's SUM does
}

func addInt(f []byte, n uint64) {
	binary.LittleEndian.PutUint64(f, binary.LittleEndian.Uint64(f)+n)
}

func set(f []byte, bits uint64) {
	binary.LittleEndian.PutUint64(f, bits)
	f[8] = 1
}
