package task

import "time"

// Meter is told what a task has done. Its methods are called by the task's goroutine, once for each
// commit or checkpoint, and must not block.
type Meter interface {
	// Committed is told of a commit that went through: when it began, and what it made visible. It
	// does not keep produced.
	Committed(began time.Time, produced []Produced)
	// Checkpointed is told of a checkpoint: when it began, and the bytes of keys and values that
	// were written to the store.
	Checkpointed(began time.Time, bytes int)
}

// Produced is what a task has written to one topic since the last commit.
type Produced struct {
	Topic          string
	Records, Bytes int // of keys and values
}

// count notes an output. A task writes to few topics, and often to the same one twice.
func (t *Task) count(o *Output) {
	n := len(o.Key) + len(o.Value)
	t.produced += n
	if t.cfg.Meter == nil {
		return
	}
	for i := range t.outputs {
		if p := &t.outputs[i]; p.Topic == o.Topic {
			p.Records++
			p.Bytes += n
			return
		}
	}
	t.outputs = append(t.outputs, Produced{Topic: o.Topic, Records: 1, Bytes: n})
}

// committed tells the meter of a commit, and forgets what it told.
func (t *Task) committed(began time.Time) {
	if t.cfg.Meter == nil {
		return
	}
	t.cfg.Meter.Committed(began, t.outputs)
	for i := range t.outputs {
		t.outputs[i].Records, t.outputs[i].Bytes = 0, 0
	}
}
