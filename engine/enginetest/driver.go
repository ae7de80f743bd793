package enginetest

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

// Options change how a Driver runs a plan. The zero value is usable.
type Options struct {
	// Partitions of every topic. 0 means 1.
	Partitions int32
	// Start is the clock's first time. Zero means the real time at the start.
	Start time.Time
	// Manual leaves commits to Driver.Commit; else every Add commits.
	Manual bool
	// Paced leaves processing to Driver.Step: Add and Crash do none.
	Paced bool
	// Batch is the most records that a task gets at once. 0 is no bound.
	Batch int
	// CommitBatches makes each task commit after so many batches, and at Driver.Commit, in place of
	// after every Add. 0 does not.
	CommitBatches int
	// EveryUpdate puts every update of a row out as a change.
	EveryUpdate bool
	// Store makes the store of each task; nil makes stores in memory.
	Store func(changelog string, partition int32) (stores.Store, error)
	// KeepStores keeps the stores over a Crash, as the disk of a process that starts again; else
	// everything comes from the changelog.
	KeepStores bool
	// Memory bounds the bytes of rows in memory of each task. 0 is no bound.
	Memory int
	// CheckpointEvery is the time between checkpoints on the Driver's clock. 0 makes one after
	// every commit.
	CheckpointEvery time.Duration
	// Rebuild rebuilds the state of steps that Restart finds changed, in place of an error.
	Rebuild bool
	// Ahead bounds event times ahead of the clock, as Config.MaxAhead does in production, where it
	// is 1 h. 0 is no bound: the clock of a Driver stands still unless the test moves it, and
	// records of a test are of any time.
	Ahead time.Duration
	// Limits are what topics take, as their settings on a broker would say. A topic that is not in
	// it takes all.
	Limits map[string]TopicLimits
	// Purge says that brokers have deleted from internal topics what was read, as they do in
	// production.
	Purge bool
	// FailFill, if not nil, is asked before each record that a new table is filled from: an error
	// ends the fill, as a lost broker would.
	FailFill func(n int) error
	// Random, if not nil, lets each Add do some steps only, drawn from it: which task gets its next
	// batch, which one commits, and now and then which one crashes. So tasks are ahead of each
	// other as they are in several processes. Commit does all that is left, in an order that is
	// drawn too.
	Random *rand.Rand
}

// Driver runs a plan in a test. See New.
type Driver struct {
	t     testing.TB
	plan  *topology.Plan
	o     Options
	log   *brokerLog
	now   time.Time
	drops task.Drops
	tasks []*running
	read  map[string][]int // how far ReadRaw has come, by topic and partition

	broadcasts map[string]*mirrored // tables that tasks read, by topic
}

// running is a task with what it works on.
type running struct {
	sub       *topology.SubTopology
	changelog string
	partition int32
	task      *task.Task
	store     stores.Store
	producer  *producer
	inputs    map[string]int64         // next offset to feed, by topic
	lent      map[string][]task.Record // the last batch of each: its memory is used again, as the engine does
	batches   int                      // fed so far
}

// New runs plan with default Options.
func New(t testing.TB, plan *topology.Plan) *Driver { return NewWith(t, plan, Options{}) }

// NewWith runs plan.
func NewWith(t testing.TB, plan *topology.Plan, o Options) *Driver {
	t.Helper()
	if o.Partitions == 0 {
		o.Partitions = 1
	}
	if o.Start.IsZero() {
		o.Start = time.Now()
	}
	if o.Store == nil {
		o.Store = func(string, int32) (stores.Store, error) { return memory.New(), nil }
	}
	d := &Driver{t: t, o: o, now: o.Start, log: &brokerLog{partitions: o.Partitions,
		topics: map[string][][]task.Record{}},
		read: map[string][]int{}}
	d.take(plan)
	for _, s := range plan.Startups {
		d.check(s.Do(t.Context()))
	}
	d.check(d.open())
	t.Cleanup(d.close)
	return d
}

// take makes the tasks of a plan, with the stores that tasks of before have left.
func (d *Driver) take(plan *topology.Plan) {
	left := d.tasks
	d.plan, d.tasks, d.broadcasts = plan, nil, map[string]*mirrored{}
	for _, sub := range plan.Subs {
		for _, t := range sub.Broadcasts() {
			d.broadcasts[t.Topic] = d.newMirrored(t)
		}
		for p := range d.o.Partitions {
			r := &running{sub: sub, changelog: topology.ChangelogName(plan.Name, sub.Name), partition: p}
			for _, was := range left {
				if was.changelog == r.changelog && was.partition == p {
					r.store, was.store = was.store, nil
				}
			}
			d.tasks = append(d.tasks, r)
		}
	}
	for _, was := range left {
		if was.store != nil {
			d.check(was.store.Close())
		}
	}
}

func (d *Driver) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("enginetest: %v", err)
	}
}

// open opens every task on its restored store.
func (d *Driver) open() error {
	for _, r := range d.tasks {
		if err := d.openTask(r); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) openTask(r *running) (err error) {
	if r.store == nil {
		if r.store, err = d.o.Store(r.changelog, r.partition); err != nil {
			return err
		}
	}
	id := task.LogID{Application: d.plan.Name, Sub: r.sub.Name, Partition: r.partition}
	restorer := task.NewRestorer(r.store, id)
	from, _, err := restorer.Position()
	if err != nil {
		return err
	}
	changelog := *d.log.partition(r.changelog, r.partition)
	if err := restorer.Apply(changelog[from:], int64(len(changelog))); err != nil {
		return err
	}
	sinks := map[string]int32{}
	for _, s := range r.sub.Sinks() {
		sinks[s.Topic] = d.o.Partitions
	}
	r.producer = &producer{log: d.log}
	r.task, err = task.New(task.Config{Sub: r.sub, Partition: r.partition, Partitions: d.o.Partitions, Sinks: sinks,
		Changelog: r.changelog, ID: id, PartitionOf: murmur.Partition, Store: r.store, Producer: r.producer,
		Now: func() time.Time { return d.now }, Log: slog.New(slog.NewTextHandler(d.t.Output(), nil)), Drops: &d.drops,
		CommitEvery: 1 << 62, CommitBytes: 1 << 40, CheckpointEvery: d.o.CheckpointEvery, CheckpointBytes: 1 << 40,
		Memory: d.o.Memory, Ahead: d.o.Ahead, EveryUpdate: d.o.EveryUpdate, Rebuild: d.o.Rebuild,
		Linked: d.plan.Linked(r.sub), Tables: d.broadcast, Application: d.plan.Name, Limits: d.o.Limits, Pause: d.pause,
		Past: &past{d, r}})
	if err != nil {
		return err
	}
	if err := r.task.Fill(context.Background()); err != nil {
		return err
	}
	r.inputs, r.lent = maps.Clone(r.task.Positions()), map[string][]task.Record{}
	return nil
}

// pause lets the Driver's clock go on for a retry: no test waits for one.
func (d *Driver) pause(ctx context.Context, by time.Duration) error {
	d.now = d.now.Add(by)
	return ctx.Err()
}

// Now is the Driver's clock.
func (d *Driver) Now() time.Time { return d.now }

// feed gives every task what its inputs hold, and says whether there was anything.
func (d *Driver) feed() (fed bool, err error) {
	for _, r := range d.inOrder() {
		for more := true; more; fed = fed || more {
			if more, err = d.feedTask(r); err != nil {
				return fed, err
			}
		}
	}
	return fed, nil
}

// Step gives each task one batch of each of its inputs, with Options.Paced; false: there was none.
func (d *Driver) Step() bool {
	d.t.Helper()
	fed := false
	for _, r := range d.tasks {
		more, err := d.feedTask(r)
		d.check(err)
		fed = fed || more
	}
	return fed
}

// feedTask offers the next batch of each input that the task wants one of, and runs it; false:
// there is nothing.
func (d *Driver) feedTask(r *running) (bool, error) {
	if err := d.catchUp(); err != nil {
		return false, err
	}
	offered := false
	for _, topic := range r.sub.Topics() {
		records := (*d.log.partition(topic, r.partition))[r.inputs[topic]:]
		if len(records) == 0 || !r.task.Wants(topic) {
			continue
		}
		if d.o.Batch > 0 && len(records) > d.o.Batch {
			records = records[:d.o.Batch]
		}
		r.inputs[topic] += int64(len(records))
		r.lent[topic] = append(r.lent[topic][:0], records...)
		r.task.Offer(&task.Batch{Topic: topic, Records: r.lent[topic], Next: r.inputs[topic]}, func() {})
		offered = true
	}
	if !offered {
		return false, nil
	}
	err := r.task.Run(context.Background(), func(topic string) bool {
		return int(r.inputs[topic]) == len(*d.log.partition(topic, r.partition))
	})
	if err != nil {
		return true, err
	}
	r.batches++
	if d.o.CommitBatches > 0 && r.batches%d.o.CommitBatches == 0 {
		return true, r.task.Commit(context.Background())
	}
	return true, nil
}

// settle feeds the tasks, and commits where every Add does: then others may have something to read.
func (d *Driver) settle() error {
	if d.o.Random != nil {
		return d.wander()
	}
	for !d.o.Paced {
		fed, err := d.feed()
		if err != nil || !fed || d.o.Manual || d.o.CommitBatches > 0 {
			return err
		}
		if err := d.commitAll(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) commitAll() error {
	for _, r := range d.inOrder() {
		if err := r.task.Commit(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// Commit commits what every task has processed, and what follows from it in tasks that read what
// was committed.
func (d *Driver) Commit() {
	d.t.Helper()
	d.check(d.TryCommit())
}

// TryCommit is Commit for tests that expect an error: after it there is nothing to do but Crash.
func (d *Driver) TryCommit() error {
	for {
		if err := d.commitAll(); err != nil {
			return err
		}
		if fed, err := d.feed(); err != nil || !fed {
			return err
		}
	}
}

// Advance moves the clock on: windows that close by the clock do.
func (d *Driver) Advance(by time.Duration) {
	d.t.Helper()
	d.now = d.now.Add(by)
	for _, r := range d.tasks {
		d.check(r.task.Tick(context.Background()))
	}
	if !d.o.Manual {
		d.Commit()
	}
}

// Crash ends every task where it is, without a commit, and opens it anew: from its store, if
// Options.KeepStores says so, and its changelog. Input that was not committed is processed again.
func (d *Driver) Crash() {
	d.t.Helper()
	for _, r := range d.tasks {
		d.check(d.end(r))
	}
	d.check(d.open())
	d.check(d.settle())
}

// Restart ends every task as Crash does, and goes on with another plan over the same topics and
// state, as a program does that is replaced by a new version. Commit first for a clean end.
func (d *Driver) Restart(plan *topology.Plan) {
	d.t.Helper()
	d.check(d.TryRestart(plan))
}

// TryRestart is Restart for tests that expect an error: then Restart with a plan that can go on.
func (d *Driver) TryRestart(plan *topology.Plan) error {
	for _, r := range d.tasks {
		if err := d.end(r); err != nil {
			return err
		}
	}
	d.take(plan)
	for _, s := range plan.Startups {
		if err := s.Do(d.t.Context()); err != nil {
			return err
		}
	}
	if err := d.open(); err != nil {
		return err
	}
	return d.settle()
}

// end ends a task where it is.
func (d *Driver) end(r *running) error {
	if r.producer == nil {
		return nil // it was never open
	}
	err := r.producer.Close()
	if err == nil && !d.o.KeepStores {
		err = r.store.Close()
		r.store = nil
	}
	return err
}

// FailCommits makes the next commit of every task fail with err, as if the broker had aborted the
// transaction.
func (d *Driver) FailCommits(err error) {
	for _, r := range d.tasks {
		r.producer.fail = err
	}
}

// Dropped is how many records were dropped for a reason, by its name in logs and metrics: "late",
// "undecodable" and so on.
func (d *Driver) Dropped(reason string) int64 {
	d.t.Helper()
	for _, r := range task.Reasons() {
		if r.String() == reason {
			return d.drops.Count(r)
		}
	}
	d.t.Fatalf("enginetest: there is no reason %q: there are %v", reason, task.Reasons())
	return 0
}

func (d *Driver) close() {
	for _, r := range d.tasks {
		if r.store != nil {
			if err := r.store.Close(); err != nil {
				d.t.Errorf("enginetest: %v", err)
			}
		}
	}
}

// CommitOnly commits what the tasks of one sub-topology have processed, as a process that is
// stopped between the commits of two.
func (d *Driver) CommitOnly(sub string) {
	d.t.Helper()
	for _, r := range d.tasks {
		if r.sub.Name == sub {
			d.check(r.task.Commit(context.Background()))
		}
	}
}
