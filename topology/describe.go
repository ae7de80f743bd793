package topology

import (
	"fmt"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/windows"
)

// Describe is the plan as text, a line a step, indented below the step that feeds it. Equal plans
// give equal text.
func (p *Plan) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "application %s\n", p.Name)
	for _, s := range p.Subs {
		fmt.Fprintf(&b, "sub-topology %s\n", s.Name)
		seen := map[*Node]bool{}
		for _, n := range s.Roots {
			describeNode(&b, n, "  ", "", seen)
		}
	}
	for _, t := range p.Internal {
		fmt.Fprintf(&b, "internal topic %s%s\n", t.Topic, t.partitions())
	}
	if p.DeadLetters != "" {
		fmt.Fprintf(&b, "dead letters -> topic %s\n", p.DeadLetters)
	}
	for _, t := range p.Tables {
		off := ""
		if t.WithoutMirror != "" {
			off = " without mirror: " + t.WithoutMirror
		}
		fmt.Fprintf(&b, "table %s/%s <- topic %s (%s)%s\n", t.Folder, t.File, t.Topic, t.Row, off)
	}
	return b.String()
}

func (t *Internal) partitions() string {
	if t.Partitions == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d partitions)", t.Partitions)
}

// describeNode writes a node and those below it. An operator with several inputs stands below its
// first.
func describeNode(b *strings.Builder, n *Node, indent, edge string, seen map[*Node]bool) {
	fmt.Fprintf(b, "%s%s%s\n", indent, edge, strings.Join(n.lines(), "\n"+indent+"  "))
	switch o := n.Op.(type) {
	case *Input:
		if !seen[o.To] {
			seen[o.To] = true
			describeNode(b, o.To, indent+"  ", "", seen)
		}
	case *Aggregate:
		for i, w := range o.Windows.Kinds() {
			describeOutput(b, o.Changes, i, indent, "changes "+w.Name()+": ", seen)
			describeOutput(b, o.Finals, i, indent, "final "+w.Name()+": ", seen)
		}
	}
	for _, c := range n.Next {
		describeNode(b, c, indent+"  ", "", seen)
	}
}

func describeOutput(b *strings.Builder, outputs []*Node, i int, indent, edge string, seen map[*Node]bool) {
	if i < len(outputs) && outputs[i] != nil {
		describeNode(b, outputs[i], indent+"  ", edge, seen)
	}
}

// lines say what the node is, the first with its name, and its policies if it has any.
func (n *Node) lines() []string {
	lines := n.what()
	if n.OnError != nil {
		lines = append(lines, "on error: "+n.OnError.String())
	}
	if s, ok := n.Op.(*Source); ok && s.OnDecode != nil {
		lines = append(lines, "on error of decoding: "+s.OnDecode.String())
	}
	return lines
}

func (n *Node) what() []string {
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
	case *Input:
		return []string{fmt.Sprintf("input %s -> %s", n.Name, o.To.Name)}
	case *StreamJoin:
		return []string{fmt.Sprintf("%s join %s (%s)", o.Form(), n.Name, o.Row),
			fmt.Sprintf("within %v before, %v after; grace %v", span(o.Before), span(o.After), span(o.Grace))}
	case *TableLookup:
		return []string{fmt.Sprintf("%s join %s (%s) with table %s", form([2]bool{o.Keep}), n.Name, o.Row,
			o.Table.Name)}
	case *BroadcastLookup:
		return []string{fmt.Sprintf("%s join %s (%s) with broadcast table %s/%s", form([2]bool{o.Keep}), n.Name, o.Row,
			o.Table.Folder, o.Table.File)}
	case *TableJoin:
		return []string{fmt.Sprintf("%s table join %s (%s) of %s and %s", o.Form(), n.Name, o.Row, o.Sides[0].Name,
			o.Sides[1].Name)}
	case *ForeignJoin:
		return []string{fmt.Sprintf("%s foreign key join %s (%s) of table %s", form([2]bool{o.Keep}), n.Name, o.Row,
			o.Left.Name),
			"orders -> topic " + o.Orders}
	case *Subscriptions:
		return []string{fmt.Sprintf("subscriptions %s to table %s", n.Name, o.Right.Name),
			"answers -> topic " + o.Answers}
	case *Materialize:
		line := fmt.Sprintf("table %s (%s)", n.Name, o.Rows.Row)
		if o.History > 0 {
			line += fmt.Sprintf(", history %v", span(o.History))
		}
		return []string{line}
	case *TableStep:
		return []string{fmt.Sprintf("%s %s (%s)", o.Kind, n.Name, o.Row)}
	case *Regroup:
		return []string{fmt.Sprintf("regroup %s (%s)", n.Name, o.Row)}
	case *Suppress:
		line := fmt.Sprintf("suppress %s (%s)", n.Name, o.Rows.Row)
		if o.Every > 0 {
			line += fmt.Sprintf(" for %v", span(o.Every))
		}
		if o.MaxRows > 0 {
			line += fmt.Sprintf(", at most %d rows", o.MaxRows)
		}
		return []string{line}
	}
	return []string{fmt.Sprintf("%s %s", n.Op.kind(), n.Name)}
}

func span(t windows.Time) time.Duration { return time.Duration(t) * time.Millisecond }

// Mermaid is the plan as a Mermaid flow chart: a box a step, a cylinder a topic, a frame a
// sub-topology.
func (p *Plan) Mermaid() string {
	m := mermaid{ids: map[string]string{}}
	m.b.WriteString("flowchart LR\n")
	for i, s := range p.Subs {
		fmt.Fprintf(&m.b, "  subgraph sub%d[\"sub-topology %s\"]\n", i, s.Name)
		for n := range s.Nodes() {
			fmt.Fprintf(&m.b, "    %s[\"%s\"]\n", m.id("step "+n.Name), strings.Join(n.lines(), "<br/>"))
		}
		m.b.WriteString("  end\n")
		for _, n := range s.Roots {
			m.edge("topic "+n.Op.(*Source).Topic, "step "+n.Name)
		}
		for n := range s.Nodes() {
			n.edges(m.edge)
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

// edges calls edge for each arrow that leaves n, or comes into it from a table.
func (n *Node) edges(edge func(from, to string)) {
	for _, c := range n.children() {
		edge("step "+n.Name, "step "+c.Name)
	}
	switch o := n.Op.(type) {
	case *Sink:
		edge("step "+n.Name, "topic "+o.Topic)
	case *Aggregate:
		if o.Late != "" {
			edge("step "+n.Name, "topic "+o.Late)
		}
	case *TableLookup:
		edge("step "+o.Table.Name, "step "+n.Name)
	case *ForeignJoin:
		edge("step "+n.Name, "topic "+o.Orders)
	case *Subscriptions:
		edge("step "+n.Name, "topic "+o.Answers)
	case *BroadcastLookup:
		edge("table "+o.Table.Folder+"/"+o.Table.File, "step "+n.Name)
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
