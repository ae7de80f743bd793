package windows_test

import (
	"fmt"
	"time"

	"github.com/ashi-stream/ashi/windows"
)

// What happened in the five minutes up to each record: both bounds of a sliding window are in it,
// so it closes a millisecond later than its end and grace.
func ExampleSliding() {
	s := windows.Sliding(5 * time.Minute).Grace(10 * time.Second)
	fmt.Println(s)
	last5 := s.Kinds()[0]
	start := windows.At(time.Date(2026, 3, 2, 9, 55, 0, 0, time.UTC))
	fmt.Println(last5.Name())
	fmt.Println(last5.End(start))
	fmt.Println(last5.Closes(start, s.GraceTime()))
	// Output:
	// sliding 5min; grace 10s
	// sliding_5min
	// 2026-03-02T10:00:00.000Z
	// 2026-03-02T10:00:10.001Z
}
