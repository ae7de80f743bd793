package topology

import "strings"

// Graph is a plan as boxes and arrows, for whoever draws it.
type Graph struct {
	Boxes  []Box
	Arrows [][2]int // from one of Boxes to another
}

// Box is a step, a topic or a table.
type Box struct {
	Kind  string   // step, topic or table
	Lines []string // the first has its name
}

// Graph is what Mermaid draws. Equal plans give equal graphs.
func (p *Plan) Graph() Graph {
	var g Graph
	places := map[string]int{}
	box := func(what string, lines []string) int {
		i, ok := places[what]
		if !ok {
			i = len(g.Boxes)
			places[what] = i
			kind, _, _ := strings.Cut(what, " ")
			g.Boxes = append(g.Boxes, Box{Kind: kind, Lines: lines})
		}
		return i
	}
	edge := func(from, to string) {
		a := box(from, []string{from})
		g.Arrows = append(g.Arrows, [2]int{a, box(to, []string{to})})
	}
	for _, s := range p.Subs {
		for n := range s.Nodes() {
			box("step "+n.Name, n.lines())
		}
	}
	for _, s := range p.Subs {
		for _, n := range s.Roots {
			edge("topic "+n.Op.(*Source).Topic, "step "+n.Name)
		}
		for n := range s.Nodes() {
			n.edges(edge)
		}
	}
	for _, t := range p.Tables {
		edge("topic "+t.Topic, "table "+t.Folder+"/"+t.File)
	}
	return g
}
