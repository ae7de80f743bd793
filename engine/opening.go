package engine

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// What a task waits for before it is open: a stalled one must say so (Status, the log).
const (
	waitsForTopics  = "its topics"
	waitsForOwner   = "the end of the last owner's transaction"
	waitsForTables  = "the tables that it looks up"
	waitsForRestore = "its changelog"
	waitsForFill    = "the rows of tables that new steps are given"
)

// opening is what a task that is being opened waits for. One goroutine sets it, others read it.
type opening struct {
	step atomic.Pointer[string]
	// Of the changelog, while the task restores: the next offset, where it must come to, and where
	// committed records end; unknown before they are.
	next, goal, stable atomic.Int64
}

func (o *opening) waitFor(step string) { o.step.Store(&step) }

// restoring begins the wait for the changelog.
func (o *opening) restoring(next, goal int64) {
	o.next.Store(next)
	o.goal.Store(goal)
	o.stable.Store(unknown)
	o.waitFor(waitsForRestore)
}

// String is empty where nothing is waited for.
func (o *opening) String() string {
	step := o.step.Load()
	if step == nil || *step != waitsForRestore {
		if step == nil {
			return ""
		}
		return *step
	}
	next, goal, stable := o.next.Load(), o.goal.Load(), o.stable.Load()
	text := fmt.Sprintf("%s, at offset %d of %d", *step, max(next, 0), goal)
	if stable != unknown && stable < goal && next >= stable {
		text += ", behind an open transaction of another program"
	}
	return text
}

// stall is how long a task has waited for one thing. Only Engine.watch uses it.
type stall struct {
	text  string    // what was waited for at the last look
	since time.Time // when it was first seen
	told  time.Time // when it was last logged; zero: it was not
}

// stallEvery is the least time between lines about a task that waits for one thing.
const stallEvery = time.Minute

// watch logs what a task waits for if that has been the same for restoringFor: a restore that gets
// on is no trouble, however long it takes.
func (p *stall) watch(log *slog.Logger, task, text string, now time.Time) {
	if text != p.text {
		*p = stall{text: text, since: now}
		return
	}
	if text == "" || now.Sub(p.since) < restoringFor || !p.told.IsZero() && now.Sub(p.told) < stallEvery {
		return
	}
	p.told = now
	log.Warn("a task is not open yet", "task", task, "waits_for", text, "for", now.Sub(p.since).Round(time.Second))
}
