// Package registry is the client of a schema registry: Confluent's, or one that speaks its HTTP
// interface (Redpanda, Karapace, Apicurio).
//
// [New] makes a [Registry], which is what codecs of dsl/codecs are given:
//
//	schemas, err := registry.New(registry.Config{URLs: []string{"https://registry:8081"}, Username: "ashi", Password: secret})
//	rates := dsl.Stream[Rate](b, "rates").Codec(codecs.Registered(schemas, codecs.Avro[Rate]()))
//
// Schemas are registered before the engine reads its first record, all of a plan, and every problem
// is listed. Config.LookupOnly switches that off: then schemas must be there, and the error of one
// that is not has the command that an administrator would run. Of a schema that is refused as
// incompatible the error says what differs and what the subject's rule allows.
//
// # Caveats
//
// A schema that was heard once is never asked for again, so a registry may be down while all ids
// are known. An id that is not known waits for it up to Config.Patience; then the record fails with
// an error that wraps topology.ErrUnavailable, for which the engine does not drop it: the partition
// starts again from its last commit. Whatever a registry answers that is no schema (not found,
// refused, unreadable, too large, a redirect to another origin) is an error of the record, and the
// id is not asked for again for half a minute.
//
// Answers are bounded before they are in memory, and nothing is sent to another scheme, host or
// port than those of Config.URLs. The schemas that an Avro schema refers to come with it; those of
// Protobuf and JSON Schema are not asked for, as values in them are read without the writer's
// schema.
//
// # Concurrency
//
// A Registry may be used by any number of goroutines, and by several engines. It starts none and
// has nothing to close.
package registry
