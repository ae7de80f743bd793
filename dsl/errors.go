package dsl

import (
	"time"

	"github.com/ashi-stream/ashi/topology"
)

// Policy says what becomes of a record at which a function or a codec fails: Skip, DeadLetter,
// Fail, or one of them after retries.
type Policy interface{ policy() *topology.Policy }

// Action is a Policy without retries.
type Action topology.Action

// The actions.
const (
	// Skip leaves the record out, counts it and logs it. It is the default of all but final rows:
	// one bad record must not stop the others, and nothing is written to a topic that nobody asked
	// for.
	Skip = Action(topology.Skip)
	// DeadLetter leaves the record out and writes it to the dead letters (Builder.DeadLetters), in
	// the transaction of all else that its batch led to: no letter is lost, and none is written
	// twice.
	DeadLetter = Action(topology.DeadLetter)
	// Fail ends the application: Run returns an error that names the task, the step, and the
	// record. Nothing of the record is committed, and it fails again after a restart. It is the
	// default of final rows, none of which may be lost.
	Fail = Action(topology.Fail)
)

func (a Action) policy() *topology.Policy { return &topology.Policy{Then: topology.Action(a)} }

// Retrying is what Retry returns: a Policy once Then is called.
type Retrying struct{ p topology.Policy }

// Retry makes the call again up to n times, 1 to 20, while when holds for its error; nil is every
// error. It waits backoff, a millisecond or more, before the first time, and twice as long each
// time after. The task does nothing else meanwhile, so all waits together may take 30 s at most, or
// 2.5 session timeouts if that is less, which the engine checks; and a record waits no longer than
// that in all its steps together.
func Retry(n int, backoff time.Duration, when func(error) bool) Retrying {
	return Retrying{topology.Policy{Retries: n, Backoff: backoff, When: when}}
}

// Then is what becomes of the record when it still fails: Retry(3, 100*time.Millisecond,
// nil).Then(DeadLetter).
func (r Retrying) Then(a Action) Policy {
	r.p.Then = topology.Action(a)
	return retrying{&r.p}
}

type retrying struct{ p *topology.Policy }

func (r retrying) policy() *topology.Policy { return r.p }

// Dead is the error of a function that wants its record among the dead letters, with this reason,
// whatever the policy. The plan must have dead letters (Builder.DeadLetters, or a policy with
// DeadLetter): else the application ends with an error that says so.
func Dead(reason string) error { return &topology.DeadError{Reason: reason} }

// DeadLetters names the topic of dead letters: dead.letter.queue if it is not called. The engine
// creates it with one partition and no time limit if it is not there and the plan has any policy
// with DeadLetter, or names it here.
func (b *Builder) DeadLetters(topic string) {
	if b.letters = topic; topic == "" {
		b.wrong(place(), "DeadLetters: the topic has no name")
	}
}

// deadLetters settles policies when the plan is built.
func (b *Builder) deadLetters() {
	b.plan.InheritPolicies()
	b.plan.DeadLetters = b.letters
	if b.letters == "" {
		for _, p := range b.plan.Policies {
			if p.Then == topology.DeadLetter {
				b.plan.DeadLetters = topology.DeadLetterTopic
			}
		}
	}
	for _, s := range b.plan.Subs {
		s.DeadLetters = b.plan.DeadLetters
	}
}

// set is a policy for a node; a second one is a mistake.
func (b *Builder) set(at **topology.Policy, what string, p Policy) {
	if p == nil {
		b.wrong(place(), "%s: no policy: give Skip, DeadLetter, Fail, or Retry(...).Then(...) with one of them", what)
		return
	}
	if *at != nil {
		b.wrong(place(), "%s is called twice", what)
	}
	*at = p.policy()
}

// OnError is what becomes of records at which user code or a codec fails: Skip if it is not called.
// Of a declared stream it holds for all steps that its records come to, and for those after
// internal topics; of a step, for that step alone. It outdoes the tag onerror.
func (s *StreamOf[T]) OnError(p Policy) *StreamOf[T] {
	s.b.set(&s.node.OnError, "OnError", p)
	return s
}

// OnDecodeError is OnError for the records of a declared stream that cannot be decoded, where it is
// to be another one.
func (s *StreamOf[T]) OnDecodeError(p Policy) *StreamOf[T] {
	if src, ok := s.node.Op.(*topology.Source); ok && s.source != nil {
		s.b.set(&src.OnDecode, "OnDecodeError", p)
	} else {
		s.b.wrong(place(), "OnDecodeError: only a stream that was declared with Stream is decoded")
	}
	return s
}

// OnError is that of a stream, for the table's own records or, of a step over tables, for that
// step. It says nothing about the mirrors of a table, which pass over what they cannot decode.
func (t *TableOf[K, T]) OnError(p Policy) *TableOf[K, T] {
	if t.source != nil {
		t.b.set(&t.source.onError, "OnError", p)
	} else {
		t.b.set(&t.node.OnError, "OnError", p)
	}
	return t
}

// OnDecodeError is that of a stream.
func (t *TableOf[K, T]) OnDecodeError(p Policy) *TableOf[K, T] {
	if t.source == nil {
		t.b.wrong(place(), "OnDecodeError: only a table that was declared with Table is decoded")
		return t
	}
	t.b.set(&t.source.onDecode, "OnDecodeError", p)
	return t
}

// OnError is what becomes of rows that cannot be encoded or are too large for the topic: what the
// stream's source says if it is not called.
func (s *SinkOf[T]) OnError(p Policy) *SinkOf[T] {
	s.b.set(&s.node.OnError, "OnError", p)
	return s
}

// OnError is what becomes of records for which group key or columns fail, or that an accumulator
// refuses: what their source says if it is not called. The projection and Having are not in it, but
// in that of Final and Changes.
func (w *WindowedOf[K, R]) OnError(p Policy) *WindowedOf[K, R] {
	w.b.set(&w.node.OnError, "OnError", p)
	return w
}

// OnError is what becomes of rows that cannot be made, as projection or Having fail, cannot be
// encoded, or are too large for the topic. If it is not called, final rows have Fail, as none may
// be lost, and so have changed ones that cannot be made; for other changed ones it is what the
// source says. A letter holds the row's key, and the row if it was encoded; of one that cannot be
// made, the group's key. A changed row that cannot be made is deleted, as one that does not pass
// Having.
func (o *OutputOf[K, R]) OnError(p Policy) *OutputOf[K, R] {
	for _, n := range o.nodes {
		if n != nil {
			o.windowed.b.set(&n.OnError, "OnError", p)
		}
	}
	return o
}

// settle sets, when the plan is built, the policies of a source that are not set at its node: a
// table's own, or those of the tags.
func (s *sourceOf[T]) settle(b *Builder, n *topology.Node) {
	if s.model == nil {
		return
	}
	set := func(p **topology.Policy, own *topology.Policy, word string) {
		if *p == nil {
			*p = own
		}
		for _, a := range []topology.Action{topology.Skip, topology.DeadLetter, topology.Fail} {
			if *p == nil && a.String() == word {
				*p = &topology.Policy{Then: a}
			}
		}
	}
	b.atBuild = append(b.atBuild, func() {
		set(&n.OnError, s.onError, s.model.OnError)
		set(&n.Op.(*topology.Source).OnDecode, s.onDecode, s.model.OnDecode)
	})
}
