package engine

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// taskView is what others than its goroutine may see of a task.
type taskView struct {
	state     *subState
	partition int32
	since     time.Time
	open      atomic.Bool
	restored  atomic.Int64                  // records of the changelog that were read to open it
	remaining atomic.Int64                  // offsets that are still to be read to open it
	memory    atomic.Int64                  // bytes of rows, as of the last commit
	rows      atomic.Int64                  // in the store, as of the last checkpoint; unknown where it does not tell
	bytes     atomic.Int64                  // of the store, the same
	last      atomic.Pointer[task.Progress] // a copy of the last commit record
	pulse     *task.Pulse
	opening   opening

	// Owned by Engine.watch.
	noticed bool      // that it is open
	slow    task.Call // that was reported as taking long; the zero Call: none
	waits   stall     // for what the task waits that is being opened
}

func (v *taskView) name() string { return fmt.Sprintf("%s/%d", v.state.sub.Name, v.partition) }

// show publishes a commit record, if it is a new one, and says so. Only the task's goroutine calls
// it.
func (v *taskView) show(p *task.Progress) bool {
	if last := v.last.Load(); last != nil && last.Sequence == p.Sequence {
		return false
	}
	c := *p
	c.Inputs, c.StreamTimes = maps.Clone(p.Inputs), maps.Clone(p.StreamTimes)
	v.last.Store(&c)
	return true
}

// taskList is the tasks that are open here, or being opened. The zero value is ready; it is safe
// for concurrent use.
type taskList struct {
	mu    sync.Mutex
	views map[*taskView]struct{}
	ready bool // the engine was ready once: a long restore at start is part of the start
}

func (l *taskList) add(s *subState, partition int32, pulse *task.Pulse) *taskView {
	v := &taskView{state: s, partition: partition, since: time.Now(), pulse: pulse}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.views == nil {
		l.views = map[*taskView]struct{}{}
	}
	l.views[v] = struct{}{}
	return v
}

func (l *taskList) remove(v *taskView, r *readiness) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.views, v)
	r.regained(Cause{Reason: TaskRestoring, Task: v.name()})
	r.regained(Cause{Reason: TaskStuck, Task: v.name()})
}

// all is the tasks in no order.
func (l *taskList) all() []*taskView {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*taskView, 0, len(l.views))
	for v := range l.views {
		all = append(all, v)
	}
	return all
}

// watch keeps TaskRestoring and TaskStuck.
func (l *taskList) watch(r *readiness, now time.Time, slowAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = l.ready || r.err() == nil
	for v := range l.views {
		v.watchPulse(r, now, slowAfter)
		switch {
		case v.noticed:
		case v.open.Load():
			v.noticed = true
			r.regained(Cause{Reason: TaskRestoring, Task: v.name()})
		default:
			waits := v.opening.String()
			v.waits.watch(r.log, v.name(), waits, now)
			if l.ready && now.Sub(v.since) >= restoringFor {
				r.lost(Cause{Reason: TaskRestoring, Task: v.name(), Err: fmt.Errorf("it has been opening since %s "+
					"and waits for %s", v.since.UTC().Format(time.RFC3339), waits)})
			}
		}
	}
}

// watchPulse reports a call of the program's code that takes long, and its end.
func (v *taskView) watchPulse(r *readiness, now time.Time, slowAfter time.Duration) {
	call, ok := v.pulse.Look(now)
	took := now.Sub(call.Since)
	cause := Cause{Reason: TaskStuck, Task: v.name()}
	switch {
	case v.slow != (task.Call{}) && (!ok || call.Since != v.slow.Since):
		r.log.Info("a task that stood still goes on", "task", v.name(), "step", v.slow.Step,
			"after", now.Sub(v.slow.Since))
		v.slow = task.Call{}
		r.regained(cause)
	case ok && took >= slowAfter && v.slow == (task.Call{}):
		v.slow = call
		r.log.Warn("a task stands still: the program's code does not return", "task", v.name(), "step", call.Step,
			"topic", call.Topic, "partition", call.Partition, "offset", call.Offset, "for", took)
		cause.Err = fmt.Errorf("%v: it has not returned since %s", call, call.Since.UTC().Format(time.RFC3339))
		r.lost(cause)
	}
}

// heard notes where the committed records of an input's partition end.
func (s *subState) heard(topic string, partition int32, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends == nil {
		s.ends = map[string]map[int32]int64{}
	}
	if s.ends[topic] == nil {
		s.ends[topic] = map[int32]int64{}
	}
	s.ends[topic][partition] = end
}

// end is what was last heard of, and whether anything was.
func (s *subState) end(topic string, partition int32) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.ends[topic][partition]
	return end, ok
}
