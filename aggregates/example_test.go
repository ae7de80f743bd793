package aggregates_test

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ashi-stream/ashi/aggregates"
)

// extent is an aggregate in ten lines: the distance between the lowest and the highest price.
var extent = aggregates.Definition[float64, [2]float64, float64]{
	Name: "extent",
	Init: func() [2]float64 { return [2]float64{math.Inf(1), math.Inf(-1)} },
	Add:  func(s [2]float64, v float64) [2]float64 { return [2]float64{min(s[0], v), max(s[1], v)} },
	Merge: func(a, b [2]float64) [2]float64 {
		return [2]float64{min(a[0], b[0]), max(a[1], b[1])}
	},
	Encode: func(dst []byte, s [2]float64) []byte { dst, _ = binary.Append(dst, binary.LittleEndian, s); return dst },
	Decode: func(b []byte) (s [2]float64, err error) {
		_, err = binary.Decode(b, binary.LittleEndian, &s)
		return s, err
	},
	Result: func(s [2]float64) float64 { return max(0, s[1]-s[0]) },
}

// A projection calls it as it calls the others: aggregates.Custom(g, extent, bid).
func ExampleCustom() {
	project := func(g rows) string {
		return fmt.Sprint(aggregates.Count(g), aggregates.Custom(g, extent, f))
	}
	program, _ := aggregates.Record(func(r *aggregates.Recorder[quote]) { project(group{r}) }, aggregates.Needs{})
	state, cells := aggregates.NewState(program), make([]aggregates.Cell, program.Cells())
	for _, bid := range []float64{3, 1.5, 2} {
		_ = program.Eval(cells, &quote{f: bid})
		_ = program.Add(state, cells, aggregates.At{})
	}
	reader := aggregates.NewReader(program)
	reader.Reset(state)
	fmt.Println(project(group{reader}))
	// Output: 3 1.5
}
