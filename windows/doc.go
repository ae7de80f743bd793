// Package windows answers, from times alone: which windows does a record belong to, and which
// windows are closed.
//
// [Time] is an event time in milliseconds. A [Spec] is what an aggregation asks for: one or more
// kinds of windows and a grace. A [Kind] is one of them, and does the arithmetic.
//
// # How a window lives
//
// Tumbling windows of size 1 minute with a grace of 3 seconds; stream time is the newest event time
// that the aggregation has seen so far, and it never goes back:
//
//	record at   stream time   window             what happens
//	10:00:05    10:00:05      [10:00, 10:01)     opened
//	10:00:59    10:00:59      [10:00, 10:01)     added
//	10:01:01    10:01:01      [10:01, 10:02)     opened; 10:00 is past its end, but in its grace
//	10:00:58    10:01:01      [10:00, 10:01)     out of order, added
//	10:01:03    10:01:03      [10:01, 10:02)     added; stream time has reached 10:01 + 3 s: 10:00 is closed, and final
//	10:00:59    10:01:03      [10:00, 10:01)     late: dropped and counted
//
// Everything here is pure: no clock, no goroutine, no input or output, and nothing is allocated on
// the path of a record. All values may be used by any number of goroutines.
package windows
