// Command restore measures how long the state of a million keys takes to come back from its
// changelog when the disk is empty.
//
//	go run ./bench/restore                                              # a broker in the process
//	go run ./bench/restore -brokers HOST:PORT -topic k-bin-1m-5m -peers ../shared/peers
//
// An engine with windows of a minute that none of the records closes reads the input to its end,
// exactly once, and is stopped: then the changelog holds a row for each key and minute. That is
// what Kafka Streams keeps of the same topic with a retention of an hour. The state directory is
// deleted, and a new engine is started, -rounds times. Each restore gets a JSON line: rows and
// bytes (of keys and values) are those that the tasks said they took from the changelog, restore_s
// is the time of the slowest task from the first question to the last write, wall_s all from the
// start of the engine to the last task that is ready, cpu_s what the process burnt meanwhile. With
// a broker in the process its part is in cpu_s too.
//
// With -peers it runs Kafka Streams' restore of the same topic afterwards, by that folder's run.sh,
// and prints its line.
package main
