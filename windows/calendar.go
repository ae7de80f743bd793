package windows

import (
	"fmt"
	"math"
	"time"
)

// Unit is the length of calendar windows.
type Unit uint8

// The units.
const (
	Day Unit = iota + 1
	Week
	Month
)

var unitNames = [...]string{"", "day", "week", "month"}

// String is day, week or month.
func (u Unit) String() string { return unitNames[u] }

// calendar is days, weeks or months of a zone. Their bounds are instants: a day is 23 or 25 hours
// long where clocks are changed.
type calendar struct {
	unit    Unit
	first   time.Weekday // of weeks
	zone    *zone
	opening time.Duration // from midnight to the start of each day; negative: on the evening before
}

// lastDate is the end of dates: from half a year before the last Time on they are not told apart,
// as the numbers would not hold what follows them. Such times come from broken clocks and foreign
// topics.
const lastDate Time = math.MaxInt64 - 183*24*3600*1000

// start is the start of the window that holds t.
func (c calendar) start(t Time) Time {
	t = min(t, lastDate)
	// The date of the window is that of t, but for the hours between midnight and the opening.
	local := t.Std().In(c.zone.Location)
	year, month, day := local.Date()
	day = c.firstDay(year, month, day+1) // may be one window too late: openings can be on the evening before
	for {
		if s := c.instant(year, month, day); s <= t {
			return s
		}
		year, month, day = c.back(year, month, day)
	}
}

// end is the start of the window after the one that starts at start.
func (c calendar) end(start Time) Time {
	if start > lastDate {
		return math.MaxInt64
	}
	// Day by day, to the first on which a window begins after start.
	local := start.Std().In(c.zone.Location)
	year, month, day := local.Date()
	for d := day; ; d++ {
		y, m, first := time.Date(year, month, d, 12, 0, 0, 0, time.UTC).Date()
		if c.firstDay(y, m, first) != first {
			continue
		}
		if s := c.instant(y, m, first); s > start {
			return s
		}
	}
}

// firstDay is the day of the month on which the window of a date begins.
func (c calendar) firstDay(year int, month time.Month, day int) int {
	switch c.unit {
	case Week:
		weekday := time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Weekday()
		return day - int(weekday-c.first+7)%7
	case Month:
		_, m, _ := time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Date()
		if m != month {
			return day // the first of the next month
		}
		return 1
	}
	return day
}

// back is the first date of the window before.
func (c calendar) back(year int, month time.Month, day int) (int, time.Month, int) {
	switch c.unit {
	case Week:
		return year, month, day - 7
	case Month:
		y, m, _ := time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Date()
		return y, m - 1, 1
	}
	return year, month, day - 1
}

// instant is when the day begins. Of an hour that clocks go through twice it is the first time; in
// an hour that they leave out it is as much later as they were put forward, so that no day begins
// on the date before. (time.Date promises neither, and does otherwise in zones west of Greenwich.)
func (c calendar) instant(year int, month time.Month, day int) Time {
	wall := At(time.Date(year, month, day, 0, 0, 0, 0, time.UTC)) + Time(c.opening.Milliseconds())
	before := c.offset(wall - 48*3600*1000)
	if c.offset(wall-before) == before {
		return wall - before
	}
	if after := c.offset(wall - before); c.offset(wall-after) == after {
		return wall - after
	}
	return wall - before
}

// offset is how far the zone's clocks are ahead of UTC.
func (c calendar) offset(at Time) Time {
	_, seconds := at.Std().In(c.zone.Location).Zone()
	return Time(seconds) * 1000
}

func (c calendar) name() string { return "1" + c.unit.String() }

// String is the calendar with all that gives it meaning.
func (c calendar) String() string {
	s := fmt.Sprintf("%s of %s from %v", c.unit, c.zone.text, c.opening)
	if c.unit == Week {
		s += " on " + c.first.String()
	}
	return s
}
