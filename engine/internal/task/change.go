package task

import (
	"errors"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/topology"
)

// tableChange is what an aggregate over a table knows of the change at work: the row that is taken
// out of the group, with its columns, and whether one is added.
type tableChange struct {
	old      []aggregates.Cell
	was, is  bool
	unfilled topology.Record // a record for evaluate
}

// evaluateChange runs the user's functions for both rows of a change. It says whether any is left:
// one for which they fail is in no group.
func (w *windowed) evaluateChange(r *topology.Record) bool {
	c := &w.table
	if c.old == nil {
		c.old = make([]aggregates.Cell, len(w.cells))
	}
	c.was, c.is = false, false
	if r.Old != nil {
		c.unfilled = *r
		c.unfilled.Value = r.Old
		c.was = w.evaluated(&c.unfilled) == nil // where it fails it failed before, and the row was not added
		w.cells, c.old = c.old, w.cells
	}
	if r.Value != nil {
		err := w.evaluated(r)
		if c.is = err == nil; !c.is {
			_ = w.task.failed(w.name, err) // Run sees it
		}
	}
	return c.was || c.is
}

// applyChange takes the old row out of a state and adds the new one. What the aggregates refuse is
// counted as failed; the rest of the change stands.
func (w *windowed) applyChange(s aggregates.State, at aggregates.At) error {
	c := &w.table
	var undone, added error
	if c.was {
		undone = w.program.Undo(s, c.old, at)
	}
	if c.is {
		added = w.program.Add(s, w.cells, at)
	}
	err := errors.Join(undone, added)
	if err == nil || errors.Is(err, aggregates.ErrState) {
		return err
	}
	return w.refuse(1, err)
}
