// Command reads measures how long reads of a table take while records are processed: point gets, and ranges of 1,000 bars of one key.
//
//	go run ./bench/reads -records 6000000 -rate 500000
//
// It runs everything in its process: an embedded broker with ticks of 100 keys, which it writes first, and an engine that makes bars of a
// minute of them, exactly once, and mirrors them into RocksDB. Records are let through at -rate. Reads begin when every key has 1,000 bars, and
// go on, one every -every, until the last record is processed; after that as many are made with nothing else going on. Each gets a JSON line.
// A get whose row is missing, or a range with a gap, is an error: readers check what they read.
package main
