// Package entity reads what a Go struct says about itself: the columns of a row, which of them make
// the Kafka key, which one is the event time, and the topic that the rows live in.
//
//	type Rate struct {
//		_    struct{}  `ashi:"topic=rates,table"`
//		Pair string    `ashi:"pair,key"`
//		Bid  float64   `ashi:"bid"`
//		At   time.Time `ashi:"at,timestamp,format=ms"`
//	}
//
// [For] and [Of] turn the type into a [Model], once per type. The model names the columns and works
// on rows: [Model.EventTime] reads the event time, [Model.AppendKey] writes the Kafka key of a row
// and [Model.SetKey] reads it back. [KeyOf] is the same key format for a type that is not an
// entity: what GroupBy returns.
//
// # Tags
//
// A tag is `ashi:"name,option,option=value"`. A value that holds a comma is put in single quotes:
// format='Mon, 02 Jan 2006'.
//
//	key, key=2       the column is part of the key; in field order, or in the order of the numbers (then every key needs one)
//	timestamp        the event time: time.Time, int64 (milliseconds since 1970 unless its format says us or ns), or a pointer to either
//	precision, scale of a decimal (apd.Decimal): digits in all, and digits behind the point
//	maxlen           of a string, in characters; of a []byte, in bytes
//	default          the value of the column where a JSON record does not have it, or has null
//	format           of a time.Time: rfc3339 (the default), ms, us, ns since 1970, or a layout of package time; of an int64: ms, us or ns
//	-                alone: not a column
//
// The tag of a blank field speaks for the whole type:
//
//	topic              the topic; without it the name of the type is the topic, and the model carries a warning
//	table, stream      what the topic is; a program that says otherwise cannot be built
//	onerror, ondecode  skip, dlq or fail: what becomes of records that fail, and of those that cannot be decoded (OnError of package dsl)
//	nomirror           why no process needs a copy of the table: nomirror='too large'
//	relaxed            values over maxlen or scale are cut or rounded to fit, and counted; else they are errors
//
// A field without a tag is a column by its json name or else its Go name. A program may override
// tags: [Model.WithKey] and [Model.WithTimestamp], which package dsl offers as methods of streams
// and tables. docs/entities.md has all of it with examples.
//
// # Keys
//
// Keys are the bytes that ksqlDB writes. One column: the text of a string, a []byte as it is, 4
// bytes big-endian for an int32, 8 for an int64, an int or a float64. Several columns: a JSON
// object in the order of the key. Equal keys are equal bytes, with one thing to know: -0.0 and 0.0
// are two keys. There is no key for null; an empty string is a key of no bytes. A key column over
// its maxlen is an error, in a row and in a Kafka key, also where the type is relaxed: a key that
// was cut would be another one.
//
// # Caveats
//
// Embedded structs are columns only under a name of their own; they are not flattened. Strings that
// SetKey and Decode fill in are views of the key's bytes: they are valid for as long as nobody
// writes to those bytes.
//
// # Concurrency
//
// A Model and a KeyCodec never change once made and may be used by any number of goroutines; the
// rows they work on belong to the caller.
package entity
