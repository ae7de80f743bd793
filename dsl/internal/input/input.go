// Package input reads numbers that other programs have written, exactly, and quotes what they have
// written, in bounded length.
package input

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// quoted is the most bytes of foreign input that an error shows.
const quoted = 100

// maxDigits bounds a big.Int: the time to read or print one grows faster than its length.
const maxDigits = 10_000

// Errors of numbers.
var (
	ErrFraction = errors.New("is not a whole number")
	ErrRange    = errors.New("does not fit")
)

// Show is text as an error shows it, without quotes: what is too long is cut.
func Show[S string | []byte](text S) string {
	if len(text) <= quoted {
		return string(text)
	}
	end := quoted
	for end > quoted-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return string(text[:end]) + "..."
}

// bounded is an error whose text is cut.
type bounded struct{ error }

func (b bounded) Error() string {
	const most = 3 * quoted
	text := b.error.Error()
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

func (b bounded) Unwrap() error { return b.error }

// Bounded is err with a text of bounded length: an error of user code or of a library may quote all
// that it was given.
func Bounded(err error) error {
	if err == nil {
		return nil
	}
	return bounded{err}
}

// Int is a JSON number as an int of so many bits, if it is whole in whatever notation: 1.0, 1e3,
// 10e-1, -0. Nothing is rounded, and no more memory is used than the text has.
func Int(number string, bits int) (int64, error) {
	var room [24]byte
	digits, err := plain(number, room[:0])
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(digits), 10, bits)
	if err != nil {
		return 0, ErrRange
	}
	return n, nil
}

// Uint is Int without a sign; -0 is 0.
func Uint(number string, bits int) (uint64, error) {
	var room [24]byte
	digits, err := plain(number, room[:0])
	if err != nil {
		return 0, err
	}
	if string(digits) == "-0" {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(digits), 10, bits)
	if err != nil {
		return 0, ErrRange
	}
	return n, nil
}

// Big is Int for a number of up to 10,000 digits.
func Big(number string, to *big.Int) error {
	d := split(number)
	switch {
	case d.first < 0:
		to.SetInt64(0)
		return nil
	case d.power < 0:
		return ErrFraction
	case d.power+int64(d.significant) > maxDigits:
		return ErrRange
	}
	text := d.digits(number, make([]byte, 0, int(d.power)+d.significant+1))
	if _, ok := to.SetString(string(text), 10); !ok {
		return fmt.Errorf("%s is not a number", Show(number))
	}
	return nil
}

// MaxBits is how long a big.Int may be, in bits, so that Big reads its digits.
const MaxBits = maxDigits * 3

// plain appends the number without point and exponent to room, which has room for every int64 and
// uint64.
func plain(number string, room []byte) ([]byte, error) {
	if strings.IndexByte(number, '.') < 0 && strings.IndexByte(number, 'e') < 0 && strings.IndexByte(number, 'E') < 0 {
		if len(number) > cap(room) {
			return nil, ErrRange // JSON has no leading zeros
		}
		return append(room, number...), nil
	}
	d := split(number)
	switch {
	case d.first < 0:
		return append(room, '0'), nil
	case d.power < 0:
		return nil, ErrFraction
	case d.power+int64(d.significant) > int64(cap(room)-1):
		return nil, ErrRange
	}
	return d.digits(number, room), nil
}

// parts is where the digits of a number are.
type parts struct {
	negative    bool
	first, last int   // indices of the first and the last digit that is not 0; first is -1 where all are
	significant int   // how many digits these and those between them are
	power       int64 // of ten, at the last of them
}

// split takes a JSON number apart. It must be one.
func split(number string) parts {
	d := parts{first: -1, negative: number[0] == '-'}
	mantissa, exponent := number, ""
	if e := strings.IndexAny(number, "eE"); e >= 0 {
		mantissa, exponent = number[:e], number[e+1:]
	}
	point := strings.IndexByte(mantissa, '.')
	if point < 0 {
		point = len(mantissa)
	}
	for i := range len(mantissa) {
		if c := mantissa[i]; c >= '1' && c <= '9' {
			if d.first < 0 {
				d.first = i
			}
			d.last = i
		}
	}
	if d.first < 0 {
		return d
	}
	d.significant = d.last - d.first + 1
	if d.last < point {
		d.power = int64(point - d.last - 1)
	} else {
		d.power = int64(point - d.last)
		if d.first < point {
			d.significant--
		}
	}
	d.power += saturated(exponent)
	return d
}

// saturated is an exponent, which may have any number of digits.
func saturated(exponent string) int64 {
	n, err := strconv.ParseInt(exponent, 10, 48)
	if err != nil && exponent != "" && exponent[0] == '-' {
		return -1 << 48
	} else if err != nil && exponent != "" {
		return 1 << 48
	}
	return n
}

// digits appends sign, digits and zeros of a whole number.
func (d *parts) digits(number string, to []byte) []byte {
	if d.negative {
		to = append(to, '-')
	}
	for i := d.first; i <= d.last; i++ {
		if number[i] != '.' {
			to = append(to, number[i])
		}
	}
	for range d.power {
		to = append(to, '0')
	}
	return to
}
