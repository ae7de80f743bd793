package task

import (
	"context"
	"log/slog"
	"time"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
)

// Config is what a task works with. All fields are needed except where a zero has a meaning.
type Config struct {
	Sub        *topology.SubTopology
	Partition  int32
	Partitions int32            // of the source topic
	Sinks      map[string]int32 // partitions of each sink's topic
	Changelog  string           // its topic, with as many partitions as the source
	ID         LogID            // which log the partition of Changelog is
	// which topics the inputs are; one that is not in it is not known
	Topics      map[string]TopicID
	PartitionOf func(key []byte, partitions int32) int32 // Kafka's own partitioner
	Store       stores.Store
	Producer    Producer
	Now         func() time.Time
	Log         *slog.Logger
	Codecs      *slog.Logger // takes lines about what cannot be decoded; nil: Log
	Drops       *Drops
	Meter       Meter  // nil: none
	Pulse       *Pulse // shows where the task is; nil: nobody looks

	// CommitEvery is the time between commits, CommitBytes the bytes produced after which one is
	// made earlier.
	CommitEvery time.Duration
	CommitBytes int
	// CheckpointEvery is the time between checkpoints, CheckpointBytes the bytes of rows changed
	// after which one is made earlier.
	CheckpointEvery time.Duration
	CheckpointBytes int
	// Memory bounds the bytes of rows, sessions and groups in memory; 0 is no bound. Past it the
	// task commits, checkpoints, and drops rows, to be read back on demand.
	Memory int
	// Ahead bounds how far ahead of Now an event time may be; a record beyond is dropped
	// (Drops.Ahead), since it would close every window of its partition. 0 is no bound.
	Ahead time.Duration
	// EveryUpdate puts every update of a row out as a change, in place of the last one before each
	// commit.
	EveryUpdate bool
	// Rebuild drops the state of a sub-topology of which an operator has Changed, and lets it begin
	// anew, from the oldest records of its inputs; else that is ErrForeign. Linked says that it
	// cannot, because records go through internal topics.
	Rebuild, Linked bool
	// Application is the plan's name, as dead letters tell it.
	Application string
	// Past reads what topics held before; nil: what is not in the state cannot be had.
	Past Past
	// Limits are what topics take; a topic that is not in it takes all, as far as is known.
	Limits map[string]TopicLimits
	// Refused is why the broker does not take an output, nil if it has not refused it so far: those
	// of a RefusedError. Nil: none are known.
	Refused func(*Output) error
	// Sound is asked right before each commit. Its error ends the task without it: what was
	// processed must not count. Nil: all is well.
	Sound func(ctx context.Context) error
	// RetryTime bounds the waits of all retries for one record together. 0 is no bound.
	RetryTime time.Duration
	// Pause waits before a retry; nil: for as long as the machine's clock says, or until ctx ends,
	// which is its error then.
	Pause func(ctx context.Context, d time.Duration) error
	// Tables gives access to a table that the process mirrors, by its topic; nil if it does not.
	// Only plans with broadcast joins need it.
	Tables func(topic string) TableRows
}
