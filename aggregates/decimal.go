package aggregates

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/apd/v3"
)

// ErrOverflow says that a sum of decimals has become too large for its precision.
var ErrOverflow = errors.New("aggregates: decimal overflow")

// decimalPrecision is the number of digits that sums of decimals keep, as ksqlDB's widest DECIMAL;
// more are rounded half up.
const decimalPrecision = 38

var decimals = apd.Context{Precision: decimalPrecision, Rounding: apd.RoundHalfUp,
	MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent}

// SumDecimal is the sum of a column that is a DECIMAL(precision, scale) of ksqlDB: each value is
// rounded half up to scale digits behind the point, and the sum has that scale too. A row that
// would bring the sum to 10^(precision-scale) or beyond is refused with ErrOverflow: no accumulator
// of its group and window counts it (in ksqlDB it stops the query; semantics.md [U3]). Neither Undo
// nor Merge looks at the bound, as in ksqlDB: for hopping windows each row is added to each of its
// windows, which costs more than the slices of other aggregates, and of sessions the sum counts
// that the record makes. precision is from 1 to 38, scale from 0 to precision.
func SumDecimal[T any, V apd.Decimal | *apd.Decimal](g Rows[T], precision, scale int, column func(*T) V) V {
	r := g.Recorder()
	if precision < 1 || precision > decimalPrecision || scale < 0 || scale > precision {
		r.fail("SumDecimal: DECIMAL(%d, %d): want a precision of 1 to %d and a scale of 0 to the precision", precision,
			scale, decimalPrecision)
	}
	if !r.reading {
		r.program.bounded = true
	}
	k := &boundedSums{precision: precision, scale: scale}
	s, _ := keep(r, "SumDecimal", k, layout{kind: kindDecimal}, columnOf(r, column)).(*boundedSum)
	if s == nil {
		s = k.new()
	}
	return value[V](0, s.sum.Append(nil, 'f'))
}

// boundedSums is SumDecimal.
type boundedSums struct {
	precision, scale int
	col              int
}

// boundedSum is its state. next is what stage has worked out.
type boundedSum struct {
	sum, next apd.Decimal
}

func (k *boundedSums) String() string     { return fmt.Sprintf("sum decimal(%d,%d)", k.precision, k.scale) }
func (k *boundedSums) columns(cols []int) { k.col = cols[0] }
func (k *boundedSums) canUndo() bool      { return true }
func (k *boundedSums) empty() Object      { return k.new() }

func (k *boundedSums) new() *boundedSum {
	s := &boundedSum{}
	s.sum.Exponent = int32(-k.scale)
	return s
}

func (k *boundedSums) load(b []byte) (Object, error) {
	s := k.new()
	_, _, err := s.sum.SetString(string(b))
	return s, err
}

// stage works the new sum out, and refuses it if it is too large.
func (k *boundedSums) stage(o *Object, cells []Cell, undo bool) error {
	var s *boundedSum
	if *o == nil {
		s = k.new()
	} else {
		s = (*o).(*boundedSum)
	}
	var v apd.Decimal
	if err := k.round(&v, cells[k.col].Decimal); err != nil {
		return fmt.Errorf("%w: %v is no DECIMAL(%d, %d)", ErrOverflow, cells[k.col].Decimal, k.precision, k.scale)
	}
	if undo {
		v.Neg(&v)
	}
	if _, err := wide.Add(&s.next, &s.sum, &v); err != nil {
		return fmt.Errorf("%w: %w", ErrOverflow, err)
	}
	if !undo && s.next.NumDigits() > int64(k.precision) {
		return fmt.Errorf("%w: a sum of %v is no DECIMAL(%d, %d)", ErrOverflow, &s.next, k.precision, k.scale)
	}
	*o = s
	return nil
}

// wide has room for what is too large, to say so.
var wide = apd.Context{Precision: 4 * decimalPrecision, Rounding: apd.RoundHalfUp, MaxExponent: apd.MaxExponent,
	MinExponent: apd.MinExponent}

// round sets v to d with the column's scale.
func (k *boundedSums) round(v, d *apd.Decimal) error {
	_, err := wide.Quantize(v, d, int32(-k.scale))
	if err == nil && v.Form != apd.Finite {
		err = ErrOverflow
	}
	return err
}

func (k *boundedSums) cancel(*Object) error { return nil }

func (k *boundedSums) add(o Object, _ []Cell, _ At) {
	s := o.(*boundedSum)
	s.sum.Set(&s.next)
}

func (k *boundedSums) undo(o Object, _ []Cell) { k.add(o, nil, At{}) }

func (k *boundedSums) merge(dst, src Object) {
	d := dst.(*boundedSum)
	if _, err := wide.Add(&d.sum, &d.sum, &src.(*boundedSum).sum); err != nil {
		panic("aggregates: sum of decimals: " + err.Error())
	}
}

// Append writes the sum as text; nothing where it is 0.
func (s *boundedSum) Append(dst []byte) []byte {
	if s.sum.IsZero() {
		return dst
	}
	return s.sum.Append(dst, 'f')
}

func (s *boundedSum) Bytes() int { return 128 }

// decimalExponent bounds exponents, so that a value of a few bytes, such as 1e90000, does not make
// a sum of many.
const decimalExponent = 10_000

// checkDecimal says what keeps a decimal from being counted with.
func checkDecimal(d *apd.Decimal) error {
	if d.Form != apd.Finite {
		return errors.New("aggregates: decimal is infinite or not a number")
	}
	return checkExponent(int64(d.Exponent))
}

func checkExponent(e int64) error {
	if e < -decimalExponent || e > decimalExponent {
		return fmt.Errorf("aggregates: decimal with exponent %d, want one from -%d to %d", e, decimalExponent,
			decimalExponent)
	}
	return nil
}

// parseDecimal reads what Decimal.String wrote; an empty text is 0.
func parseDecimal(text []byte) *apd.Decimal {
	if len(text) == 0 {
		return new(apd.Decimal)
	}
	d, _, err := apd.NewFromString(string(text))
	if err != nil {
		// Eval lets finite decimals in only, and stored rows are checksummed: this is a bug or a
		// broken store.
		panic(fmt.Sprintf("aggregates: decimal in a row: %q: %v", text, err))
	}
	return d
}

// mustAdd adds d to sum. Both are finite and the exponents bounded, so that what Add can report is
// rounding.
func mustAdd(sum, d *apd.Decimal) {
	if _, err := decimals.Add(sum, sum, d); err != nil {
		panic("aggregates: sum of decimals: " + err.Error())
	}
}
