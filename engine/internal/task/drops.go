package task

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Reason is why a record, or its share in one window, went no further.
type Reason uint8

// The reasons.
const (
	NullValue   Reason = iota // a stream's record without a value [G1]
	NullKey                   // a record without a key reached an aggregate [W4]
	Undecodable               // the codec refused key or value
	Negative                  // event time before 1970 [T1]
	Ahead                     // event time too far ahead of the clock
	Late                      // its window was closed: counted per window [W5]
	Failed                    // a function of the user's returned an error or panicked
	reasons
)

var reasonNames = [reasons]string{"null_value", "null_key", "undecodable", "negative_time", "ahead_of_clock", "late", "failed"}

// String is the reason as metrics and logs name it.
func (r Reason) String() string { return reasonNames[r] }

// Reasons are all reasons there are.
func Reasons() []Reason {
	all := make([]Reason, reasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// Drops counts what was dropped, by reason. It may be shared by tasks and read at any time.
type Drops struct {
	counts [reasons]atomic.Int64
}

// Count is how many were dropped for a reason.
func (d *Drops) Count(r Reason) int64 { return d.counts[r].Load() }

// logEvery is the least time between two log lines about the same reason in one task.
const logEvery = 10 * time.Second

// dropLog counts drops and logs them, a reason at most once in logEvery.
type dropLog struct {
	drops  *Drops
	log    *slog.Logger
	now    func() time.Time
	last   [reasons]time.Time
	silent [reasons]int64 // since last
}

// drop counts one drop. where is the step; offset the record's; err what was wrong, if there is more to say than the reason.
func (d *dropLog) drop(r Reason, where string, offset int64, err error) {
	d.drops.counts[r].Add(1)
	d.silent[r]++
	if r == Late && d.silent[r] > 1 && d.silent[r]%1024 != 0 {
		return // late records come in masses: do not ask the clock for each
	}
	now := d.now()
	if now.Sub(d.last[r]) < logEvery {
		return
	}
	attrs := []any{"reason", r.String(), "step", where, "offset", offset, "count", d.silent[r]}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	if r == Undecodable {
		attrs = append(attrs, "component", "serialization") // whose level decides (LOG-1)
	}
	d.log.Warn("records dropped", attrs...)
	d.last[r], d.silent[r] = now, 0
}

// panicked is the error that a panic of user code stands for.
func panicked(what any) error { return fmt.Errorf("task: user code panicked: %v", what) }
