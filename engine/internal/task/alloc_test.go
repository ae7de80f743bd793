package task_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/windows"
)

// A record costs no allocation in a steady stream: batches of 1,000 records of 1,000 keys, in one window size and in four. Only
// where a window closes is something allocated, once a row that is put out.
func TestNoAllocationPerRecord(t *testing.T) {
	for name, spec := range map[string]windows.Spec{"1 size": windows.Minutes(1), "4 sizes": windows.Minutes(1, 5, 15, 60)} {
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
