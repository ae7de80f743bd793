package topology

import (
	"errors"
	"fmt"
	"time"
)

// DeadLetterTopic is where dead letters go unless the plan names another topic.
const DeadLetterTopic = "dead.letter.queue"

// Action is what becomes of a record that fails.
type Action uint8

// The actions. Unset leaves it to the source.
const (
	Unset Action = iota
	// Skip leaves the record out of the results: counted, and logged.
	Skip
	// DeadLetter leaves it out and writes it to the plan's dead letters, in the transaction of what
	// else it led to.
	DeadLetter
	// Fail ends the application with an error that says which record it is.
	Fail
)

// String is the word of tags and of Describe.
func (a Action) String() string {
	return [...]string{"unset", "skip", "dlq", "fail"}[min(a, Fail)]
}

// Policy says what becomes of a record at which user code or a codec fails.
type Policy struct {
	// Retries is how often the call is made again before Then. The wait before the first is
	// Backoff, and doubles each time.
	Retries int
	Backoff time.Duration
	// When says which errors are worth another try; nil: all.
	When func(error) bool
	Then Action
}

// maxRetries keeps a doubling wait within a time.Duration, and anybody from trying for years.
const maxRetries = 20

// Wait is the wait before retry n, from 0.
func (p *Policy) Wait(n int) time.Duration { return p.Backoff << n }

// Total is the sum of all waits.
func (p *Policy) Total() time.Duration { return p.Backoff<<p.Retries - p.Backoff }

// String is how Describe prints it.
func (p *Policy) String() string {
	if p.Retries == 0 {
		return p.Then.String()
	}
	return fmt.Sprintf("%d retries from %v, then %v", p.Retries, p.Backoff, p.Then)
}

func (p *Policy) validate() error {
	switch {
	case p.Then == Unset || p.Then > Fail:
		return errors.New("say what becomes of a record that fails: Skip, DeadLetter or Fail")
	case p.Retries < 0 || p.Retries > maxRetries:
		return fmt.Errorf("%d retries: give 0 to %d", p.Retries, maxRetries)
	case p.Backoff < 0 || p.Backoff > time.Hour || p.Retries > 0 && p.Backoff < time.Millisecond:
		return fmt.Errorf("a wait of %v before the first retry: give 1ms to 1h", p.Backoff)
	}
	return nil
}

// DeadError is the error of a function that wants its record among the dead letters, whatever the
// policy.
type DeadError struct{ Reason string }

// Error is the reason.
func (e *DeadError) Error() string { return e.Reason }

// Policies yields the policies of the plan with the nodes that they are of.
func (p *Plan) Policies(yield func(*Node, *Policy) bool) {
	for _, s := range p.Subs {
		for n := range s.Nodes() {
			if n.OnError != nil && !yield(n, n.OnError) {
				return
			}
			if src, ok := n.Op.(*Source); ok && src.OnDecode != nil && !yield(n, src.OnDecode) {
				return
			}
		}
	}
}

// InheritPolicies gives the sources of internal topics, where they have none, the policy of the
// source that their rows come from; of several the one whose rows the plan reads first. It is
// called when a plan is built.
func (p *Plan) InheritPolicies() {
	internal := map[string]*Node{}
	for _, s := range p.Subs {
		for _, n := range s.Roots {
			if src := n.Op.(*Source); src.Internal && n.OnError == nil {
				internal[src.Topic] = n
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for _, s := range p.Subs {
			for _, root := range s.Roots {
				if root.OnError == nil {
					continue
				}
				for _, k := range (&SubTopology{Roots: []*Node{root}}).Sinks() {
					if to := internal[k.Topic]; to != nil && to.OnError == nil {
						to.OnError, changed = root.OnError, true
					}
				}
			}
		}
	}
}
