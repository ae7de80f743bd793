package windows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultGrace is how long a window waits for records that are out of order, unless the Spec says
// otherwise (WIN-3).
const DefaultGrace = 3 * time.Second

// Spec is the windows of one aggregation: one kind or several, kept up in one pass over the records
// (WIN-2), and the grace that all of them share. It is a value; its methods return changed copies.
// Mistakes are kept until Validate, so that a plan can report them beside its others.
type Spec struct {
	kinds []Kind // ascending, each once
	grace Time
	idle  Time // 0: never
	errs  []error
}

// Tumbling is windows of the given sizes: whole milliseconds, at least one. Sizes are put in order
// and repeated ones count once.
func Tumbling(size time.Duration, more ...time.Duration) Spec {
	var s Spec
	for _, d := range append([]time.Duration{size}, more...) {
		if ms := s.positive("size", d); ms > 0 {
			s.kinds = append(s.kinds, Kind{form: FormTumbling, size: ms, advance: ms})
		}
	}
	return s.finished()
}

// Minutes is Tumbling with sizes in minutes: Minutes(1, 5, 15, 60).
func Minutes(size int, more ...int) Spec {
	sizes := make([]time.Duration, len(more))
	for i, m := range more {
		sizes[i] = time.Duration(m) * time.Minute
	}
	return Tumbling(time.Duration(size)*time.Minute, sizes...)
}

// Hopping is windows of a size that start at every multiple of advance: whole milliseconds, 0 <
// advance <= size. The size need not be a multiple of the advance; the number of windows that a
// record is in then varies by one [W3].
func Hopping(size, advance time.Duration) Spec {
	var s Spec
	ms, hop := s.positive("size", size), s.positive("advance", advance)
	switch {
	case hop > ms && ms > 0:
		s.errs = append(s.errs,
			fmt.Errorf("windows: advance %v is more than size %v: records in between would be in no window", advance,
				size))
	case hop == ms:
		s.kinds = []Kind{{form: FormTumbling, size: ms, advance: ms}}
	case hop > 0 && ms > 0:
		s.kinds = []Kind{{form: FormHopping, size: ms, advance: hop}}
	}
	return s.finished()
}

// Session is windows as long as a key's records follow each other within gap, gap included [S3]:
// whole milliseconds, more than 0. Both bounds of a session are times of records, and in it [S1].
func Session(gap time.Duration) Spec {
	var s Spec
	if ms := s.positive("gap", gap); ms > 0 {
		s.kinds = []Kind{{form: FormSession, size: ms, advance: ms}}
	}
	return s.finished()
}

// Sliding is windows in which the records of a key are at most diff apart, as Kafka Streams'
// SlidingWindows: [t - diff, t] for each time t of a record, and [t+1, t+1+diff] where others
// follow it within that [L1]; both bounds are in the window. There is one for each set of records
// that a span of diff can have. In place of windows that would start before 1970 there is one, [0,
// diff] [L2]. Whole milliseconds, more than 0.
//
// Sliding(10ms), one key; of the windows those that are new or have changed:
//
//	record at   windows
//	20          [10,20] 20
//	25          [15,25] 20 25   [21,31] 25
//	31          [21,31] 25 31   [26,36] 31
//	23          [15,25] 20 23 25   [13,23] 20 23   [21,31] 23 25 31   [24,34] 25 31
func Sliding(diff time.Duration) Spec {
	var s Spec
	if ms := s.positive("time difference", diff); ms > 0 {
		s.kinds = []Kind{{form: FormSliding, size: ms}}
	}
	return s.finished()
}

// Days is calendar days of a zone, from opening after midnight on: Days(newYork, 17*time.Hour) is
// the trading day that begins at 17:00. A negative opening is on the evening before: Days(newYork,
// -7*time.Hour) has the same bounds, but names of weeks and months go by the day after. Between -24
// h and 24 h, whole milliseconds. Days on which clocks are changed are longer or shorter; an
// opening in the hour that is left out is an hour later, one in the hour that comes twice is the
// first.
//
// A zone is known by its name, however often it is loaded, and one of time.FixedZone by its name
// and offset. time.Local is a mistake, as it is another zone on each machine.
func Days(zone *time.Location, opening time.Duration) Spec {
	return newCalendar(zone, calendar{unit: Day, opening: opening})
}

// Weeks is calendar weeks that begin on first, with the days of Days: Weeks(newYork, time.Monday,
// -7*time.Hour) is the trading week from Sunday 17:00 on.
func Weeks(zone *time.Location, first time.Weekday, opening time.Duration) Spec {
	return newCalendar(zone, calendar{unit: Week, first: first, opening: opening})
}

// Months is calendar months, with the days of Days.
func Months(zone *time.Location, opening time.Duration) Spec {
	return newCalendar(zone, calendar{unit: Month, opening: opening})
}

func newCalendar(in *time.Location, c calendar) Spec {
	var s Spec
	var err error
	c.zone, err = zoneOf(in)
	switch {
	case err != nil:
		s.errs = append(s.errs, fmt.Errorf("windows: %ss: %w", c.unit, err))
	case c.opening <= -24*time.Hour || c.opening >= 24*time.Hour || c.opening%time.Millisecond != 0:
		s.errs = append(s.errs,
			fmt.Errorf("windows: %ss: opening %v: must be whole milliseconds within 24h of midnight", c.unit,
				c.opening))
	case c.first < time.Sunday || c.first > time.Saturday:
		s.errs = append(s.errs, fmt.Errorf("windows: weeks: first day %d: must be a time.Weekday", c.first))
	default:
		s.kinds = []Kind{{form: FormCalendar, cal: c}}
	}
	return s.finished()
}

// Unbounded is a single window that never closes: an aggregation over all records of a group. It
// has changes and no finals.
func Unbounded() Spec {
	return Spec{kinds: []Kind{{form: FormUnbounded}}}.finished()
}

// And is the windows of s and of other, with the grace and the idle time of s, in one pass over the
// records.
func (s Spec) And(other Spec) Spec {
	s.kinds = append(slices.Clone(s.kinds), other.kinds...)
	s.errs = append(slices.Clone(s.errs), other.errs...)
	grace := s.grace
	s = s.finished()
	s.grace = grace
	return s
}

// positive is d in milliseconds, 0 if it is not more than 0 and whole.
func (s *Spec) positive(what string, d time.Duration) Time {
	switch {
	case d <= 0:
		s.errs = append(s.errs, fmt.Errorf("windows: %s %v: must be more than 0", what, d))
	case d%time.Millisecond != 0:
		s.errs = append(s.errs, fmt.Errorf("windows: %s %v: must be whole milliseconds", what, d))
	default:
		return Time(d.Milliseconds())
	}
	return 0
}

// finished puts the kinds in order, each once, and sets the default grace.
func (s Spec) finished() Spec {
	s.grace = Time(DefaultGrace.Milliseconds())
	slices.SortFunc(s.kinds, func(a, b Kind) int {
		return cmp.Or(cmp.Compare(a.form, b.form), cmp.Compare(a.size, b.size), cmp.Compare(a.advance, b.advance),
			cmp.Compare(a.cal.unit, b.cal.unit), cmp.Compare(a.String(), b.String()))
	})
	s.kinds = slices.Compact(s.kinds)
	return s
}

// Grace is s with another grace: for how long after its end, in stream time, a window takes
// records. 0 is allowed.
func (s Spec) Grace(d time.Duration) Spec {
	s.errs = slices.Clone(s.errs)
	if d < 0 || d%time.Millisecond != 0 {
		s.errs = append(s.errs, fmt.Errorf("windows: grace %v: must be whole milliseconds, 0 or more", d))
		return s
	}
	s.grace = Time(d.Milliseconds())
	return s
}

// CloseIdle is s with windows that close by the clock too, where a partition has had no records for
// d or longer: stream time then goes on with the clock, from where it was when the last record came
// (FIN-6). Without it windows close by stream time alone, so the last windows of a quiet partition
// stay open, as in Kafka Streams. Whole milliseconds, more than 0. What a window has when it closes
// depends on when records come: replays of the same input may differ.
func (s Spec) CloseIdle(d time.Duration) Spec {
	s.errs = slices.Clone(s.errs)
	s.idle = s.positive("idle time", d)
	return s
}

// IdleTime is that of CloseIdle in milliseconds; 0 where it was not asked for.
func (s Spec) IdleTime() Time { return s.idle }

// Validate returns every mistake in s, joined, or nil.
func (s Spec) Validate() error {
	if len(s.kinds) == 0 && len(s.errs) == 0 {
		return errors.New("windows: no size given: use Tumbling or Minutes")
	}
	return errors.Join(s.errs...)
}

// Kinds are the kinds, ascending, each once. The slice is the caller's.
func (s Spec) Kinds() []Kind { return slices.Clone(s.kinds) }

// Merges says that rows of some of the kinds may be made by merging others: of hopping and sliding
// windows, and of sessions.
func (s Spec) Merges() bool {
	return slices.ContainsFunc(s.kinds, func(k Kind) bool {
		return k.form == FormHopping || k.form == FormSession ||
			k.form == FormSliding
	})
}

// GraceTime is the grace in milliseconds.
func (s Spec) GraceTime() Time { return s.grace }

// Size picks the tumbling windows of a size. The error lists those that there are (WIN-2).
func (s Spec) Size(d time.Duration) (Kind, error) {
	ms := Time(d.Milliseconds())
	return s.pick(Kind{form: FormTumbling, size: ms, advance: ms}, fmt.Sprintf("no windows of size %v", d))
}

// Pick picks the only kind of one, which a constructor such as Hopping made. The error lists those
// that there are.
func (s Spec) Pick(one Spec) (Kind, error) {
	if err := one.Validate(); err != nil {
		return Kind{}, err
	}
	if len(one.kinds) != 1 {
		return Kind{}, fmt.Errorf("windows: %d kinds of windows asked for, want one", len(one.kinds))
	}
	return s.pick(one.kinds[0], "no windows "+one.kinds[0].String())
}

func (s Spec) pick(k Kind, missing string) (Kind, error) {
	if slices.Contains(s.kinds, k) {
		return k, nil
	}
	return Kind{}, fmt.Errorf("windows: %s: there are %s", missing, s.names(Kind.Name))
}

func (s Spec) names(of func(Kind) string) string {
	names := make([]string, len(s.kinds))
	for i, k := range s.kinds {
		names[i] = of(k)
	}
	return strings.Join(names, ", ")
}

// String is the Spec as plans print it: tumbling 1min, tumbling 5min; grace 3s.
func (s Spec) String() string {
	text := fmt.Sprintf("%s; grace %v", s.names(Kind.String), time.Duration(s.grace)*time.Millisecond)
	if s.idle > 0 {
		text += fmt.Sprintf("; closed by the clock after %v", time.Duration(s.idle)*time.Millisecond)
	}
	return text
}
