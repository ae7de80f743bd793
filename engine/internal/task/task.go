package task

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Task is one partition of one sub-topology at work. It is owned by one goroutine at a time.
type Task struct {
	cfg       Config
	drops     dropLog
	inputs    []*input
	made      map[*topology.Node]runner
	operators []operator // those above before those below
	places    []uint64   // of operators
	pulse     *Pulse

	progress Progress
	// the next commit is that of progress alone: the log's last record tells of other operators
	// (adopt.go)
	adopting bool
	// of the first of progress.Removing the rows before this key are removed; nil: none
	removed  []byte
	position int64   // changelog offset after the last commit
	offset   int64   // of the record at work
	raw      *Record // the record at work
	source   *input  // where it was read; nil: none is at work
	derived  *origin // the row at work where it is not that record: one that the plan has made
	lettered bool    // the record at work has its dead letter
	// ends the task: a policy of Fail, a row of the state that is too large, or the end of ctx in
	// the wait for a retry
	broken     error
	ctx        context.Context             // of the call of Run, Tick or Commit under way
	waited     time.Duration               // for retries of the record at work
	pace       pace                        // of Run
	policies   map[string]*topology.Policy // of steps that have their own
	leastLimit int                         // of bytes in Config.Limits
	choosy     bool                        // one of Config.Limits is not of bytes
	clock      windows.Time                // when the call under way began, or looked up from its work
	releases   []func()
	changed    bool       // there is something to commit
	produced   int        // bytes since the last commit
	outputs    []Produced // the same by topic, for the meter
	unsaved    int        // bytes of rows changed since the last checkpoint
	saved      int        // bytes that the checkpoint under way has written

	lastCommit, lastCheckpoint time.Time
	// when the last commit began: nobody else had written to the changelog then (Restorer.Since)
	since     time.Time
	lastFlush time.Time

	pending stores.Batch // what the next checkpoint writes beside changed rows
	out     Output
	arena   []byte
	scratch []byte
}

// operator is a node with state.
type operator interface {
	runner
	// open takes over what the restored store holds, and the stream time of the last commit.
	open(streamTime windows.Time) error
	// tick lets the clock do its part: windows that no record closes. It says whether there is
	// something to commit.
	tick(ctx context.Context) (bool, error)
	// sawRecords is called after records came to the task, whether they reached the operator or
	// not.
	sawRecords()
	// flush hands on what waits for the commit, such as changed rows. What is above has been
	// flushed, what is below has not.
	flush(ctx context.Context) error
	// log writes what has changed since the last commit to the changelog.
	log(ctx context.Context) error
	// clock is the name that the operator's stream time has in the commit record, and that time.
	clock() (string, windows.Time)
	// save adds what has changed since the last checkpoint to Task.pending, and lets it be written
	// in between (Task.writePending).
	save() error
	// memory is the bytes that rows take, roughly. It is asked for often: it is counted where it
	// changes.
	memory() int
	// evict drops rows from memory, all of which are in the store, until enough says so.
	evict(enough func() bool)
}

// New opens a task on a store that has been restored. Errors that wrap ErrForeign, ErrNewer or
// ErrDamaged say what the store is.
func New(cfg Config) (*Task, error) {
	if cfg.Codecs == nil {
		cfg.Codecs = cfg.Log
	}
	if cfg.Pulse == nil {
		cfg.Pulse = new(Pulse)
	}
	t := &Task{cfg: cfg, pulse: cfg.Pulse, drops: dropLog{drops: cfg.Drops, log: cfg.Log, codecs: cfg.Codecs,
		now: cfg.Now}, made: map[*topology.Node]runner{}}
	now := cfg.Now()
	t.lastCommit, t.lastCheckpoint, t.since, t.lastFlush = now, now, now, now
	if err := t.adopt(); err != nil {
		return nil, err
	}
	t.leastLimit = math.MaxInt
	for _, limit := range cfg.Limits {
		if limit.Bytes > 0 {
			t.leastLimit = min(t.leastLimit, limit.Bytes)
		}
		t.choosy = t.choosy || limit.choosy()
	}
	t.collectPolicies()
	t.pulse.begin(t.name(), cfg.Partition)
	for i, source := range cfg.Sub.Sources() {
		steps, err := t.runners(cfg.Sub.Roots[i].Next)
		if err != nil {
			return nil, err
		}
		t.inputs = append(t.inputs, &input{task: t, name: cfg.Sub.Roots[i].Name, topic: source.Topic,
			table: source.Table, rank: rank(source), place: t.pulse.add(cfg.Sub.Roots[i].Name, source.Topic),
			ours: source.Internal, decode: source.Open(), onDecode: source.OnDecode, deletions: source.Deletions,
			steps: steps})
	}
	slices.Reverse(t.operators) // runners are made from below
	slices.Reverse(t.places)
	if err := t.link(); err != nil {
		return nil, err
	}
	return t, t.open()
}

// Positions is where to read each input on; a topic that is not in it has not been read yet. The
// caller must not change it.
func (t *Task) Positions() map[string]int64 { return t.progress.Inputs }

// Progress is the commit record of the last commit; before the first, what New found. It is valid
// until the next call of Run, Tick or Commit.
func (t *Task) Progress() *Progress { return &t.progress }

// Bound sets Config.Memory anew.
func (t *Task) Bound(memory int) { t.cfg.Memory = memory }

// Position is the offset of the changelog after the last commit; 0 before there is any.
func (t *Task) Position() int64 { return t.position }

// checkEvery is how many records are processed between two looks at the context, at most.
const checkEvery = 64

// Process is Offer and Run for a task with one input, or of which the others have nothing now.
func (t *Task) Process(ctx context.Context, b *Batch, release func()) error {
	t.Offer(b, release)
	return t.Run(ctx, func(string) bool { return true })
}

// noteEvery is after how long a task commits though nothing has changed, and how often its store is
// made durable.
const noteEvery = time.Hour

// Tick lets the clock do its part, and commits if the last commit is CommitEvery ago. It is to be
// called when no batch comes.
//
// A task that has nothing to commit does so once an hour: only a commit shows that nobody else has
// written to its changelog, so that its store is no older than that (Restorer.Since).
func (t *Task) Tick(ctx context.Context) error {
	if t.adopting {
		return t.Commit(ctx)
	}
	t.begin(ctx)
	t.pulse.none()
	defer t.pulse.move(rest)
	for i, o := range t.operators {
		t.pulse.move(t.places[i])
		changed, err := o.tick(ctx)
		t.changed = t.changed || changed
		if err != nil {
			return err
		}
	}
	quiet := t.cfg.Now().Sub(t.lastCommit)
	if quiet < t.cfg.CommitEvery {
		return nil
	}
	t.changed = t.changed || quiet >= noteEvery && t.position > 0
	return t.Commit(ctx)
}

// Checkpoint writes what was committed to the store: before a clean close, so that little is left
// to restore. Nothing may have been processed since the last Commit.
func (t *Task) Checkpoint() error {
	if t.changed || t.adopting {
		return fmt.Errorf("task: checkpoint of %s/%d before its commit", t.cfg.Sub.Name, t.cfg.Partition)
	}
	if t.position == 0 {
		return nil // nothing was ever committed
	}
	return t.checkpoint()
}

// at is where the record at work stands: its event time, and the order of processing, which goes on
// over restarts.
func (t *Task) at(event windows.Time) aggregates.At {
	return aggregates.At{Time: int64(event), Seq: int64(t.progress.Rows)}
}

// passLate writes the record at work to a topic as it came. step is what it is too late for.
func (t *Task) passLate(step, topic string) {
	r := t.raw
	partition := t.cfg.Partition % t.cfg.Sinks[topic]
	if r.Key != nil {
		partition = t.cfg.PartitionOf(r.Key, t.cfg.Sinks[topic])
	}
	t.hand(step, Output{Topic: topic, Partition: partition, Key: r.Key, Value: r.Value, Headers: r.Headers,
		Timestamp: r.Timestamp})
}

// produce hands state, or what the plan itself needs, to the producer. There is no going on without
// it: the task ends where its topic does not take it.
func (t *Task) produce(ctx context.Context, o Output) {
	if f, refused := t.refusal(&o); refused {
		if t.broken == nil {
			t.broken = fmt.Errorf("task %s: %w: give the topic settings with which it takes it", t.name(), f.err)
		}
		return
	}
	t.send(ctx, o)
}

// send hands an output to the producer, in the one place that is used for all of them.
func (t *Task) send(ctx context.Context, o Output) {
	t.count(&o)
	t.out = o
	from := t.pulse.move(rest) // it may wait for a broker
	t.cfg.Producer.Produce(ctx, &t.out)
	t.pulse.move(from)
}

// arenaBytes is how much keep takes at a time.
const arenaBytes = 64 << 10

// keep copies b to memory that the producer may hold on to. A nil b stays nil, an empty one does
// not become it.
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

// logTime is the timestamp of changelog records: the clock's, so that no retention by time takes a
// row for an old one.
func (t *Task) logTime() windows.Time { return windows.At(t.lastCommit) }
