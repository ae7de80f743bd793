package windows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultGrace is how long a window waits for records that are out of order, unless the Spec says otherwise (WIN-3).
const DefaultGrace = 3 * time.Second

// Spec is the windows of one aggregation: one size or several, kept up in one pass over the records (WIN-2), and the grace
// that all of them share. It is a value; its methods return changed copies. Mistakes are kept until Validate, so that a
// plan can report them beside its others.
type Spec struct {
	tumbles []Tumble // ascending, each size once
	grace   Time
	errs    []error
}

// Tumbling is windows of the given sizes: whole milliseconds, at least one. Sizes are put in order and repeated ones count
// once.
func Tumbling(size time.Duration, more ...time.Duration) Spec {
	s := Spec{grace: Time(DefaultGrace.Milliseconds())}
	for _, d := range append([]time.Duration{size}, more...) {
		switch {
		case d <= 0:
			s.errs = append(s.errs, fmt.Errorf("windows: size %v: must be more than 0", d))
		case d%time.Millisecond != 0:
			s.errs = append(s.errs, fmt.Errorf("windows: size %v: must be whole milliseconds", d))
		default:
			s.tumbles = append(s.tumbles, Tumble{size: Time(d.Milliseconds())})
		}
	}
	slices.SortFunc(s.tumbles, func(a, b Tumble) int { return int(min(max(a.size-b.size, -1), 1)) })
	s.tumbles = slices.Compact(s.tumbles)
	return s
}

// Minutes is Tumbling with sizes in minutes: Minutes(1, 5, 15, 60).
func Minutes(size int, more ...int) Spec {
	sizes := make([]time.Duration, len(more))
	for i, m := range more {
		sizes[i] = time.Duration(m) * time.Minute
	}
	return Tumbling(time.Duration(size)*time.Minute, sizes...)
}

// Grace is s with another grace: for how long after its end, in stream time, a window takes records. 0 is allowed.
func (s Spec) Grace(d time.Duration) Spec {
	s.errs = slices.Clone(s.errs)
	if d < 0 || d%time.Millisecond != 0 {
		s.errs = append(s.errs, fmt.Errorf("windows: grace %v: must be whole milliseconds, 0 or more", d))
		return s
	}
	s.grace = Time(d.Milliseconds())
	return s
}

// Validate returns every mistake in s, joined, or nil.
func (s Spec) Validate() error {
	if len(s.tumbles) == 0 && len(s.errs) == 0 {
		return errors.New("windows: no size given: use Tumbling or Minutes")
	}
	return errors.Join(s.errs...)
}

// Tumbles are the sizes, ascending, each once. The slice is the caller's.
func (s Spec) Tumbles() []Tumble { return slices.Clone(s.tumbles) }

// GraceTime is the grace in milliseconds.
func (s Spec) GraceTime() Time { return s.grace }

// Size picks one of the sizes. The error lists those that there are (WIN-2).
func (s Spec) Size(d time.Duration) (Tumble, error) {
	names := make([]string, len(s.tumbles))
	for i, w := range s.tumbles {
		if w.Size() == d {
			return w, nil
		}
		names[i] = w.Name()
	}
	return Tumble{}, fmt.Errorf("windows: no windows of size %v: there are %s", d, strings.Join(names, ", "))
}

// String is the Spec as plans print it: tumbling 1min,5min grace 3s.
func (s Spec) String() string {
	names := make([]string, len(s.tumbles))
	for i, w := range s.tumbles {
		names[i] = w.Name()
	}
	return fmt.Sprintf("tumbling %s grace %v", strings.Join(names, ","), time.Duration(s.grace)*time.Millisecond)
}
