package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
)

// keepOpen is how long a store stays open that neither a task nor a standby has: in a rebalance it
// is one first and the other next, and nobody knows yet which.
const keepOpen = 30 * time.Second

// keeper has the stores of a sub-topology's tasks while no task has them. Those of standbys follow
// the changelog (standby.go); others wait open for their next owner, or are on disk. A store goes
// from hand to hand open: a standby that becomes a task is not read anew. It is safe for concurrent
// use.
type keeper struct {
	engine  *Engine
	state   *subState
	rejoin  func()        // asks the group for a new assignment; set before run
	changed chan struct{} // a token: run is to look at the slots again
	kept    time.Duration // deletions in the changelog; known before the first standby begins

	mu     sync.Mutex
	slots  map[int32]*slot
	named  []int32 // the standbys, ascending
	closed bool
}

// slot is what this process has of one partition's state.
type slot struct {
	partition int32
	reach     reach
	copy      atomic.Pointer[standby] // nil: it is none; written with mu held

	// held while the store is opened, written by the follower, or closed; never while a broker is
	// waited for
	mu        sync.Mutex
	taken     int          // workers that have the store
	store     stores.Store // nil: it is closed, or a worker has it
	idleSince time.Time    // of a store that is no standby's
}

func newKeeper(e *Engine, s *subState) *keeper {
	return &keeper{engine: e, state: s, changed: make(chan struct{}, 1), slots: map[int32]*slot{}}
}

// id is the log that a partition's store is of.
func (k *keeper) id(partition int32) task.LogID { return k.engine.logID(k.state, partition) }

// find reads the positions of the stores that are on disk. Those that cannot be read are found to
// be damaged when they are opened.
func (k *keeper) find() {
	for partition, position := range k.engine.state.positions(k.state.changelog, k.id, k.engine.cfg.Log) {
		k.slot(partition).reach.set(position)
	}
}

func (k *keeper) slot(partition int32) *slot {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.slots[partition]
	if s == nil {
		s = &slot{partition: partition, reach: reach{next: unknown, end: unknown, told: unknown}}
		k.slots[partition] = s
	}
	return s
}

// all is the slots in ascending order.
func (k *keeper) all() []*slot {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]*slot, 0, len(k.slots))
	for _, s := range k.slots {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *slot) int { return cmp.Compare(a.partition, b.partition) })
	return all
}

// positions is how far the state of each partition is that this process has, wherever it is
// (kafka.GroupConfig.Positions).
func (k *keeper) positions() map[int32]int64 {
	known := map[int32]int64{}
	for _, s := range k.all() {
		if at := s.reach.tell(); at != unknown {
			known[s.partition] = at
		}
	}
	return known
}

// take gives a worker the store of its partition, which it must give back. doubt is why nothing of
// it must be used, nil if it may: then it is the worker's to throw it away.
func (k *keeper) take(partition int32) (store stores.Store, doubt, err error) {
	s := k.slot(partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	if doubt, err = k.openLocked(s); err != nil {
		return nil, nil, err
	}
	store, s.store = s.store, nil
	s.copy.Store(nil)
	k.wake()
	return store, doubt, nil
}

// give takes a store back that take gave out; nil where that failed, or the store is closed. One
// that is not to be trusted is closed.
func (k *keeper) give(partition int32, store stores.Store) error {
	s := k.slot(partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	k.wake()
	if store == nil {
		return nil
	}
	_, damaged := k.state.damaged.Load(partition)
	position, ok, err := task.NewRestorer(store, k.id(partition)).Position()
	s.reach.set(unknown)
	if err == nil && ok {
		s.reach.set(position)
	}
	if damaged || err != nil || s.store != nil || k.isClosed() {
		return store.Close()
	}
	s.store, s.idleSince = store, time.Now()
	return nil
}

// openLocked opens a slot's store, unless it is open. doubt says why it cannot be used: a worker or
// a follower did not trust it, it is damaged, or of another log.
func (k *keeper) openLocked(s *slot) (doubt, err error) {
	if s.store == nil {
		if s.store, err = k.engine.state.open(k.state.changelog, s.partition, k.engine.shareOf(k.state).store,
			k.engine.cfg.Log); err != nil {
			return nil, err
		}
	}
	reason, distrusted := k.state.damaged.LoadAndDelete(s.partition)
	if distrusted {
		doubt = reason.(error)
	} else if doubt = check(s.store, k.id(s.partition)); doubt != nil && !rebuildable(doubt) {
		return nil, doubt
	}
	if doubt != nil {
		s.reach.set(unknown)
	}
	return doubt, nil
}

// check is an error for a store that cannot be used.
func check(store stores.Store, id task.LogID) error {
	r := task.NewRestorer(store, id)
	if _, _, err := r.Position(); err != nil {
		return err
	}
	// a newer version's is sound: it can go on with it
	if _, err := r.Progress(); err != nil && !errors.Is(err, task.ErrNewer) {
		return fmt.Errorf("%w: %w", task.ErrDamaged, err)
	}
	return nil
}

// emptied throws a store away and opens a new one in its place.
func (e *Engine) emptied(s *subState, partition int32, store stores.Store, reason error) (stores.Store, error) {
	e.cfg.Log.Warn("local state cannot be used: it is rebuilt from its changelog", "changelog", s.changelog,
		"partition", partition, "reason", reason)
	if err := store.Close(); err != nil {
		return nil, err
	}
	return e.state.reopenEmpty(s.changelog, partition, e.shareOf(s).store)
}

// wake lets run look at the slots.
func (k *keeper) wake() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

func (k *keeper) isClosed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// close closes all stores, those that are still to be given back when they are. Run has ended.
func (k *keeper) close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	var errs []error
	for _, s := range k.all() {
		s.mu.Lock()
		if s.store != nil {
			errs = append(errs, s.store.Close())
		}
		s.store = nil
		s.copy.Store(nil)
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}
