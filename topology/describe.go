package topology

import (
	"fmt"
	"strings"
)

// Describe is the plan as text, a line a step, indented below the step that feeds it. Equal plans give equal text.
func (p *Plan) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "application %s\n", p.Name)
	for _, s := range p.Subs {
		fmt.Fprintf(&b, "sub-topology %s\n", s.Name)
		describeNode(&b, s.Root, "  ", "")
	}
	for _, t := range p.Tables {
		fmt.Fprintf(&b, "table %s/%s <- topic %s (%s)\n", t.Folder, t.File, t.Topic, t.Row)
	}
	return b.String()
}

func describeNode(b *strings.Builder, n *Node, indent, edge string) {
	fmt.Fprintf(b, "%s%s%s\n", indent, edge, strings.Join(n.lines(), "\n"+indent+"  "))
	if a, ok := n.Op.(*Aggregate); ok {
		for i, w := range a.Windows.Kinds() {
			describeOutput(b, a.Changes, i, indent, "changes "+w.Name()+": ")
			describeOutput(b, a.Finals, i, indent, "final "+w.Name()+": ")
		}
	}
	for _, c := range n.Next {
		describeNode(b, c, indent+"  ", "")
	}
}

func describeOutput(b *strings.Builder, outputs []*Node, i int, indent, edge string) {
	if i < len(outputs) && outputs[i] != nil {
		describeNode(b, outputs[i], indent+"  ", edge)
	}
}

// lines say what the node is, the first with its name.
func (n *Node) lines() []string {
	switch o := n.Op.(type) {
	case *Source:
		return []string{fmt.Sprintf("source %s <- topic %s (%s, %s)", n.Name, o.Topic, o.Row, o.Codec)}
	case *Step:
		return []string{fmt.Sprintf("%s %s (%s)", o.Kind, n.Name, o.Row)}
	case *Aggregate:
		lines := []string{
			fmt.Sprintf("aggregate %s (%s) by %s", n.Name, o.Row, o.Key),
			"windows " + o.Windows.String(),
			"accumulators " + o.Program.Signature(),
		}
		if o.Late != "" {
			lines = append(lines, "late -> topic "+o.Late)
		}
		return lines
	case *Sink:
		s := fmt.Sprintf("sink %s -> topic %s (%s, %s)", n.Name, o.Topic, o.Row, o.Codec)
		if o.Compact {
			s += " compacted"
		}
		return []string{s}
	}
	return []string{n.Name}
}

// Mermaid is the plan as a Mermaid flow chart: a box a step, a cylinder a topic, a frame a sub-topology.
func (p *Plan) Mermaid() string {
	m := mermaid{ids: map[string]string{}}
	m.b.WriteString("flowchart LR\n")
	for i, s := range p.Subs {
		fmt.Fprintf(&m.b, "  subgraph sub%d[\"sub-topology %s\"]\n", i, s.Name)
		for n := range s.Nodes() {
			fmt.Fprintf(&m.b, "    %s[\"%s\"]\n", m.id("step "+n.Name), strings.Join(n.lines(), "<br/>"))
		}
		m.b.WriteString("  end\n")
		m.edge("topic "+s.Source().Topic, "step "+s.Root.Name)
		for n := range s.Nodes() {
			m.node(n)
		}
	}
	for _, t := range p.Tables {
		m.edge("topic "+t.Topic, "table "+t.Folder+"/"+t.File)
	}
	return m.b.String()
}

type mermaid struct {
	b   strings.Builder
	ids map[string]string
}

func (m *mermaid) node(n *Node) {
	for _, c := range n.children() {
		m.edge("step "+n.Name, "step "+c.Name)
	}
	switch o := n.Op.(type) {
	case *Sink:
		m.edge("step "+n.Name, "topic "+o.Topic)
	case *Aggregate:
		if o.Late != "" {
			m.edge("step "+n.Name, "topic "+o.Late)
		}
	}
}

func (m *mermaid) edge(from, to string) {
	a, b := m.id(from), m.id(to)
	fmt.Fprintf(&m.b, "  %s --> %s\n", a, b)
}

// id is the short name of a box; topics and tables are drawn where they are first met.
func (m *mermaid) id(what string) string {
	if id, ok := m.ids[what]; ok {
		return id
	}
	id := fmt.Sprintf("n%d", len(m.ids))
	m.ids[what] = id
	if !strings.HasPrefix(what, "step ") {
		fmt.Fprintf(&m.b, "  %s[(\"%s\")]\n", id, what)
	}
	return id
}
