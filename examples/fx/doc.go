// Command fx makes price bars of 1, 5, 15 and 60 minutes from ticks, with everything real: ticks go
// to a Kafka topic, the engine makes bars of them exactly once, final bars land on compacted
// topics, and are read back from this process's own tables.
//
//	go run ./examples/fx                                     made-up ticks, on a broker inside the process
//	go run ./examples/fx -ticks a.csv.gz,b.csv.gz -bars out  replays files, merged by time; writes out/bars_1min.csv and so on
//	go run ./examples/fx -brokers host:9092 -app fx-2014 …   the same on a real cluster
//	go run ./examples/fx -config fx.yaml -app fx-2014 …      the same with TLS, credentials and all other settings from a file
//	go run ./examples/fx -config fx.yaml -grants             what an administrator must allow for it
//
// Read plan.go first: it is the program that the engine runs. The other files are what surrounds
// it:
//
//	main.go      flags, and how the program starts and ends
//	cluster.go   where Kafka is, and what the program needs of it
//	ticks.go     ticks from files, merged by time
//	market.go    ticks that are made up
//	replay.go    ticks into the topic, each once however often the program is killed, and the markers that end them
//	bars.go      final bars from the tables, and as CSV
//	screen.go    progress and bars while they are made
//	chart.go     the table and the chart at the end
//
// A run that was killed, even with kill -9, continues where it stopped when it is started again
// with the same ticks, the same -app, and the same -dir or -brokers: ticks are put into a topic in
// one fixed order, so that what is there says what is missing. Without -state the engine's own
// state is restored from Kafka; with it, from disk. Ctrl-C ends cleanly, with exit code 130; that
// run can be continued likewise. Exit code 2 is a mistake in the flags, 1 any other.
//
// The table is text/tabwriter; progress and chart are a few lines of their own: asciigraph, the
// usual library for charts, draws lines, not candles, and a line that is drawn over itself needs no
// library.
package main
