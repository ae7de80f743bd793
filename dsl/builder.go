package dsl

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/ashi-stream/ashi/topology"
)

// Builder collects a plan. See New.
type Builder struct {
	plan      topology.Plan
	sources   []declared // in the order of declaration
	names     map[string]bool
	counted   map[string]string // names with a number from unique, to the place of what has them
	letters   string            // the topic that DeadLetters gave
	topics    map[string]string // sources, with the place of their declaration
	adjusters map[any]bool      // codecs that are in the plan's Adjusters
	atBuild   []func()          // what waits for the last option to be set
	lastly    []func()          // what waits for the sub-topologies
	errs      []error
	noted     map[error]bool // the errors in errs that others have made
}

// New starts the plan of an application. Its name is that of the consumer group, and the names of
// changelogs, internal topics and transactional ids begin with it and "--": it says which state a
// process continues. It must be a legal Kafka name without "--" in it and "-" at its end.
func New(application string) *Builder {
	return &Builder{plan: topology.Plan{Name: application, Place: place()}, names: map[string]bool{},
		counted: map[string]string{}, topics: map[string]string{}, adjusters: map[any]bool{}, noted: map[error]bool{}}
}

// Build returns the plan, or every mistake in it, joined.
func (b *Builder) Build() (*topology.Plan, error) {
	for len(b.atBuild) > 0 {
		waiting := b.atBuild
		b.atBuild = nil
		for _, f := range waiting {
			f()
		}
	}
	b.cut()
	for _, f := range b.lastly {
		f()
	}
	b.lastly = nil
	b.warnOfCounted()
	b.deadLetters()
	if err := errors.Join(errors.Join(b.errs...), b.plan.Check()); err != nil {
		return nil, fmt.Errorf("dsl: plan %q cannot be built:\n%w", b.plan.Name, err)
	}
	plan := b.plan
	return &plan, nil
}

// part is a sub-topology in the making. Parts that meet in an operator become one.
type part struct{ into *part }

// whole is the part that p has become.
func (p *part) whole() *part {
	for p.into != nil {
		p = p.into
	}
	return p
}

// unite makes two parts one.
func unite(a, b *part) {
	if a, b = a.whole(), b.whole(); a != b {
		b.into = a
	}
}

// declared is a source and the part that it is in.
type declared struct {
	node     *topology.Node
	part     *part
	internal bool
}

// root notes a source: a part of its own as yet.
func (b *Builder) root(n *topology.Node, internal bool) *part {
	p := &part{}
	b.sources = append(b.sources, declared{n, p, internal})
	return p
}

// cut makes the sub-topologies.
func (b *Builder) cut() {
	subs := map[*part]*topology.SubTopology{}
	b.plan.Subs = nil
	for _, s := range b.sources {
		w := s.part.whole()
		if subs[w] == nil {
			topic := s.node.Op.(*topology.Source).Topic
			if s.internal {
				topic = topology.CutInternal(b.plan.Name, topic)
			}
			subs[w] = &topology.SubTopology{Name: topic}
			b.plan.Subs = append(b.plan.Subs, subs[w])
		}
		subs[w].Roots = append(subs[w].Roots, s.node)
	}
}

// warnOfCounted warns of state under names that go by the order of declarations: a step that is
// added before takes them over, state and all.
func (b *Builder) warnOfCounted() {
	for _, sub := range b.plan.Subs {
		for _, o := range sub.Operators() {
			if at, ok := b.counted[topology.CutInternal(b.plan.Name, o.Name)]; ok {
				b.plan.Warnings = append(b.plan.Warnings,
					fmt.Sprintf("%s: %s has its name from the order of declarations: name it (As, Repartition), "+
						"or declare others of its kind behind it, so that it keeps its state when the plan is changed",
						at, o))
			}
		}
	}
}

// place is where in the user's program the call is that led here: file:line.
func place() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		inside := strings.Contains(f.Function, "ashi/dsl.") && !strings.HasSuffix(f.File, "_test.go")
		if !inside || !more {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
	}
}

// wrong notes a mistake at a place. Of an error that joins several each is one, and one that was
// noted is not noted again: what is wrong with the tags of a type is also what is wrong with each
// codec of it.
func (b *Builder) wrong(place, format string, args ...any) {
	for i, arg := range args {
		err, ok := arg.(error)
		if !ok {
			continue
		}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				args[i] = one
				b.wrong(place, format, args...)
			}
			return
		}
		if reflect.TypeOf(err).Kind() == reflect.Pointer {
			if b.noted[err] {
				return
			}
			b.noted[err] = true
		}
	}
	b.errs = append(b.errs, fmt.Errorf("%s: "+format, append([]any{place}, args...)...))
}

// unique is name, or name-2 and so on where it is taken: see warnOfCounted.
func (b *Builder) unique(name string) string {
	for n, try := 2, name; ; n++ {
		if !b.names[try] {
			if b.names[try] = true; try != name {
				b.counted[try] = place()
			}
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

// source notes that topic is read, once.
func (b *Builder) source(at, topic string) {
	if other, ok := b.topics[topic]; ok {
		b.wrong(at, "topic %q is declared already, at %s", topic, other)
		return
	}
	b.topics[topic] = at
}
