package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ashi-stream/ashi/engine/kafka"
)

// warnOfVanished logs which sub-topologies the application has committed offsets of that its plan
// does not have any more: nobody opens a task that would see what they hold, windows that were
// open, or records in internal topics that were not read.
func (e *Engine) warnOfVanished(ctx context.Context, admin *kafka.Admin) error {
	if len(e.subs) == 0 {
		return nil // it has no group, and need not be allowed to look at one
	}
	group := groupName(e.plan)
	commits, err := admin.AllCommits(ctx, group)
	if err != nil {
		return fmt.Errorf("engine: start: %w", err)
	}
	gone := map[string][]string{}
	for topic, partitions := range commits {
		for _, c := range partitions {
			note := readNote(c.Metadata)
			sub := note["sub"]
			if note["application"] == e.plan.Name && sub != "" && !slices.Contains(gone[sub], topic) {
				gone[sub] = append(gone[sub], topic)
			}
		}
	}
	for _, s := range e.subs {
		delete(gone, s.sub.Name)
	}
	for sub, topics := range gone {
		if slices.Contains(e.plan.Dropped, sub) {
			continue
		}
		slices.Sort(topics)
		e.cfg.Log.Warn(
			"a sub-topology is gone from the plan, with all state that it had, and with what it had not read of "+
				"internal topics: put its first topic "+
				"back in its place if it was only renamed, or say Dropped(\""+sub+
				"\") in the plan, and delete its changelog", "sub", sub, "topics", strings.Join(topics, ", "), "group",
			group)
	}
	return nil
}
