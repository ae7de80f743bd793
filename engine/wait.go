package engine

import (
	"context"
	"fmt"

	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// WaitApplied returns when a table has taken over all that its topic holds now: reads that begin
// after it see every record that the broker had acknowledged before the call. It waits too for
// transactions that are open in the topic, however they end. It fails when ctx or the Engine ends
// first; give ctx a deadline, as a table that is cut off from its broker makes no progress.
func WaitApplied[K, R any](ctx context.Context, e *Engine, of interface{ Ref() topology.TableOf[K, R] }) error {
	t, err := tableOf(e, of.Ref())
	if err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return fmt.Errorf("engine: waiting for table %s: %w", t.plan.Topic, err)
	}
	defer admin.Close()
	// Not the end of what is committed: that may be before a record that was acknowledged behind an
	// open transaction.
	ends, err := admin.Ends(ctx, t.plan.Topic, false)
	if err != nil {
		return fmt.Errorf("engine: waiting for table %s: %w", t.plan.Topic, err)
	}
	return e.waitFor(ctx, t, ends)
}

// WaitOffset is WaitApplied for one record: it returns when the table has taken over the record at
// offset of a partition of its topic, and all before it. Other programs learn offsets from their
// producers.
func WaitOffset[K, R any](ctx context.Context, e *Engine, of interface{ Ref() topology.TableOf[K, R] }, partition int32,
	offset int64) error {
	t, err := tableOf(e, of.Ref())
	if err != nil {
		return err
	}
	return e.waitFor(ctx, t, map[int32]int64{partition: offset + 1})
}

// AddAndWait is Add, and WaitApplied of the table: reads after it see the rows, unless others have
// replaced them meanwhile (ENT-4). When it fails the rows may have been added or not.
func AddAndWait[K, R any](ctx context.Context, e *Engine, to interface {
	Ref() topology.TableOf[K, R]
	StreamRef() topology.StreamOf[R]
}, rows ...R) error {
	if _, err := tableOf(e, to.Ref()); err != nil {
		return err // before anything is added
	}
	if err := Add(ctx, e, to, rows...); err != nil {
		return err
	}
	return WaitApplied(ctx, e, to)
}

// waitFor returns when a table is ready and at positions or past them.
func (e *Engine) waitFor(ctx context.Context, t *table, positions map[int32]int64) error {
	for {
		t.mu.Lock()
		there, changed := t.ready.Load() && reached(t.positions, positions), t.changed
		t.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-changed:
		case <-e.done:
			return fmt.Errorf("engine: waiting for table %s: %w", t.plan.Topic, e.ended())
		case <-ctx.Done():
			return fmt.Errorf("engine: waiting for table %s: %w", t.plan.Topic, ctx.Err())
		}
	}
}
