// Package embedded starts a Kafka broker inside the process, for demos, examples and tests.
//
// [Start] returns a [Broker]: one node, bound to the loopback interface, that any Kafka client can
// talk to. Without a folder it lives in memory; with one it writes its log there as Kafka would (no
// sync per batch, the page cache keeps what was written when the process is killed) and goes on
// from it when it is started on the folder again: what was committed is there, what was under way
// is aborted if the broker was killed, and still open if it was closed, until its producer ends it
// or its time-out does. A virtual broker listens on no port at all: only [Broker.Dial] reaches it,
// which is what a testing/synctest bubble needs.
//
// It is no production broker: one process, no replication, no promise when the machine loses power
// or when it is killed in the middle of a compaction, of which there is one an hour; and two
// brokers must not share a folder. A Broker is safe for concurrent use.
package embedded
