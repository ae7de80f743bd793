package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// errNoLetters says that a function has returned dsl.Dead in a plan without dead letters.
var errNoLetters = errors.New("the plan has no dead letters: name their topic with DeadLetters")

// RecordError is the end of a task by a record whose policy is Fail.
type RecordError struct {
	Task      string // sub-topology and partition
	Step      string
	Topic     string // of the record; empty where it is a row of the plan's own that is in no topic
	Partition int32
	Offset    int64 // -1: a row that the plan has made, not one that it has read
	Err       error
}

// Error names the task, the step and the record.
func (e *RecordError) Error() string {
	record := fmt.Sprintf("record at offset %d of %s/%d", e.Offset, e.Topic, e.Partition)
	switch {
	case e.Topic == "":
		record = "a row"
	case e.Offset < 0:
		record = "a row for " + e.Topic
	}
	return fmt.Sprintf("task %s: step %s: %s: %v", e.Task, e.Step, record, e.Err)
}

// Unwrap is the error of the function or codec.
func (e *RecordError) Unwrap() error { return e.Err }

// panicError is what a panic of user code stands for.
type panicError struct {
	what  any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("task: user code panicked: %v", e.what) }

// panicked is to be called with what recover returned, by the deferred function that called it: the
// stack is still that of the panic.
func panicked(what any) error { return &panicError{what, debug.Stack()} }

// skip is the policy where the plan says nothing; mustFail that of final rows.
var (
	skip     = &topology.Policy{Then: topology.Skip}
	mustFail = &topology.Policy{Then: topology.Fail}
)

// collectPolicies notes the policies of steps.
func (t *Task) collectPolicies() {
	t.policies = map[string]*topology.Policy{}
	for n := range t.cfg.Sub.Nodes() {
		if n.OnError != nil {
			t.policies[n.Name] = n.OnError
		}
	}
}

// policyOf is the policy of a step for the record at work: its own, or that of the source.
func (t *Task) policyOf(step string) *topology.Policy {
	if p := t.policies[step]; p != nil {
		return p
	}
	in := t.source
	if in == nil {
		in = t.inputs[0] // no record is at work
	}
	if p := t.policies[in.name]; p != nil {
		return p
	}
	return skip
}

// again says whether a call of user code that failed is to be made once more, after the wait that
// its policy asks for. n is the number of retries so far.
func (t *Task) again(p *topology.Policy, n int, err error) bool {
	if n >= p.Retries || t.broken != nil || errors.As(err, new(*topology.DeadError)) ||
		errors.Is(err, topology.ErrUnavailable) || !worthIt(p, err) {
		return false
	}
	wait := p.Wait(n)
	if t.cfg.RetryTime > 0 && t.waited+wait > t.cfg.RetryTime {
		return false
	}
	t.waited += wait
	if err := t.pause(wait); err != nil {
		t.broken = err // the partition is wanted elsewhere: nobody knows whether the record would have failed
		return false
	}
	return true
}

// worthIt asks the user's condition. If that panics the answer is no.
func worthIt(p *topology.Policy, err error) (yes bool) {
	if p.When == nil {
		return true
	}
	defer func() { _ = recover() }()
	return p.When(err)
}

func (t *Task) pause(d time.Duration) error {
	from := t.pulse.move(rest)
	defer t.pulse.move(from)
	if t.cfg.Pause != nil {
		return t.cfg.Pause(t.ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-t.ctx.Done():
		return t.ctx.Err()
	case <-timer.C:
		return nil
	}
}

// failed does what the policy says with the record at work, at which a step's user code or codec
// has failed. An error ends the task; who cannot return it may leave it: Run sees it.
func (t *Task) failed(step string, err error) error {
	return t.judge(failure{Failed, classFunction, step, err}, t.policyOf(step).Then)
}

// failure is what went wrong with a record.
type failure struct {
	reason Reason
	class  string
	step   string
	err    error
}

// judge lets an action take place.
func (t *Task) judge(f failure, action topology.Action) error {
	if t.broken != nil {
		return t.broken
	}
	if errors.Is(f.err, topology.ErrUnavailable) { // nothing is wrong with the record
		t.broken = fmt.Errorf("task %s: step %s: %w", t.name(), f.step, orAborted(f.err))
		return t.broken
	}
	if errors.As(f.err, new(*topology.DeadError)) {
		f.class, action = ClassManual, topology.DeadLetter
		if t.cfg.Sub.DeadLetters == "" {
			f.err, action = fmt.Errorf("%w: %w", f.err, errNoLetters), topology.Fail
		}
	}
	if f.class == classFunction && errors.As(f.err, new(*panicError)) {
		f.class = classPanic
	}
	switch action {
	case topology.Fail:
		o := t.origin()
		t.broken = &RecordError{t.name(), f.step, o.topic, o.partition, o.offset, f.err}
		return t.broken
	case topology.DeadLetter:
		t.letter(f)
	default:
		t.drops.drop(f.reason, f.step, t.origin().offset, f.err)
	}
	return nil
}

// unfit drops a record that no function has failed for: a null key, a time before 1970. Where its
// policy is DeadLetter it becomes one; it never ends a task.
func (t *Task) unfit(r Reason, step string, err error) {
	if t.policyOf(step).Then != topology.DeadLetter {
		t.drops.drop(r, step, t.origin().offset, err)
		return
	}
	if err == nil {
		err = errors.New(r.String())
	}
	t.letter(failure{r, r.String(), step, err})
}

// joined calls a joiner, again where the policy says so.
func (t *Task) joined(place uint64, step string, join func(left, right any) (any, error), left, right any) (any,
	error) {
	t.pulse.move(place)
	row, err := joinGuarded(join, left, right)
	for n := 0; err != nil && t.again(t.policyOf(step), n, err); n++ {
		row, err = joinGuarded(join, left, right)
	}
	return row, err
}

// begin notes the context of a call from outside, for all that user code's failures need, to wait
// and to write letters; and its time.
func (t *Task) begin(ctx context.Context) { t.ctx, t.waited, t.clock = ctx, 0, windows.At(t.cfg.Now()) }

// name is the task's, for messages.
func (t *Task) name() string { return fmt.Sprintf("%s/%d", t.cfg.Sub.Name, t.cfg.Partition) }
