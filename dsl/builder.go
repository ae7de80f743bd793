package dsl

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/ashi-stream/ashi/topology"
)

// Builder collects a plan. See New.
type Builder struct {
	plan    topology.Plan
	names   map[string]bool
	topics  map[string]string // sources, with the place of their declaration
	atBuild []func()          // what waits for the last option to be set
	errs    []error
}

// New starts the plan of an application. Its name prefixes consumer groups, changelogs and transactional ids: it says which
// state a process continues, and must be a legal Kafka name.
func New(application string) *Builder {
	return &Builder{plan: topology.Plan{Name: application, Place: place()}, names: map[string]bool{}, topics: map[string]string{}}
}

// Build returns the plan, or every mistake in it, joined.
func (b *Builder) Build() (*topology.Plan, error) {
	for _, f := range b.atBuild {
		f()
	}
	b.atBuild = nil
	if err := errors.Join(errors.Join(b.errs...), b.plan.Check()); err != nil {
		return nil, fmt.Errorf("dsl: plan %q cannot be built:\n%w", b.plan.Name, err)
	}
	plan := b.plan
	return &plan, nil
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

// wrong notes a mistake at a place.
func (b *Builder) wrong(place, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s: "+format, append([]any{place}, args...)...))
}

// unique is name, or name-2 and so on where it is taken: for steps without state.
func (b *Builder) unique(name string) string {
	for n, try := 2, name; ; n++ {
		if !b.names[try] {
			b.names[try] = true
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
