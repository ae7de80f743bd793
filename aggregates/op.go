package aggregates

import (
	"encoding/binary"
	"math"
	"slices"
)

// op is one accumulator: what it does, the columns it reads, and where its state is.
type op struct {
	code   opcode
	kind   kind
	kind2  kind   // of the second column
	nulls  bool   // null is a value to it
	seq    bool   // it keeps At.Seq beside its value
	plain  bool   // addPlain does all of it
	col    int    // index of the column; Count has none
	second int    // of those that read two
	off    int    // in State.Fixed
	part   int    // in State.Vars, for kinds without a fixed size
	obj    int    // in State.Objs
	title  string // of opKeep: the function that was called
	keeper keeper // of opKeep
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
	opCountOf
	opFirst
	opLast
	opTimeOfMin
	opTimeOfMax
	opMoments
	opCorrelation
	opWeighted
	opKeep
)

var opNames = [...]string{"", "count", "sum", "avg", "min", "max", "earliest", "latest", "countof", "first", "last",
	"timeofmin", "timeofmax", "moments", "correlation", "weighted", "keep"}

// String is the op as signatures have it.
func (o op) String() string {
	if o.code == opKeep {
		return o.keeper.String()
	}
	s := opNames[o.code]
	if o.kind != 0 {
		s += " " + o.kind.String()
	}
	if o.kind2 != 0 {
		s += " " + o.kind2.String()
	}
	if o.nulls {
		s += " nulls"
	}
	if o.seq {
		s += " seq"
	}
	return s
}

// fixed is how many bytes of State.Fixed the accumulator takes.
func (o op) fixed() int {
	switch o.code {
	case opKeep:
		return 0
	case opCount, opCountOf:
		return 8
	case opSum:
		if o.kind.variable() {
			return 1 // says whether there is a value; the sum is a part
		}
		return 8
	case opAvg:
		if o.kind.variable() {
			return 8 // the count; the sum is a part
		}
		if o.kind == kindFloat {
			return 16
		}
		return 24
	case opMoments:
		return momentsSize
	case opCorrelation:
		return correlationSize
	case opWeighted:
		return weightedSize
	}
	return o.pickSize()
}

// prepare sets what follows from the rest.
func (o *op) prepare() {
	o.plain = !o.kind.variable() && !o.nulls && slices.Contains(
		[]opcode{opSum, opAvg, opMin, opMax, opEarliest, opLatest, opCountOf}, o.code)
}

// undoes says whether undo works, in a program that is recorded for it.
func (o *op) undoes() bool {
	switch o.code {
	case opCount, opCountOf, opSum, opAvg, opMoments, opCorrelation, opWeighted:
		return true
	case opKeep:
		return o.keeper.canUndo()
	}
	return false
}

// addPlain adds the bits of one value that is not null.
func (o *op) addPlain(f []byte, bits uint64, seq int64) {
	switch o.code {
	case opSum:
		o.sum(f, bits)
	case opAvg:
		if o.kind != kindFloat {
			o.avgWide(f, bits)
			return
		}
		addFloat(f, math.Float64frombits(bits))
		addInt(f[8:], 1)
	case opMin:
		if f[8] == 0 || o.kind.order(bits) < o.kind.order(binary.LittleEndian.Uint64(f)) {
			setValue(f, bits)
		}
	case opMax:
		if f[8] == 0 || o.kind.order(bits) > o.kind.order(binary.LittleEndian.Uint64(f)) {
			setValue(f, bits)
		}
	case opEarliest:
		if f[8] == 0 {
			o.setEnd(f, bits, seq)
		}
	case opLatest:
		o.setEnd(f, bits, seq)
	case opCountOf:
		addInt(f, 1)
	}
}

// setEnd sets an Earliest or Latest, with its sequence number if it keeps that. Rows are added in
// the order of these numbers.
func (o *op) setEnd(f []byte, bits uint64, seq int64) {
	setValue(f, bits)
	if o.seq {
		binary.LittleEndian.PutUint64(f[9:], uint64(seq))
	}
}

func setValue(f []byte, bits uint64) {
	binary.LittleEndian.PutUint64(f, bits)
	f[8] = 1
}

// add adds one row to all but the plain ones.
func (o *op) add(s *State, cells []Cell, at At) {
	f := s.Fixed[o.off:]
	switch o.code {
	case opKeep:
		obj := &s.Objs[o.obj]
		if *obj == nil {
			*obj = o.keeper.empty()
		}
		o.keeper.add(*obj, cells, at)
	case opSum, opAvg: // of decimals
		o.addDecimal(f, &s.Vars[o.part], cells[o.col].Decimal, 1)
	case opMoments:
		o.addMoment(f, cells[o.col].Bits)
	case opCorrelation:
		if !cells[o.second].Null {
			o.correlate(f, cells[o.col].Bits, cells[o.second].Bits)
		}
	case opWeighted:
		o.weigh(f, cells)
	default:
		o.pick(s, pickedCell(&cells[o.col], at))
	}
}

// undo takes one row out. What rounds is an opKeep in a program that undoes.
func (o *op) undo(s *State, cells []Cell) {
	switch o.code {
	case opCount, opCountOf:
		addInt(s.Fixed[o.off:], ^uint64(0))
	case opSum, opAvg:
		o.unsum(s.Fixed[o.off:], cells[o.col].Bits)
	case opKeep:
		obj := &s.Objs[o.obj]
		if *obj == nil {
			*obj = o.keeper.empty()
		}
		o.keeper.undo(*obj, cells)
	}
}

// merge adds the rows of src to dst.
func (o *op) merge(dst, src *State) {
	switch o.code {
	case opCount, opCountOf:
		addInt(dst.Fixed[o.off:], binary.LittleEndian.Uint64(src.Fixed[o.off:]))
	case opSum, opAvg:
		o.mergeSum(dst, src)
	case opMoments:
		o.mergeMoments(dst.Fixed[o.off:], src.Fixed[o.off:])
	case opCorrelation:
		o.mergeComoments(dst.Fixed[o.off:], src.Fixed[o.off:])
	case opWeighted:
		mergeWeighted(dst.Fixed[o.off:], src.Fixed[o.off:])
	case opKeep:
		if from := src.Objs[o.obj]; from != nil {
			to := &dst.Objs[o.obj]
			if *to == nil {
				*to = o.keeper.empty()
			}
			o.keeper.merge(*to, from)
		}
	default:
		o.mergePick(dst, src)
	}
}
