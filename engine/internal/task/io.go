package task

import (
	"context"
	"errors"

	"github.com/ashi-stream/ashi/windows"
)

// Errors of a Producer. Both end the task's session; the task is opened anew from the log.
var (
	// ErrFenced says that another member has taken the task over: whatever this one does no longer
	// counts.
	ErrFenced = errors.New("task: fenced by a newer owner")
	// ErrAborted says that a transaction did not go through and nothing of it is visible to those
	// who read committed.
	ErrAborted = errors.New("task: transaction aborted")
)

// Header is a record header as it is on the wire.
type Header struct {
	Key   string
	Value []byte
}

// Record is a record of an input, or of a log being restored. Nil Key or Value is Kafka's null. Its
// bytes are never written again after the record was handed over: views of them stay valid for as
// long as they are referenced.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Timestamp  windows.Time
	Offset     int64
	// Err, if not nil, says why the record, or the batch that it stands for, could not be taken
	// into memory: what else it should have is missing.
	Err error
}

// Batch is what was fetched at once of one input partition.
type Batch struct {
	Topic   string
	Records []Record // valid until the task wants more of the topic; ascending offsets, gaps are normal
	Next    int64    // the offset to read next: past the last record and past transaction markers after it
	Bytes   int      // that came over the wire; those of a fetch are all of its last batch
}

// Past reads topics of the task's partition beside its inputs.
type Past interface {
	// Bounds are the oldest offset that a topic has, and the one behind its last record that
	// counts. Both are 0 if there is no such topic.
	Bounds(topic string) (oldest, end int64, err error)
	// Read hands on the records of a topic from its oldest one to before an offset.
	Read(ctx context.Context, topic string, until int64, apply func([]Record) error) error
}

// Output is a record to be written. The producer keeps Key, Value and Headers until the transaction
// ends.
type Output struct {
	Topic      string
	Partition  int32 // OnKey: chosen by the key's murmur2, as Kafka's own clients do
	Key, Value []byte
	Headers    []Header
	Timestamp  windows.Time
	Offset     *int64 // if not nil, Commit sets it to the offset that the broker gave
}

// OnKey as a partition leaves the choice to the key.
const OnKey int32 = -1

// Producer writes the outputs of one task, a transaction at a time. It is used by the task's
// goroutine only.
type Producer interface {
	// Produce buffers o in the transaction under way, beginning one if there is none. It does not
	// wait for the broker, except where the buffer is full. What goes wrong is told by Commit. The
	// caller may write to *o when Produce has returned.
	Produce(ctx context.Context, o *Output)
	// Commit returns when all that was produced since the last Commit is visible to those who read
	// committed, as one. After an error (ErrFenced, ErrAborted or another) the producer can only be
	// closed. Where the broker's last answer was lost it is not known whether the transaction went
	// through: the log tells whoever opens the task anew.
	Commit(ctx context.Context) error
	// Close aborts what was not committed.
	Close() error
}
