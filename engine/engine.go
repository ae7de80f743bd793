package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// Errors that a program can act on.
var (
	// ErrNoMirror is returned for readers of tables that this process does not mirror: the plan
	// says so (dsl's WithoutMirror), or Config.WithoutTables.
	ErrNoMirror = errors.New("engine: table is not mirrored")
	// ErrStuck is what Run ends with where the program's code in a task did not return in time
	// (Config.StuckAfter): the error names step and record. A goroutine is left behind with what it
	// holds; the process should end.
	ErrStuck = kafka.ErrStuck
	// ErrRunning is what a second Run returns while the first one is under way.
	ErrRunning = errors.New("engine: engine is running")
	// ErrClosed is returned by what is called after Run has ended, and by a second Run then.
	ErrClosed = errors.New("engine: engine has ended")
)

// errRunBefore is of a second Run beside the first.
var errRunBefore = fmt.Errorf("%w: Run was called before: an engine runs once, make another with New", ErrRunning)

// Engine runs one plan. See New.
type Engine struct {
	plan   *topology.Plan
	cfg    Config
	kafka  kafka.Config
	state  *stateDir
	found  kafka.Found // which topics the plan's names are; known before anything reads or writes
	subs   []*subState
	tables map[string]*table // by topic

	adder     adder
	purger    *purger
	expansion *expansion                  // set by Run
	group     atomic.Pointer[kafka.Group] // once Run has joined it
	started   atomic.Bool
	tasks     taskList
	status    statusServer
	readiness *readiness
	meters    *meters
	listened  listened
	tracer    trace.Tracer  // nil: no spans
	codecs    *slog.Logger  // of what cannot be decoded
	done      chan struct{} // closed when Run has ended

	mu  sync.Mutex
	err error // of Run, once done is closed
}

// subState is what an Engine counts for a sub-topology.
type subState struct {
	sub        *topology.SubTopology
	changelog  string
	stateful   bool         // its changelog holds rows beside positions
	external   bool         // it reads topics that others write
	partitions atomic.Int32 // of its topics, as it reads them
	drops      task.Drops
	records    atomic.Int64 // read
	speed      rate         // of records
	meters     subMeters
	keeper     *keeper
	owned      atomic.Int32 // partitions that this process works on
	copies     atomic.Int32 // partitions of which it keeps a copy
	damaged    sync.Map     // partition to error: those whose store must not be used again
	refusals   refusals

	mu   sync.Mutex
	ends map[string]map[int32]int64 // of committed records, by topic and partition, as last heard of
}

// New checks cfg and opens the state directory; no broker is asked yet. Close the Engine by ending
// Run, or call Close if Run is never called.
func New(plan *topology.Plan, cfg Config) (*Engine, error) {
	if plan == nil {
		return nil, errors.New("engine: plan is nil: build one with dsl")
	}
	if err := errors.Join(plan.Check(), cfg.validate(), cfg.Tables.known(plan), cfg.Topics.known(plan),
		cfg.retriesFit(plan)); err != nil {
		return nil, fmt.Errorf("engine: application %q:\n%w", plan.Name, err)
	}
	if err := needsTables(plan, cfg); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	// before core is named: a line has one component
	connection, codecs := cfg.Kafka(plan), cfg.Log.With(component, "serialization")
	cfg.Log = cfg.Log.With(component, "core")
	e := &Engine{plan: plan, cfg: cfg, kafka: connection, tables: map[string]*table{}, purger: newPurger(plan),
		readiness: newReadiness(cfg.Log), meters: newMeters(plan.Name), codecs: codecs, done: make(chan struct{}),
		adder: newAdder()}
	if cfg.TracerProvider != nil {
		e.tracer = cfg.TracerProvider.Tracer(tracerName)
	}
	var err error
	if e.state, err = openState(cfg.StateDir, plan.Name); err != nil {
		return nil, err
	}
	for _, sub := range plan.Subs {
		s := &subState{sub: sub, changelog: changelogName(plan, sub), stateful: sub.Stateful(),
			external: slices.ContainsFunc(sub.Topics(), func(topic string) bool { return !internal(plan, topic) })}
		s.keeper, s.meters = newKeeper(e, s), e.meters.of(s)
		e.subs = append(e.subs, s)
	}
	return e, e.openTables()
}

// Run works until ctx ends, which is no error, or something fatal happens, which it returns. It
// ends cleanly: what was processed is committed, stores are closed, and no goroutine is left.
func (e *Engine) Run(ctx context.Context) (err error) {
	if !e.started.CompareAndSwap(false, true) {
		select {
		case <-e.done:
			return e.ended()
		default:
			return errRunBefore
		}
	}
	defer func() {
		err = errors.Join(err, e.close())
		e.readiness.lost(Cause{Reason: Stopped, Err: errors.Join(ErrClosed, err)})
		e.mu.Lock()
		e.err = err
		e.mu.Unlock()
		close(e.done)
	}()
	stop, err := e.serveStatus()
	if err != nil {
		return err
	}
	defer stop()
	for _, w := range append(e.plan.Warnings[:len(e.plan.Warnings):len(e.plan.Warnings)],
		e.cfg.Security.Warnings()...) {
		e.cfg.Log.Warn(w)
	}
	read, err := e.prepare(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if e.expansion, err = newExpansion(e, read); err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	defer e.expansion.admin.Close() // the last commits ask too
	group, ctx := errgroup.WithContext(ctx)
	if len(e.subs) > 0 { // a plan may have tables alone
		group.Go(func() error { return e.runGroup(ctx) })
	}
	if len(e.plan.Internal) > 0 {
		group.Go(func() error { return e.purge(ctx) })
	}
	group.Go(func() error { return e.watchBroker(ctx) })
	group.Go(func() error { return e.watch(ctx) })
	group.Go(func() error { return e.expansion.watch(ctx) })
	group.Go(func() error { return e.watchTopics(ctx) })
	group.Go(func() error { return e.keepClaims(ctx) })
	e.runTables(ctx, group)
	return advised(group.Wait())
}

// Close releases what New has opened, for an Engine whose Run is never called.
func (e *Engine) Close() error {
	if !e.started.CompareAndSwap(false, true) {
		return nil // Run does it
	}
	defer close(e.done)
	e.readiness.lost(Cause{Reason: Stopped, Err: ErrClosed})
	return e.close()
}

func (e *Engine) close() error {
	return errors.Join(e.adder.close(), e.closeTables())
}

// ended is the error of what is asked of an Engine whose Run has ended.
func (e *Engine) ended() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(ErrClosed, e.err)
}

// runGroup joins the application's group, and keeps the standbys that it names.
func (e *Engine) runGroup(ctx context.Context) error {
	gc := kafka.GroupConfig{
		ID: groupName(e.plan), Tick: e.cfg.CommitInterval, Ahead: e.fetchBytes(), Standbys: e.cfg.Standbys,
		Instance: e.cfg.InstanceID, OnRebalance: e.rebalanced, StuckAfter: max(e.cfg.StuckAfter, 0),
	}
	for _, s := range e.subs {
		gc.Subs = append(gc.Subs, kafka.SubTopology{
			Name: s.sub.Name, Topics: s.sub.Topics(), Changelog: s.changelog,
			NewWorker: func(partition int32) kafka.Worker { return newWorker(e, s, partition) },
			TopicIDs:  e.topicIDs(s), Notes: e.notes(s),
			End: s.heard, OnAssigned: func(partitions []int32) { s.owned.Store(int32(len(partitions))) },
			Positions: s.keeper.positions, OnStandby: s.keeper.name,
		})
		s.keeper.find()
	}
	var g *kafka.Group
	err := patient(ctx, func() (err error) {
		g, err = kafka.NewGroup(e.kafka, gc)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("engine: %w", err)
	}
	e.group.Store(g)
	all, ctx := errgroup.WithContext(ctx)
	for _, s := range e.subs {
		s.keeper.rejoin = g.Rejoin
		all.Go(func() error { return s.wrap(s.keeper.run(ctx)) })
	}
	all.Go(func() error {
		if err := e.kafka.Advise(g.Run(ctx), kafka.ACL{Resource: kafka.GroupID, Name: gc.ID,
			Operation: kafka.Read}); err != nil {
			return fmt.Errorf("engine: %w", err)
		}
		return nil
	})
	errs := []error{all.Wait()}
	for _, s := range e.subs {
		errs = append(errs, s.wrap(s.keeper.close()))
	}
	return errors.Join(errs...)
}

// wrap names the sub-topology in an error.
func (s *subState) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("engine: sub-topology %s: %w", s.sub.Name, err)
}
