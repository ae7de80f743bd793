package entity

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/ashi-stream/ashi/dsl/internal/input"
)

// FromEpoch is the time of a number in the format Millis, Micros or Nanos, in UTC. The number that
// [ToEpoch] gives to the zero time comes back as the zero time.
func FromEpoch(format string, n int64) time.Time {
	switch format {
	case Micros:
		return time.UnixMicro(n).UTC()
	case Nanos:
		if n == math.MinInt64 {
			return time.Time{}
		}
		return time.Unix(n/1e9, n%1e9).UTC()
	}
	return time.UnixMilli(n).UTC()
}

// ToEpoch is the number of a time in the format Millis, Micros or Nanos, rounded down to the unit.
// The zero time has one too, far before 1970; in nanoseconds, which cannot reach the year 1, it is
// the smallest int64. Other times that do not fit are an error.
func ToEpoch(format string, t time.Time) (int64, error) {
	year := t.Year()
	switch format {
	case Micros:
		if year < -290_000 || year > 290_000 {
			return 0, fmt.Errorf("entity: the year %d does not fit microseconds in an int64", year)
		}
		return t.UnixMicro(), nil
	case Nanos:
		if t.IsZero() {
			return math.MinInt64, nil
		}
		if year < 1678 || year > 2261 {
			return 0, fmt.Errorf("entity: the year %d does not fit nanoseconds in an int64", year)
		}
		return t.UnixNano(), nil
	}
	return t.UnixMilli(), nil
}

// ParseTime reads a time as text in any format of a time column. A text without a zone is UTC, and
// an empty text in a layout is the zero time.
func ParseTime(format, text string) (time.Time, error) {
	switch format {
	case Millis, Micros, Nanos:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("entity: time %q in %s: not a whole number that fits", input.Show(text),
				format)
		}
		return FromEpoch(format, n), nil
	case RFC3339, "":
		format = time.RFC3339Nano
	default:
		if text == "" {
			return time.Time{}, nil
		}
	}
	t, err := time.Parse(format, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("entity: time %q is none in the format %s", input.Show(text), format)
	}
	return t.UTC(), nil
}
