package topology

import (
	"iter"
	"slices"
)

// Sources are the sub-topology's sources, in the order of Roots.
func (s *SubTopology) Sources() []*Source {
	sources := make([]*Source, len(s.Roots))
	for i, n := range s.Roots {
		sources[i] = n.Op.(*Source)
	}
	return sources
}

// Topics are those of Sources.
func (s *SubTopology) Topics() []string {
	topics := make([]string, len(s.Roots))
	for i, src := range s.Sources() {
		topics[i] = src.Topic
	}
	return topics
}

// Nodes yields every node once, parents first, in the order in which a record of the first source,
// then one of the second and so on, reaches them.
func (s *SubTopology) Nodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		seen := map[*Node]bool{}
		for _, n := range s.Roots {
			if !n.walk(seen, yield) {
				return
			}
		}
	}
}

func (n *Node) walk(seen map[*Node]bool, yield func(*Node) bool) bool {
	if seen[n] {
		return true
	}
	seen[n] = true
	if !yield(n) {
		return false
	}
	for _, c := range n.children() {
		if !c.walk(seen, yield) {
			return false
		}
	}
	return true
}

// children are the nodes fed by n, by way of Next, of an Aggregate's outputs, or as the operator
// whose input it is.
func (n *Node) children() []*Node {
	switch o := n.Op.(type) {
	case *Input:
		return []*Node{o.To}
	case *Aggregate:
		all := append(append(append([]*Node(nil), o.Changes...), o.Finals...), n.Next...)
		return slices.DeleteFunc(all, func(n *Node) bool { return n == nil })
	}
	return n.Next
}

// Sinks are the sub-topology's sinks, and one for each topic that another operator writes by
// itself: of late records, orders, answers.
func (s *SubTopology) Sinks() []*Sink {
	sinks := ops[*Sink](s)
	for _, a := range ops[*Aggregate](s) {
		if a.Late != "" {
			sinks = append(sinks, &Sink{Topic: a.Late})
		}
	}
	for _, j := range ops[*ForeignJoin](s) {
		sinks = append(sinks, &Sink{Topic: j.Orders})
	}
	for _, j := range ops[*Subscriptions](s) {
		sinks = append(sinks, &Sink{Topic: j.Answers})
	}
	if s.DeadLetters != "" {
		sinks = append(sinks, &Sink{Topic: s.DeadLetters})
	}
	return sinks
}

// Broadcasts are the tables of every process that the sub-topology reads.
func (s *SubTopology) Broadcasts() []*Table {
	var tables []*Table
	for _, b := range ops[*BroadcastLookup](s) {
		tables = append(tables, b.Table)
	}
	return tables
}

func ops[O Op](s *SubTopology) []O {
	var found []O
	for n := range s.Nodes() {
		if o, ok := n.Op.(O); ok {
			found = append(found, o)
		}
	}
	return found
}

// Sliced says that hopping windows are put together from slices when they close, so that a record
// costs the same however much they overlap. Where changes are asked for each window is kept by
// itself, as every update is a row of each of them; and where a sum is bounded, as a row may be too
// much for one window and not for another.
func (a *Aggregate) Sliced() bool { return len(a.Changes) == 0 && !a.Program.Bounded() }
