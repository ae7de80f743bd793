package task

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Task is one partition of one sub-topology at work. It is owned by one goroutine at a time.
type Task struct {
	cfg      Config
	drops    dropLog
	decode   func(*topology.Record, []byte, []byte) error
	steps    []runner
	windowed []*windowed

	progress Progress
	position int64   // changelog offset after the last commit
	offset   int64   // of the record at work
	raw      *Record // the record at work
	releases []func()
	changed  bool // there is something to commit
	produced int  // bytes since the last commit
	unsaved  int  // bytes of rows changed since the last checkpoint

	lastCommit, lastCheckpoint time.Time

	pending stores.Batch // what the next checkpoint writes beside changed rows
	record  topology.Record
	out     Output
	arena   []byte
	scratch []byte
	order   []int32
}

// New opens a task on a store that has been restored. Errors that wrap ErrForeign or ErrDamaged say what the store is.
func New(cfg Config) (*Task, error) {
	t := &Task{cfg: cfg, drops: dropLog{drops: cfg.Drops, log: cfg.Log, now: cfg.Now}, decode: cfg.Sub.Source().Open()}
	t.progress = Progress{Fingerprint: cfg.Sub.Fingerprint(), Inputs: map[string]int64{}, StreamTimes: map[string]windows.Time{}}
	t.lastCommit, t.lastCheckpoint = cfg.Now(), cfg.Now()
	var err error
	if t.steps, err = t.runners(cfg.Sub.Root.Next); err != nil {
		return nil, err
	}
	return t, t.open()
}

// Positions is where to read each input on; a topic that is not in it has not been read yet. The caller must not change it.
func (t *Task) Positions() map[string]int64 { return t.progress.Inputs }

// checkEvery is how many records are processed between two looks at the context.
const checkEvery = 64

// Process runs a batch through the steps, and commits when that is due. release is called when all that the batch led to is
// committed. Records that are bad are dropped and counted; an error ends the task.
func (t *Task) Process(ctx context.Context, b *Batch, release func()) error {
	t.changed = true
	t.releases = append(t.releases, release)
	limit := windows.Time(math.MaxInt64)
	if t.cfg.Ahead > 0 {
		limit = windows.At(t.cfg.Now().Add(t.cfg.Ahead))
	}
	for i := range b.Records {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err() // the partition is wanted elsewhere: what was done since the last commit does not count
		}
		r := &b.Records[i]
		t.offset, t.raw = r.Offset, r
		if !t.accept(r, limit) {
			continue
		}
		if err := forward(ctx, t.steps, &t.record); err != nil {
			return fmt.Errorf("offset %d of %s/%d: %w", r.Offset, b.Topic, t.cfg.Partition, err)
		}
	}
	t.progress.Inputs[b.Topic] = b.Next
	if len(b.Records) > 0 {
		t.sawRecords()
	}
	if t.produced >= t.cfg.CommitBytes || t.cfg.Memory > 0 && t.Memory() > t.cfg.Memory {
		return t.Commit(ctx)
	}
	return t.Tick(ctx)
}

// Tick closes idle windows, and commits if the last commit is CommitEvery ago. It is to be called when no batch comes.
func (t *Task) Tick(ctx context.Context) error {
	if err := t.closeIdle(ctx); err != nil {
		return err
	}
	if t.cfg.Now().Sub(t.lastCommit) < t.cfg.CommitEvery {
		return nil
	}
	return t.Commit(ctx)
}

// Checkpoint writes what was committed to the store: before a clean close, so that little is left to restore. Nothing may have
// been processed since the last Commit.
func (t *Task) Checkpoint() error {
	if t.changed {
		return fmt.Errorf("task: checkpoint of %s/%d before its commit", t.cfg.Sub.Name, t.cfg.Partition)
	}
	if t.position == 0 {
		return nil // nothing was ever committed
	}
	return t.checkpoint()
}

// sawRecords starts the idle clocks anew.
func (t *Task) sawRecords() {
	for _, w := range t.windowed {
		if w.idle.after > 0 {
			w.idle.saw(t.cfg.Now(), w.streamTime)
		}
	}
}

// at is where the record at work stands: its event time, and the order of processing, which goes on over restarts.
func (t *Task) at(event windows.Time) aggregates.At {
	return aggregates.At{Time: int64(event), Seq: int64(t.progress.Rows)}
}

// passLate writes the record at work to a topic as it came.
func (t *Task) passLate(ctx context.Context, topic string) {
	r := t.raw
	partition := t.cfg.Partition % t.cfg.Sinks[topic]
	if r.Key != nil {
		partition = t.cfg.PartitionOf(r.Key, t.cfg.Sinks[topic])
	}
	t.produce(ctx, Output{Topic: topic, Partition: partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp})
}

// accept decodes r into t.record, or drops it.
func (t *Task) accept(r *Record, limit windows.Time) bool {
	source := t.cfg.Sub.Root.Name
	if r.Value == nil {
		t.drops.drop(NullValue, source, r.Offset, nil)
		return false
	}
	t.record = topology.Record{Key: r.Key, Group: r.Key, Time: r.Timestamp}
	if err := t.decodeGuarded(r); err != nil {
		t.drops.drop(Undecodable, source, r.Offset, err)
		return false
	}
	switch at := t.record.Time; {
	case at < 0:
		t.drops.drop(Negative, source, r.Offset, nil)
		return false
	case at > limit:
		t.drops.drop(Ahead, source, r.Offset, fmt.Errorf("event time %v is more than %v ahead of the clock", at, t.cfg.Ahead))
		return false
	}
	return true
}

func (t *Task) decodeGuarded(r *Record) (err error) {
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	err = t.decode(&t.record, r.Key, r.Value)
	done = true
	return err
}

// produce hands an output to the producer, in the one place that is used for all of them.
func (t *Task) produce(ctx context.Context, o Output) {
	t.produced += len(o.Key) + len(o.Value)
	t.out = o
	t.cfg.Producer.Produce(ctx, &t.out)
}

// arenaBytes is how much keep takes at a time.
const arenaBytes = 64 << 10

// keep copies b to memory that the producer may hold on to. A nil b stays nil, an empty one does not become it.
func (t *Task) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	if t.arena == nil || len(b) > cap(t.arena)-len(t.arena) {
		t.arena = make([]byte, 0, max(arenaBytes, len(b)))
	}
	n := len(t.arena)
	t.arena = append(t.arena, b...)
	return t.arena[n:len(t.arena):len(t.arena)]
}

// logTime is the timestamp of changelog records: the clock's, so that no retention by time takes a row for an old one.
func (t *Task) logTime() windows.Time { return windows.At(t.lastCommit) }
