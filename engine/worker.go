package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
)

// worker is one task in the hands of a kafka.Group: it opens the task on its restored store, feeds
// it, and closes it.
type worker struct {
	engine    *Engine
	state     *subState
	partition int32

	producer *kafka.Producer
	taken    bool // from the keeper, to be given back
	store    stores.Store
	task     *task.Task
	view     *taskView
	from     restored
	trace    *taskTrace
	// commit record of a store that was thrown away, which the changelog did not bear out; nil:
	// there is none
	had    *task.Progress
	pauses time.Duration // of the run under way: commits and checkpoints

	pulse *task.Pulse
	// The lock is never held while a broker is waited for: who closes a client may wait for one.
	mu        sync.Mutex // guards what follows, and producer where others than the worker's goroutine look
	abandoned bool
	cut       chan struct{} // closed when an abandoned worker's producer is cut off
}

func newWorker(e *Engine, s *subState, partition int32) *worker {
	return &worker{engine: e, state: s, partition: partition, pulse: new(task.Pulse), cut: make(chan struct{})}
}

var _ task.Meter = (*worker)(nil)

// restored is what came from the changelog when a task was opened: records, the bytes of their keys
// and values, since when, and how long it took.
type restored struct {
	rows, bytes int64
	began       time.Time
	took        time.Duration
}

// Open fences the task's last owner, restores the store to the end of the changelog, and opens the
// task on it. The order matters: only when nobody else can write to the changelog any more is its
// end the end.
func (w *worker) Open(ctx context.Context) (_ map[string]int64, err error) {
	e, s := w.engine, w.state
	began := time.Now()
	w.trace = e.traceOf(s, w.partition)
	defer func() { w.opened(began, err) }()
	w.view = e.tasks.add(s, w.partition, w.pulse)
	w.view.opening.waitFor(waitsForTopics)
	source, sinks, limits, err := e.partitionsOf(ctx, s)
	if err != nil {
		return nil, w.wrap("open", err)
	}
	if source != s.partitions.Load() {
		if err := e.expansion.sound(ctx, s); err != nil {
			return nil, w.wrap("open", err)
		}
	}
	pc := kafka.ProducerConfig{Buffer: e.shareOf(s).producer, Limits: limits, Log: s.changelog}
	if e.cfg.Guarantee == ExactlyOnce {
		pc.TransactionalID = topology.TransactionalID(e.plan.Name, s.sub.Name, w.partition)
	}
	w.view.opening.waitFor(waitsForOwner)
	if err = w.connect(ctx, pc); err != nil {
		return nil, w.wrap("open", err)
	}
	w.view.opening.waitFor(waitsForTables)
	if err = e.awaitBroadcasts(ctx, s.sub); err != nil {
		return nil, w.wrap("open", err)
	}
	if w.store, err = w.restored(ctx); err != nil {
		return nil, w.wrap("restore", err)
	}
	cfg := e.taskConfig(s)
	if s.stateful && s.external {
		cfg.Sound = func(ctx context.Context) error { return e.expansion.sound(ctx, s) }
	}
	cfg.Limits, cfg.Refused, cfg.Meter, cfg.ID, cfg.Topics = limits, s.refusals.of(), w, w.id(), e.topicIDs(s)
	cfg.Pulse, cfg.Past = w.pulse, &past{w}
	cfg.Partition, cfg.Partitions, cfg.Sinks, cfg.Store, cfg.Producer = w.partition, source, sinks, w.store, w.producer
	if w.task, err = task.New(cfg); rebuildable(err) {
		if w.store, err = w.rebuilt(ctx, w.store, err); err != nil {
			return nil, w.wrap("restore", err)
		}
		cfg.Store = w.store
		w.task, err = task.New(cfg)
	}
	if err != nil {
		return nil, w.wrap("open", err)
	}
	w.view.opening.waitFor(waitsForFill)
	if err = w.task.Fill(ctx); err != nil {
		return nil, w.wrap("open", err)
	}
	w.show()
	w.size()
	w.view.open.Store(true)
	for topic, next := range w.task.Positions() {
		e.purger.release(topic, w.partition, next)
	}
	e.cfg.Log.Info("task opened", "sub", s.sub.Name, "partition", w.partition, "took", time.Since(began),
		"positions", w.task.Positions(), "restored", w.from.rows, "bytes", w.from.bytes, "restore", w.from.took)
	return w.task.Positions(), nil
}

// connect opens the producer.
func (w *worker) connect(ctx context.Context, pc kafka.ProducerConfig) error {
	p, err := kafka.NewProducer(ctx, w.engine.kafka, pc)
	if err != nil {
		return err
	}
	w.mu.Lock()
	abandoned := w.abandoned
	if !abandoned {
		w.producer = p
	}
	w.mu.Unlock()
	if abandoned {
		return errors.Join(task.ErrFenced, p.Close())
	}
	return nil
}

// Stuck says in which step the task is, and since when.
func (w *worker) Stuck(now time.Time) (where string, since time.Time) {
	call, ok := w.pulse.Look(now)
	if !ok {
		return "", time.Time{}
	}
	return fmt.Sprintf("task %s: %v", call.Task, call), call.Since
}

// Abandon cuts the producer off: whatever the worker's goroutine may still do, none of it is
// written. Its store stays open and is its own; RocksDB would be used after it is freed.
func (w *worker) Abandon() {
	w.mu.Lock()
	first, p := !w.abandoned, w.producer
	w.abandoned = true
	w.mu.Unlock()
	if !first {
		<-w.cut
		return
	}
	if p != nil {
		p.CutOff()
	}
	close(w.cut)
}

// taskConfig is what all tasks of a sub-topology share.
func (e *Engine) taskConfig(s *subState) task.Config {
	c := e.cfg
	return task.Config{Sub: s.sub, Changelog: s.changelog, PartitionOf: murmur.Partition, Now: time.Now,
		Log: c.Log.With("sub", s.sub.Name), Codecs: e.codecs.With("sub", s.sub.Name), Drops: &s.drops,
		CommitEvery: c.CommitInterval, CommitBytes: c.CommitBytes, CheckpointEvery: c.CheckpointInterval,
		CheckpointBytes: c.CheckpointBytes, Memory: e.shareOf(s).rows, Ahead: max(c.MaxAhead, 0),
		EveryUpdate: c.EveryUpdate, Rebuild: c.OnPlanChange == Rebuild, Linked: e.plan.Linked(s.sub),
		Tables: e.broadcast, Application: e.plan.Name, RetryTime: e.retryTime()}
}

// restored takes the task's store and brings it to the end of the changelog. A store that is
// damaged or not in the log's past is thrown away and rebuilt, with a log line; so is one where
// that is found out only now.
func (w *worker) restored(ctx context.Context) (stores.Store, error) {
	w.taken = true
	store, doubt, err := w.state.keeper.take(w.partition)
	if err != nil {
		return nil, err
	}
	if doubt == nil {
		doubt = w.restore(ctx, store)
	}
	if rebuildable(doubt) {
		return w.rebuilt(ctx, store, doubt)
	}
	return store, doubt
}

// rebuilt throws a store away and restores a new one from the start of the changelog. A store that
// knows of commits which the changelog does not have stays, with an error: it may be all that knows
// of them.
func (w *worker) rebuilt(ctx context.Context, store stores.Store, reason error) (stores.Store, error) {
	known := w.known(store, reason)
	if known != nil && w.engine.cfg.OnPlanChange != Rebuild {
		committed, err := w.committed(ctx)
		if err == nil && !committed {
			err = w.engine.emptyLog(ctx, w.state, w.partition, known)
		}
		if err != nil {
			return store, err
		}
	}
	store, err := w.engine.emptied(w.state, w.partition, store, reason)
	if err != nil {
		return nil, err
	}
	w.had = known
	return store, w.restore(ctx, store)
}

// known is the commit record of a store that the changelog does not bear out: of another life of
// the topic, or beyond its end. Nil: it tells nothing.
func (w *worker) known(store stores.Store, reason error) *task.Progress {
	var other *task.OtherLogError
	if errors.As(reason, &other) && other.OtherLife() || errors.Is(reason, kafka.ErrOutOfRange) {
		if p := task.StoredProgress(store); p != nil && w.engine.storeKnows(w.state, p) != "" {
			return p
		}
	}
	return nil
}

// errCommitted ends the search of committed.
var errCommitted = errors.New("engine: a commit record was found")

// committed reports that the changelog has a commit record.
func (w *worker) committed(ctx context.Context) (bool, error) {
	admin, err := kafka.NewAdmin(w.engine.kafka)
	if err != nil {
		return false, err
	}
	defer admin.Close()
	ends, err := admin.Ends(ctx, w.state.changelog, w.engine.cfg.Guarantee == ExactlyOnce)
	if err != nil {
		return false, err
	}
	err = kafka.Follow(ctx, w.engine.kafka, kafka.FollowConfig{Topic: w.state.changelog, ID: w.id().Topic,
		From: map[int32]int64{w.partition: kafka.Oldest}, Until: map[int32]int64{w.partition: ends[w.partition]},
		Ahead: w.engine.shareOf(w.state).restore(), Apply: func(_ int32, records []task.Record, _ int64) error {
			if slices.ContainsFunc(records, func(r task.Record) bool { return bytes.Equal(r.Key, task.ProgressKey) }) {
				return errCommitted
			}
			return nil
		}})
	if errors.Is(err, errCommitted) {
		return true, nil
	}
	return false, err
}

func (w *worker) id() task.LogID { return w.engine.logID(w.state, w.partition) }

// rebuildable says that an error is the store's, not the log's.
func rebuildable(err error) bool {
	return errors.Is(err, kafka.ErrOutOfRange) || errors.Is(err, task.ErrDamaged) || errors.Is(err, stores.ErrCorrupt)
}

func (w *worker) restore(ctx context.Context, store stores.Store) error {
	began := time.Now()
	if w.from.began.IsZero() {
		w.from.began = began
	}
	defer func() { w.from.took += time.Since(began) }()
	r := task.NewRestorer(store, w.id())
	from, ok, err := r.Position()
	if err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(w.engine.kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	kept, err := deletionsKept(ctx, admin, w.state.changelog)
	if err != nil {
		return err
	}
	if !ok || from == 0 { // a log in which there was nothing has nothing that can have been missed
		from = kafka.Oldest
		r.Begin(time.Now())
	}
	if err := tooOld(r.Since(), kept); err != nil {
		return err
	}
	// Of all that is written: the last owner's transaction is settled, as the producer is open, but
	// another's may be open in the log, with acknowledged records behind it.
	ends, err := admin.Ends(ctx, w.state.changelog, false)
	if err != nil {
		return err
	}
	before, err := r.Progress()
	if errors.Is(err, task.ErrNewer) {
		return err // the store is sound: the version that has written it can go on with it
	}
	if err != nil {
		return fmt.Errorf("%w: %w", task.ErrDamaged, err)
	}
	history := historyOf(before)
	bound := w.engine.shareOf(w.state).restore()
	w.view.remaining.Store(max(ends[w.partition]-max(from, 0), 0))
	w.view.opening.restoring(from, ends[w.partition])
	err = kafka.Follow(ctx, w.engine.kafka, kafka.FollowConfig{
		Topic: w.state.changelog, ID: w.id().Topic, From: map[int32]int64{w.partition: from},
		Until: map[int32]int64{w.partition: ends[w.partition]}, Ahead: bound,
		End: func(_ int32, end int64, _ time.Time) { w.view.opening.stable.Store(end) },
		Apply: func(_ int32, records []task.Record, next int64) error {
			w.from.count(records)
			w.view.restored.Store(w.from.rows)
			w.view.remaining.Store(max(ends[w.partition]-next, 0))
			w.view.opening.next.Store(next)
			if err := history.follow(records); err != nil {
				return err
			}
			return r.Gather(records, next, bound)
		},
	})
	if err == nil {
		err = r.Finish()
	}
	if err != nil {
		return err
	}
	if p, err := r.Progress(); p != nil || err != nil {
		return nil // who opens the task reads it
	}
	return w.engine.emptyLog(ctx, w.state, w.partition, w.had)
}

func (r *restored) count(records []task.Record) {
	r.rows += int64(len(records))
	for i := range records {
		r.bytes += int64(len(records[i].Key) + len(records[i].Value))
	}
}

// Wants says that the task has nothing left of a topic.
func (w *worker) Wants(topic string) bool { return w.task.Wants(topic) }

// Offer hands a batch to the task.
func (w *worker) Offer(b *task.Batch, release func()) {
	w.state.records.Add(int64(len(b.Records)))
	w.state.meters.consumed(b.Topic, len(b.Records), b.Bytes)
	w.trace.offered(b)
	topic, next := b.Topic, b.Next
	var newest time.Time
	if n := len(b.Records); n > 0 {
		newest = time.UnixMilli(int64(b.Records[n-1].Timestamp))
	}
	w.task.Offer(b, func() {
		w.engine.purger.release(topic, w.partition, next)
		if !newest.IsZero() {
			since(w.state.meters.endToEnd, newest)
		}
		release()
	})
}

// Run lets the task process what it has.
func (w *worker) Run(ctx context.Context, ended func(string) bool) error {
	began := time.Now()
	w.pauses = 0
	if err := w.bound(); err != nil {
		return w.distrust(err)
	}
	err := w.task.Run(ctx, ended)
	w.state.meters.process.Observe((time.Since(began) - w.pauses).Seconds())
	w.trace.ran(began, err)
	w.show()
	return w.distrust(err)
}

// Tick lets the task commit when no batch comes.
func (w *worker) Tick(ctx context.Context) error {
	began := time.Now()
	if err := w.bound(); err != nil {
		return w.distrust(err)
	}
	err := w.task.Tick(ctx)
	w.trace.ran(began, err)
	w.show()
	return w.distrust(err)
}

// bound gives the task its share of the memory: others come and go while it is open.
func (w *worker) bound() error {
	share := w.engine.shareOf(w.state)
	w.task.Bound(share.rows)
	return share.bound(w.store)
}

// show lets others see the last commit, if it is a new one.
func (w *worker) show() {
	if w.view.show(w.task.Progress()) {
		w.state.keeper.slot(w.partition).reach.set(w.task.Position())
	}
}

// distrust looks whether what failed is the store. Then the next worker of this partition throws it
// away, and so the session, which begins anew, goes on from the changelog.
func (w *worker) distrust(err error) error {
	if errors.Is(err, task.ErrAborted) || errors.Is(err, task.ErrFenced) {
		w.state.meters.aborted.Inc()
	}
	w.state.refusals.note(err)
	if !rebuildable(err) {
		return err
	}
	w.state.damaged.Store(w.partition, err)
	return fmt.Errorf("%w: %w", task.ErrAborted, err)
}

// Close ends the task: with a last commit and checkpoint if clean, else where it is.
func (w *worker) Close(ctx context.Context, clean bool) error {
	if w.view != nil {
		defer w.engine.tasks.remove(w.view, w.engine.readiness)
	}
	defer w.engine.purger.forget(w.state.sub.Topics(), w.partition)
	var errs []error
	if clean && w.task != nil {
		err := w.task.Commit(ctx)
		w.state.refusals.note(err)
		if err == nil {
			err = w.task.Checkpoint()
		}
		errs = append(errs, err)
	}
	w.trace.over(errors.Join(errs...))
	if w.producer != nil {
		errs = append(errs, w.producer.Close())
	}
	if w.taken {
		errs = append(errs, w.state.keeper.give(w.partition, w.store))
	}
	return w.wrap("close", errors.Join(errs...))
}

func (w *worker) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("engine: %s task %s/%d: %w", what, w.state.sub.Name, w.partition, err)
}
