package engine

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/topology"
)

// Each box stands behind all that feed it, in a circle too, and none covers another.
func TestDrawing(t *testing.T) {
	g := topology.Graph{Arrows: [][2]int{{0, 1}, {1, 2}, {0, 2}, {2, 3}, {3, 1}, {5, 4}, {4, 5}}}
	for _, name := range []string{"rates", "filter", "join", "answers", "a circle", "without a way in", "alone"} {
		g.Boxes = append(g.Boxes, topology.Box{Kind: "step", Lines: []string{name, strings.Repeat("é", 40)}})
	}
	require.Equal(t, []int{0, 1, 2, 3, 0, 1, 0}, columnsOf(g))
	d := draw(g)
	require.Len(t, d.Arrows, len(g.Arrows))
	for i, a := range d.Boxes {
		require.Less(t, a.X+boxWidth, d.Width)
		require.Less(t, a.Y+a.Height, d.Height)
		require.Equal(t, strings.Repeat("é", textLength-1)+"…", a.Lines[1].Text)
		for _, b := range d.Boxes[:i] {
			require.False(t, a.X == b.X && a.Y < b.Y+b.Height && b.Y < a.Y+a.Height, "%v covers %v", a, b)
		}
	}
}
