// Command e2e measures a whole pipeline on an existing topic, as the programs in the peers folder
// do for Kafka Streams, Flink and goka: it runs the topic to its end, and prints one JSON line.
//
//	go build -o bin/e2e ./bench/e2e
//	ASHI_E2E=$PWD/bin/e2e ../shared/peers/run.sh ashi tumbling 3
//
// What it writes is in the format that `load check` verifies: key = pair and window start, value =
// open, high, low, close of bid, count, and the third field of the last record, 48 bytes; of joins
// key = pair, value = the third fields of both records, then both bids, 32 bytes.
//
//	plan.go     the plan
//	join.go     that of joins
//	main.go     flags, the life of a run
//	meter.go    what is measured, and how: from outside, so that records cost nothing more
//
// -metrics FILE writes log lines of level info to FILE and all metrics out once a second, as a
// scrape would: what that costs is the difference to a run without.
//
// The clock runs from the first record to the moment when the committed offsets of the group have
// reached the end of the input. The engine's counters are polled: the first record is seen at most
// 2 ms late, and so is the CPU time until then; the last one, for wall_s_processed, 50 ms.
package main
