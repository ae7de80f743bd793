package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// Worker does a partition's work while its group member owns the partition: the engine's task. Its
// methods are called one at a time, and its partition's life is its own: it is opened once, and
// closed exactly once, even if Open failed. Afterwards a new one takes its place, here or at
// another member. What happens to other partitions, also in a rebalance, it does not notice.
//
// An error of Open, Run or Tick ends the worker. If it wraps [task.ErrFenced], [task.ErrAborted] or
// [ErrUnavailable], the member waits until the group confirms that it is a member, and opens a new
// worker for the partition; after ten such workers of a partition in a row which released nothing
// it gives up, save for ErrUnavailable. Any other error is fatal to the Group, which closes its
// other workers cleanly; so is a panic.
type Worker interface {
	// Open restores the state and returns the offset to start at for each input topic; one that is
	// not in the map starts at its oldest record. It may take as long as it needs (the member stays
	// in the group meanwhile), and must return soon when ctx is done: then the partition is wanted
	// elsewhere, or the program ends.
	Open(ctx context.Context) (start map[string]int64, err error)

	// Wants says that nothing of a topic is left to work on: Offer may be called.
	Wants(topic string) bool

	// Offer gives the next records of a topic that the worker Wants; b may have none, when only the
	// position moved. b and its records stay as they are until the worker Wants more of the topic.
	// The worker keeps release and calls it when the batch's effect is committed, in the order of
	// the topic's batches.
	Offer(b *task.Batch, release func())

	// Run works on what was offered. It may stop where a topic has nothing left: what comes next is
	// not known before that topic's next batch is there, or ended says that the topic has no record
	// now which is committed and not offered yet. Then Run is called again as soon as either is the
	// case [T5]. It must return soon when ctx is done: then its work no longer counts.
	Run(ctx context.Context, ended func(topic string) bool) error

	// Tick is called when no batch has come for the group's tick interval.
	Tick(ctx context.Context) error

	// Close ends the worker. Clean: it commits what is pending and releases it. Otherwise it
	// abandons what is pending, as somebody else may own the partition already. It must return soon
	// after ctx is done.
	Close(ctx context.Context, clean bool) error

	// Stuck says in which piece of work the worker is, and since when; the zero Time: in none that
	// could hang. It is called by other goroutines, each second, while other methods are under way,
	// and must not wait for them.
	Stuck(now time.Time) (where string, since time.Time)

	// Abandon is called by another goroutine when a method of the worker does not return
	// (ErrStuck), and maybe by two: from when Abandon returns nothing that the worker does may be
	// seen by anybody. Its own goroutine may still use what it has, so none of that may be freed.
	// If the method ever returns, Close follows.
	Abandon()
}

// ErrStuck says that a worker did not return, and that the member has ended without it: a goroutine
// is left behind.
var ErrStuck = errors.New("kafka: a goroutine is left behind, which does not return")

// GroupConfig is the consumer group of an application: one for all of its sub-topologies, as in
// Kafka Streams.
type GroupConfig struct {
	// ID is the consumer group's name.
	ID string
	// Subs are the sub-topologies whose tasks the group shares out; at least one. No topic is an
	// input of two of them.
	Subs []SubTopology
	// Tick is how long a partition may be idle before its worker's Tick; 0 means 100 ms.
	Tick time.Duration
	// Ahead bounds, roughly, the bytes that are fetched and not yet processed, of all partitions
	// together. A partition takes 64 KiB at least and 8 MiB at most, which is also the default.
	Ahead int
	// Standbys is how many other members keep a copy of each task's state: as many as there are
	// members for. 0: none, but see OnStandby. All members should have the same; what the group's
	// leader has counts.
	Standbys int
	// Instance names this member for longer than a process lives (KIP-345): one that comes back
	// within SessionTimeout takes its tasks up again, without a rebalance. It must be unique in the
	// group; Run ends if it is not. A member with an Instance does not leave its group when it
	// ends: the others take its tasks after SessionTimeout. Empty: membership ends with the
	// process.
	Instance string
	// StuckAfter is how long a worker may be in one piece of work (Worker.Stuck) before the member
	// ends without it, with ErrStuck; 0: for ever. Where the worker is to end, as its partition
	// moves or Run's context is done, that is bounded whatever StuckAfter says: half of
	// Config.RebalanceTimeout and 5 s for a worker that is in such work, all of RebalanceTimeout,
	// and 5 s at least, for one that is not.
	StuckAfter time.Duration
	// OnRebalance, if not nil, is called at each new assignment, also of the same tasks, with the
	// time when the rebalance began for this member: when partitions were taken from it, or now if
	// none were. It must not block.
	OnRebalance func(began time.Time)
}

// SubTopology is what a group knows of one sub-topology. Its tasks are the partitions of its
// inputs: a task has the partition of that number of each. Members whose sub-topologies of one name
// have other inputs share no tasks of it.
type SubTopology struct {
	// Name is unique in the group, and the same in all members.
	Name string
	// Topics are the inputs; they must have the same number of partitions.
	Topics []string
	// TopicIDs are those of the inputs that workers' offsets are of: a topic that is another one is
	// an ErrOtherTopic. One that is not in it is not known: then the first that is found counts.
	TopicIDs map[string]task.TopicID
	// Notes are texts that commits of offsets carry, by topic: whose they are.
	Notes map[string]string
	// Changelog is the topic of the workers' log. It must exist, with a partition for each of the
	// inputs'. Empty: the workers keep no log and nothing is checked.
	Changelog string
	// NewWorker makes the worker of a partition. It is called for several partitions at a time.
	NewWorker func(partition int32) Worker
	// Positions, if not nil, says for each partition whose state this member has, as an open task,
	// as a standby or as a store on its disk, up to which offset of the changelog it has it. It is
	// called whenever the member joins, also while workers open and close, by one goroutine at a
	// time, and must be quick. The map is not kept. Nil: the member never has any state.
	Positions func() map[int32]int64
	// OnStandby, if not nil, is called with the partitions, ascending, of which this member is to
	// keep copies: at each change, empty when there are none any more, and also with Standbys 0, as
	// a member that is to take a partition over copies its state first and then calls Rejoin. A
	// partition that becomes this member's own is taken from the standbys, and OnStandby has
	// returned, before NewWorker is called for it; one that moves away may be a standby once its
	// worker is closed, never before. A member that is thrown out of its group keeps its standbys
	// until the group names others; one that ends has none, and OnStandby is called while its
	// workers close. Calls come one at a time, in order; they must not block.
	OnStandby func(partitions []int32)
	// OnAssigned, if not nil, is called with the member's partitions, ascending, whenever they may
	// have changed: before NewWorker is called for those that came, after those that went are
	// closed. It must not block.
	OnAssigned func(partitions []int32)
	// End, if not nil, is called with the end of an input partition's committed records, at each
	// answer of a broker. It is called by several goroutines and must not block.
	End func(topic string, partition int32, end int64)
}

const (
	defaultTick = 100 * time.Millisecond
	// lookEvery is how often a session looks whether its worker is stuck, at least; ten times in
	// StuckAfter, if that is more often. A process may have thousands of sessions.
	lookEvery = 30 * time.Second

	// closeTimeout bounds the abandoning of a worker, and the wait for one that does not notice
	// that its context is done.
	closeTimeout = 5 * time.Second
	// maxFailures is how many workers of a partition in a row may fail without a batch released,
	// before the member gives up.
	maxFailures = 10
)
