package task

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// input is one topic of the task's. Its head is the next record that was accepted, decoded ahead so
// that its event time is known.
type input struct {
	task  *Task
	name  string
	topic string
	place uint64
	table bool
	rank  int // of records at one event time the input with the lowest goes first
	// written by the plan itself: no event time is too far ahead any more, whatever this machine's
	// clock says
	ours     bool
	decode   func(*topology.Record, []byte, []byte) error
	steps    []runner
	onDecode *topology.Policy // nil: that of all errors
	// deletions says that the keys of records without value are decoded too.
	deletions bool

	batch   *Batch // nil: none
	at      int    // place in the batch of the head, or of the next record to look at
	headed  bool   // record holds the head
	record  topology.Record
	limit   windows.Time // of event times
	release func()
}

// rank is an input's place among those that have a record at one event time.
func rank(s *topology.Source) int {
	switch {
	case s.Table:
		return 0
	case s.First:
		return 1
	}
	return 2
}

// Wants says that nothing of a topic is left to process: Offer may be called.
func (t *Task) Wants(topic string) bool {
	in := t.input(topic)
	return in != nil && in.batch == nil
}

// Offer gives the task the next batch of an input that it Wants. The batch's records must stay as
// they are until it wants another. release is called when all that the batch led to is committed.
func (t *Task) Offer(b *Batch, release func()) {
	in := t.input(b.Topic)
	in.batch, in.at, in.release, in.limit = b, 0, release, windows.Last
	if t.cfg.Ahead > 0 && !in.ours {
		in.limit = min(windows.At(t.cfg.Now().Add(t.cfg.Ahead)), windows.Last)
	}
	t.changed = true
}

func (t *Task) input(topic string) *input {
	for _, in := range t.inputs {
		if in.topic == topic {
			return in
		}
	}
	return nil
}

// Run processes what was offered, the record with the lowest event time first; of equal ones a
// table's before a stream's, those of a Source.First before other streams', then in the order of
// the plan's sources [T5]. It stops when an input has nothing left of which ended does not say that
// its topic has no more records now: with several inputs the next one is not known then. It commits
// when that is due. Records that are bad are dropped and counted; an error ends the task.
func (t *Task) Run(ctx context.Context, ended func(topic string) bool) error {
	if t.adopting {
		if err := t.Commit(ctx); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t.begin(ctx)
	defer t.pulse.move(rest)
	for {
		in := t.next(ended)
		t.raw, t.source = nil, nil // a bad record that next has come across
		if t.broken != nil {
			return t.broken
		}
		if in == nil {
			break
		}
		t.take(in, &in.batch.Records[in.at])
		t.pulse.record(in.place, t.raw.Offset)
		t.offset = t.raw.Offset
		in.headed = false
		in.at++
		t.changed = true
		if err := forward(ctx, in.steps, &in.record); err != nil {
			if err == t.broken {
				return err // it says itself which record it is
			}
			return fmt.Errorf("offset %d of %s/%d: %w", t.offset, in.topic, t.cfg.Partition, err)
		}
		if t.broken != nil {
			return t.broken
		}
		t.raw, t.source = nil, nil
		if err := t.between(ctx); err != nil {
			return err
		}
	}
	if t.produced >= t.cfg.CommitBytes || t.cfg.Memory > 0 && t.Memory() > t.cfg.Memory {
		return t.Commit(ctx)
	}
	return t.Tick(ctx)
}

// between looks at the context and the clock now and then, and commits where that is due: a batch
// may take long where functions do, and all that it makes must not come together in one
// transaction, which has a time-out.
func (t *Task) between(ctx context.Context) error {
	if t.pace.left--; t.pace.left > 0 && t.waited == 0 {
		return nil
	}
	t.waited = 0
	if ctx.Err() != nil {
		return ctx.Err() // the partition is wanted elsewhere: what was done since the last commit does not count
	}
	now := t.cfg.Now()
	t.clock = windows.At(now)
	t.pace.look(now, t.cfg.CommitEvery)
	if now.Sub(t.lastCommit) < t.cfg.CommitEvery {
		return nil
	}
	return t.Commit(ctx)
}

// pace is how often a task looks up from its work.
type pace struct {
	left   int // records until it does
	stride int // records between two looks, at most checkEvery
	last   time.Time
}

// look lets the next look come later where there was no need for this one, and sooner where much of
// the time between commits has gone by.
func (p *pace) look(now time.Time, every time.Duration) {
	if now.Sub(p.last) > every/8 {
		p.stride /= 2
	} else {
		p.stride *= 2
	}
	p.stride = min(max(p.stride, 1), checkEvery)
	p.left, p.last = p.stride, now
}

// next is the input whose head is to be processed, nil if that is not known or there is none.
func (t *Task) next(ended func(topic string) bool) (first *input) {
	for _, in := range t.inputs {
		switch {
		case !in.fill():
			if !ended(in.topic) {
				return nil
			}
		case first == nil, in.record.Time < first.record.Time, in.record.Time == first.record.Time &&
			in.rank < first.rank:
			first = in
		}
	}
	return first
}

// fill makes sure that there is a head; false if the batch has no record left that is accepted:
// then the batch is done.
func (in *input) fill() bool {
	if in.headed {
		return true
	}
	if in.batch == nil {
		return false
	}
	for ; in.at < len(in.batch.Records); in.at++ {
		if in.accept(&in.batch.Records[in.at]) {
			in.headed = true
			return true
		}
		if in.task.broken != nil {
			return false // the record is still to come
		}
	}
	t := in.task
	t.changed = true
	t.progress.Inputs[in.topic] = in.batch.Next
	t.releases = append(t.releases, in.release)
	if len(in.batch.Records) > 0 {
		for _, o := range t.operators {
			o.sawRecords()
		}
	}
	in.batch, in.release = nil, nil
	return false
}

// accept decodes r into in.record, or does with it what its policy says.
func (in *input) accept(r *Record) bool {
	in.record = topology.Record{Key: r.Key, Group: r.Key, Time: r.Timestamp}
	in.task.pulse.record(in.place, r.Offset)
	in.task.pulse.move(in.place)
	switch {
	case r.Err != nil:
		return in.tooLarge(r)
	case r.Value != nil || in.deletions:
		if err := in.decodeGuarded(r); err != nil && !in.decodeAgain(r, err) {
			return false
		}
		if in.record.Value == nil && !in.table && !in.ours { // bytes that stand for null
			return in.unfit(r, NullValue, nil)
		}
	case !in.table:
		return in.unfit(r, NullValue, nil)
	}
	switch at := in.record.Time; {
	case at < 0:
		return in.unfit(r, Negative, nil)
	case at > windows.Last:
		return in.unfit(r, Ahead, fmt.Errorf("event time %d ms is beyond all windows, which end at %d", int64(at),
			int64(windows.Last)))
	case at > in.limit:
		return in.unfit(r, Ahead, fmt.Errorf("event time %v is more than %v ahead of the clock", at, in.task.cfg.Ahead))
	}
	return true
}

// tooLarge does what the policy says with a record that was not taken into memory.
func (in *input) tooLarge(r *Record) bool {
	t := in.task
	t.take(in, r)
	policy := in.onDecode
	if policy == nil {
		policy = t.policyOf(in.name)
	}
	_ = t.judge(failure{Undecodable, classDecode, in.name, r.Err}, policy.Then) // Run sees it
	return false
}

// take makes r the record at work. Its place in memory says nothing: batches use theirs again.
func (t *Task) take(in *input, r *Record) { t.raw, t.source, t.lettered = r, in, false }

// unfit drops r.
func (in *input) unfit(r *Record, reason Reason, err error) bool {
	in.task.take(in, r)
	in.task.unfit(reason, in.name, err)
	return false
}

// decodeAgain decodes a record for which that has failed again, if its policy says so, and lets the
// policy take place where it still fails.
func (in *input) decodeAgain(r *Record, err error) bool {
	t := in.task
	t.take(in, r)
	policy := in.onDecode
	if policy == nil {
		policy = t.policyOf(in.name)
	}
	for n := 0; err != nil && t.again(policy, n, err); n++ {
		err = in.decodeGuarded(r)
	}
	if errors.Is(err, topology.ErrForm) && t.broken == nil {
		t.broken = t.unreadable(err) // no fault of the record: the program can be mended, and nothing is lost
		return false
	}
	if err != nil {
		_ = t.judge(failure{Undecodable, classDecode, in.name, err}, policy.Then) // Run sees it
	}
	return err == nil
}

func (in *input) decodeGuarded(r *Record) (err error) {
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	err = in.decode(&in.record, r.Key, r.Value)
	done = true
	return err
}

// positions brings the commit record up to the records that have been processed.
func (t *Task) positions() {
	for _, in := range t.inputs {
		switch {
		case in.batch == nil:
		case in.at < len(in.batch.Records):
			t.progress.Inputs[in.topic] = in.batch.Records[in.at].Offset
		default: // its last record is processed, and fill has not looked since
			t.progress.Inputs[in.topic] = in.batch.Next
		}
	}
}
