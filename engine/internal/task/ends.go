package task

import (
	"context"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// ends is the keys of a table with a history whose newest version is a deletion, by its time: when
// that is before the history, it need not be kept any more. In changelog and store an end is a key
// of its own, by time first, with one byte. All are in memory: there are as many as rows were
// deleted within the history.
type ends struct {
	task    *Task
	op      uint16
	first   []end // ascending time
	dirty   []endChange
	unsaved []endChange
	key     []byte
}

type end struct {
	at  windows.Time
	key string
}

type endChange struct {
	end
	gone bool
}

// endBytes is what an end takes beside its key.
const endBytes = 48

func (e *ends) add(at windows.Time, key []byte) {
	one := end{at, string(key)}
	i := len(e.first)
	for i > 0 && e.first[i-1].at > at { // out of order by little, as a rule
		i--
	}
	e.first = slices.Insert(e.first, i, one)
	e.note(one, false)
}

// pop takes off the earliest end, if it is not after the horizon.
func (e *ends) pop(horizon windows.Time) (end, bool) {
	if len(e.first) == 0 || e.first[0].at > horizon {
		return end{}, false
	}
	one := e.first[0]
	e.first = e.first[1:]
	e.note(one, true)
	return one, true
}

func (e *ends) note(one end, gone bool) {
	e.dirty = append(e.dirty, endChange{one, gone})
	e.unsaved = append(e.unsaved, endChange{one, gone})
}

func (e *ends) open() error {
	from, to := stores.OperatorBounds(e.op)
	for entry, err := range e.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return fmt.Errorf("task: reading deletions of a table: %w", err)
		}
		_, at, key, err := stores.ParseRowKey(entry.Key)
		if err != nil {
			return fmt.Errorf("task: deletions of a table: %w: %w", err, stores.ErrCorrupt)
		}
		e.first = append(e.first, end{windows.Time(at), string(key)})
	}
	return nil
}

func (e *ends) log(ctx context.Context) {
	for _, c := range e.dirty {
		e.key = stores.AppendRowKey(e.key[:0], e.op, int64(c.at), []byte(c.key))
		if c.gone {
			e.task.log(ctx, e.key, nil)
		} else {
			e.task.log(ctx, e.key, []byte{1})
		}
	}
	clear(e.dirty)
	e.dirty = e.dirty[:0]
}

func (e *ends) save() error {
	for _, c := range e.unsaved {
		e.key = stores.AppendRowKey(e.key[:0], e.op, int64(c.at), []byte(c.key))
		if c.gone {
			e.task.pending.Delete(e.key)
		} else {
			e.task.pending.Put(e.key, []byte{1})
		}
		if err := e.task.writePending(pendingBytes); err != nil {
			return err
		}
	}
	clear(e.unsaved)
	e.unsaved = e.unsaved[:0]
	return nil
}

func (e *ends) memory() int { return endBytes * (len(e.first) + len(e.dirty) + len(e.unsaved)) }
