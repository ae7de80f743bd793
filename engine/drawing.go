package engine

import (
	"slices"

	"github.com/ashi-stream/ashi/topology"
)

// drawing is a plan's graph with places, from left to right; all lengths are pixels.
type drawing struct {
	Width, Height int
	Boxes         []drawnBox
	Arrows        []drawnArrow
}

type drawnBox struct {
	Kind         string
	Text         string // all lines, for those who point at the box
	X, Y, Height int
	Lines        []drawnLine
}

type drawnLine struct {
	X, Y int
	Text string
}

type drawnArrow struct{ X1, Y1, X2, Y2, Bend1, Bend2 int }

const (
	boxWidth    = 220
	columnWidth = 270
	lineHeight  = 15
	boxGap      = 14
	textLength  = 34 // characters that fit into a box
)

// draw puts each box a column behind the last of those that feed it, and below those that are in
// its column already. Arrows that close a circle, as answers of foreign key joins do, go back.
func draw(g topology.Graph) drawing {
	columns := columnsOf(g)
	d := drawing{Boxes: make([]drawnBox, len(g.Boxes))}
	bottom := map[int]int{}
	for i, b := range g.Boxes {
		c := columns[i]
		box := drawnBox{Kind: b.Kind, X: boxGap + c*columnWidth, Y: boxGap + bottom[c],
			Height: lineHeight*len(b.Lines) + 10}
		for n, line := range b.Lines {
			box.Text += line + "\n"
			box.Lines = append(box.Lines, drawnLine{X: box.X + 8, Y: box.Y + lineHeight*(n+1), Text: cut(line)})
		}
		bottom[c] = box.Y + box.Height
		d.Width, d.Height = max(d.Width, box.X+boxWidth+boxGap), max(d.Height, bottom[c]+boxGap)
		d.Boxes[i] = box
	}
	for _, a := range g.Arrows {
		from, to := d.Boxes[a[0]], d.Boxes[a[1]]
		arrow := drawnArrow{X1: from.X + boxWidth, Y1: from.Y + from.Height/2, X2: to.X, Y2: to.Y + to.Height/2}
		arrow.Bend1, arrow.Bend2 = arrow.X1+25, arrow.X2-25
		d.Arrows = append(d.Arrows, arrow)
	}
	return d
}

func cut(line string) string {
	if r := []rune(line); len(r) > textLength {
		return string(r[:textLength-1]) + "…"
	}
	return line
}

// columnsOf is for each box the length of the longest way to it, without the arrows that close a
// circle.
func columnsOf(g topology.Graph) []int {
	fed, columns := make([]bool, len(g.Boxes)), make([]int, len(g.Boxes))
	next := make([][]int, len(g.Boxes))
	for _, a := range g.Arrows {
		next[a[0]] = append(next[a[0]], a[1])
		fed[a[1]] = true
	}
	seen, onWay := make([]bool, len(g.Boxes)), make([]bool, len(g.Boxes))
	var order []int // those that are fed before those that feed them
	var visit func(i int)
	visit = func(i int) {
		seen[i], onWay[i] = true, true
		for k, n := range next[i] {
			if onWay[n] {
				next[i][k] = i // closes a circle: to itself, which counts for nothing
			} else if !seen[n] {
				visit(n)
			}
		}
		onWay[i] = false
		order = append(order, i)
	}
	for pass := range 2 { // first from where nothing comes in
		for i := range g.Boxes {
			if !seen[i] && (pass == 1 || !fed[i]) {
				visit(i)
			}
		}
	}
	for _, i := range slices.Backward(order) {
		for _, n := range next[i] {
			if n != i {
				columns[n] = max(columns[n], columns[i]+1)
			}
		}
	}
	return columns
}
