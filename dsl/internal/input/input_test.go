package input

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestWholeNumbers(t *testing.T) {
	for number, want := range map[string]int64{
		"0": 0, "-0": 0, "0.0": 0, "-0.000e5": 0, "0e999999999999999999999": 0, "1.0": 1, "1e3": 1000, "1E+3": 1000,
		"1.7645472E12": 1764547200000, "10e-1": 1, "-2500e-2": -25, "0.001e3": 1, "12.50e1": 125,
		"9007199254740993.0": 9007199254740993, "9223372036854775807.000": 9223372036854775807,
		"-9.223372036854775808e18": -9223372036854775808, "100" + strings.Repeat("0", 5000) + "e-5002": 1,
		"0." + strings.Repeat("0", 5000) + "7e5001": 7,
	} {
		n, err := Int(number, 64)
		require.NoError(t, err, number)
		require.Equal(t, want, n, number)
	}
	for number, want := range map[string]error{
		"1.5": ErrFraction, "1e-1": ErrFraction, "1e-999999999999": ErrFraction, "0.1": ErrFraction,
		"1e999999999": ErrRange, "9223372036854775808.0": ErrRange, "1e19": ErrRange, "-1e19": ErrRange,
		strings.Repeat("9", 1<<20): ErrRange, "1" + strings.Repeat("0", 1<<20) + ".0": ErrRange,
		"1e" + strings.Repeat("9", 1<<20): ErrRange,
	} {
		_, err := Int(number, 64)
		require.ErrorIs(t, err, want, Show(number))
	}
	_, err := Int("1.28e2", 8)
	require.ErrorIs(t, err, ErrRange)
	for number, want := range map[string]uint64{"-0": 0, "-0.0": 0, "1.8446744073709551615e19": 18446744073709551615,
		"2.0": 2} {
		n, err := Uint(number, 64)
		require.NoError(t, err, number)
		require.Equal(t, want, n)
	}
	_, err = Uint("-1.0", 64)
	require.ErrorIs(t, err, ErrRange)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = Int("1.7645472E12", 64) }))
}

// Numbers in random notations are what exact arithmetic says.
func TestWholeNumbersAgainstRationals(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	digits := func(n int) string {
		b := make([]byte, 1+r.IntN(n))
		for i := range b {
			b[i] = "0001234567899"[r.IntN(13)]
		}
		return string(b)
	}
	for range 20_000 {
		whole := strings.TrimLeft(digits(20), "0")
		if whole == "" {
			whole = "0"
		}
		number := strings.Repeat("-", r.IntN(2)) + whole
		if r.IntN(2) == 0 {
			number += "." + digits(12)
		}
		if r.IntN(2) == 0 {
			number += string("eE"[r.IntN(2)]) + []string{"", "+", "-"}[r.IntN(3)] + strconv.Itoa(r.IntN(25))
		}
		exact, ok := new(big.Rat).SetString(number)
		require.True(t, ok, number)
		n, err := Int(number, 64)
		u, uerr := Uint(number, 64)
		var b big.Int
		berr := Big(number, &b)
		if !exact.IsInt() {
			require.ErrorIs(t, err, ErrFraction, number)
			require.ErrorIs(t, berr, ErrFraction, number)
			continue
		}
		require.NoError(t, berr, number)
		require.Equal(t, exact.Num().String(), b.String(), number)
		require.Equal(t, exact.Num().IsInt64(), err == nil, number)
		require.Equal(t, exact.Num().IsUint64(), uerr == nil, number)
		if err == nil {
			require.Equal(t, exact.Num().Int64(), n, number)
		}
		if uerr == nil {
			require.Equal(t, exact.Num().Uint64(), u, number)
		}
	}
	var b big.Int
	require.ErrorIs(t, Big("1e999999999", &b), ErrRange)
	require.NoError(t, Big("1e9999", &b))
}

func TestErrorsAreBounded(t *testing.T) {
	long := strings.Repeat("ä", 1<<20)
	require.Less(t, len(Show(long)), 110)
	require.True(t, utf8.ValidString(Show("a"+long)))
	require.Equal(t, "short", Show("short"))
	inner := fmt.Errorf("no %s: %w", long, ErrRange)
	require.Less(t, len(Bounded(inner).Error()), 320)
	require.True(t, errors.Is(Bounded(inner), ErrRange))
	require.NoError(t, Bounded(nil))
}
