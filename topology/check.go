package topology

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/ashi-stream/ashi/windows"
)

// legalName is what Kafka takes as the name of a topic, group or transactional id.
var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// CheckName returns an error if name is not a legal Kafka name. Legal names are also safe as parts
// of paths, but for "." and "..", which are refused too.
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
	c := checker{names: map[string]bool{}, sinks: map[string]string{}, sources: map[string]bool{},
		internal: map[string]bool{}, tables: p.Tables}
	if err := CheckApplication(p.Name); err != nil {
		c.errorf(p.Place, "application: %w", err)
	}
	if len(p.Subs) == 0 && len(p.Tables) == 0 {
		c.errorf(p.Place, "plan %q is empty: declare a stream or a table", p.Name)
	}
	for _, s := range p.Subs {
		for _, topic := range s.Topics() {
			c.sources[topic] = true
		}
	}
	for _, t := range p.Internal {
		c.internal[t.Topic] = true
		if t.Partitions < 0 {
			c.errorf(t.Place, "topic %q: %d partitions: give 1 or more, or 0 to have them chosen", t.Topic,
				t.Partitions)
		}
	}
	for _, s := range p.Subs {
		for n := range s.Nodes() {
			c.node(n)
		}
	}
	for n, policy := range p.Policies {
		if err := policy.validate(); err != nil {
			c.errorf(n.Place, "%s: OnError: %w", n.Name, err)
		}
	}
	if p.DeadLetters != "" {
		c.sink(&Node{Name: "dead letters", Place: p.Place}, &Sink{Topic: p.DeadLetters})
	}
	for _, t := range p.Tables {
		if err := CheckName(t.Topic); err != nil {
			c.errorf(t.Place, "table %q: topic: %w", t.Topic, err)
		}
	}
	c.namesMeet(p)
	return errors.Join(c.errs...)
}

type checker struct {
	errs     []error
	names    map[string]bool
	sinks    map[string]string // topic to node
	sources  map[string]bool
	internal map[string]bool
	tables   []*Table
}

// errorf notes a mistake at a place.
func (c *checker) errorf(place, format string, args ...any) {
	if place == "" {
		place = "topology"
	}
	c.errs = append(c.errs, fmt.Errorf("%s: "+format, append([]any{place}, args...)...))
}

func (c *checker) node(n *Node) {
	if c.names[n.Name] {
		c.errorf(n.Place, "two steps are named %q: name them apart with As", n.Name)
	}
	c.names[n.Name] = true
	switch o := n.Op.(type) {
	case *Source:
		if err := CheckName(o.Topic); err != nil {
			c.errorf(n.Place, "source %q: topic: %w", n.Name, err)
		}
	case *Aggregate:
		c.aggregate(n, o)
	case *Sink:
		c.sink(n, o)
	case *StreamJoin:
		if o.Before < 0 || o.After < 0 || o.Grace < 0 {
			c.errorf(n.Place, "join %q: before %v, after %v and grace %v must not be negative", n.Name, o.Before.Std(),
				o.After.Std(), o.Grace.Std())
		}
	case *ForeignJoin:
		c.sink(&Node{Name: n.Name + " orders", Place: n.Place}, &Sink{Topic: o.Orders})
	case *Subscriptions:
		c.sink(&Node{Name: n.Name + " answers", Place: n.Place}, &Sink{Topic: o.Answers})
	case *BroadcastLookup:
		if !slices.Contains(c.tables, o.Table) {
			c.errorf(n.Place, "join %q: table %q is not declared in this plan", n.Name, o.Table.Topic)
		}
	case *Suppress:
		if o.Every < 0 || o.MaxRows < 0 || o.Every == 0 && o.MaxRows == 0 {
			c.errorf(n.Place, "suppress %q: give a time to hold changes back for, or a number of rows", n.Name)
		}
	}
}

func (c *checker) aggregate(n *Node, a *Aggregate) {
	if err := a.Windows.Validate(); err != nil {
		for _, one := range apart(err) {
			c.errorf(n.Place, "aggregate %q: %w", n.Name, one)
		}
		return
	}
	if len(a.Changes) == 0 && len(a.Finals) == 0 {
		c.errorf(n.Place, "aggregate %q: nobody reads its results: ask for Final or Changes", n.Name)
	}
	if a.Late != "" {
		c.sink(&Node{Name: n.Name + " late", Place: n.Place}, &Sink{Topic: a.Late})
	}
	for _, k := range a.Windows.Kinds() {
		if k.Form() == windows.FormSliding && a.Program.Bounded() {
			c.errorf(n.Place, "aggregate %q: sliding windows have no SumDecimal: use Sum, which has no bound", n.Name)
		}
		if k.Form() == windows.FormUnbounded && len(a.Changes) == 0 {
			c.errorf(n.Place, "aggregate %q: a window without bounds never closes: ask for Changes", n.Name)
		}
	}
}

func (c *checker) sink(n *Node, s *Sink) {
	if err := CheckName(s.Topic); err != nil {
		c.errorf(n.Place, "%s: topic: %w", n.Name, err)
	}
	if s.Internal || c.internal[s.Topic] {
		return // several may write it, and the plan reads it; others that write it are told by namesMeet
	}
	if other, ok := c.sinks[s.Topic]; ok {
		c.errorf(n.Place, "%s and %s both write to topic %q: name the topics apart with Named or To", other, n.Name,
			s.Topic)
	}
	c.sinks[s.Topic] = n.Name
	if c.sources[s.Topic] {
		c.errorf(n.Place, "%s writes to topic %q, which the plan also reads", n.Name, s.Topic)
	}
}

// apart is the errors that were joined in err, so that each is told with its place.
func apart(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
