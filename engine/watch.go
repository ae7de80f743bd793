package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/stores"
)

const (
	stateEvery   = 2 * time.Second  // look at the state directory
	lagFor       = 5 * time.Second  // a lag that is over as soon is no cause: each commit of a busy task makes one
	silentFor    = 15 * time.Second // three long polls without an answer
	restoringFor = 10 * time.Second // a task that opens sooner is a common rebalance
)

// watchBroker keeps BrokerLost, and tells how many partitions there are.
func (e *Engine) watchBroker(ctx context.Context) error {
	return kafka.Watch(ctx, e.kafka, func(err error) {
		e.readiness.set(err != nil,
			Cause{Reason: BrokerLost, Err: err})
	},
		e.expansion.topics, e.expansion.tell)
}

// watch keeps Lagging, FollowerStopped, TaskRestoring, TaskStuck and the rates of records, and
// fails when the state directory is lost (RDY-4).
func (e *Engine) watch(ctx context.Context) error {
	tick := time.NewTicker(cmp.Or(e.kafka.WatchInterval, kafka.DefaultWatchInterval))
	defer tick.Stop()
	looked := time.Now()
	e.noteRates(looked)
	var adjusted adjustments
	defer func() { adjusted.tell(e, time.Now(), true) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		adjusted.tell(e, now, false)
		for _, t := range e.tables {
			e.watchTable(t, now)
		}
		e.tasks.watch(e.readiness, now, e.cfg.SlowAfter)
		e.noteRates(now)
		if now.Sub(looked) >= stateEvery {
			looked = now
			if err := e.state.probe(); err != nil {
				return err
			}
		}
	}
}

func (e *Engine) noteRates(now time.Time) {
	for _, s := range e.subs {
		s.speed.note(now, s.records.Load())
	}
}

func (e *Engine) watchTable(t *table, now time.Time) {
	if !t.ready.Load() {
		return // it is catching up, and that is said
	}
	lag, silent := t.progress(now)
	if lag <= e.cfg.MaxLag {
		t.behindSince = time.Time{}
	} else if t.behindSince.IsZero() {
		t.behindSince = now
	}
	e.readiness.set(!t.behindSince.IsZero() && now.Sub(t.behindSince) >= lagFor,
		t.cause(Lagging, fmt.Errorf("%d records behind, at most %d are allowed", lag, e.cfg.MaxLag)))
	e.readiness.set(silent >= silentFor, t.cause(FollowerStopped, fmt.Errorf("no answer about a partition for %v",
		silent.Truncate(time.Second))))
}

// boundStart fails when the tables have not caught up in time (RDY-2). The wait for a transaction
// of another program does not count: it ends when that program, or its broker, ends the
// transaction, and a new start would wait for it too.
func (e *Engine) boundStart(ctx context.Context, caughtUp <-chan struct{}) error {
	if e.cfg.ReadyTimeout == NoBound {
		return nil
	}
	tick := time.NewTicker(max(e.cfg.ReadyTimeout/100, time.Millisecond))
	defer tick.Stop()
	began, said := time.Now(), false
	for {
		select {
		case <-caughtUp:
			return nil
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if time.Since(began) < e.cfg.ReadyTimeout {
			continue
		}
		if !e.onlyTransactions() {
			return fmt.Errorf("engine: start: not ready after %v (Config.ReadyTimeout): %w", e.cfg.ReadyTimeout,
				e.missing())
		}
		if !said {
			e.cfg.Log.Warn("start waits for transactions of others that are open in the topics of tables",
				"missing", e.missing())
		}
		began, said = time.Now(), true
	}
}

// onlyTransactions says that what tables lack is behind open transactions.
func (e *Engine) onlyTransactions() bool {
	for _, t := range e.tables {
		if !t.ready.Load() && !t.atTransactions() {
			return false
		}
	}
	return true
}

// atTransactions says that the table has all that is committed.
func (t *table) atTransactions() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, goal := range t.goal {
		if at := t.positions[p]; goal > 0 && at < goal && !t.waitsLocked(p) {
			return false
		}
	}
	return t.goal != nil
}

// waitsLocked says that nothing more of a partition is committed, by what its leader has said since
// the start.
func (t *table) waitsLocked(p int32) bool {
	end, heard := t.stable[p]
	return heard && max(t.positions[p], 0) >= end && end < t.goal[p]
}

// cause is one about t.
func (t *table) cause(r Reason, err error) Cause {
	c := Cause{Reason: r, Table: t.plan.Topic, Err: err}
	if t.plan.Windows != nil {
		c.Window = t.plan.Windows.Name()
	}
	return c
}

// heard notes where the committed records of a partition ended when that was asked.
func (t *table) heard(p int32, end int64, asked time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends[p], t.heardAt[p], t.stable[p] = end, time.Now(), end
	t.seen[p].heard(end, t.positions[p], asked)
}

// progress is the largest lag of a partition, in records, and the longest time without an answer
// about one.
func (t *table) progress(now time.Time) (lag int64, silent time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, end := range t.ends {
		lag = max(lag, end-t.positions[p])
	}
	for _, at := range t.heardAt {
		silent = max(silent, now.Sub(at))
	}
	return lag, silent
}

// behind says which partitions have not reached the end that they had at start, and how far they
// are.
func (t *table) behind() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.goal == nil {
		return errors.New("where its topic ends is not known yet")
	}
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(t.goal)) {
		if end, at := t.goal[p], t.positions[p]; end > 0 && at < end {
			text := fmt.Sprintf("partition %d at %d of %d", p, max(at, 0), end)
			if t.waitsLocked(p) {
				text += ", behind an open transaction of another program: it ends with it, or after its " +
					"transaction.timeout.ms"
			}
			parts = append(parts, text)
		}
	}
	return errors.New(strings.Join(parts, ", "))
}

// watchedStore reports damage that a read or write finds.
type watchedStore struct {
	stores.Store
	damaged func(error)
}

// Get implements stores.Store.
func (s *watchedStore) Get(dst, key []byte) ([]byte, bool, error) {
	value, ok, err := s.Store.Get(dst, key)
	s.look(err)
	return value, ok, err
}

// Write implements stores.Store.
func (s *watchedStore) Write(b *stores.Batch) error {
	err := s.Store.Write(b)
	s.look(err)
	return err
}

// loadingStore is a watchedStore of a store that loads.
type loadingStore struct{ *watchedStore }

// watched reports damage of store; what loads goes on doing so.
func watched(store stores.Store, damaged func(error)) stores.Store {
	w := &watchedStore{store, damaged}
	if _, ok := store.(stores.Loader); ok {
		return loadingStore{w}
	}
	return w
}

// Load implements stores.Loader.
func (s loadingStore) Load(r *stores.Run) error {
	err := s.Store.(stores.Loader).Load(r)
	s.look(err)
	return err
}

// Scan implements stores.Store.
func (s *watchedStore) Scan(from, to []byte) iter.Seq2[stores.Entry, error] {
	return func(yield func(stores.Entry, error) bool) {
		for e, err := range s.Store.Scan(from, to) {
			s.look(err)
			if !yield(e, err) {
				return
			}
		}
	}
}

// inner is the store that is watched.
func (s *watchedStore) inner() stores.Store { return s.Store }

func (s *watchedStore) look(err error) {
	if err != nil && errors.Is(err, stores.ErrCorrupt) {
		s.damaged(err)
	}
}
