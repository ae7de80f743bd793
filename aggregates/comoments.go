package aggregates

import (
	"encoding/binary"
	"math"
)

// Moments of a column are kept about its first value, the origin: distances from it are exact where
// the values are close to each other, whatever they are themselves, and those of a constant column
// are 0. sum is of the distances, m2 of the squares of their distances from their mean. The
// formulas are Youngs and Cramer's and, to merge, Chan's: one pass without cancellation. As the
// origin is one of the values, the mean is at most sqrt(n) standard deviations from it, which
// bounds the loss.
//
// Floats are multiplied by a scale, a power of two, so that squares of the largest fit, and those
// of the smallest do not vanish. The level says by which: it follows the largest value, and what is
// negligible beside that may vanish.
type moments struct {
	level  uint64
	origin uint64
	sum    float64
	m2     float64
}

// comoments is the moments of two columns, and the sum of products of the distances from both
// means.
type comoments struct {
	n    uint64
	x, y moments
	xy   float64
}

// A level is good for floats below 2^-400, below 2^400, and all; integers have the second.
var scales = [...]float64{0x1p600, 1, 0x1p-600}

const levelDown = 0x1p-600 // a distance is multiplied by this when its level is raised by one

func (k kind) level(bits uint64) uint64 {
	if k != kindFloat {
		return 1
	}
	switch exponent := bits >> 52 & 0x7ff; {
	case exponent < 1023-400:
		return 0
	case exponent < 1023+400:
		return 1
	}
	return 2
}

// begin starts with a first value. It returns 0, or NaN if the value is none that can be counted
// with.
func (m *moments) begin(k kind, bits uint64) float64 {
	zero := k.float(bits)
	zero -= zero
	*m = moments{level: k.level(bits), origin: bits, sum: zero, m2: zero}
	return zero
}

// raise goes to a level that is not below the current one, and returns by what products with
// another column change.
func (m *moments) raise(level uint64) float64 {
	if level <= m.level {
		return 1
	}
	return m.raised(level)
}

func (m *moments) raised(level uint64) float64 {
	by := 1.0
	for ; m.level < level; m.level++ {
		by *= levelDown
		m.sum *= levelDown
		m.m2 = m.m2 * levelDown * levelDown
	}
	return by
}

// distance is how far a value is from the origin, at the current level.
func (m *moments) distance(k kind, bits uint64) float64 {
	switch {
	case k == kindFloat:
		scale := scales[m.level]
		return scale*math.Float64frombits(bits) - scale*math.Float64frombits(m.origin)
	case k.order(bits) >= k.order(m.origin):
		return float64(bits - m.origin)
	}
	return -float64(m.origin - bits)
}

// add counts a value as the nth, from the second on, and returns its n-fold distance from the mean.
// share is 1/(n*(n-1)).
func (m *moments) add(k kind, bits uint64, n, share float64) float64 {
	d := m.distance(k, bits)
	m.sum += d
	d = n*d - m.sum
	m.m2 += d * d * share
	return d
}

// merge adds the moments of b others, at the same level, to those of a, and returns how far the
// means are apart.
func (m *moments) merge(k kind, other *moments, a, b float64) float64 {
	origins := m.distance(k, other.origin)
	d := origins + other.sum/b - m.sum/a
	m.sum += other.sum + b*origins
	m.m2 += other.m2 + d*d*(a*b/(a+b))
	return d
}

// In a row: the number of rows, with the levels in its four highest bits; then the rest, column by
// column.
const (
	countBits       = 60
	countMask       = 1<<countBits - 1
	momentsSize     = 32
	correlationSize = 64
)

// readMoments reads the moments of one column.
func readMoments(f []byte) (n uint64, m moments) {
	head := binary.LittleEndian.Uint64(f)
	m.read(f[8:32], head>>countBits&3)
	return head & countMask, m
}

func (m *moments) writeMoments(f []byte, n uint64) {
	binary.LittleEndian.PutUint64(f, n|m.level<<countBits)
	m.write(f[8:32])
}

// read reads those of two.
func (c *comoments) read(f []byte) {
	head := binary.LittleEndian.Uint64(f)
	c.n = head & countMask
	c.x.read(f[8:32], head>>countBits&3)
	c.y.read(f[32:56], head>>(countBits+2))
	c.xy = floatAt(f[56:64])
}

func (c *comoments) write(f []byte) {
	binary.LittleEndian.PutUint64(f, c.n|c.x.level<<countBits|c.y.level<<(countBits+2))
	c.x.write(f[8:32])
	c.y.write(f[32:56])
	putFloat(f[56:64], c.xy)
}

func (m *moments) read(f []byte, level uint64) {
	_ = f[23]
	m.level, m.origin, m.sum, m.m2 = min(level, 2), binary.LittleEndian.Uint64(f), floatAt(f[8:]), floatAt(f[16:])
}

func (m *moments) write(f []byte) {
	_ = f[23]
	binary.LittleEndian.PutUint64(f, m.origin)
	putFloat(f[8:], m.sum)
	putFloat(f[16:], m.m2)
}

func putFloat(f []byte, v float64) { binary.LittleEndian.PutUint64(f, math.Float64bits(v)) }

// addMoment counts a value.
func (o *op) addMoment(f []byte, x uint64) {
	n, m := readMoments(f)
	if n++; n == 1 {
		m.begin(o.kind, x)
	} else {
		m.raise(o.kind.level(x))
		m.add(o.kind, x, float64(n), share(float64(n)))
	}
	m.writeMoments(f, n)
}

func share(n float64) float64 { return 1 / (n * (n - 1)) }

// correlate counts a pair of values.
func (o *op) correlate(f []byte, x, y uint64) {
	var c comoments
	c.read(f)
	if c.n++; c.n == 1 {
		c.xy = c.x.begin(o.kind, x) + c.y.begin(o.kind2, y)
	} else {
		c.raise(o.kind.level(x), o.kind2.level(y))
		n := float64(c.n)
		s := share(n)
		c.xy += c.x.add(o.kind, x, n, s) * c.y.add(o.kind2, y, n, s) * s
	}
	c.write(f)
}

func (c *comoments) raise(x, y uint64) {
	c.xy *= c.x.raise(x) // one by one: the product of both may be too small for a float64
	c.xy *= c.y.raise(y)
}

func (o *op) mergeMoments(dst, src []byte) {
	a, to := readMoments(dst)
	b, from := readMoments(src)
	switch {
	case b == 0:
		return
	case a == 0:
		to = from
	default:
		to.raise(from.level)
		from.raise(to.level)
		to.merge(o.kind, &from, float64(a), float64(b))
	}
	to.writeMoments(dst, a+b)
}

func (o *op) mergeComoments(dst, src []byte) {
	var to, from comoments
	to.read(dst)
	from.read(src)
	switch {
	case from.n == 0:
		return
	case to.n == 0:
		to = from
	default:
		to.raise(from.x.level, from.y.level)
		from.raise(to.x.level, to.y.level)
		a, b := float64(to.n), float64(from.n)
		x, y := to.x.merge(o.kind, &from.x, a, b), to.y.merge(o.kind2, &from.y, a, b)
		to.xy += from.xy + x*y*(a*b/(a+b))
		to.n += from.n
	}
	to.write(dst)
}

// spread is M2/(n-less) of n values, or its root, which may be a float64 where the other is not.
func (m *moments) spread(n uint64, less int64, root bool) float64 {
	if int64(n) <= less {
		return 0
	}
	v, scale := m.m2/float64(int64(n)-less), scales[m.level]
	if root {
		return math.Sqrt(v) / scale
	}
	return v / scale / scale
}

// correlation is Pearson's coefficient: NaN where there is none.
func (c *comoments) correlation() float64 {
	if c.n < 2 || c.x.m2 == 0 || c.y.m2 == 0 {
		return math.NaN()
	}
	x, e := math.Frexp(c.x.m2) // their product alone might be too large
	y, f := math.Frexp(c.y.m2)
	if (e+f)%2 != 0 {
		x *= 2
		e--
	}
	return within(math.Ldexp(c.xy, -(e+f)/2) / math.Sqrt(x*y))
}
