package windows

import (
	"math"
	"strconv"
	"time"
)

// Window is the span of event time [Start, End): a record at Start is in it, one at End is not.
type Window struct {
	Start, End Time
}

// Tumble is one size of tumbling windows: they follow each other without gap or overlap, aligned to 1970-01-01 UTC
// (semantics.md [W1]). The zero Tumble is of no use; a Spec makes valid ones.
type Tumble struct {
	size Time
}

// Size is the length of each window.
func (w Tumble) Size() time.Duration { return time.Duration(w.size) * time.Millisecond }

// Start is the start of the window that holds t. A t before 1970 is in no window [W2]: do not ask for it.
func (w Tumble) Start(t Time) Time { return t - t%w.size }

// End is the end, not included, of the window that starts at start. It saturates at the largest Time.
func (w Tumble) End(start Time) Time { return saturatingAdd(start, w.size) }

// Closes is the stream time from which on the window that starts at start is closed: its end plus grace, saturating.
func (w Tumble) Closes(start, grace Time) Time { return saturatingAdd(w.End(start), grace) }

// Name is the size as it stands in names of topics, files and tables: 15min where it is whole minutes, else 30s, else 250ms
// (requirement FIN-3).
func (w Tumble) Name() string { return Name(w.Size()) }

// Name is a window size as it stands in names of topics, files and tables: see Tumble.Name.
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

// Closed says whether a window is closed at stream time now, given the end of the window and the grace after it: from
// now >= end + grace on (semantics.md [W5]). The record that moves stream time is itself judged by the new one.
func Closed(end, grace, now Time) bool { return now >= saturatingAdd(end, grace) }

func saturatingAdd(a, b Time) Time {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
