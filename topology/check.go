package topology

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/ashi-stream/ashi/windows"
)

// legalName is what Kafka takes as the name of a topic, group or transactional id.
var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// CheckName returns an error if name is not a legal Kafka name. Legal names are also safe as parts of paths, but for "." and
// "..", which are refused too.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("name is empty")
	case !legalName.MatchString(name) || name == "." || name == "..":
		return fmt.Errorf("name %q: use 1 to 249 of the characters a-z A-Z 0-9 . _ -", name)
	}
	return nil
}

// Check returns every mistake in the plan, joined, or nil.
func (p *Plan) Check() error {
	c := checker{names: map[string]bool{}, sinks: map[string]string{}, sources: map[string]bool{}}
	if err := CheckName(p.Name); err != nil {
		c.errorf("application: %w", err)
	}
	if len(p.Subs) == 0 && len(p.Tables) == 0 {
		c.errorf("plan %q is empty: declare a stream or a table", p.Name)
	}
	for _, s := range p.Subs {
		c.sources[s.Source().Topic] = true
	}
	for _, s := range p.Subs {
		for n := range s.Nodes() {
			c.node(n)
		}
	}
	for _, t := range p.Tables {
		if err := CheckName(t.Topic); err != nil {
			c.errorf("table %q: topic: %w", t.Topic, err)
		}
	}
	return errors.Join(c.errs...)
}

type checker struct {
	errs    []error
	names   map[string]bool
	sinks   map[string]string // topic to node
	sources map[string]bool
}

func (c *checker) errorf(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("topology: "+format, args...))
}

func (c *checker) node(n *Node) {
	if c.names[n.Name] {
		c.errorf("two steps are named %q: name them apart with As", n.Name)
	}
	c.names[n.Name] = true
	switch o := n.Op.(type) {
	case *Source:
		if err := CheckName(o.Topic); err != nil {
			c.errorf("source %q: topic: %w", n.Name, err)
		}
	case *Aggregate:
		c.aggregate(n.Name, o)
	case *Sink:
		c.sink(n.Name, o)
	}
}

func (c *checker) aggregate(name string, a *Aggregate) {
	if err := a.Windows.Validate(); err != nil {
		c.errorf("aggregate %q: %w", name, err)
	}
	if len(a.Changes) == 0 && len(a.Finals) == 0 {
		c.errorf("aggregate %q: nobody reads its results: ask for Final or Changes", name)
	}
	if a.Late != "" {
		c.sink(name+" late", &Sink{Topic: a.Late})
	}
	for _, k := range a.Windows.Kinds() {
		if k.Form() == windows.FormUnbounded && len(a.Changes) == 0 {
			c.errorf("aggregate %q: a window without bounds never closes: ask for Changes", name)
		}
	}
}

func (c *checker) sink(name string, s *Sink) {
	if err := CheckName(s.Topic); err != nil {
		c.errorf("%s: topic: %w", name, err)
	}
	if other, ok := c.sinks[s.Topic]; ok {
		c.errorf("%s and %s both write to topic %q: name the topics apart with Named or To", other, name, s.Topic)
	}
	c.sinks[s.Topic] = name
	if c.sources[s.Topic] {
		c.errorf("%s writes to topic %q, which the plan also reads", name, s.Topic)
	}
}
