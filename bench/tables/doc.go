// Command tables measures how long a table of finals takes to be ready: from its topic, with an
// empty state directory, and from what a process that was stopped has left on its disk.
//
//	go run ./bench/tables                     # a broker in the process
//	go run ./bench/tables -brokers HOST:PORT
//
// An engine makes -finals bars of a minute of -keys keys, exactly once, into a compacted topic of
// two partitions. Each round starts an engine with an empty directory, stops it when it is ready,
// and starts another one on the same directory. Each start gets a JSON line: ready_s is the time
// from before engine.New to the return of WaitReady, cpu_s what the process burnt meanwhile (the
// broker's part too, if it is in the process). Before a line is printed it is made sure of that a
// row of each key can be read.
package main
