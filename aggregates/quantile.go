package aggregates

import (
	"encoding/binary"
	"math"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// quantileAccuracy is how far a quantile may be off, as a share of its value; quantileBins how many
// bins a sketch has at most. Beyond them those nearest to 0 are put together: that takes values
// that are 10^17 apart.
const (
	quantileAccuracy = 0.01
	quantileBins     = 2048
)

// Quantile is roughly the value below which a share q, from 0 to 1, of the column's values lie:
// within 1 % of the value that is there in order (rank q*(n-1), rounded down; among negative values
// up). 0.5 is the median. Nulls, NaN and infinities are skipped; 0 where there are no values.
//
// It is a DDSketch: merging loses nothing. The row takes 8 bytes for each 2 % of the values' range,
// at most 16 KB for the positive and the negative each, and in the log about 3 bytes for each such
// step that has values.
func Quantile[T any, V Numeric](g Rows[T], q float64, column func(*T) V) float64 {
	r := g.Recorder()
	s := quantiles[T, V](r, "Quantile", []float64{q}, columnOf(r, column))
	return s.at(q)
}

// Quantiles is several of Quantile out of one sketch, in the order of qs.
func Quantiles[T any, V Numeric](g Rows[T], qs []float64, column func(*T) V) []float64 {
	r := g.Recorder()
	s := quantiles[T, V](r, "Quantiles", qs, columnOf(r, column))
	values := make([]float64, len(qs))
	for i, q := range qs {
		values[i] = s.at(q)
	}
	return values
}

// quantiles finds the sketch. Which quantiles are read from it does not show in the signature: the
// state is the same.
func quantiles[T, V any](r *Recorder[T], name string, qs []float64, column input[T]) *sketch {
	for _, q := range qs {
		if !(q >= 0 && q <= 1) {
			r.fail("%s: %v is not from 0 to 1", name, q)
		}
	}
	k := &sketches{kind: kindFor[T, V](r, name)}
	s, _ := keep(r, name, k, layout{kind: k.kind}, column).(*sketch)
	return s
}

// sketches is Quantile and Quantiles.
type sketches struct {
	noUndo
	kind kind
	col  int
}

// sketch is their state.
type sketch struct {
	dd *ddsketch.DDSketch
}

func (k *sketches) String() string     { return "quantile " + k.kind.String() }
func (k *sketches) columns(cols []int) { k.col = cols[0] }

func (k *sketches) empty() Object {
	dd, err := ddsketch.LogCollapsingLowestDenseDDSketch(quantileAccuracy, quantileBins)
	if err != nil {
		panic("aggregates: new sketch: " + err.Error()) // of an accuracy that is a constant
	}
	return &sketch{dd}
}

func (k *sketches) add(o Object, cells []Cell, _ At) {
	// What it refuses is NaN, infinities, and numbers as large as 10^308: documented as skipped.
	_ = o.(*sketch).dd.Add(k.kind.float(cells[k.col].Bits))
}

func (k *sketches) merge(dst, src Object) {
	if err := dst.(*sketch).dd.MergeWith(src.(*sketch).dd); err != nil {
		panic("aggregates: merging sketches: " + err.Error()) // of one accuracy
	}
}

// at is the quantile q, which was checked.
func (s *sketch) at(q float64) float64 {
	if s == nil || s.dd.IsEmpty() {
		return 0
	}
	v, err := s.dd.GetValueAtQuantile(q)
	if err != nil {
		return math.NaN()
	}
	return v
}

func (s *sketch) stores() [2]store.Store {
	return [...]store.Store{s.dd.GetPositiveValueStore(), s.dd.GetNegativeValueStore()}
}

// Append writes our own layout, which does not depend on the order in which values came: the count
// of zeroes, then for the positive and for the negative store the number of bins in use, and for
// each the distance of its index from the one before, and its count.
func (s *sketch) Append(dst []byte) []byte {
	if s.dd.IsEmpty() {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(s.dd.GetZeroCount()))
	for _, bins := range s.stores() {
		n, last := uint64(0), int64(0)
		bins.ForEach(func(int, float64) bool { n++; return false })
		dst = binary.AppendUvarint(dst, n)
		bins.ForEach(func(index int, count float64) bool {
			dst = binary.AppendVarint(dst, int64(index)-last)
			dst = binary.AppendUvarint(dst, uint64(count))
			last = int64(index)
			return false
		})
	}
	return dst
}

func (k *sketches) load(b []byte) (Object, error) {
	s, c := k.empty().(*sketch), cursor{b: b}
	if zeroes := c.uvarint(); zeroes > 0 {
		_ = s.dd.AddWithCount(0, float64(zeroes)) // refuses negative counts only
	}
	for _, bins := range s.stores() {
		last := int64(0)
		for range c.uvarint() {
			last += c.varint()
			count := c.uvarint()
			if c.bad || last != int64(int32(last)) {
				c.bad = true
				break
			}
			bins.AddWithCount(int(last), float64(count))
		}
	}
	return s, c.done()
}

func (s *sketch) Bytes() int {
	n := 300
	for _, bins := range s.stores() {
		if !bins.IsEmpty() {
			low, _ := bins.MinIndex()
			high, _ := bins.MaxIndex()
			n += 8 * (high - low + 64)
		}
	}
	return n
}
