package windows

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestZonesCompareByMeaning(t *testing.T) {
	of := map[string]func(*time.Location) Spec{
		"days":   func(l *time.Location) Spec { return Days(l, 17*time.Hour) },
		"weeks":  func(l *time.Location) Spec { return Weeks(l, time.Monday, 0) },
		"months": func(l *time.Location) Spec { return Months(l, 0) },
	}
	hours := func(name string, h float64) *time.Location { return time.FixedZone(name, int(h*3600)) }
	for what, spec := range of {
		for _, pair := range [][2]*time.Location{
			{loaded(t, "America/New_York"), loaded(t, "America/New_York")},
			{hours("desk", -5), hours("desk", -5)},
			{hours("", 5.5), hours("", 5.5)},
			{time.UTC, loaded(t, "UTC")},
			{time.UTC, hours("UTC", 0)},
		} {
			a, b := spec(pair[0]), spec(pair[1])
			require.Equal(t, only(t, a), only(t, b), what)
			require.True(t, only(t, a) == only(t, b), "%s: %s", what, pair[0])
			require.Len(t, a.And(b).Kinds(), 1)
			picked, err := a.Pick(b)
			require.NoError(t, err)
			require.Equal(t, only(t, a), picked)
			require.Equal(t, a.String(), b.String())
		}
		for _, pair := range [][2]*time.Location{
			{loaded(t, "America/New_York"), loaded(t, "Europe/Berlin")},
			{hours("desk", -5), hours("desk", 3)},
			{hours("", 1), hours("", 2)},
			{time.UTC, hours("UTC", 1)},
			{loaded(t, "Europe/Berlin"), hours("Europe/Berlin", 1)},
		} {
			a, b := spec(pair[0]), spec(pair[1])
			require.False(t, only(t, a) == only(t, b), "%s: %s", what, pair[0])
			require.NotEqual(t, a.String(), b.String(), "what plans print and are compared by")
		}
	}
	require.Equal(t, "calendar day of desk(-05:00) from 0s", only(t, Days(hours("desk", -5), 0)).String())
	require.Equal(t, "calendar day of America/New_York from 17h0m0s",
		only(t, Days(loaded(t, "America/New_York"), 17*time.Hour)).String())
	require.Equal(t, "calendar day of UTC from 0s", only(t, Days(time.UTC, 0)).String())
	require.Equal(t, "calendar day of odd(+00:00:30) from 0s", only(t, Days(time.FixedZone("odd", 30), 0)).String())
}

func TestLocalZoneIsAMistake(t *testing.T) {
	for _, l := range []*time.Location{machine, loaded(t, "Local"), time.FixedZone("Local", 3600)} {
		if l == time.UTC {
			continue
		}
		for _, s := range []Spec{Days(l, 0), Weeks(l, time.Sunday, 0), Months(l, 0)} {
			require.ErrorContains(t, s.Validate(), "time.LoadLocation(")
			require.Empty(t, s.Kinds())
		}
	}
}

// Near both ends of time every kind has bounds in order and without overflow, and finds its windows
// in few steps.
func TestKindsAtTheEndsOfTime(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	longest := time.Duration(math.MaxInt64 / int64(time.Millisecond) * int64(time.Millisecond))
	specs := []Spec{Tumbling(time.Millisecond), Tumbling(longest), Hopping(time.Minute, 7*time.Second),
		Hopping(longest, longest/1e6*1e6/7/1e6*1e6), Session(time.Second), Session(longest), Sliding(longest),
		Unbounded(), Days(loaded(t, "America/New_York"), 17*time.Hour), Weeks(loaded(t, "Asia/Tokyo"), time.Monday, 0),
		Months(time.UTC, -time.Hour)}
	grace := Time(longest.Milliseconds())
	for range 2000 {
		at := Time(r.Int64N(1 << r.IntN(50)))
		if r.IntN(2) == 0 {
			at = Last - at
		}
		for _, s := range specs {
			k := only(t, s)
			if k.Form() == FormSession || k.Form() == FormSliding {
				require.Greater(t, k.Closes(at, grace), at)
				continue
			}
			start := k.Start(at)
			require.LessOrEqual(t, start, at, k)
			require.Greater(t, k.End(start), at, k)
			require.GreaterOrEqual(t, k.Closes(start, grace), k.End(start), k)
			if k.Form() == FormHopping {
				first, advance := k.First(at), Time(k.Advance().Milliseconds())
				require.LessOrEqual(t, first, start)
				require.LessOrEqual(t, (start-first)/advance, Time(k.Size()/k.Advance()))
				require.Greater(t, start+advance, start, "the next one is later")
			}
		}
	}
}
