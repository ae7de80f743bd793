// Package codecs turns rows into the bytes of Kafka values and back.
//
// A [Codec] is given to a source or a sink when the program is built:
//
//	rates := dsl.Stream[Rate](b, "rates").Codec(codecs.Fixed[Rate]())
//
//	JSON   a JSON object of all columns, by the names and formats of the entity model
//	Fixed  the columns that are not in the key, one behind the other, without names: the smallest and fastest
//	Proto  a Protobuf message
//	Avro   an Avro record of all columns
//
// [Registered] puts JSON, Proto or Avro into a schema registry, in Confluent's wire format;
// [AvroKey] and [JSONKey] are for keys.
//
// A constructor never fails: a type that a codec cannot carry makes a codec that knows its mistake,
// which [Err] tells (and which Encode and Decode return), so that Build can list it with its place.
// No codec makes bytes for a null value and none reads one: [ErrNull]. What is null beside Kafka's
// null, a codec says as [Nuller]: of JSON the text null and a value without bytes.
//
// # No JSON library
//
// JSON is read and written by nodes: one for each type inside a row, made once by reflection, which
// work on the row in memory (json_node.go). Seven libraries were measured before on the same tick
// and the same bar (bench/results/json-libraries.txt), and the fastest of them was used through a
// struct with our names. None reads whole numbers in all notations, keeps the digits of decimals
// inside lists and maps, lets the last of two equal names win as a whole, or has one form for times
// and durations everywhere; and the nodes take a quarter to a third less time than that library
// did, without allocations, as nothing is copied between the row and a struct of the library's. The
// schema of a type comes from the same nodes. encoding/json is the yardstick: on generated types
// and values both must agree (json_random_test.go).
//
// # The Avro library
//
// github.com/twmb/avro writes: it appends to the caller's buffer, and takes custom types for
// decimals. github.com/hamba/avro is about as fast, but allocates for each row
// (bench/results/avro-libraries.txt). The library sees T through a struct type of the same fields
// in the same places whose tags have the columns' names, so that nothing is copied. Reading is done
// here (avro_schema.go, avro_resolve.go): a library resolves the writer's schema against one of the
// reader's, which has no place for a default where a value is null, for the Go type's unit of time,
// or for an error of a branch. Rows are views of the data, without an allocation, as before.
//
// # Caveats
//
// Strings and []byte of a decoded row may be views of the data, which therefore is never written
// again. Fixed has no names and no version: both sides must know the same struct. A time loses what
// its format cannot say, Fixed and ms keep milliseconds, and its zone: times are written and read
// in UTC, so that equal rows of two machines are equal bytes. (Times inside nested structs of Avro
// keep the zone.)
//
// # Concurrency
//
// A codec never changes once made and may be used by any number of goroutines.
package codecs
