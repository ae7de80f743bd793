package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// purgeEvery is the time between two deletions from internal topics, as in Kafka Streams.
const purgeEvery = 30 * time.Second

// Outcomes of a deletion, as metrics name them.
const (
	purgeDone   = "done"
	purgeFailed = "failed"
)

// purger deletes from internal topics what their readers have committed: nobody needs it again, as
// a reader whose state is lost goes on from the positions in its changelog. It is safe for
// concurrent use.
type purger struct {
	read map[string]bool // internal topics with one reader

	mu sync.Mutex
	// of the partitions whose tasks are here: offsets that were not told to the broker
	released map[string]map[int32]int64
}

func newPurger(p *topology.Plan) *purger {
	readers := map[string]int{}
	for _, s := range p.Subs {
		for _, topic := range s.Topics() {
			readers[topic]++
		}
	}
	g := &purger{read: map[string]bool{}, released: map[string]map[int32]int64{}}
	for _, t := range p.Internal {
		g.read[t.Topic] = readers[t.Topic] == 1
	}
	return g
}

// release notes that what is before next is committed.
func (g *purger) release(topic string, partition int32, next int64) {
	if !g.read[topic] || next <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.released[topic] == nil {
		g.released[topic] = map[int32]int64{}
	}
	g.released[topic][partition] = next
}

// forget drops the notes of a task that ends: its next owner begins with the positions of the last
// commit.
func (g *purger) forget(topics []string, partition int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, topic := range topics {
		delete(g.released[topic], partition)
	}
}

// take returns what was noted since the last call.
func (g *purger) take() map[string]map[int32]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.released, func(_ string, of map[int32]int64) bool { return len(of) == 0 })
	taken := g.released
	g.released = map[string]map[int32]int64{}
	return taken
}

// deletable is an error if one of the topics is another one than at start: offsets of the one
// before would delete records that nobody has read. DeleteRecords itself knows names only.
func (e *Engine) deletable(ctx context.Context, admin *kafka.Admin, topics ...string) error {
	_, err := e.look(ctx, admin, topics...)
	return err
}

// purge deletes until ctx is done. Failures cost disk space only: the next call deletes more. The
// first in a row is logged.
func (e *Engine) purge(ctx context.Context) error {
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		offsets := e.purger.take()
		if len(offsets) == 0 {
			continue
		}
		err := e.deletable(ctx, admin, slices.Collect(maps.Keys(offsets))...)
		if err == nil {
			err = admin.DeleteBefore(ctx, offsets)
		}
		outcome := purgeDone
		if err != nil {
			outcome = purgeFailed
		}
		e.meters.purges.WithLabelValues(outcome).Inc()
		if err != nil && !failed && ctx.Err() == nil {
			e.cfg.Log.Warn("internal topics are not purged of what has been read", "error", err)
		}
		failed = err != nil
	}
}
