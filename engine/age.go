package engine

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// deletionsKept is how long a changelog is sure to keep deletions (delete.retention.ms).
func deletionsKept(ctx context.Context, admin *kafka.Admin, changelog string) (time.Duration, error) {
	settings, err := admin.Settings(ctx, changelog)
	if err != nil {
		return 0, err
	}
	ms, err := strconv.ParseInt(settings["delete.retention.ms"], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("engine: delete.retention.ms of topic %s: %w", changelog, err)
	}
	return time.Duration(min(ms, int64(time.Duration(1<<63-1)/time.Millisecond))) * time.Millisecond, nil
}

// tooOld is an ErrDamaged for a store that was last at the end of its changelog so long ago that compaction may since have taken away
// deletions that it has not seen (task.Restorer.Since): windows that are closed would be open in it, and put out again. Half of the time that the
// topic keeps deletions is left to differences between clocks.
func tooOld(since time.Time, kept time.Duration) error {
	if time.Since(since).Abs() > kept/2 {
		return fmt.Errorf("%w: it is of %v, and the changelog keeps deletions for %v", task.ErrDamaged, since, kept)
	}
	return nil
}

// noteAge is how much younger a standby at the end of its log is than its store says, before it is written down.
const noteAge = 10 * time.Minute

// ageLocked brings the age of a standby up to when it was last seen at the end of its log, and is an ErrDamaged for one that is too old to go on.
func (k *keeper) ageLocked(c *standby) error {
	if at := c.slot.reach.lastAtEnd(); at.After(c.restorer.Since()) {
		c.restorer.Begin(at)
	}
	return tooOld(c.restorer.Since(), k.kept)
}

// noteAgeLocked writes down that a standby of a quiet log is still at its end: else its store would be too old one day, with nothing missed.
func (k *keeper) noteAgeLocked(c *standby) error {
	at := c.slot.reach.lastAtEnd()
	if at.Sub(c.restorer.Since()) < noteAge {
		return nil
	}
	next, _ := c.slot.reach.now()
	c.restorer.Begin(at)
	return c.restorer.Apply(nil, next)
}

// learn asks, before the first standby begins, how long the changelog keeps deletions.
func (k *keeper) learn(ctx context.Context) error {
	for k.kept == 0 && ctx.Err() == nil {
		admin, err := kafka.NewAdmin(k.engine.kafka)
		if err != nil {
			return err
		}
		k.kept, err = deletionsKept(ctx, admin, k.state.changelog)
		admin.Close()
		if err != nil && ctx.Err() == nil {
			k.engine.cfg.Log.Warn("standbys are not followed until the settings of their log are known", "changelog", k.state.changelog, "error", err)
			if err := pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
