// Command deadletters lists dead letters, shows one, and sends their records anew.
//
//	deadletters list -brokers HOST:PORT                                  every letter, a line each
//	deadletters list -brokers HOST:PORT -source rates -class decode -since 2026-11-01T00:00:00Z -pending
//	deadletters show -brokers HOST:PORT 0:15                             one, whole: the letter at offset 15 of partition 0
//	deadletters redrive -brokers HOST:PORT 0:15 0:16                     these, to the topics and partitions that they came from
//	deadletters redrive -brokers HOST:PORT -class function -all          all that match, but those that were sent anew before
//	deadletters redrive -brokers HOST:PORT -to rates_repaired 0:15       to another topic, by key
//
// The letters are those of dead.letter.queue; -topic names another topic. It reads that topic from
// its start each time.
//
// A record is sent anew with the key, value, headers and timestamp that it had, and a header
// __ashi.redriven.from that says where its letter is. In the same transaction a mark is written to
// the dead letters, a record without key and value: so a letter is sent anew once, also where the
// command is killed or runs twice, unless -again asks for more. Nothing is sent without being
// named: by place, or by -all. What happened before the record failed happens again: steps on other
// branches see it twice, and windows that have closed do not take it. Letters without a value,
// because it was too large for them, and rows that a plan made itself cannot be sent anew; the
// latter can with -to.
//
// It ends with status 1 when anything named could not be found or sent.
//
// In place of -brokers, -config FILE takes addresses, TLS and SASL from the application's
// configuration (package engine/config).
package main
