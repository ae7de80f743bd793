package codecs

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// move is a decimal column: where it is, and how many digits it has.
type move struct {
	at        uintptr
	pointer   bool
	name      string
	precision int
	scale     int
	rounded   *atomic.Int64 // of decimals that had to be; nil: they are refused
}

// maxExponent bounds the digits of a decimal, so that one of a few bytes, such as 1e99999, does not
// become a text of many, and its exponent in either direction.
const maxExponent = 1000

// fit gives a decimal the column's scale, which must lose no digit, unless moves of this codec
// round.
func (m *move) fit(d *apd.Decimal) (*apd.Decimal, error) {
	if d.Exponent > maxExponent || d.Exponent < -maxExponent {
		return nil, fmt.Errorf("exponent %d is beyond %d", d.Exponent, maxExponent)
	}
	if n := d.NumDigits() + max(int64(d.Exponent), 0); n > maxExponent {
		return nil, fmt.Errorf("decimal of %d digits, at most %d are allowed", n, maxExponent)
	}
	c := entity.Column{Precision: m.precision, Scale: m.scale}
	fitted, exact, ok := c.Round(d)
	switch {
	case ok && exact:
	case ok && m.rounded != nil:
		m.rounded.Add(1)
	default:
		return nil, fmt.Errorf("%.60s does not fit %d digits with %d behind the point", d, m.precision, m.scale)
	}
	return fitted, nil
}

func (m *move) wrong(err error) error { return fmt.Errorf("column %q: %w", m.name, err) }
