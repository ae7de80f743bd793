// Package codecs turns rows into the bytes of Kafka values and back.
//
// A [Codec] is given to a source or a sink when the program is built:
//
//	rates := dsl.Stream[Rate](b, "rates", codecs.Fixed[Rate]())
//
//	JSON   a JSON object of all columns, by the names and formats of the entity model
//	Fixed  the columns that are not in the key, one behind the other, without names: the smallest and fastest
//	Proto  a Protobuf message
//
// A constructor never fails: a type that a codec cannot carry makes a codec that knows its mistake, which [Err] tells (and
// which Encode and Decode return), so that Build can list it with its place. No codec makes bytes for a null value and none
// reads one: [ErrNull].
//
// # The JSON library
//
// Six libraries were measured on the same tick and the same bar; bench/results/json-libraries.txt has the raw lines, and what
// each makes of 29 malformed or doubtful inputs. github.com/segmentio/encoding is used, because it decodes a tick without a
// copy of its strings (120 ns and no allocation; encoding/json 750 ns and five, go-json-experiment 343 ns and none), appends to
// the caller's buffer (230 ns a bar; the others need a copy or are slower), and rejects what is malformed. goccy/go-json
// decodes a little faster (104 ns) but copies each string, allocates on every encode and keeps its own copy of the runtime's internals;
// bytedance/sonic compiles at run time, works only on Go versions that it knows, and was slower on values this small;
// json-iterator takes +1 for a number. What the chosen library lacks is added here: text that is not UTF-8 is refused, and so is
// a value nested more than 1,000 deep, which would overflow its stack.
//
// # Caveats
//
// Strings and []byte of a decoded row may be views of the data, which therefore is never written again. Fixed has no
// names and no version: both sides must know the same struct. A time loses what its format cannot say: Fixed and ms keep
// milliseconds, and no format but rfc3339 and a layout keeps the zone; decoded times are in UTC, save for rfc3339 in
// columns of nested structs.
//
// # Concurrency
//
// A codec never changes once made and may be used by any number of goroutines.
package codecs
