package task_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/windows"
)

// form is a kind of windows of a random program, in the oracle's own words.
type form struct {
	what          string // hopping (tumbling too), session, sliding, calendar or all
	size, advance int64  // ms; of sessions size is the gap, of calendars about their length
	unit          string // of calendars: day, week or month
	first         time.Weekday
	zone          *time.Location
	opening       time.Duration
}

func tumbling(ms int64) form { return form{what: "hopping", size: ms, advance: ms} }

const dayLength = 24 * 3600 * 1000

func randomForm(r *rand.Rand) form {
	size := pick[int64](r, 1, 2, 7, 10, 50, 333, 1000, 1001, 60_000, 3_599_999)
	switch r.IntN(10) {
	case 0, 1:
		return tumbling(size)
	case 2, 3, 4: // at most 25 windows have a record
		return form{what: "hopping", size: size, advance: pick(r, max(1, size-r.Int64N(size)/2), (size+1)/2, size/25+1)}
	case 5:
		return form{what: "session", size: size}
	case 6:
		unit := r.IntN(3)
		return form{what: "calendar", unit: []string{"day", "week", "month"}[unit],
			size: []int64{1, 7, 30}[unit] * dayLength, first: time.Weekday(r.IntN(7)), zone: pick(r, zones...),
			opening: pick(r, 0, 17*time.Hour, -7*time.Hour, 90*time.Minute, 150*time.Minute, -23*time.Hour)}
	}
	if r.IntN(3) > 0 {
		return form{what: "sliding", size: size}
	}
	return form{what: "all", size: 1000}
}

var zones = func() (zs []*time.Location) {
	for _, name := range []string{"America/New_York", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe",
		"Asia/Kathmandu", "Pacific/Apia", "UTC"} {
		z, err := time.LoadLocation(name)
		if err != nil {
			panic(err)
		}
		zs = append(zs, z)
	}
	return zs
}()

// spec is how a program asks for it.
func (f form) spec() windows.Spec {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	switch {
	case f.what == "session":
		return windows.Session(ms(f.size))
	case f.what == "sliding":
		return windows.Sliding(ms(f.size))
	case f.what == "all":
		return windows.Unbounded()
	case f.unit == "day":
		return windows.Days(f.zone, f.opening)
	case f.unit == "week":
		return windows.Weeks(f.zone, f.first, f.opening)
	case f.unit == "month":
		return windows.Months(f.zone, f.opening)
	case f.size == f.advance:
		return windows.Tumbling(ms(f.size))
	}
	return windows.Hopping(ms(f.size), ms(f.advance))
}

func (f form) String() string { return f.spec().Kinds()[0].String() }

// bounds are the windows that hold a time, oldest first: by trying [W1] [W2]. Not for sessions and
// sliding windows.
func (f form) bounds(at int64) (all [][2]int64) {
	switch f.what {
	case "all":
		return [][2]int64{{0, math.MaxInt64}}
	case "calendar":
		return [][2]int64{f.dates(at)}
	}
	for start := at / f.advance * f.advance; start >= 0 && start+f.size > at; start -= f.advance {
		all = append([][2]int64{{start, start + f.size}}, all...)
	}
	return all
}

// dates is the calendar window that holds a time: of all dates around it, those on which a window
// begins.
func (f form) dates(at int64) [2]int64 {
	noon := time.UnixMilli(at).In(f.zone)
	last := int64(math.MinInt64)
	for i := -35; ; i++ {
		date := time.Date(noon.Year(), noon.Month(), noon.Day()+i, 0, 0, 0, 0, time.UTC)
		if f.unit == "week" && date.Weekday() != f.first || f.unit == "month" && date.Day() != 1 {
			continue
		}
		start := begins(date.Add(f.opening), f.zone)
		if start > at {
			return [2]int64{max(last, 0), start}
		}
		last = start
	}
}

// begins is when the clocks of a zone show what wall does in UTC: the first time, if twice; if
// never, as much later as they were put forward. It goes through the zone's times between two
// changes.
func begins(wall time.Time, zone *time.Location) int64 {
	for at := wall.Add(-48 * time.Hour).In(zone); ; {
		_, offset := at.Zone()
		_, change := at.ZoneBounds()
		// so it is here and there in years that are computed by rule, after 2037
		if !change.IsZero() && !change.After(at) {
			change = at.Add(time.Hour)
		}
		found := wall.Add(-time.Duration(offset) * time.Second)
		if change.IsZero() || found.Before(change) {
			return found.UnixMilli()
		}
		_, next := change.Zone()
		if after := wall.Add(-time.Duration(next) * time.Second); after.Before(change) { // left out
			return found.UnixMilli()
		}
		at = change
	}
}

// A year of minutes in days of New York from 17:00 on, with both changes of clocks: each tick is in
// the day that Go's own zone data says.
func TestYearOfTradingDays(t *testing.T) {
	newYork := zones[0]
	opening := 17 * time.Hour
	k := windows.Days(newYork, opening).Kinds()[0]
	first := time.Date(2014, 1, 1, 0, 0, 0, 0, newYork)
	lengths := map[time.Duration]int{}
	var end windows.Time
	for at := first; at.Year() == 2014; at = at.Add(time.Minute) {
		start := k.Start(windows.At(at))
		// The day's name is the date seven hours from now by the clock on the wall, which has no
		// changes.
		wall := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC).Add(-opening)
		want := time.Date(wall.Year(), wall.Month(), wall.Day(), 17, 0, 0, 0, newYork)
		if start.Std() != want.UTC() {
			require.Equal(t, want.UTC(), start.Std(), "%v", at)
		}
		if windows.At(at) >= end {
			require.True(t, end == 0 || start == end, "days follow each other: %v", at)
			end = k.End(start)
			lengths[end.Std().Sub(start.Std())]++
		}
	}
	require.Equal(t, map[time.Duration]int{23 * time.Hour: 1, 24 * time.Hour: 364, 25 * time.Hour: 1}, lengths)
}

// What the oracle says of calendars is what package windows does, near every change of clocks since
// 1970.
func TestCalendarsAgainstZoneData(t *testing.T) {
	for _, zone := range zones {
		for change := time.Unix(0, 0).In(zone); change.Year() < 2025; {
			for _, unit := range []string{"day", "week", "month"} {
				for _, opening := range []time.Duration{0, 17 * time.Hour, -7 * time.Hour, 90 * time.Minute,
					150 * time.Minute} {
					f := form{what: "calendar", unit: unit, first: time.Monday, zone: zone, opening: opening}
					k := f.spec().Kinds()[0]
					for hours := -50; hours <= 50; hours += 3 {
						at := change.Add(time.Duration(hours)*time.Hour + 29*time.Minute).UnixMilli()
						if at < 0 {
							continue
						}
						got := [2]int64{int64(k.Start(windows.Time(at))), int64(k.End(k.Start(windows.Time(at))))}
						if want := f.dates(at); want != got {
							require.Equal(t, fmt.Sprint(times(want)), fmt.Sprint(times(got)), "%v at %v", f,
								windows.Time(at))
						}
					}
				}
			}
			var next time.Time
			if _, next = change.ZoneBounds(); next.IsZero() {
				break
			}
			change = next
		}
	}
}

func times(bounds [2]int64) [2]windows.Time {
	return [2]windows.Time{windows.Time(bounds[0]), windows.Time(bounds[1])}
}
