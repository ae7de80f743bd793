// Package codecs turns rows into the bytes of Kafka values and back.
//
// A [Codec] is given to a source or a sink when the program is built:
//
//	rates := dsl.Stream[Rate](b, "rates", codecs.Fixed[Rate]())
//
//	JSON   a JSON object of all columns, by the names and formats of the entity model
//	Fixed  the columns that are not in the key, one behind the other, without names: the smallest and fastest
//	Proto  a Protobuf message
//	Avro   an Avro record of all columns
//
// [Registered] puts JSON, Proto or Avro into a schema registry, in Confluent's wire format; [AvroKey] and [JSONKey] are for keys.
//
// A constructor never fails: a type that a codec cannot carry makes a codec that knows its mistake, which [Err] tells (and
// which Encode and Decode return), so that Build can list it with its place. No codec makes bytes for a null value and none
// reads one: [ErrNull].
//
// # The JSON library
//
// Seven libraries were measured on the same tick and the same bar; bench/results/json-libraries.txt has the raw lines, and what
// each makes of 30 malformed or doubtful inputs. github.com/segmentio/encoding is used: it decodes a tick without a copy of
// its strings (120 ns and no allocation; encoding/json 750 ns and five, go-json-experiment 343 ns and none), appends to the
// caller's buffer (230 ns a bar, no allocation), and rejects what is malformed. goccy/go-json decodes a little faster
// (100 ns) but copies each string and allocates on every encode; bytedance/sonic compiles at run time, falls back to
// encoding/json on Go versions that it does not know, and was slower on values this small; json-iterator takes +1 for a
// number; go-faster/jx is as fast at decoding, but knows no structs. What the chosen library lacks is added here: text
// that is not UTF-8 is refused, and so is a value nested more than 1,000 deep, which could
// overflow its stack. With that, and times from milliseconds, a tick takes about 170 ns and a bar 300, without allocations.
// It links to two functions of package reflect that Go keeps for it; a Go that took them away would fail to link, not misbehave.
//
// # The Avro library
//
// github.com/twmb/avro writes: it appends to the caller's buffer, and takes custom types for decimals. github.com/hamba/avro is about as fast,
// but allocates for each row (bench/results/avro-libraries.txt). The library sees T through a struct type of the same fields
// in the same places whose tags have the columns' names, so that nothing is copied. Reading is done here (avro_schema.go, avro_resolve.go): a library
// resolves the writer's schema against one of the reader's, which has no place for a default where a value is null, for the Go type's unit of time, or for an error of a branch.
// Rows are views of the data, without an allocation, as before.
//
// # Caveats
//
// Strings and []byte of a decoded row may be views of the data, which therefore is never written again. Fixed has no
// names and no version: both sides must know the same struct. A time loses what its format cannot say, Fixed and ms keep
// milliseconds, and its zone: columns are written and read in UTC, so that equal rows of two machines are equal bytes.
// (Times inside nested structs keep the zone.)
//
// # Concurrency
//
// A codec never changes once made and may be used by any number of goroutines.
package codecs
