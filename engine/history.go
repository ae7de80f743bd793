package engine

import (
	"bytes"
	"fmt"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// history holds a changelog against a store that is to go on from its position: commits are
// numbered, so the first one behind that position has a higher number than the store's. If not, a
// broker has lost the end of a log that this process had read, and others have written it again. It
// is for that only: a topic that was made again has another id, which is compared before
// (task.OtherLogError). Compaction leaves gaps, which say nothing.
//
// The zero history is that of an empty store, and takes every log: only the first commit is looked
// at, as with AtLeastOnce nothing fences a process that was paused, which may write a commit behind
// those of its successor. A store that meets such a one first is rebuilt, once.
type history struct {
	sequence uint64 // of the store's last commit; 0: there is none, or the log is known to follow it
}

// historyOf is that of a store with commit record p, or nil.
func historyOf(p *task.Progress) (h history) {
	if p != nil {
		h.sequence = p.Sequence
	}
	return h
}

// follow is an ErrDamaged if records, which are the next ones of the log, are not of the store's.
func (h *history) follow(records []task.Record) error {
	if h.sequence == 0 {
		return nil
	}
	for i := range records {
		if err := records[i].Err; err != nil {
			return fmt.Errorf("changelog at offset %d: %w", records[i].Offset, err)
		}
		if !bytes.Equal(records[i].Key, task.ProgressKey) {
			continue
		}
		p, err := task.ParseProgress(records[i].Value)
		if err != nil {
			return nil // a newer program's, perhaps: who opens the task will say
		}
		if p.Sequence <= h.sequence {
			return fmt.Errorf(
				"%w: it is at commit %d, and its changelog goes on with commit %d at offset %d: has a broker lost "+
					"the end of its log?", task.ErrDamaged, h.sequence, p.Sequence, records[i].Offset)
		}
		h.sequence = 0
		return nil
	}
	return nil
}
