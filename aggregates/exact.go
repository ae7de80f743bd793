package aggregates

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"slices"
)

// exactSum is a sum of numbers, or of products of two, without rounding: what is added and undone
// leaves nothing behind, in whatever order. It is an integer in two's complement, in units of the
// smallest product there is, of which only the limbs in use are kept: four for prices, 72 at most.
// NaN and infinities are counted beside it.
type exactSum struct {
	low     int      // place of limbs[0]: it counts 2^(64*low-exactBias)
	limbs   []uint64 // the last is nothing but sign: 0 or all ones. None: 0
	nan     int64
	inf     [2]int64 // above and below
	scratch [4]uint64
}

// exactBias makes the place of every bit positive: the smallest product is 2^-2148. A load is
// damaged beyond exactLimbs, which has room for 2^63 of the largest.
const (
	exactBias  = 34 * 64
	exactLimbs = 72
)

// number is a term of a sum: mantissa*2^exponent with its sign, or, if finite is false, float.
type number struct {
	mantissa uint64
	exponent int
	negative bool
	finite   bool
	float    float64
}

// number is the value that bits of a kind are.
func (k kind) number(b uint64) number {
	switch k {
	case kindUint:
		return number{mantissa: b, finite: true, float: float64(b)}
	case kindFloat:
		f, exponent := math.Float64frombits(b), int(b>>52&0x7ff)
		n := number{mantissa: b & (1<<52 - 1), exponent: exponent - 1075, negative: b>>63 == 1,
			finite: exponent != 0x7ff, float: f}
		if exponent == 0 {
			n.exponent++ // subnormal
		} else {
			n.mantissa |= 1 << 52
		}
		return n
	}
	n := number{mantissa: b, negative: int64(b) < 0, finite: true, float: float64(int64(b))}
	if n.negative {
		n.mantissa = -b
	}
	return n
}

// add adds n, or takes it out.
func (s *exactSum) add(n number, undo bool) {
	if !n.finite {
		s.count(n.float, undo)
		return
	}
	s.shifted(0, n.mantissa, n.exponent, n.negative != undo)
}

// addProduct adds a*b, or takes it out.
func (s *exactSum) addProduct(a, b number, undo bool) {
	if !a.finite || !b.finite {
		s.count(a.float*b.float, undo)
		return
	}
	hi, lo := bits.Mul64(a.mantissa, b.mantissa)
	s.shifted(hi, lo, a.exponent+b.exponent, (a.negative != b.negative) != undo)
}

// count counts what is no number.
func (s *exactSum) count(f float64, undo bool) {
	n := int64(1)
	if undo {
		n = -1
	}
	switch {
	case math.IsInf(f, 1):
		s.inf[0] += n
	case math.IsInf(f, -1):
		s.inf[1] += n
	default:
		s.nan += n
	}
}

// shifted adds or subtracts (hi*2^64+lo)*2^exponent.
func (s *exactSum) shifted(hi, lo uint64, exponent int, subtract bool) {
	if hi|lo == 0 {
		return
	}
	place, by := (exponent+exactBias)>>6, uint(exponent+exactBias)&63
	s.scratch = [4]uint64{lo << by, hi<<by | lo>>(64-by), hi >> (64 - by)}
	if subtract {
		borrow := uint64(0)
		for i := range s.cover(place, 3) {
			l := &s.limbs[place-s.low+i]
			*l, borrow = bits.Sub64(*l, s.scratch[min(i, 3)], borrow)
		}
	} else {
		carry := uint64(0)
		for i := range s.cover(place, 3) {
			l := &s.limbs[place-s.low+i]
			*l, carry = bits.Add64(*l, s.scratch[min(i, 3)], carry)
		}
	}
	s.grow()
}

// cover makes room for n limbs from place on and one of sign above them. It returns how many limbs
// there are from place on.
func (s *exactSum) cover(place, n int) int {
	if len(s.limbs) == 0 {
		s.low = place
	}
	if place < s.low {
		s.limbs = slices.Insert(s.limbs, 0, make([]uint64, s.low-place)...)
		s.low = place
	}
	for len(s.limbs) < place+n+1-s.low {
		s.limbs = append(s.limbs, s.sign())
	}
	return len(s.limbs) - (place - s.low)
}

// grow restores that the last limb is nothing but sign.
func (s *exactSum) grow() {
	if last := s.limbs[len(s.limbs)-1]; last != 0 && last != ^uint64(0) {
		s.limbs = append(s.limbs, s.sign())
	}
}

// sign is a limb above all others.
func (s *exactSum) sign() uint64 {
	if len(s.limbs) == 0 {
		return 0
	}
	return uint64(int64(s.limbs[len(s.limbs)-1]) >> 63)
}

// merge adds what src has.
func (s *exactSum) merge(src *exactSum) {
	s.nan += src.nan
	s.inf[0] += src.inf[0]
	s.inf[1] += src.inf[1]
	if len(src.limbs) == 0 {
		return
	}
	carry := uint64(0)
	for i := range s.cover(src.low, len(src.limbs)) {
		l, other := &s.limbs[src.low-s.low+i], src.sign()
		if i < len(src.limbs) {
			other = src.limbs[i]
		}
		*l, carry = bits.Add64(*l, other, carry)
	}
	s.grow()
}

// special says that the sum is no number, and what it is.
func (s *exactSum) special() (float64, bool) {
	switch {
	case s.nan != 0 || s.inf[0] != 0 && s.inf[1] != 0:
		return math.NaN(), true
	case s.inf[0] != 0:
		return math.Inf(1), true
	case s.inf[1] != 0:
		return math.Inf(-1), true
	}
	return 0, false
}

// integer is the sum of what is finite, in units of 2^exponent.
func (s *exactSum) integer() (n *big.Int, exponent int) {
	b := make([]byte, 8*len(s.limbs))
	negative := s.sign() != 0
	carry := uint64(1)
	for i, l := range s.limbs {
		if negative {
			l, carry = bits.Add64(^l, 0, carry)
		}
		binary.BigEndian.PutUint64(b[len(b)-8*(i+1):], l)
	}
	n = new(big.Int).SetBytes(b)
	if negative {
		n.Neg(n)
	}
	return n, 64*s.low - exactBias
}

// float is the float64 nearest to the sum.
func (s *exactSum) float() float64 {
	if f, is := s.special(); is {
		return f
	}
	n, exponent := s.integer()
	return nearest(n, big.NewInt(1), exponent)
}

// quotientBits is the least precision of what is then rounded to a float64.
const quotientBits = 256

// nearest is the float64 nearest to a/b*2^exponent: infinite if it is too large. b is not 0.
func nearest(a, b *big.Int, exponent int) float64 {
	f, _ := quotient(a, b, exponent).Float64()
	return f
}

// quotient is a/b*2^exponent, with a last bit that says whether anything is behind it: so it still
// rounds as the whole would.
func quotient(a, b *big.Int, exponent int) *big.Float {
	shift := max(0, quotientBits+b.BitLen()-a.BitLen())
	q, rest := new(big.Int).QuoRem(new(big.Int).Lsh(a, uint(shift)), b, new(big.Int))
	q.Lsh(q, 1)
	switch rest.Sign() * b.Sign() {
	case 1:
		q.Add(q, big.NewInt(1))
	case -1:
		q.Sub(q, big.NewInt(1))
	}
	f := new(big.Float).SetInt(q)
	return f.SetMantExp(f, exponent-shift-1)
}

// append appends the sum, the same bytes for the same sum: the bytes from the first to the last
// that says anything, with their place, and the counts of what is no number if there are any.
// Nothing that the sum has forgotten shows.
func (s *exactSum) append(dst []byte) []byte {
	b := make([]byte, 0, 8*exactLimbs)
	for _, l := range s.limbs {
		b = binary.LittleEndian.AppendUint64(b, l)
	}
	first := 0
	for first < len(b) && b[first] == 0 {
		first++
	}
	sign := byte(s.sign())
	for len(b) > first && b[len(b)-1] == sign && (len(b) == first+1 && sign == 0 || len(b) > first+1 &&
		b[len(b)-2]>>7 == sign>>7) {
		b = b[:len(b)-1]
	}
	head := uint64(len(b)-first) << 1
	special := s.nan != 0 || s.inf != [2]int64{}
	if special {
		head |= 1
	}
	dst = binary.AppendUvarint(dst, head)
	if head > 1 {
		dst = binary.AppendUvarint(dst, uint64(8*s.low+first))
		dst = append(dst, b[first:]...)
	}
	if special {
		for _, n := range []int64{s.nan, s.inf[0], s.inf[1]} {
			dst = binary.AppendVarint(dst, n)
		}
	}
	return dst
}

// load reads what append wrote.
func (s *exactSum) load(c *cursor) {
	head := c.uvarint()
	if n := head >> 1; n > 0 {
		place := c.uvarint()
		if n > 8*exactLimbs || place > 8*exactLimbs || place+n > 8*exactLimbs {
			c.bad = true
			return
		}
		b := c.take(n)
		if b == nil {
			return
		}
		sign := byte(int8(b[n-1]) >> 7)
		padded := append(make([]byte, place%8, 8*(2+n/8)), b...)
		for len(padded)%8 != 0 {
			padded = append(padded, sign)
		}
		s.low = int(place / 8)
		for ; len(padded) > 0; padded = padded[8:] {
			s.limbs = append(s.limbs, binary.LittleEndian.Uint64(padded))
		}
		s.grow()
	}
	if head&1 == 1 {
		s.nan, s.inf[0], s.inf[1] = c.varint(), c.varint(), c.varint()
	}
}
