package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/stores"
)

// askAgain is the wait before a follower that was out of the log's range, which then was not, is
// started again.
const askAgain = time.Second

// standby is one stay of a partition among the standbys. Its fields are guarded by the slot's
// mutex.
type standby struct {
	slot     *slot
	restorer *task.Restorer
	history  history
	durable  time.Time
}

// name says which partitions are standbys from now on (kafka.GroupConfig.OnStandby).
func (k *keeper) name(partitions []int32) {
	k.state.copies.Store(int32(len(partitions)))
	k.mu.Lock()
	k.named = slices.Clone(partitions)
	k.mu.Unlock()
	for _, p := range partitions {
		k.slot(p)
	}
	k.wake()
}

func (k *keeper) isNamed(partition int32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, found := slices.BinarySearch(k.named, partition)
	return found
}

func (k *keeper) anyNamed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.named) > 0
}

// run keeps the stores of standbys up with the changelog until ctx is done, which is no error. One
// follower reads for all of them; it is started anew when there are others.
func (k *keeper) run(ctx context.Context) error {
	var f *following
	defer func() { f.stop() }() // ctx is done, or something worse has happened
	again := time.NewTimer(0)
	defer again.Stop()
	for ctx.Err() == nil {
		if k.anyNamed() {
			if err := k.learn(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("standbys: %w", err)
			}
		}
		standbys, wait, err := k.settle()
		if err != nil {
			return fmt.Errorf("standbys: %w", err)
		}
		if f == nil || !slices.Equal(f.standbys, standbys) {
			err = f.stop()
			f = k.follow(ctx, standbys)
		}
		again.Reset(wait)
		if err == nil {
			select {
			case <-ctx.Done():
			case <-k.changed:
			case <-again.C:
			case err = <-f.done:
				f = nil
			}
		}
		if err = k.failed(ctx, standbys, err); err != nil {
			return fmt.Errorf("standbys: %w", err)
		}
	}
	return nil
}

// settle opens the stores of new standbys, and closes those that nobody has wanted for keepOpen. It
// returns the standbys, and when to look again at the latest.
func (k *keeper) settle() (standbys []*standby, wait time.Duration, err error) {
	wait = keepOpen
	for _, s := range k.all() {
		c, left, err := k.settleSlot(s)
		if err != nil {
			return nil, 0, fmt.Errorf("partition %d: %w", s.partition, err)
		}
		if c != nil {
			standbys = append(standbys, c)
		}
		wait = min(wait, left)
	}
	return standbys, wait, nil
}

// settleSlot is settle for one slot.
func (k *keeper) settleSlot(s *slot) (c *standby, wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken > 0: // until the worker is closed it is its own
	case k.isNamed(s.partition):
		if c = s.copy.Load(); c != nil {
			err = k.noteAgeLocked(c)
		} else {
			err = k.beginLocked(s)
		}
		if err == nil {
			err = k.engine.shareOf(k.state).bound(s.store)
		}
	case s.store != nil:
		if s.copy.Load() != nil {
			s.idleSince = time.Now()
			s.copy.Store(nil)
		}
		if left := keepOpen - time.Since(s.idleSince); left > 0 {
			return nil, left, nil
		}
		store := s.store
		s.store = nil
		err = store.Close()
	}
	return s.copy.Load(), keepOpen, err
}

// beginLocked makes a slot a standby.
func (k *keeper) beginLocked(s *slot) error {
	doubt, err := k.openLocked(s)
	if err == nil && doubt != nil {
		s.store, err = k.engine.emptied(k.state, s.partition, s.store, doubt)
	}
	if err != nil {
		return err
	}
	c := &standby{slot: s, restorer: task.NewRestorer(s.store, k.id(s.partition)), durable: time.Now()}
	position, ok, err := c.restorer.Position()
	if err != nil {
		return err
	}
	p, err := c.restorer.Progress()
	switch {
	case err != nil && !errors.Is(err, task.ErrNewer):
		return err
	case err == nil:
		c.history = historyOf(p)
	}
	if !ok || position == 0 {
		position = unknown
		c.restorer.Begin(time.Now())
	}
	s.reach.begin(position)
	s.copy.Store(c)
	return nil
}

// following is a follower at work.
type following struct {
	standbys []*standby
	cancel   context.CancelFunc
	done     chan error // its end
}

// follow starts a follower for standbys, or none if there are none.
func (k *keeper) follow(ctx context.Context, standbys []*standby) *following {
	ctx, cancel := context.WithCancel(ctx)
	f := &following{standbys: standbys, cancel: cancel, done: make(chan error, 1)}
	if len(standbys) == 0 {
		return f
	}
	of, from := map[int32]*standby{}, map[int32]int64{}
	for _, c := range standbys {
		of[c.slot.partition] = c
		if from[c.slot.partition], _ = c.slot.reach.now(); from[c.slot.partition] == unknown {
			from[c.slot.partition] = kafka.Oldest
		}
	}
	fc := kafka.FollowConfig{Topic: k.state.changelog, ID: k.id(0).Topic, From: from,
		Ahead: len(standbys) * k.engine.shareOf(k.state).restore(), Apply: func(p int32, records []task.Record,
			next int64) error {
			return k.apply(of[p], records, next)
		},
		End: func(p int32, end int64, asked time.Time) {
			if of[p].slot.reach.heard(end, asked) {
				k.rejoin()
			}
		},
	}
	go func() { f.done <- kafka.Follow(ctx, k.engine.kafka, fc) }()
	return f
}

// stop ends a follower, waits until it has, and returns what else went wrong.
func (f *following) stop() error {
	if f == nil {
		return nil
	}
	f.cancel()
	if len(f.standbys) == 0 {
		return nil
	}
	if err := <-f.done; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// apply writes records of the changelog to a standby's store, unless the standby is over: then
// somebody else has the store.
func (k *keeper) apply(c *standby, records []task.Record, next int64) error {
	s := c.slot
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.copy.Load() != c {
		return nil
	}
	err := k.ageLocked(c)
	if err == nil {
		err = c.history.follow(records)
	}
	if err == nil {
		err = c.restorer.Apply(records, next)
	}
	if err != nil {
		if !rebuildable(err) {
			return fmt.Errorf("partition %d: %w", s.partition, err)
		}
		return k.distrustLocked(s, err)
	}
	if s.reach.moved(next) {
		k.rejoin()
	}
	return nil
}

// distrustLocked closes a standby's store, and lets run throw it away and begin anew.
func (k *keeper) distrustLocked(s *slot, reason error) error {
	k.state.damaged.Store(s.partition, reason)
	store := s.store
	s.store = nil
	s.copy.Store(nil)
	k.wake()
	if err := store.Close(); err != nil && !errors.Is(err, stores.ErrCorrupt) {
		return fmt.Errorf("partition %d: %w", s.partition, err)
	}
	return nil
}

// failed looks into the end of a follower. Where a store is out of the log's range that store is
// rebuilt; everything else is fatal.
func (k *keeper) failed(ctx context.Context, standbys []*standby, err error) error {
	if err == nil || ctx.Err() != nil {
		return nil
	}
	if !errors.Is(err, kafka.ErrOutOfRange) {
		return err
	}
	admin, failure := kafka.NewAdmin(k.engine.kafka)
	if failure != nil {
		return failure
	}
	defer admin.Close()
	starts, failure := admin.Starts(ctx, k.state.changelog)
	if failure == nil {
		var ends map[int32]int64
		if ends, failure = admin.Ends(ctx, k.state.changelog, false); failure == nil {
			return k.outOfRange(ctx, standbys, starts, ends, err)
		}
	}
	k.engine.cfg.Log.Warn("standbys are not followed until the log is known", "changelog", k.state.changelog,
		"error", failure)
	return pause(ctx)
}

// outOfRange distrusts the standbys that are behind a log's start or past its end.
func (k *keeper) outOfRange(ctx context.Context, standbys []*standby, starts, ends map[int32]int64,
	reason error) error {
	found := false
	for _, c := range standbys {
		s := c.slot
		at, _ := s.reach.now()
		if at == unknown || starts[s.partition] <= at && at <= ends[s.partition] {
			continue
		}
		found = true
		s.mu.Lock()
		var err error
		if s.copy.Load() == c {
			err = k.distrustLocked(s, reason)
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if !found {
		return pause(ctx)
	}
	return nil
}

// pause waits for askAgain, or until ctx is done.
func pause(ctx context.Context) error {
	t := time.NewTimer(askAgain)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return nil
}

// standbys is how far each standby is, ascending.
func (k *keeper) standbys() []PositionStatus {
	found := []PositionStatus{}
	for _, s := range k.all() {
		if s.copy.Load() == nil {
			continue
		}
		next, end := s.reach.now()
		p := PositionStatus{Topic: k.state.changelog, Partition: s.partition, Next: max(next, 0), End: end, Lag: -1}
		if p.End != unknown {
			p.Lag = max(p.End-p.Next, 0)
		}
		found = append(found, p)
	}
	return found
}
