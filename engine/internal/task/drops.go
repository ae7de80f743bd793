package task

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/rare"
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
	Failed                    // a function of the user's returned an error or panicked, or a row could not be encoded
	TooLarge                  // a row has more bytes than its topic takes
	// its topic does not take the row for another reason: its timestamp, its lack of a key, what
	// the broker says
	Refused
	Misplaced // its group belongs to another partition: the plan assumes that it does not
	reasons
)

var reasonNames = [reasons]string{"null_value", "null_key", "undecodable", "negative_time", "ahead_of_clock", "late",
	"failed", "too_large", "refused", "misplaced"}

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

// Drops counts what was dropped, and apart from that what became a dead letter, by reason. It may
// be shared by tasks and read at any time.
type Drops struct {
	counts, letters [reasons]atomic.Int64
}

// Count is how many were dropped for a reason.
func (d *Drops) Count(r Reason) int64 { return d.counts[r].Load() }

// Letters is how many became dead letters for a reason.
func (d *Drops) Letters(r Reason) int64 { return d.letters[r].Load() }

// dropLog counts drops and letters and logs them, a reason of each at most once in [rare.Every],
// with the number since the last line.
type dropLog struct {
	drops         *Drops
	log, codecs   *slog.Logger
	now           func() time.Time
	dropped, dead [reasons]rare.Limit
}

// drop counts one drop. where is the step; offset the record's; err what was wrong, if there is
// more to say than the reason.
func (d *dropLog) drop(r Reason, where string, offset int64, err error) {
	d.drops.counts[r].Add(1)
	l := &d.dropped[r]
	if r == Late && l.Unsaid > 0 && l.Unsaid%1024 != 0 {
		l.Unsaid++
		return // late records come in masses: do not ask the clock for each
	}
	d.say(l, "records dropped", r, where, offset, err)
}

// lettered counts a dead letter.
func (d *dropLog) lettered(r Reason, where string, offset int64, err error) {
	d.drops.letters[r].Add(1)
	d.say(&d.dead[r], "records sent to the dead letters", r, where, offset, err)
}

func (d *dropLog) say(l *rare.Limit, what string, r Reason, where string, offset int64, err error) {
	unsaid, due := l.Due(d.now())
	if !due {
		return
	}
	attrs := []any{"reason", r.String(), "step", where, "offset", offset, "count", unsaid + 1}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	log := d.log
	if r == Undecodable {
		log = d.codecs
	}
	log.Warn(what, attrs...)
}
