package engine

import (
	"context"
	"errors"
	"time"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/stores"
)

// OpenStores lets a test open the stores of the tasks, before Run.
func OpenStores(e *Engine, open func(changelog string, partition int32, empty bool) (stores.Store, error)) {
	e.state.opened = open
}

// Connection lets a test change how often brokers are asked, before Run.
func Connection(e *Engine) *kafka.Config { return &e.kafka }

// SetReadyTimeout lets a test have a bound that no start can keep, before Run.
func SetReadyTimeout(e *Engine, d time.Duration) { e.cfg.ReadyTimeout = d }

// Deletable is an error where the purge would not delete from topics.
func Deletable(ctx context.Context, e *Engine, admin *kafka.Admin, topics ...string) error {
	return e.deletable(ctx, admin, topics...)
}

// Keeper is the stores of an engine's first sub-topology without a group: the test says what
// standbys there are.
type Keeper struct{ k *keeper }

// KeeperOf lets a test be the group of e, whose Run is never called.
func KeeperOf(e *Engine, rejoin func()) Keeper {
	k := e.subs[0].keeper
	k.rejoin = rejoin
	return Keeper{k}
}

// Run follows the standbys until ctx is done.
func (s Keeper) Run(ctx context.Context) error {
	s.k.find()
	return errors.Join(s.k.run(ctx), s.k.close())
}

// Name says which the standbys are, as a group does: it asks for the positions before.
func (s Keeper) Name(partitions ...int32) {
	s.k.positions()
	s.k.name(partitions)
}

// Take is what a worker does when it is opened.
func (s Keeper) Take(partition int32) (stores.Store, error) {
	store, doubt, err := s.k.take(partition)
	if err == nil && doubt != nil {
		store, err = s.k.engine.emptied(s.k.state, partition, store, doubt)
	}
	return store, err
}

// Give is what a worker does when it is closed.
func (s Keeper) Give(partition int32, store stores.Store) error { return s.k.give(partition, store) }

// Positions is what the group is told.
func (s Keeper) Positions() map[int32]int64 { return s.k.positions() }
