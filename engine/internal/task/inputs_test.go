package task_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/engine/enginetest"
	"github.com/ashi-stream/ashi/windows"
)

// input is a record and the row in it; nil if the value is null or no row.
type input struct {
	enginetest.Record
	row *event
}

// stream is a random input, and the last event time that is not too far ahead of the clock.
type stream struct {
	records []input
	clock   time.Time
	ahead   time.Duration
}

// randomStream is records around windows of the program: out of order by up to twice the grace,
// late, at equal times, with jumps, before 1970, ahead of the clock, with nulls and with values
// that are no rows.
func randomStream(t testing.TB, r *rand.Rand, p *program, n int) *stream {
	now := pick[int64](r, 0, 0, 1_700_000_000_000)
	step := 1 + pick(r, p.kinds...).size/int64(1+r.IntN(20))
	if i := slices.IndexFunc(p.kinds, func(f form) bool { return f.zone != nil }); i >= 0 && r.IntN(4) > 0 {
		now = beforeChange(r, p.kinds[i].zone)
	}
	keys := pick(r, 1, 3, 40)
	s := &stream{clock: time.UnixMilli(now + int64(n)*step),
		ahead: time.Duration(1+r.Int64N(1+p.grace+step*int64(n))) * time.Millisecond}
	codec := codecs.JSON[event]()
	for range n {
		at := now
		switch x := r.IntN(100); {
		case x < 25 && p.grace > 0:
			at -= r.Int64N(2 * p.grace)
		case x < 40:
			at -= r.Int64N(3 * step)
		case x < 80:
			now += r.Int64N(2 * step)
			at = now
		case x == 98:
			now += r.Int64N(20 * (step + p.grace))
			at = now
		case x == 99:
			at = pick[int64](r, -1, -5000, 253_402_300_799_000, math.MaxInt64)
		}
		e := randomEvent(r, keys)
		e.At = at
		rec := input{row: e}
		rec.Timestamp = windows.Time(at)
		value, err := codec.Encode(nil, e)
		require.NoError(t, err)
		rec.Key, rec.Value = []byte(e.Key), value
		switch r.IntN(60) {
		case 0:
			rec.Key = nil
		case 1:
			rec.Value, rec.row = nil, nil
		case 2:
			rec.Value, rec.row = pick(r, []byte{}, []byte("{"), value[:len(value)-1], []byte("nothing"),
				[]byte{0xff, 0}), nil
		}
		s.records = append(s.records, rec)
	}
	return s
}

// beforeChange is some days before a change of the clocks.
func beforeChange(r *rand.Rand, zone *time.Location) int64 {
	_, change := time.Unix(r.Int64N(1_500_000_000), 0).In(zone).ZoneBounds()
	if change.IsZero() {
		return 1_500_000_000_000
	}
	return max(0, change.UnixMilli()-r.Int64N(5*dayLength))
}

func randomEvent(r *rand.Rand, keys int) *event {
	e := &event{Key: fmt.Sprintf("k%d", r.IntN(keys)), Group: pick(r, "a", "b", "\u00fc", "", "a\"b"),
		Small: int32(r.IntN(48) - 12), Big: r.Uint64N(100), Name: pick(r, "", "x", "yy", "\u00fc", "x"),
		Due: time.UnixMilli(r.Int64N(1e13) - 5e12).UTC()}
	e.Price = pick(r, float64(r.IntN(1000)), 1e300, -1e300, r.Float64(), 997, 998, 999)
	if keys > 1 && r.IntN(20) == 0 {
		e.Key = "" // a key like any other
	}
	if r.IntN(20) == 0 {
		e.Small, e.Big = math.MaxInt32-r.Int32N(5), math.MaxUint64-r.Uint64N(3)
	}
	e.Size = *randomDecimal(r)
	if r.IntN(3) > 0 {
		f, s, at, ok := r.NormFloat64(), pick(r, "", "n", "\U0001f4c8"), e.Due.Add(time.Hour), r.IntN(2) == 0
		e.Maybe, e.Note, e.Until, e.OK, e.Owed = &f, &s, &at, &ok, randomDecimal(r)
	}
	return e
}

func randomDecimal(r *rand.Rand) *apd.Decimal {
	d, _, _ := apd.NewFromString(pick(r, "0", "1.10", "-2.5", "1000", "99999999999999999999999999999999999999",
		"0.00000000000000000000000000000000000005"))
	if r.IntN(2) == 0 {
		d = apd.New(r.Int64N(2000)-1000, -r.Int32N(4))
	}
	return d
}
