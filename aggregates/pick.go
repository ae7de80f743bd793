package aggregates

import (
	"encoding/binary"
	"time"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
)

// This file holds the accumulators that keep one of the values: Min and Max, Earliest and Latest by
// offset, First and Last by time, and the times of extremes. In State.Fixed each has the value (8
// bytes, if the kind has a fixed size; else it is a part), a byte that says what there is, the
// event time if it goes by that, and the sequence number if it needs that.

// What the byte says.
const (
	pickNothing = iota
	pickValue
	pickNull
)

// Min is the smallest of the column's values that are not null. Floats are in Java's order: -0 is
// less than +0, NaN is the largest. Strings compare by bytes.
func Min[T any, V Ordered](g Rows[T], column func(*T) V) V {
	return pick(g, op{code: opMin}, "Min", column)
}

// Max is the largest of the column's values that are not null, in the order of Min.
func Max[T any, V Ordered](g Rows[T], column func(*T) V) V {
	return pick(g, op{code: opMax}, "Max", column)
}

// EarliestByOffset is the column's first value that is not null, in the order in which rows are
// processed, whatever their event times (semantics.md [U34]).
func EarliestByOffset[T any, V Value](g Rows[T], column func(*T) V) V {
	return pick(g, op{code: opEarliest}, "EarliestByOffset", column)
}

// LatestByOffset is the column's last value that is not null, in the order in which rows are
// processed, whatever their event times (semantics.md [U30]).
func LatestByOffset[T any, V Value](g Rows[T], column func(*T) V) V {
	return pick(g, op{code: opLatest}, "LatestByOffset", column)
}

// EarliestByOffsetWithNulls is the column's value in the row that was processed first, nil if it
// was null there: ksqlDB's EARLIEST_BY_OFFSET(x, false).
func EarliestByOffsetWithNulls[T any, V Scalar](g Rows[T], column func(*T) *V) *V {
	return pick(g, op{code: opEarliest, nulls: true}, "EarliestByOffsetWithNulls", column)
}

// LatestByOffsetWithNulls is the column's value in the row that was processed last, nil if it is
// null there: ksqlDB's LATEST_BY_OFFSET(x, false).
func LatestByOffsetWithNulls[T any, V Scalar](g Rows[T], column func(*T) *V) *V {
	return pick(g, op{code: opLatest, nulls: true}, "LatestByOffsetWithNulls", column)
}

// FirstByTime is the column's value that is not null with the earliest event time; of several the
// one processed first.
func FirstByTime[T any, V Value](g Rows[T], column func(*T) V) V {
	return pick(g, op{code: opFirst}, "FirstByTime", column)
}

// LastByTime is the column's value that is not null with the latest event time; of several the one
// processed last.
func LastByTime[T any, V Value](g Rows[T], column func(*T) V) V {
	return pick(g, op{code: opLast}, "LastByTime", column)
}

// TimeOfMin is the event time of the value that Min is, the earliest if there are several; the zero
// time where there is none.
func TimeOfMin[T any, V Ordered](g Rows[T], column func(*T) V) time.Time {
	return pickTime(g, opTimeOfMin, "TimeOfMin", column)
}

// TimeOfMax is the event time of the value that Max is, the earliest if there are several; the zero
// time where there is none.
func TimeOfMax[T any, V Ordered](g Rows[T], column func(*T) V) time.Time {
	return pickTime(g, opTimeOfMax, "TimeOfMax", column)
}

func pick[T, V any](g Rows[T], o op, name string, column func(*T) V) (v V) {
	r := g.Recorder()
	o.kind = kindFor[T, V](r, name)
	o.seq = r.program.needs.Merge && o.bySeq()
	found := r.call(o, columnOf(r, column))
	if found == nil || r.state.Fixed[found.off+found.flag()] != pickValue {
		return v
	}
	if found.kind.variable() {
		return value[V](0, r.state.Vars[found.part])
	}
	return value[V](binary.LittleEndian.Uint64(r.state.Fixed[found.off:]), nil)
}

func pickTime[T, V any](g Rows[T], code opcode, name string, column func(*T) V) time.Time {
	r := g.Recorder()
	o := r.call(op{code: code, kind: kindFor[T, V](r, name)}, columnOf(r, column))
	if o == nil {
		return time.Time{}
	}
	f := r.state.Fixed[o.off:]
	if f[o.flag()] == pickNothing {
		return time.Time{}
	}
	return time.UnixMilli(o.timeAt(f)).UTC()
}

// bySeq says that merging needs the sequence number.
func (o *op) bySeq() bool {
	return o.code == opEarliest || o.code == opLatest || o.code == opFirst || o.code == opLast
}

func (o *op) byTime() bool {
	return o.code == opFirst || o.code == opLast || o.code == opTimeOfMin || o.code == opTimeOfMax
}

// pickSize is the bytes in State.Fixed.
func (o *op) pickSize() int {
	n := o.flag() + 1
	if o.byTime() {
		n += 8
	}
	if o.seq {
		n += 8
	}
	return n
}

// flag is where the byte that says what there is stands; the time follows it, then the sequence
// number.
func (o *op) flag() int {
	if o.kind.variable() {
		return 0
	}
	return 8
}

func (o *op) timeAt(f []byte) int64 { return int64(binary.LittleEndian.Uint64(f[o.flag()+1:])) }

func (o *op) seqAt(f []byte) int64 { return int64(binary.LittleEndian.Uint64(f[o.pickSize()-8:])) }

// picked is a value with its place.
type picked struct {
	bits    uint64
	text    string
	decimal *apd.Decimal
	null    bool
	at      At
}

func pickedCell(c *Cell, at At) picked { return picked{c.Bits, c.Text, c.Decimal, c.Null, at} }

// mergePick keeps what src keeps if it takes the place of what dst keeps.
func (o *op) mergePick(dst, src *State) {
	end := o.off + o.pickSize()
	to, from, flag := dst.Fixed[o.off:end], src.Fixed[o.off:end], o.flag()
	if from[flag] == pickNothing {
		return
	}
	if o.plain {
		if to[flag] == pickNothing || o.takesPlain(to, from) {
			copy(to, from)
		}
		return
	}
	var part, other []byte
	if o.kind.variable() {
		part, other = dst.Vars[o.part], src.Vars[o.part]
	}
	if to[flag] != pickNothing {
		v := o.picked(from, other)
		if !o.takes(to, part, &v) {
			return
		}
	}
	copy(to, from)
	if o.kind.variable() {
		dst.Vars[o.part] = append(part[:0], other...)
	}
}

// takesPlain is takes for what a plain accumulator keeps in from: nothing but bytes is looked at.
func (o *op) takesPlain(to, from []byte) bool {
	a, b := binary.LittleEndian.Uint64(from), binary.LittleEndian.Uint64(to)
	switch o.code {
	case opMin:
		return o.kind.order(a) < o.kind.order(b)
	case opMax:
		return o.kind.order(a) > o.kind.order(b)
	case opEarliest:
		return o.seqAt(from) < o.seqAt(to)
	default: // opLatest
		return o.seqAt(from) >= o.seqAt(to)
	}
}

// picked is what f and part keep, as far as takes asks for it. Its text is good while part is.
func (o *op) picked(f, part []byte) (v picked) {
	switch {
	case o.bySeq():
	case o.kind == kindText:
		v.text = unsafe.String(unsafe.SliceData(part), len(part))
	case o.kind == kindDecimal:
		v.decimal = parseDecimal(part)
	default:
		v.bits = binary.LittleEndian.Uint64(f)
	}
	if o.byTime() {
		v.at.Time = o.timeAt(f)
	}
	if o.seq {
		v.at.Seq = o.seqAt(f)
	}
	return v
}

// pick keeps v if it takes the place of what is kept.
func (o *op) pick(s *State, v picked) {
	f := s.Fixed[o.off:]
	var part []byte
	if o.kind.variable() {
		part = s.Vars[o.part]
	}
	flag := o.flag()
	if f[flag] != pickNothing && !o.takes(f, part, &v) {
		return
	}
	f[flag] = pickValue
	switch {
	case v.null:
		f[flag] = pickNull
		v.bits = 0 // the same state whatever was there
		part = part[:0]
	case o.kind == kindText:
		part = append(part[:0], v.text...)
	case o.kind == kindDecimal:
		part = v.decimal.Append(part[:0], 'G')
	}
	if o.kind.variable() {
		s.Vars[o.part] = part
	} else {
		binary.LittleEndian.PutUint64(f, v.bits)
	}
	if o.byTime() {
		binary.LittleEndian.PutUint64(f[flag+1:], uint64(v.at.Time))
	}
	if o.seq {
		binary.LittleEndian.PutUint64(f[o.pickSize()-8:], uint64(v.at.Seq))
	}
}

// takes says whether v takes the place of what is kept.
func (o *op) takes(f, part []byte, v *picked) bool {
	switch o.code {
	case opEarliest:
		return o.seq && v.at.Seq < o.seqAt(f)
	case opLatest:
		return !o.seq || v.at.Seq >= o.seqAt(f)
	case opFirst:
		t := o.timeAt(f)
		return v.at.Time < t || v.at.Time == t && o.seq && v.at.Seq < o.seqAt(f)
	case opLast:
		t := o.timeAt(f)
		return v.at.Time > t || v.at.Time == t && (!o.seq || v.at.Seq >= o.seqAt(f))
	}
	order := o.compare(v, f, part)
	switch o.code {
	case opMin:
		return order < 0
	case opMax:
		return order > 0
	case opTimeOfMin:
		return order < 0 || order == 0 && v.at.Time < o.timeAt(f)
	default: // opTimeOfMax
		return order > 0 || order == 0 && v.at.Time < o.timeAt(f)
	}
}

// compare is negative where v comes before what is kept.
func (o *op) compare(v *picked, f, part []byte) int {
	switch o.kind {
	case kindText:
		switch { // operators, unlike functions, do not copy part
		case v.text < string(part):
			return -1
		case v.text > string(part):
			return 1
		}
		return 0
	case kindDecimal:
		return v.decimal.Cmp(parseDecimal(part))
	}
	a, b := o.kind.order(v.bits), o.kind.order(binary.LittleEndian.Uint64(f))
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
