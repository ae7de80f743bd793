package aggregates

import (
	"encoding/binary"
	"math"
	"math/big"
)

// Plans that take rows out of groups have their sums of floats, and what is made of them, without
// rounding: see exactSum. These are the terms of each.
type exactTerm struct{ first, second int } // which columns to multiply; second -1: the first alone

var exactTerms = map[opcode][]exactTerm{
	opSum:         {{0, -1}},
	opAvg:         {{0, -1}},
	opMoments:     {{0, -1}, {0, 0}},
	opCorrelation: {{0, -1}, {1, -1}, {0, 0}, {1, 1}, {0, 1}},
	opWeighted:    {{0, 1}, {1, -1}},
}

// exactOps is the accumulator of one of those.
type exactOps struct {
	code  opcode
	kinds [2]kind
	cols  [2]int
	terms []exactTerm
}

// exactState is its state: how many rows, and the sum of each term.
type exactState struct {
	n    int64
	sums []exactSum
}

// exactly records or finds the exact accumulator for a code: nil if nothing was added.
func exactly[T any](r *Recorder[T], title string, code opcode, kinds [2]kind, columns ...input[T]) *exactState {
	k := &exactOps{code: code, kinds: kinds, terms: exactTerms[code]}
	s, _ := keep(r, title, k, layout{kind: kinds[0]}, columns...).(*exactState)
	return s
}

func (k *exactOps) String() string {
	return "exact " + op{code: k.code, kind: k.kinds[0], kind2: k.kinds[1]}.String()
}

func (k *exactOps) columns(cols []int) { k.cols = [2]int{cols[0], cols[len(cols)-1]} }
func (k *exactOps) canUndo() bool      { return true }
func (k *exactOps) empty() Object      { return &exactState{sums: make([]exactSum, len(k.terms))} }

func (k *exactOps) add(o Object, cells []Cell, _ At) { k.apply(o.(*exactState), cells, false) }
func (k *exactOps) undo(o Object, cells []Cell)      { k.apply(o.(*exactState), cells, true) }

func (k *exactOps) apply(s *exactState, cells []Cell, undo bool) {
	values := [2]number{k.kinds[0].number(cells[k.cols[0]].Bits)}
	if k.kinds[1] != 0 {
		if cells[k.cols[1]].Null {
			return
		}
		values[1] = k.kinds[1].number(cells[k.cols[1]].Bits)
	}
	if s.n++; undo {
		s.n -= 2
	}
	for i, t := range k.terms {
		if t.second < 0 {
			s.sums[i].add(values[t.first], undo)
		} else {
			s.sums[i].addProduct(values[t.first], values[t.second], undo)
		}
	}
}

func (k *exactOps) merge(dst, src Object) {
	d, s := dst.(*exactState), src.(*exactState)
	d.n += s.n
	for i := range d.sums {
		d.sums[i].merge(&s.sums[i])
	}
}

// Append writes the number of rows and each sum; nothing if there is nothing in any.
func (s *exactState) Append(dst []byte) []byte {
	start := len(dst)
	dst = binary.AppendVarint(dst, s.n)
	for i := range s.sums {
		dst = s.sums[i].append(dst)
	}
	for _, b := range dst[start:] {
		if b != 0 {
			return dst
		}
	}
	return dst[:start]
}

func (k *exactOps) load(b []byte) (Object, error) {
	s, c := k.empty().(*exactState), cursor{b: b}
	s.n = c.varint()
	for i := range s.sums {
		s.sums[i].load(&c)
	}
	return s, c.done()
}

func (s *exactState) Bytes() int {
	n := 48
	for i := range s.sums {
		n += 96 + 8*cap(s.sums[i].limbs)
	}
	return n
}

// sum is a Sum.
func (s *exactState) sum() float64 {
	if s == nil {
		return 0
	}
	return s.sums[0].float()
}

// mean is an Avg: 0 where there are no rows.
func (s *exactState) mean() float64 {
	if s == nil || s.n == 0 {
		return 0
	}
	if f, is := s.sums[0].special(); is {
		return f
	}
	n, exponent := s.sums[0].integer()
	return nearest(n, big.NewInt(s.n), exponent)
}

// weighted is a WeightedMean: 0 where the weights add up to 0.
func (s *exactState) weighted() float64 {
	if s == nil {
		return 0
	}
	values, noNumber := s.sums[0].special()
	weights, orThis := s.sums[1].special()
	if noNumber || orThis {
		if !noNumber {
			values = s.sums[0].float()
		}
		if !orThis {
			weights = s.sums[1].float()
		}
		if weights == 0 {
			return 0
		}
		return values / weights
	}
	v, e := s.sums[0].integer()
	w, f := s.sums[1].integer()
	if w.Sign() == 0 {
		return 0
	}
	return nearest(v, w, e-f)
}

// spread is M2/(n-less), or its root.
func (s *exactState) spread(less int64, root bool) float64 {
	if s == nil || s.n <= less {
		return 0
	}
	if s.noNumber() {
		return math.NaN()
	}
	m2, exponent := s.moment(0, 0, 1)
	q := quotient(m2, new(big.Int).Mul(big.NewInt(s.n), big.NewInt(s.n-less)), exponent)
	if q.Sign() <= 0 {
		return 0 // less than nothing: of what was undone and never added
	}
	if root {
		q = new(big.Float).SetPrec(quotientBits).Sqrt(q)
	}
	f, _ := q.Float64()
	return f
}

// correlation is a Correlation.
func (s *exactState) correlation() float64 {
	if s == nil || s.n < 2 || s.noNumber() {
		return math.NaN()
	}
	xx, e := s.moment(0, 0, 2)
	yy, f := s.moment(1, 1, 3)
	xy, g := s.moment(0, 1, 4)
	squares := new(big.Float).SetPrec(quotientBits).SetMantExp(new(big.Float).SetInt(xx.Mul(xx, yy)), e+f)
	if squares.Sign() <= 0 {
		return math.NaN() // a column is constant
	}
	r := new(big.Float).SetInt(xy)
	r.SetMantExp(r, g)
	c, _ := new(big.Float).SetPrec(quotientBits).Quo(r, squares.Sqrt(squares)).Float64()
	return within(c)
}

// within is a correlation that rounding has brought beyond 1 or -1.
func within(c float64) float64 { return max(-1, min(1, c)) }

// noNumber says that a NaN or an infinity is among the values.
func (s *exactState) noNumber() bool {
	for i := range s.sums {
		if _, is := s.sums[i].special(); is {
			return true
		}
	}
	return false
}

// moment is n times the sum of products less the product of the sums of a and b, in units of
// 2^exponent.
func (s *exactState) moment(a, b, products int) (_ *big.Int, exponent int) {
	x, e := s.sums[a].integer()
	y, f := s.sums[b].integer()
	p, g := s.sums[products].integer()
	y = new(big.Int).Mul(x, y)
	p.Mul(p, big.NewInt(s.n))
	exponent = min(e+f, g)
	y.Lsh(y, uint(e+f-exponent))
	p.Lsh(p, uint(g-exponent))
	return p.Sub(p, y), exponent
}
