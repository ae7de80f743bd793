package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
)

const (
	// noteAge is how much younger a standby at the end of its log is than its store says, before it
	// is written down.
	noteAge = 10 * time.Minute
	// keepAge is how often a store is made durable with its age: one of a quiet log would make a
	// file of it once in days, and a process that is killed leave a store that is too old.
	keepAge = time.Hour
	// usuallyKept is Kafka's default of delete.retention.ms, and leastKept what is taken for less:
	// stores do not note their age as often, and brokers do not compact as often.
	usuallyKept = 24 * time.Hour
	leastKept   = 2 * keepAge
)

// atEnd knows when a position in a log was its end, also in a log that grows all the time: it was
// when it had not yet come to be behind an end that has been passed since.
type atEnd struct {
	end  int64     // that is to be passed
	said time.Time // when it was the end; zero: the next that is heard of is to be passed
	last time.Time // when the position was known to be the end; zero: never
}

// heard notes an end of the time asked. Who sleeps before an answer is not told so: it is as old as
// the question, by the clock of the wall, as that of the process may sleep, too.
func (a *atEnd) heard(end, next int64, asked time.Time) {
	if a.said.IsZero() {
		a.end, a.said = end, asked.Round(0)
	}
	a.moved(next)
}

// moved notes a position.
func (a *atEnd) moved(next int64) {
	if !a.said.IsZero() && next >= a.end {
		a.last, a.said = a.said, time.Time{}
	}
}

// deletionsKept is how long a changelog is sure to keep deletions (delete.retention.ms), at least
// leastKept.
func deletionsKept(ctx context.Context, admin *kafka.Admin, changelog string) (time.Duration, error) {
	settings, err := admin.Settings(ctx, changelog)
	if err != nil {
		return 0, err
	}
	return deletionsOf(changelog, settings)
}

func deletionsOf(topic string, settings map[string]string) (time.Duration, error) {
	ms, err := strconv.ParseInt(settings["delete.retention.ms"], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("engine: delete.retention.ms of topic %s: %w", topic, err)
	}
	return max(leastKept, time.Duration(min(ms, int64(time.Duration(1<<63-1)/time.Millisecond)))*time.Millisecond), nil
}

// tooOld is an ErrDamaged for a store that was last at the end of its log so long ago that
// compaction may since have taken away deletions that it has not seen (task.Restorer.Since):
// windows that are closed would be open in it, and put out again, and rows that are gone would
// stay. Half of the time that the topic keeps deletions is left to differences between clocks.
func tooOld(since time.Time, kept time.Duration) error {
	if time.Since(since).Abs() > kept/2 {
		return fmt.Errorf("%w: it is of %v, and its topic keeps deletions for %v", task.ErrDamaged, since, kept)
	}
	return nil
}

// ageLocked brings the age of a standby up to when it was last seen at the end of its log, and is
// an ErrDamaged for one that is too old to go on.
func (k *keeper) ageLocked(c *standby) error {
	if at := c.slot.reach.lastAtEnd(); at.After(c.restorer.Since()) {
		c.restorer.Begin(at)
	}
	return tooOld(c.restorer.Since(), k.kept)
}

// noteAgeLocked writes down that a standby of a quiet log is still at its end: else its store would
// be too old one day, with nothing missed.
func (k *keeper) noteAgeLocked(c *standby) error {
	if at := c.slot.reach.lastAtEnd(); at.Sub(c.restorer.Since()) >= noteAge {
		next, _ := c.slot.reach.now()
		c.restorer.Begin(at)
		if err := c.restorer.Apply(nil, next); err != nil {
			return err
		}
	}
	if time.Since(c.durable) < keepAge {
		return nil
	}
	c.durable = time.Now()
	return c.slot.store.Flush()
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
			k.engine.cfg.Log.Warn("standbys are not followed until the settings of their log are known",
				"changelog", k.state.changelog, "error", err)
			if err := pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// learn asks how long the table's topic keeps deletions. Who may not know goes by Kafka's default:
// a table that is read anew for nothing is right.
func (t *table) learn(ctx context.Context, e *Engine, admin *kafka.Admin) error {
	var settings map[string]string
	err := patient(ctx, func() (err error) {
		settings, err = admin.Settings(ctx, t.plan.Topic)
		return err
	})
	switch {
	case errors.Is(err, kafka.ErrDenied):
		e.cfg.Log.Info("settings of a table's topic are not known: it is taken for compacted", "table", t.plan.Topic,
			"deletions kept", usuallyKept, "error", err)
		t.kept = usuallyKept
		return nil
	case err != nil:
		return err
	case !strings.Contains(settings["cleanup.policy"], "compact"):
		t.kept = 0
		return nil
	}
	t.kept, err = deletionsOf(t.plan.Topic, settings)
	return err
}

// born writes down that a table's store is empty and is filled from now on, or reads how old it is.
func (t *table) born(empty bool) (err error) {
	if empty {
		t.noted = time.Now().Round(0)
		return t.mirror.Note(t.noted)
	}
	t.noted, err = t.mirror.Since()
	return err
}

// young is an ErrDamaged for a table that is too old to go on.
func (t *table) young() error {
	if t.kept == 0 {
		return nil
	}
	t.mu.Lock()
	since := t.sinceLocked()
	t.mu.Unlock()
	return tooOld(since, t.kept)
}

// sinceLocked is when all partitions were last known to be at their ends; before, what the store
// says.
func (t *table) sinceLocked() time.Time {
	var since time.Time
	for _, s := range t.seen {
		if s.last.IsZero() {
			return t.noted
		}
		if since.IsZero() || s.last.Before(since) {
			since = s.last
		}
	}
	if since.Before(t.noted) {
		return t.noted
	}
	return since
}

// noteAges writes down now and then how old the table is, until ctx ends, and once more then.
func (t *table) noteAges(ctx context.Context) error {
	tick := time.NewTicker(keepAge)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		t.mu.Lock()
		since := t.sinceLocked()
		news := since.After(t.noted)
		t.noted = since
		t.mu.Unlock()
		if !news {
			continue
		}
		if err := t.mirror.Note(since); err != nil {
			return err
		}
	}
	return nil
}
