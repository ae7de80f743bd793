package windows

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func loaded(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	require.NoError(t, err)
	return z
}

func only(t testing.TB, s Spec) Kind {
	t.Helper()
	require.NoError(t, s.Validate())
	require.Len(t, s.kinds, 1)
	return s.kinds[0]
}

func TestCalendarBounds(t *testing.T) {
	ny := loaded(t, "America/New_York")
	at := func(s string) Time {
		d, err := time.ParseInLocation("2006-01-02 15:04", s, ny)
		require.NoError(t, err)
		return At(d)
	}
	for _, c := range []struct {
		name           string
		spec           Spec
		in, start, end string
		hours          float64
	}{
		{"a day", Days(ny, 17*time.Hour), "2014-05-01 16:59", "2014-04-30 17:00", "2014-05-01 17:00", 24},
		{"its start", Days(ny, 17*time.Hour), "2014-05-01 17:00", "2014-05-01 17:00", "2014-05-02 17:00", 24},
		{"clocks go forward", Days(ny, 17*time.Hour), "2014-03-09 04:00", "2014-03-08 17:00", "2014-03-09 17:00", 23},
		{"clocks go back", Days(ny, 17*time.Hour), "2014-11-02 04:00", "2014-11-01 17:00", "2014-11-02 17:00", 25},
		{"the evening before", Days(ny, -7*time.Hour), "2014-03-09 04:00", "2014-03-08 17:00", "2014-03-09 17:00", 23},
		{"midnight", Days(ny, 0), "2014-12-31 23:59", "2014-12-31 00:00", "2015-01-01 00:00", 24},
		{"a trading week", Weeks(ny, time.Monday, -7*time.Hour), "2014-03-09 16:59", "2014-03-02 17:00",
			"2014-03-09 17:00", 167},
		{"the next", Weeks(ny, time.Monday, -7*time.Hour), "2014-03-09 17:00", "2014-03-09 17:00", "2014-03-16 17:00",
			168},
		{"over new year", Weeks(ny, time.Sunday, 0), "2015-01-01 12:00", "2014-12-28 00:00", "2015-01-04 00:00", 168},
		{"a month", Months(ny, 0), "2016-02-29 23:59", "2016-02-01 00:00", "2016-03-01 00:00", 29 * 24},
		{"a month from the evening before", Months(ny, -7*time.Hour), "2016-02-29 17:00", "2016-02-29 17:00",
			"2016-03-31 17:00", 31*24 - 1},
		{"december", Months(ny, 17*time.Hour), "2015-01-01 16:00", "2014-12-01 17:00", "2015-01-01 17:00", 31 * 24},
	} {
		k := only(t, c.spec)
		start := k.Start(at(c.in))
		require.Equal(t, at(c.start), start, "%s: start", c.name)
		require.Equal(t, at(c.end), k.End(start), "%s: end", c.name)
		require.Equal(t, c.hours, k.End(start).Std().Sub(start.Std()).Hours(), "%s: length", c.name)
	}
}

// No day begins on the date before, and none twice, where its opening is in an hour that clocks
// leave out or repeat.
func TestOpeningWhileClocksChange(t *testing.T) {
	for _, c := range []struct {
		zone    string
		opening time.Duration
		in      string
		start   string // as the clocks of the zone show it
	}{
		{"America/Sao_Paulo", 0, "2017-10-15T12:00:00-02:00", "2017-10-15T01:00:00-02:00"},
		{"America/Sao_Paulo", 0, "2017-10-14T23:30:00-03:00", "2017-10-14T00:00:00-03:00"},
		{"America/New_York", 150 * time.Minute, "2014-03-09T12:00:00-04:00", "2014-03-09T03:30:00-04:00"},
		{"Europe/Berlin", 150 * time.Minute, "2014-03-30T12:00:00+02:00", "2014-03-30T03:30:00+02:00"},
		{"America/New_York", 90 * time.Minute, "2014-11-02T12:00:00-05:00", "2014-11-02T01:30:00-04:00"},
		{"Europe/Berlin", 150 * time.Minute, "2014-10-26T12:00:00+01:00", "2014-10-26T02:30:00+02:00"},
	} {
		at, err := time.Parse(time.RFC3339, c.in)
		require.NoError(t, err)
		z := loaded(t, c.zone)
		require.Equal(t, c.start, only(t, Days(z, c.opening)).Start(At(at)).Std().In(z).Format(time.RFC3339), "%s %v",
			c.zone, c.opening)
	}
}

// Windows follow each other without gap or overlap, in every zone, whatever its clocks did.
func TestCalendarTiles(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, name := range []string{"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia",
		"Asia/Kathmandu", "America/Sao_Paulo", "UTC"} {
		z := loaded(t, name)
		for range 300 {
			opening := time.Duration(r.IntN(47)-23) * time.Hour
			spec := [...]Spec{Days(z, opening), Weeks(z, time.Weekday(r.IntN(7)), opening),
				Months(z, opening)}[r.IntN(3)]
			k := only(t, spec)
			at := Time(40*24*3600*1000 + r.Int64N(2_000_000_000_000))
			start := k.Start(at)
			end := k.End(start)
			require.True(t, start <= at && at < end, "%s %v: %v in [%v, %v)", name, k, at, start, end)
			require.Equal(t, end, k.Start(end), "%s %v: the next begins where it ends", name, k)
			require.Equal(t, start, k.Start(end-1), "%s %v: the last instant", name, k)
			require.Equal(t, start, k.Start(start), "%s %v", name, k)
		}
	}
}

func TestHopping(t *testing.T) {
	k := only(t, Hopping(30*time.Second, 15*time.Second))
	require.Equal(t, Time(0), k.First(10_009), "no window starts before 1970")
	require.Equal(t, Time(0), k.Start(10_009))
	require.Equal(t, Time(15_000), k.First(30_000))
	require.Equal(t, Time(30_000), k.Start(30_000))
	slice, ok := k.Slice()
	require.True(t, ok)
	require.Equal(t, 15*time.Second, slice.Size())

	odd := only(t, Hopping(25*time.Second, 10*time.Second)) // two or three windows a record [W3]
	counts := map[int]bool{}
	for at := Time(100_000); at < 110_000; at += 500 {
		n := 0
		for s := odd.First(at); s <= at; s += 10_000 {
			require.True(t, s <= at && at < odd.End(s))
			n++
		}
		counts[n] = true
	}
	require.Equal(t, map[int]bool{2: true, 3: true}, counts)
	slice, _ = odd.Slice()
	require.Equal(t, 5*time.Second, slice.Size())

	require.Equal(t, FormTumbling, only(t, Hopping(time.Minute, time.Minute)).Form())
	require.ErrorContains(t, Hopping(time.Second, time.Minute).Validate(), "would be in no window")
	require.ErrorContains(t, Hopping(0, 0).Validate(), "advance 0s")
}

func TestKindsTogether(t *testing.T) {
	s := Minutes(5, 1).And(Hopping(time.Hour, time.Minute)).And(Session(30 * time.Second)).And(Days(time.UTC,
		0)).And(Minutes(1)).Grace(time.Second)
	require.NoError(t, s.Validate())
	require.Equal(t,
		"tumbling 1min, tumbling 5min, hopping 60min by 1min, calendar day of UTC from 0s, session gap 30s; grace 1s",
		s.String())
	k, err := s.Pick(Hopping(time.Hour, time.Minute))
	require.NoError(t, err)
	require.Equal(t, "60min_by_1min", k.Name())
	_, err = s.Pick(Hopping(time.Hour, time.Second))
	require.EqualError(t, err,
		"windows: no windows hopping 60min by 1s: there are 1min, 5min, 60min_by_1min, 1day, session_30s")
	require.ErrorContains(t, Days(nil, 0).Validate(), "no time zone")
	require.ErrorContains(t, Days(time.UTC, 24*time.Hour).Validate(), "within 24h")
	require.ErrorContains(t, Session(-1).Validate(), "gap -1ns")
}
