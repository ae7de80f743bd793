package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"slices"
)

// Source is the sub-topology's source.
func (s *SubTopology) Source() *Source { return s.Root.Op.(*Source) }

// Nodes yields every node, parents first, in the order in which a record reaches them.
func (s *SubTopology) Nodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) { s.Root.walk(yield) }
}

func (n *Node) walk(yield func(*Node) bool) bool {
	if !yield(n) {
		return false
	}
	for _, c := range n.children() {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// children are the nodes fed by n, by way of Next or of an Aggregate's outputs.
func (n *Node) children() []*Node {
	a, ok := n.Op.(*Aggregate)
	if !ok {
		return n.Next
	}
	all := append(append(append([]*Node(nil), a.Changes...), a.Finals...), n.Next...)
	return slices.DeleteFunc(all, func(n *Node) bool { return n == nil })
}

// Sinks are the sub-topology's sinks, and one for each topic of late records.
func (s *SubTopology) Sinks() []*Sink {
	sinks := ops[*Sink](s)
	for _, a := range s.Aggregates() {
		if a.Late != "" {
			sinks = append(sinks, &Sink{Topic: a.Late})
		}
	}
	return sinks
}

// Aggregates are the sub-topology's aggregates, by ascending ID.
func (s *SubTopology) Aggregates() []*Aggregate { return ops[*Aggregate](s) }

func ops[O Op](s *SubTopology) []O {
	var found []O
	for n := range s.Nodes() {
		if o, ok := n.Op.(O); ok {
			found = append(found, o)
		}
	}
	return found
}

// Fingerprint stands for all that gives meaning to the sub-topology's state: source, and per aggregate its name, place,
// windows, group key and accumulators. State of another fingerprint must not be read.
func (s *SubTopology) Fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "ashi 1\nsource %q\n", s.Source().Topic)
	for n := range s.Nodes() {
		if a, ok := n.Op.(*Aggregate); ok {
			a.fingerprint(h, n.Name)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (a *Aggregate) fingerprint(w io.Writer, name string) {
	fmt.Fprintf(w, "aggregate %d %q by %s over %v grace %d sliced %v: %s\n", a.ID, name, a.Key, a.Windows.Kinds(), a.Windows.GraceTime(),
		a.Sliced(), a.Program.Signature())
}

// Sliced says that hopping windows are put together from slices when they close, so that a record costs the same however much they
// overlap. Where changes are asked for each window is kept by itself, as every update is a row of each of them; and where a sum is
// bounded, as a row may be too much for one window and not for another.
func (a *Aggregate) Sliced() bool { return len(a.Changes) == 0 && !a.Program.Bounded() }
