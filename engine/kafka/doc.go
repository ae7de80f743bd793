// Package kafka is everything between a broker and a task. It alone imports goka, sarama and
// franz-go, and none of their types appears in its signatures.
//
//   - [Admin] creates and checks topics and asks for offsets.
//   - [Producer] writes a task's results, changed rows and commit record as one transaction.
//   - [Follow] copies topic partitions to a function and knows its position: restore, standbys, tables.
//   - [Group] shares the partitions of its topics with the other members of a consumer group, gives a [Worker] to each
//     partition that it owns, and says of which ones this member is to keep a copy of the state.
//   - [Security] is TLS and SASL; a [DeniedError] names the permission that is missing, and [GrantCommands] grant it.
//   - [Partition] is where Kafka's own clients put a key.
//
// # A batch's way
//
// A group member is two franz-go clients. One only keeps the membership: heartbeats and assignment
// (member.go; who gets what is decided in assignor.go and division.go). The other fetches, and
// commits offsets: fetch.go asks each leader for the partitions that have room and hands the raw
// bytes of each answer on as a chunk. A chunk travels through goka as the eight bytes of a handle;
// goka's codec turns them back into the chunk and calls its partition's lane (lane.go), which
// decodes the records (records.go) into a slice that it reuses and gives them to the Worker. The
// worker calls release when their effect is committed; the offset then goes to the group
// (offsets.go).
//
// A partition that this member owns is a tenure (tenure.go), with a goka processor of its own:
// Setup opens the partition's storage, which opens the worker; ConsumeClaim carries the chunks;
// Cleanup ends it. That is a session (session.go), and there is a new one when the worker's
// transaction fails. Everything else that goka would do for itself has an inert stand-in (goka.go).
//
// # Caveats
//
// The group's offsets are for lag monitors. A worker says at Open where to start, because its truth
// is in its own log. The bytes of keys and values are views of what was fetched: keeping one keeps
// the broker's whole answer alive, up to 16 MiB, so what is kept for long should be copied.
//
// All exported types are safe for concurrent use, save [Producer]; a worker is called by one
// goroutine at a time.
package kafka
