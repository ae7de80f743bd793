// Command reads measures how long reads of a table take while records are processed: point gets,
// and ranges of 1,000 bars of one key.
//
//	go run ./bench/reads -records 6000000 -rate 500000 -results bench/results
//
// It runs everything in its process: an embedded broker with ticks of 100 keys, which it writes
// first, and an engine that makes bars of a minute of them, exactly once, and mirrors them into
// RocksDB. Records are let through at -rate. Reads begin when every key has 1,000 bars, and go on,
// one every -every of each of -readers, nine gets to a range, until the last record is processed;
// after that for 5 s with nothing else going on. Each phase gets a JSON line: percentiles of the
// time from before the call to the row, or the last of the range, decoded; how many records were
// processed a second; scheduler_wait_p99_us, how long goroutines that could run waited for Go's
// scheduler; and how many cores the process used, the broker in it and the readers included. -cache
// 1 is a table whose blocks are not in its cache. A get whose row is missing, or a range with a
// gap, is an error: readers check what they read.
package main
