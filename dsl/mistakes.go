package dsl

import (
	"reflect"
	"strings"
)

// given notes the functions that are nil, by what they are called in the signature of what was
// called. It says whether there is none.
func (b *Builder) given(what string, functions map[string]any) bool {
	all := true
	for name, f := range functions {
		if v := reflect.ValueOf(f); !v.IsValid() || v.IsNil() {
			b.wrong(place(), "%s: %s is nil: give a function", what, name)
			all = false
		}
	}
	return all
}

// alone notes that what was called takes streams or tables of several builders. Each of them gets
// the mistake: none may build a plan that lacks what the others have.
func (b *Builder) alone(what string, others ...*Builder) {
	at := place()
	for _, other := range others {
		if other == b {
			continue
		}
		for _, one := range []*Builder{b, other} {
			one.wrong(at, "%s: its streams and tables belong to two plans, %q and %q: declare them with one Builder",
				what, b.plan.Name, other.plan.Name)
		}
		return
	}
}

// named notes an empty name.
func (b *Builder) named(what, name string) {
	if strings.TrimSpace(name) == "" {
		b.wrong(place(), "%s: the name is empty", what)
	}
}
