package windows

import (
	"math"
	"time"
)

// Time is an event time or a stream time: milliseconds since 1970-01-01 UTC, as Kafka stamps
// records.
type Time int64

// Min is before every event; a stream time that no record has moved yet.
const Min Time = math.MinInt64

// Last is the last event time that is in windows: some 292 million years from now. Bounds of any
// window, its grace and the gap behind it are Times without overflow. Later times are sentinels
// ("never") and broken numbers: records with them are not taken.
const Last Time = math.MaxInt64 - 1<<48

// At is the Time of t, rounded down to the millisecond.
func At(t time.Time) Time { return Time(t.UnixMilli()) }

// Std is t as a time.Time in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// String is t in RFC 3339 with milliseconds.
func (t Time) String() string {
	if t == Min {
		return "none"
	}
	return t.Std().Format("2006-01-02T15:04:05.000Z07:00")
}
