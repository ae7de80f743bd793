package aggregates

import (
	"cmp"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// exactDecimals is Sum and Avg of decimals in plans that take rows out of groups: the sum has as
// many digits as it needs, and the scale of the rows that are in it.
type exactDecimals struct {
	title string
	col   int
}

// exactDecimalState is coefficient*10^exponent, and how many rows there are of each exponent,
// lowest first. None is counted 0 times.
type exactDecimalState struct {
	coefficient big.Int
	exponent    int32
	scales      []decimalScale
}

type decimalScale struct {
	exponent int32
	rows     int64
}

func exactDecimal[T any](r *Recorder[T], title string, column input[T]) *exactDecimalState {
	s, _ := keep(r, title, &exactDecimals{title: strings.ToLower(title)}, layout{kind: kindDecimal},
		column).(*exactDecimalState)
	return s
}

func (k *exactDecimals) String() string     { return "exact " + k.title + " decimal" }
func (k *exactDecimals) columns(cols []int) { k.col = cols[0] }
func (k *exactDecimals) canUndo() bool      { return true }
func (k *exactDecimals) empty() Object      { return &exactDecimalState{} }

func (k *exactDecimals) add(o Object, cells []Cell, _ At) {
	o.(*exactDecimalState).apply(cells[k.col].Decimal, 1)
}

func (k *exactDecimals) undo(o Object, cells []Cell) {
	o.(*exactDecimalState).apply(cells[k.col].Decimal, -1)
}

// apply adds a row, or takes one out.
func (s *exactDecimalState) apply(d *apd.Decimal, rows int64) {
	c := d.Coeff.MathBigInt()
	if d.Negative != (rows < 0) {
		c.Neg(c)
	}
	s.plus(c, d.Exponent)
	s.rows(d.Exponent, rows)
	s.trim()
}

// plus adds c*10^exponent; it may change c.
func (s *exactDecimalState) plus(c *big.Int, exponent int32) {
	if exponent < s.exponent {
		s.coefficient.Mul(&s.coefficient, power10(s.exponent-exponent))
		s.exponent = exponent
	} else if exponent > s.exponent {
		c.Mul(c, power10(exponent-s.exponent))
	}
	s.coefficient.Add(&s.coefficient, c)
}

func power10(n int32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func (s *exactDecimalState) rows(exponent int32, n int64) {
	i, has := slices.BinarySearchFunc(s.scales, exponent,
		func(d decimalScale, e int32) int { return cmp.Compare(d.exponent, e) })
	if !has {
		s.scales = slices.Insert(s.scales, i, decimalScale{exponent: exponent})
	}
	if s.scales[i].rows += n; s.scales[i].rows == 0 {
		s.scales = slices.Delete(s.scales, i, i+1)
	}
}

// trim brings the exponent to the lowest that a row has, so that those that have gone leave no
// digits.
func (s *exactDecimalState) trim() {
	exponent := int32(0)
	if len(s.scales) > 0 {
		exponent = s.scales[0].exponent
	}
	switch {
	case s.coefficient.Sign() == 0:
		s.exponent = exponent
	case exponent < s.exponent:
		s.plus(new(big.Int), exponent)
	case exponent > s.exponent:
		var rest big.Int
		q, _ := new(big.Int).QuoRem(&s.coefficient, power10(exponent-s.exponent), &rest)
		if rest.Sign() == 0 { // else something was undone that was never added
			s.coefficient.Set(q)
			s.exponent = exponent
		}
	}
}

func (k *exactDecimals) merge(dst, src Object) {
	d, s := dst.(*exactDecimalState), src.(*exactDecimalState)
	d.plus(new(big.Int).Set(&s.coefficient), s.exponent)
	for _, scale := range s.scales {
		d.rows(scale.exponent, scale.rows)
	}
	d.trim()
}

// Append writes the scales with their rows, then the exponent, the sign and the bytes of the
// coefficient; nothing if nothing is in it.
func (s *exactDecimalState) Append(dst []byte) []byte {
	if len(s.scales) == 0 && s.coefficient.Sign() == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.scales)))
	for _, scale := range s.scales {
		dst = binary.AppendVarint(dst, int64(scale.exponent))
		dst = binary.AppendVarint(dst, scale.rows)
	}
	dst = binary.AppendVarint(dst, int64(s.exponent))
	dst = append(dst, byte(s.coefficient.Sign()))
	return append(dst, s.coefficient.Bytes()...)
}

func (k *exactDecimals) load(b []byte) (Object, error) {
	s, c := &exactDecimalState{}, cursor{b: b}
	exponent := func() int32 {
		e := c.varint()
		if checkExponent(e) != nil {
			c.bad = true
			return 0
		}
		return int32(e)
	}
	for range c.uvarint() {
		if s.rows(exponent(), c.varint()); c.bad {
			break
		}
	}
	s.exponent = exponent()
	sign := int8(c.byte())
	s.coefficient.SetBytes(c.take(uint64(len(c.b))))
	if int(sign) != s.coefficient.Sign() && -int(sign) != s.coefficient.Sign() {
		c.bad = true
	} else if sign < 0 {
		s.coefficient.Neg(&s.coefficient)
	}
	s.trim()
	return s, c.done()
}

func (s *exactDecimalState) Bytes() int {
	return 96 + 16*cap(s.scales) + len(s.coefficient.Bits())*8
}

// sum is exact.
func (s *exactDecimalState) sum() *apd.Decimal {
	if s == nil {
		return new(apd.Decimal)
	}
	return apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(&s.coefficient), s.exponent)
}

// text is the sum in 38 digits.
func (s *exactDecimalState) text() []byte {
	d := s.sum()
	mustAdd(d, new(apd.Decimal))
	return d.Append(nil, 'G')
}

func (s *exactDecimalState) mean() float64 {
	if s == nil {
		return 0
	}
	n := int64(0)
	for _, scale := range s.scales {
		n += scale.rows
	}
	if n == 0 {
		return 0
	}
	a, b := new(big.Int).Set(&s.coefficient), big.NewInt(n)
	if s.exponent < 0 {
		b.Mul(b, power10(-s.exponent))
	} else {
		a.Mul(a, power10(s.exponent))
	}
	return nearest(a, b, 0)
}
