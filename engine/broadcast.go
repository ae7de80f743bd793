package engine

import (
	"context"
	"fmt"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/topology"
)

// needsTables is an error if a plan joins with tables that this process does not mirror.
func needsTables(plan *topology.Plan, cfg Config) error {
	for _, s := range plan.Subs {
		for _, t := range s.Broadcasts() {
			off, reason := "tables are switched off in this one", cfg.WithoutTables
			if t.WithoutMirror != "" {
				off, reason = "it is declared to be without mirror", t.WithoutMirror
			}
			if reason != "" {
				return fmt.Errorf(
					"engine: application %q: sub-topology %s joins with table %s, which every process must mirror "+
						"for that, but %s: %s", plan.Name, s.Name, t.Topic, off, reason)
			}
		}
	}
	return nil
}

// awaitBroadcasts returns when the tables that a sub-topology's tasks read have caught up with what
// their topics held when Run began.
func (e *Engine) awaitBroadcasts(ctx context.Context, sub *topology.SubTopology) error {
	for _, t := range sub.Broadcasts() {
		if err := e.tables[t.Topic].await(ctx); err != nil {
			return fmt.Errorf("waiting for table %s: %w", t.Topic, err)
		}
	}
	return nil
}

func (t *table) await(ctx context.Context) error {
	for {
		t.mu.Lock()
		ready, changed := t.ready.Load(), t.changed
		t.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// broadcast is what tasks read of a table; nil if it is not in the plan.
func (e *Engine) broadcast(topic string) task.TableRows {
	if t := e.tables[topic]; t != nil {
		return broadcastRows{t}
	}
	return nil
}

// broadcastRows are rows of a table while it is ready.
type broadcastRows struct{ table *table }

// Get implements task.TableRows. A table that is being rebuilt ends the session: the task is opened
// anew, and waits for it.
func (b broadcastRows) Get(dst, key []byte) ([]byte, bool, error) {
	if !b.table.ready.Load() {
		return dst, false, fmt.Errorf("%w: %w", ErrNotReady, task.ErrAborted)
	}
	return b.table.store.Get(dst, key)
}
