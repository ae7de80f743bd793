package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/windows"
)

// A record costs no allocation in a steady stream: batches of 1,000 records of 1,000 keys, in one
// window size and in four. Only where a window closes is something allocated, once a row that is
// put out.
func TestNoAllocationPerRecord(t *testing.T) {
	for name, spec := range map[string]windows.Spec{"1 size": windows.Minutes(1), "4 sizes": windows.Minutes(1, 5, 15,
		60)} {
		t.Run(name, func(t *testing.T) {
			tk, _ := benchTask(t, sevenPlan(t, spec))
			batches := tickBatches(80) // 80 seconds: a window of a minute closes in the middle
			next, ctx := 0, t.Context()
			release := func() {}
			process := func() {
				if next == len(batches) {
					next = 0
					shiftBatches(batches, 80_000)
				}
				if err := tk.Process(ctx, &batches[next], release); err != nil {
					t.Fatal(err)
				}
				next++
			}
			for range 200 {
				process() // until the memory that is used again is there
			}
			free := 0
			for range 20 { // of 3 batches each; one window closes, or two
				if testing.AllocsPerRun(2, process) == 0 {
					free++
				}
			}
			require.GreaterOrEqual(t, free, 17, "measurements without an allocation")
		})
	}
}

// With sliding windows each record is a point and closes two windows. Rows that are put out are all
// that is allocated, one of them once, and the memory that they are copied to.
func TestSlidingAllocatesRowsOnly(t *testing.T) {
	tk, out := benchTask(t, sevenPlan(t, windows.Sliding(10*time.Second)))
	batches := tickBatches(20)
	next, ctx := 0, t.Context()
	process := func() {
		if next == len(batches) {
			next = 0
			shiftBatches(batches, 20_000)
		}
		if err := tk.Process(ctx, &batches[next], func() {}); err != nil {
			t.Fatal(err)
		}
		next++
	}
	for range 60 {
		process()
	}
	const runs = 10
	before := out.outputs
	allocs := testing.AllocsPerRun(runs, process) // after one that does not count
	rows := float64(out.outputs-before) / (runs + 1)
	require.InDelta(t, 2000, rows, 0.1, "rows a batch of 1,000 records")
	require.Less(t, allocs, rows+20, "allocations a batch")
}
