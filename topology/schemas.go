package topology

import (
	"context"
	"errors"
)

// ErrUnavailable says that something outside cannot be asked now, a schema registry for one. A
// record that fails with it is not at fault: it is neither dropped nor a dead letter, but read
// again.
var ErrUnavailable = errors.New("not available now")

// ErrNull says that bytes stand for a null value, as the format of their topic has it: in a table
// they delete the row of their key.
var ErrNull = errors.New("value is null")

// SchemaFormat is the language of a schema, in the word that Confluent's registry has for it.
type SchemaFormat string

// The formats of schemas.
const (
	AvroSchema     SchemaFormat = "AVRO"
	ProtobufSchema SchemaFormat = "PROTOBUF"
	JSONSchema     SchemaFormat = "JSON"
)

// Schema is a schema as a registry keeps it.
type Schema struct {
	Format     SchemaFormat
	Text       string
	References []Reference // what Text refers to; they may refer to others themselves
}

// Reference is a schema of another subject that a schema refers to.
type Reference struct {
	Name    string // by which it is referred to
	Subject string
	Version int
	Schema  Schema
}

// Schemas is a schema registry, as codecs need it. It may be called by many goroutines at once, for
// each record: it remembers what it has heard. An error that wraps [ErrUnavailable] says that the
// registry could not be asked, any other that it has said no.
type Schemas interface {
	// Register is the id of a schema under a subject. It is registered if it is not yet, where that
	// is allowed.
	Register(ctx context.Context, subject string, s Schema) (id int, err error)
	// Schema is the one of an id.
	Schema(ctx context.Context, id int) (Schema, error)
}

// Startup is something that is to be done before the first record is read. It may be done again.
type Startup struct {
	Place string // as in Plan
	What  string
	Do    func(context.Context) error
}
