package windows

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Window is the span of event time [Start, End): a record at Start is in it, one at End is not. Of
// sessions and sliding windows End is in it too.
type Window struct {
	Start, End Time
}

// Form is how windows lie in time.
type Form uint8

// The forms.
const (
	// FormTumbling: of one size, one after the other, aligned to 1970-01-01 UTC [W1].
	FormTumbling Form = iota + 1
	// FormHopping: of one size, one starting at every multiple of the advance, so that they overlap
	// [W1].
	FormHopping
	// FormCalendar: days, weeks or months of a time zone, one after the other.
	FormCalendar
	// FormUnbounded: a single one that has all records, and never closes.
	FormUnbounded
	// FormSession: as long as there is no gap between the records of a key [S1].
	FormSession
	// FormSliding: of one size, ending at each record of a key, and beginning behind each one where
	// others follow, so that there is one for every set of records within the size of each other
	// [L1].
	FormSliding
)

// Kind is windows of one form and size: one of those that a Spec asks for. Kinds are equal (==) if
// they have the same windows, also where a zone was loaded twice. The zero Kind is of no use; a
// Spec makes valid ones.
type Kind struct {
	form    Form
	size    Time // of sessions: the gap; of sliding windows the time from start to end, both in the window
	advance Time
	cal     calendar
}

// Form is how the windows lie.
func (k Kind) Form() Form { return k.form }

// Size is the length of each window; of sessions the gap; of sliding windows the time between the
// first and the last instant in them; 0 where lengths differ.
func (k Kind) Size() time.Duration { return time.Duration(k.size) * time.Millisecond }

// Advance is the distance between the starts of hopping windows; of tumbling ones their size.
func (k Kind) Advance() time.Duration { return time.Duration(k.advance) * time.Millisecond }

// Start is the start of the newest window that holds t: of hopping windows there may be older ones
// (First). A t before 1970 is in no window [W2]: do not ask for it, nor for the start of sessions
// and sliding windows, which other records decide.
func (k Kind) Start(t Time) Time {
	switch k.form {
	case FormCalendar:
		return max(k.cal.start(t), 0)
	case FormUnbounded:
		return 0
	}
	return t - t%k.advance
}

// First is the start of the oldest window that holds t [W2]: the others follow at each advance. No
// window starts before 1970.
func (k Kind) First(t Time) Time {
	if k.form != FormHopping {
		return k.Start(t)
	}
	return max(0, t-k.size+k.advance) / k.advance * k.advance
}

// End is the end, not included, of the window that starts at start; of sliding windows it is
// included [L1]. It saturates at the largest Time.
func (k Kind) End(start Time) Time {
	switch k.form {
	case FormCalendar:
		return k.cal.end(start)
	case FormUnbounded:
		return math.MaxInt64
	}
	return saturatingAdd(start, k.size)
}

// Closes is the stream time from which on the window that starts at start is closed: its end plus
// grace, saturating; of sliding windows, whose end is in them, 1 ms later [L2].
func (k Kind) Closes(start, grace Time) Time {
	closes := saturatingAdd(k.End(start), grace)
	if k.form == FormSliding {
		return saturatingAdd(closes, 1)
	}
	return closes
}

// Slice is tumbling windows of the largest size that every window of k is made of: the greatest
// common divisor of size and advance. ok is false for forms that are not made of slices.
func (k Kind) Slice() (slice Kind, ok bool) {
	if k.form != FormHopping {
		return Kind{}, false
	}
	a, b := k.size, k.advance
	for b != 0 {
		a, b = b, a%b
	}
	return Kind{form: FormTumbling, size: a, advance: a}, true
}

// Name is the kind as it stands in names of topics, files and tables: 15min where it is whole
// minutes, else 30s, else 250ms (requirement FIN-3); 60min_by_1min for hopping windows;
// session_30s; sliding_5min; 1day, 1week, 1month; all.
func (k Kind) Name() string {
	switch k.form {
	case FormHopping:
		return Name(k.Size()) + "_by_" + Name(k.Advance())
	case FormCalendar:
		return k.cal.name()
	case FormUnbounded:
		return "all"
	case FormSession:
		return "session_" + Name(k.Size())
	case FormSliding:
		return "sliding_" + Name(k.Size())
	}
	return Name(k.Size())
}

// String is the kind as plans print it and fingerprints have it: all that gives it meaning.
func (k Kind) String() string {
	switch k.form {
	case FormTumbling:
		return "tumbling " + k.Name()
	case FormHopping:
		return fmt.Sprintf("hopping %s by %s", Name(k.Size()), Name(k.Advance()))
	case FormCalendar:
		return "calendar " + k.cal.String()
	case FormSession:
		return "session gap " + Name(k.Size())
	case FormSliding:
		return "sliding " + Name(k.Size())
	case FormUnbounded:
		return "unbounded"
	}
	return "none"
}

// Name is a window size as it stands in names of topics, files and tables: see Kind.Name.
func Name(size time.Duration) string {
	ms := size.Milliseconds()
	switch {
	case ms%60_000 == 0:
		return strconv.FormatInt(ms/60_000, 10) + "min"
	case ms%1000 == 0:
		return strconv.FormatInt(ms/1000, 10) + "s"
	default:
		return strconv.FormatInt(ms, 10) + "ms"
	}
}

// Closed says whether a window is closed at stream time now, given the end of the window and the
// grace after it: from now >= end + grace on (semantics.md [W5]). The record that moves stream time
// is itself judged by the new one.
func Closed(end, grace, now Time) bool { return now >= saturatingAdd(end, grace) }

func saturatingAdd(a, b Time) Time {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
