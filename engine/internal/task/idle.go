package task

import (
	"context"
	"time"

	"github.com/ashi-stream/ashi/windows"
)

// idleClock lets stream time go on with the clock where no records come (windows.Spec.CloseIdle).
// The zero idleClock never does.
type idleClock struct {
	after time.Duration // without records, from then on
	since time.Time     // when the last record came, or the task was opened
	base  windows.Time  // stream time then
}

// saw notes that records have come, and stream time with them.
func (c *idleClock) saw(now time.Time, streamTime windows.Time) { c.since, c.base = now, streamTime }

// streamTime is where stream time is by the clock; false where it goes by records.
func (c *idleClock) streamTime(now time.Time) (windows.Time, bool) {
	quiet := now.Sub(c.since)
	if c.after == 0 || quiet < c.after || c.base == windows.Min {
		return 0, false
	}
	return c.base + windows.Time(quiet.Milliseconds()), true
}

// sawRecords starts the idle clock anew.
func (w *windowed) sawRecords() {
	if w.idle.after > 0 {
		w.idle.saw(w.task.cfg.Now(), w.streamTime)
	}
}

// tick closes the windows that the clock has closed. Stream time moves only where it closes some:
// it is part of the next commit together with their rows, so a successor agrees with both.
func (w *windowed) tick(ctx context.Context) (bool, error) {
	now, ok := w.idle.streamTime(w.task.cfg.Now())
	if !ok || now < w.nextClose {
		return false, nil
	}
	if closes, err := w.closesBy(now); err != nil || !closes {
		return false, err
	}
	w.streamTime = max(w.streamTime, now)
	return true, w.close(ctx)
}

// closesBy says whether a window that has rows would be closed at a stream time. nextClose may be
// earlier: sessions grow, and a bucket is empty where the aggregates have refused its only record.
func (w *windowed) closesBy(now windows.Time) (bool, error) {
	for _, s := range w.sizes {
		if s.sessions != nil {
			if closes, err := w.sessionsCloseBy(s, now); err != nil || closes {
				return closes, err
			}
		}
		if s.sliding != nil {
			if closes, err := w.slideClosesBy(s, now); err != nil || closes {
				return closes, err
			}
		}
		for _, b := range s.open {
			if (len(b.groups) > 0 || b.absent) && s.nextClose(b.start, w.grace) <= now {
				return true, nil
			}
		}
	}
	return false, nil
}
