package aggregates

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/apd/v3"
)

// State is what the accumulators of one group and window know: Program.Size bytes, all 0 at the start, and Program.Vars
// parts of any length, empty at the start.
type State struct {
	Fixed []byte
	Vars  [][]byte
}

// Append appends s as it is stored: Fixed, then each part with its length before it as a uvarint.
func (s State) Append(dst []byte) []byte {
	dst = append(dst, s.Fixed...)
	for _, v := range s.Vars {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	return dst
}

// Load fills s, whose parts have the right number and Fixed the right length, from what Append wrote.
func (s State) Load(b []byte) error {
	if len(b) < len(s.Fixed) {
		return fmt.Errorf("aggregates: row of %d bytes, want at least %d", len(b), len(s.Fixed))
	}
	b = b[copy(s.Fixed, b):]
	for i := range s.Vars {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return fmt.Errorf("aggregates: row ends in part %d of %d", i+1, len(s.Vars))
		}
		s.Vars[i] = append(s.Vars[i][:0], b[w:w+int(n)]...)
		b = b[w+int(n):]
	}
	if len(b) != 0 {
		return fmt.Errorf("aggregates: row has %d bytes too many", len(b))
	}
	return nil
}

// decimalPrecision is the number of digits that sums of decimals keep, as ksqlDB's widest DECIMAL; more are rounded half up.
const decimalPrecision = 38

var decimals = apd.Context{Precision: decimalPrecision, Rounding: apd.RoundHalfUp,
	MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent}

// parseDecimal reads what Decimal.String wrote; an empty text is 0.
func parseDecimal(text []byte) *apd.Decimal {
	if len(text) == 0 {
		return new(apd.Decimal)
	}
	d, _, err := apd.NewFromString(string(text))
	if err != nil {
		// Eval lets finite decimals in only, and stored rows are checksummed: this is a bug or a broken store.
		panic(fmt.Sprintf("aggregates: decimal in a row: %q: %v", text, err))
	}
	return d
}
