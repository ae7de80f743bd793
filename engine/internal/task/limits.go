package task

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/ashi-stream/ashi/windows"
)

// TopicLimits are what a topic takes. A record beyond them would be refused by its broker, and its
// transaction with it.
type TopicLimits struct {
	// Bytes are the most that a record may have, with what a batch adds to it (max.message.bytes).
	// 0: not known.
	Bytes int
	// Before and After are how far a timestamp may be behind the broker's clock, and ahead of it
	// (message.timestamp.before.max.ms and after). 0: any.
	Before, After time.Duration
	// Keyed says that records must have keys, as the topic is compacted.
	Keyed bool
}

// clockMargin is how far the clocks of a broker and of this machine may differ, and how long a row
// may wait to be sent, where a topic limits timestamps. Of a limit below two of it half is the
// margin.
const clockMargin = time.Minute

// maxWritten is as far as timestamps are written.
const maxWritten windows.Time = math.MaxInt64 / 1_000_000

// choosy says that size is not all that counts.
func (l *TopicLimits) choosy() bool { return l.Keyed || l.Before > 0 || l.After > 0 }

// refusal is why the topic of o does not take it, with Reason, class and error; false: as far as is
// known it does.
func (t *Task) refusal(o *Output) (f failure, refused bool) {
	if t.cfg.Refused != nil {
		t.out = *o // o itself would go to the heap, for each row
		if err := t.cfg.Refused(&t.out); err != nil {
			return failure{reason: Refused, class: classRefused, err: err}, true
		}
	}
	n := o.size()
	if n <= t.leastLimit && !t.choosy {
		return f, false
	}
	l := t.cfg.Limits[o.Topic]
	if l.Bytes > 0 && n > l.Bytes {
		err := fmt.Errorf("record with key %q has %d bytes, topic %s takes %d (max.message.bytes)", o.Key, n, o.Topic,
			l.Bytes)
		return failure{reason: TooLarge, class: classTooLarge, err: err}, true
	}
	if !l.choosy() {
		return f, false
	}
	if err := l.refuses(o, t.clock); err != nil {
		return failure{reason: Refused, class: classRefused, err: err}, true
	}
	return f, false
}

// refuses is why a topic does not take the key or the timestamp of o; nil if it does.
func (l *TopicLimits) refuses(o *Output, clock windows.Time) error {
	if l.Keyed && o.Key == nil {
		return fmt.Errorf("topic %s does not take records without a key, as it is compacted", o.Topic)
	}
	if l.After > 0 && o.Timestamp > clock+millis(l.After-margin(l.After)) {
		return outside(o, "ahead of", "after", l.After)
	}
	if l.Before > 0 && o.Timestamp < clock-millis(l.Before-margin(l.Before)) {
		return outside(o, "behind", "before", l.Before)
	}
	return nil
}

func outside(o *Output, where, setting string, limit time.Duration) error {
	return fmt.Errorf("topic %s does not take the timestamp %v of the record with key %q: it takes %v %s the clock "+
		"(message.timestamp.%s.max.ms), less %v as clocks differ",
		o.Topic, o.Timestamp, o.Key, limit, where, setting, margin(limit))
}

func margin(limit time.Duration) time.Duration { return min(clockMargin, limit/2) }

func millis(d time.Duration) windows.Time { return windows.Time(d.Milliseconds()) }

// hand hands an output to the producer, or does with the record at work what the policy of a step
// says, where the topic does not take it.
func (t *Task) hand(step string, o Output) {
	if f, refused := t.refusal(&o); refused {
		f.step = step
		_ = t.judge(f, t.policyOf(step).Then) // Run sees it
		return
	}
	t.send(t.ctx, o)
}

// Refusal is the error for a record that a broker does not take, whatever comes with it.
type Refusal struct {
	Output Output
	Err    error
}

// Error says what was refused.
func (r *Refusal) Error() string {
	o := &r.Output
	return fmt.Sprintf("topic %s/%d refuses the record with key %q and timestamp %v: %v", o.Topic, o.Partition, o.Key,
		o.Timestamp, r.Err)
}

// Unwrap is the broker's error.
func (r *Refusal) Unwrap() error { return r.Err }

// RefusedError is an ErrAborted that says which records the broker has refused, each by itself: the
// task that is opened next is to be given them as Config.Refused, or it would be refused the same
// ones, and so for ever.
type RefusedError struct{ Records []Refusal }

// Error names the first record.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%v: %v", ErrAborted, &e.Records[0])
	if others := len(e.Records) - 1; others > 0 {
		text += fmt.Sprintf(" (and %d others)", others)
	}
	return text
}

// Unwrap is ErrAborted and the broker's error.
func (e *RefusedError) Unwrap() []error { return []error{ErrAborted, &e.Records[0]} }

// Fingerprint tells apart outputs that a broker may judge otherwise: it is the same for the same
// topic, key, value, timestamp and headers. Timestamps count as they are written, from 1677 to
// 2262.
func (o *Output) Fingerprint() (sum [sha256.Size]byte) {
	h := sha256.New()
	part := func(b []byte) {
		var size [9]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		if b == nil {
			size[8] = 1
		}
		h.Write(size[:])
		h.Write(b)
	}
	part([]byte(o.Topic))
	part(o.Key)
	part(o.Value)
	part(binary.BigEndian.AppendUint64(nil, uint64(min(max(o.Timestamp, -maxWritten), maxWritten))))
	for _, header := range o.Headers {
		part([]byte(header.Key))
		part(header.Value)
	}
	h.Sum(sum[:0])
	return sum
}
