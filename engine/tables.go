package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
)

// table is one table of the plan in this process.
type table struct {
	plan   *topology.Table
	store  stores.Store
	mirror *tables.Mirror
	gather int         // bytes of rows that are written at once while nobody can read it, and that are fetched ahead
	ready  atomic.Bool // it has caught up: what tasks ask; programs ask Engine.readiness

	behindSince time.Time // more than MaxLag; owned by Engine.watch

	abandoned atomic.Bool // its follower did not return: its store must stay open

	grown chan struct{} // a token: its topic has more partitions than are followed

	kept time.Duration // deletions in its topic; 0: the topic is not compacted; owned by Engine.follow

	mu        sync.Mutex
	positions map[int32]int64     // to read next
	goal      map[int32]int64     // ends at start, of all that was written; nil before they are known
	ends      map[int32]int64     // of what is committed, as last heard of
	heardAt   map[int32]time.Time // when
	stable    map[int32]int64     // ends, as the leaders have told since the follower began
	seen      map[int32]*atEnd
	noted     time.Time     // how old the store says that it is
	changed   chan struct{} // closed and replaced when a position moves, and when the table is ready
}

// TableReader reads a table: see its methods in package tables, by way of this alias.
type TableReader[K, R any] = tables.Reader[K, R]

// Table is a reader of a table of the plan: engine.Table(eng, final.Size(15*time.Minute)). It may
// be asked for before Run; reads return a *NotReadyError, which is ErrNotReady, while any table of
// e is not ready. A table follows its topic: a read may not see what was written a moment ago, by
// this process or another; WaitApplied and AddAndWait wait for it (ENT-4).
func Table[K, R any](e *Engine, of interface{ Ref() topology.TableOf[K, R] }) (*TableReader[K, R], error) {
	ref := of.Ref()
	t, err := tableOf(e, ref)
	if err != nil {
		return nil, err
	}
	return tables.NewReader(ref, t.store, t.mirror, e.readiness.err), nil
}

// tableOf is the table of this process that ref asks for.
func tableOf[K, R any](e *Engine, ref topology.TableOf[K, R]) (*table, error) {
	if ref.Err != nil {
		return nil, fmt.Errorf("engine: table: %w", ref.Err)
	}
	t := e.tables[ref.Table.Topic]
	switch {
	case e.cfg.WithoutTables != "":
		return nil, fmt.Errorf("%w: %s: tables are switched off in this process: %s", ErrNoMirror, ref.Table.Topic,
			e.cfg.WithoutTables)
	case ref.Table.WithoutMirror != "":
		return nil, fmt.Errorf("%w: %s: %s", ErrNoMirror, ref.Table.Topic, ref.Table.WithoutMirror)
	case t == nil:
		return nil, fmt.Errorf("engine: table %s is not in the plan of this engine", ref.Table.Topic)
	}
	return t, nil
}

// openTables opens the stores.
func (e *Engine) openTables() error {
	if e.cfg.WithoutTables != "" {
		if len(e.plan.Tables) > 0 {
			e.cfg.Log.Warn("tables are switched off in this process", "reason", e.cfg.WithoutTables)
		}
		return nil
	}
	settings := e.tableSettings()
	for _, p := range e.plan.Tables {
		if p.WithoutMirror != "" {
			e.cfg.Log.Warn("table is not mirrored: it cannot be read", "table", p.Topic, "reason", p.WithoutMirror)
			continue
		}
		set := settings[p]
		store, err := e.state.openTable(p, set.store(), e.cfg.Log)
		if err != nil {
			return errors.Join(fmt.Errorf("engine: table %s: %w", p.Topic, err), e.closeTables())
		}
		t := &table{plan: p, positions: map[int32]int64{}, ends: map[int32]int64{}, heardAt: map[int32]time.Time{},
			changed: make(chan struct{}), grown: make(chan struct{}, 1)}
		t.store = watched(store, func(err error) { e.readiness.lost(t.cause(StoreDamaged, err)) })
		t.gather = int(set.store().WriteBuffer)
		t.mirror = tables.NewMirror(p, t.store, set.keep(), e.cfg.Log)
		e.tables[p.Topic] = t
		e.readiness.lost(t.cause(CatchingUp, nil))
	}
	return nil
}

func (e *Engine) closeTables() error {
	var errs []error
	for _, t := range e.tables {
		t.ready.Store(false)
		if t.abandoned.Load() {
			continue // its follower may come back, and would use a store that is closed
		}
		errs = append(errs, t.store.Close())
	}
	return errors.Join(errs...)
}

// runTables follows the topics of all tables, and says when all have caught up.
func (e *Engine) runTables(ctx context.Context, group *errgroup.Group) {
	var behind sync.WaitGroup
	for _, t := range e.tables {
		behind.Add(1)
		caughtUp := sync.OnceFunc(behind.Done)
		group.Go(func() error {
			defer caughtUp()
			err := e.followBounded(ctx, t, caughtUp)
			if err != nil && (ctx.Err() == nil || errors.Is(err, ErrStuck)) {
				e.readiness.lost(t.cause(FollowerStopped, err))
				return fmt.Errorf("engine: table %s: %w", t.plan.Topic, err)
			}
			return nil
		})
	}
	e.readiness.regained(Cause{Reason: Starting})
	all := make(chan struct{})
	group.Go(func() error {
		behind.Wait()
		close(all)
		return nil
	})
	group.Go(func() error { return e.boundStart(ctx, all) })
}

// followBounded is follow, which the program's code may hold up: a codec of keys that does not
// return. When ctx has ended it is waited for as long as for tasks; then the goroutine and the
// store stay behind, with ErrStuck.
func (e *Engine) followBounded(ctx context.Context, t *table, caughtUp func()) error {
	ended := make(chan error, 1)
	go func() { ended <- e.follow(ctx, t, caughtUp) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	bound := time.NewTimer(e.endTimeout())
	defer bound.Stop()
	select {
	case err := <-ended:
		return err
	case <-bound.C:
		t.abandoned.Store(true)
		return fmt.Errorf(
			"%w: its records are not applied: look in a dump of the goroutines for what the codec of its keys waits "+
				"for, and end the process", ErrStuck)
	}
}

// endTimeout is how long the program's code is waited for when Run is to end.
func (e *Engine) endTimeout() time.Duration {
	session := cmp.Or(e.cfg.SessionTimeout, kafka.DefaultSessionTimeout)
	end := min(kafka.DefaultRebalanceTimeout, 5*session)
	if e.cfg.StuckAfter > 0 {
		end = min(end, e.cfg.StuckAfter)
	}
	return end
}

// follow mirrors a table's topic until ctx ends. A store that is of another topic of the name, or
// not in the topic's past, or so old that it may have missed deletions, or has keys of another
// format, is emptied and filled anew.
func (e *Engine) follow(ctx context.Context, t *table, caughtUp func()) error {
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	becomesReady := func() {
		if t.ready.Load() {
			return
		}
		// Before the table says so: who waits for it reads at once, and is let through by
		// readiness.
		e.readiness.regained(t.cause(CatchingUp, nil))
		t.becomesReady()
		caughtUp()
	}
	for {
		err := e.followOnce(ctx, t, admin, becomesReady)
		if errors.Is(err, errGrown) {
			e.cfg.Log.Info("table's topic has got more partitions: they are read from their first records",
				"table", t.plan.Topic)
			e.readiness.lost(t.cause(CatchingUp, err))
			t.ready.Store(false)
			continue
		}
		if !slices.ContainsFunc([]error{kafka.ErrOutOfRange, kafka.ErrOtherTopic, task.ErrDamaged, tables.ErrOtherKeys,
			tables.ErrOtherTopic},
			func(known error) bool { return errors.Is(err, known) }) {
			return err
		}
		e.cfg.Log.Warn("table cannot go on from where it is in its topic: it is rebuilt", "table", t.plan.Topic,
			"reason", err)
		e.readiness.lost(t.cause(CatchingUp, err))
		t.ready.Store(false)
		if err := t.empty(); err != nil {
			return err
		}
	}
}

// followOnce is follow until something goes wrong.
func (e *Engine) followOnce(ctx context.Context, t *table, admin *kafka.Admin, becomesReady func()) error {
	if err := t.learn(ctx, e, admin); err != nil {
		return err
	}
	var ends map[int32]int64
	var asked time.Time
	err := patient(ctx, func() (err error) {
		asked = time.Now()
		// Not the end of what is committed: that may be before a record that was acknowledged
		// behind an open transaction of another program.
		ends, err = admin.Ends(ctx, t.plan.Topic, false)
		return err
	})
	if err != nil {
		return err
	}
	id, err := t.identify(ctx, admin)
	if err != nil {
		return err
	}
	from, err := t.mirror.Positions()
	if err != nil {
		return err
	}
	if err := t.born(len(from) == 0); err != nil {
		return err
	}
	for p := range ends {
		if _, ok := from[p]; !ok {
			from[p] = kafka.Oldest
		}
	}
	t.begins(from, ends, asked)
	if err := t.young(); err != nil {
		return err
	}
	at := maps.Clone(from)
	apply := func(p int32, records []task.Record, next int64) error {
		if err := patient(ctx, func() error { return t.apply(p, records, next, at, ends) }); err != nil {
			return err
		}
		if t.has(ends) {
			becomesReady()
		}
		return nil
	}
	if reached(from, ends) {
		becomesReady()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return kafka.Follow(ctx, e.kafka, kafka.FollowConfig{Topic: t.plan.Topic, ID: id, From: from, Ahead: t.gather,
			Apply: apply, End: t.heard})
	})
	group.Go(func() error { return t.noteAges(ctx) })
	group.Go(func() error {
		select {
		case <-t.grown:
			return errGrown
		case <-ctx.Done():
			return nil
		}
	})
	return group.Wait()
}

// errGrown ends a follower that does not follow all partitions.
var errGrown = errors.New("its topic has got more partitions")

// grow lets a table that is ready begin again if its topic has more partitions than it follows; one
// that is not yet does so when it is.
func (t *table) grow(partitions int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ready.Load() && int32(len(t.goal)) < partitions {
		select {
		case t.grown <- struct{}{}:
		default:
		}
	}
}

// identify says which topic the table's is now, and tells its store. A topic that is being made
// again is waited for.
func (t *table) identify(ctx context.Context, admin *kafka.Admin) (task.TopicID, error) {
	for {
		var found kafka.Found
		err := patient(ctx, func() (err error) {
			found, err = admin.Topics(ctx, t.plan.Topic)
			return err
		})
		if err != nil {
			return task.TopicID{}, err
		}
		if topic, exists := found.Topics[t.plan.Topic]; exists {
			t.mirror.Bind(tables.Topic{Cluster: found.Cluster, ID: topic.ID})
			return topic.ID, nil
		}
		if err := pause(ctx); err != nil || ctx.Err() != nil {
			return task.TopicID{}, errors.Join(err, ctx.Err())
		}
	}
}

// apply takes records over: at once in a table that can be read, else many together, up to ends, or
// up to where an open transaction is waited for. at is how far the table was, and will be once what
// was gathered is written.
func (t *table) apply(p int32, records []task.Record, next int64, at, ends map[int32]int64) error {
	if err := t.young(); err != nil {
		return err
	}
	if t.ready.Load() {
		if err := t.mirror.Apply(p, records, next); err != nil {
			return err
		}
		t.moved(p, next)
		return nil
	}
	at[p] = next
	written, err := t.mirror.Gather(p, records, next, t.gather)
	if err == nil && !written && (reached(at, ends) || t.hasCommitted(at)) {
		written, err = true, t.mirror.Finish()
	}
	if err != nil || !written {
		return err
	}
	for p, next := range at {
		t.moved(p, next)
	}
	return nil
}

// reached says that positions are at ends or past them. A partition that is empty is reached
// wherever one is.
func reached(positions, ends map[int32]int64) bool {
	for p, end := range ends {
		if end > 0 && positions[p] < end {
			return false
		}
	}
	return true
}

// hasCommitted says that positions are at the ends of what is committed, as far as the leaders have
// told.
func (t *table) hasCommitted(positions map[int32]int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.stable) == len(positions) && reached(positions, t.stable)
}

func (t *table) has(ends map[int32]int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return reached(t.positions, ends)
}

// begins notes where a follower starts, also of partitions that have nothing to read, and where it
// wants to get: the ends of the time asked.
func (t *table) begins(from, ends map[int32]int64, asked time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.positions, t.goal, t.seen, t.stable = maps.Clone(from), ends, map[int32]*atEnd{}, map[int32]int64{}
	for p := range from {
		t.seen[p] = &atEnd{}
	}
	for p, end := range ends {
		t.ends[p], t.heardAt[p] = end, time.Now()
		t.seen[p].heard(end, from[p], asked)
	}
	select {
	case <-t.grown: // what it was about is followed now
	default:
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

// moved notes a position, and wakes those who wait for one.
func (t *table) moved(p int32, next int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.positions[p] = next
	t.seen[p].moved(next)
	close(t.changed)
	t.changed = make(chan struct{})
}

// becomesReady says that the table has caught up; false if it had before.
func (t *table) becomesReady() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ready.Swap(true) {
		return false
	}
	close(t.changed)
	t.changed = make(chan struct{})
	return true
}

// empty deletes all that the table holds.
func (t *table) empty() error {
	var b stores.Batch
	for e, err := range t.store.Scan(nil, nil) {
		if err != nil {
			return err
		}
		b.Delete(e.Key)
	}
	t.mu.Lock()
	t.positions = map[int32]int64{}
	t.mu.Unlock()
	return t.store.Write(&b)
}
