package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNotReady is what reads of tables return while any table of the engine is not ready, as a
// *NotReadyError.
var ErrNotReady = errors.New("engine: tables are not ready")

// NotReadyError is an ErrNotReady that says why. It wraps the causes' errors.
type NotReadyError struct{ Causes []Cause }

// Error names all causes.
func (e *NotReadyError) Error() string {
	texts := make([]string, len(e.Causes))
	for i := range e.Causes {
		texts[i] = e.Causes[i].String()
	}
	return ErrNotReady.Error() + ": " + strings.Join(texts, "; ")
}

// Unwrap is ErrNotReady and the errors of the causes.
func (e *NotReadyError) Unwrap() []error {
	errs := []error{ErrNotReady}
	for _, c := range e.Causes {
		if c.Err != nil {
			errs = append(errs, c.Err)
		}
	}
	return errs
}

// Reason is why tables are not ready (RDY-3).
type Reason string

// The reasons. Each goes away by itself when what it says is over, save StoreDamaged and Stopped.
const (
	Starting   Reason = "starting"    // Run was not called, or waits for its brokers
	CatchingUp Reason = "catching_up" // a table has not read what its topic held at start
	BrokerLost Reason = "broker_lost" // no broker has answered for 1.25 s
	// a table has heard nothing from a partition's leader for 15 s, or gets no further
	FollowerStopped Reason = "follower_stopped"
	Lagging         Reason = "lagging"       // a table was more than Config.MaxLag behind for 5 s
	StoreDamaged    Reason = "store_damaged" // what a table's store holds cannot be read
	// a task, once the engine was ready, takes more than 10 s to open: results are late
	TaskRestoring Reason = "task_restoring"
	// a task has been in one call of the program's code for Config.SlowAfter: results are late
	TaskStuck Reason = "task_stuck"
	Stopped   Reason = "stopped" // Run has ended
)

// Cause is one thing that keeps tables from being ready. Table, Window and Task are empty where it
// is not about one.
type Cause struct {
	Reason Reason
	Table  string // its topic
	Window string // of the table, such as 15min
	Task   string // sub-topology/partition
	Err    error  // what happened, if there is more to say
	At     time.Time
}

// String is the reason, what it is about and the error.
func (c Cause) String() string {
	s := string(c.Reason)
	if c.Table != "" {
		s += " table " + c.Table
	}
	if c.Task != "" {
		s += " task " + c.Task
	}
	if c.Err != nil {
		s += ": " + c.Err.Error()
	}
	return s
}

// Readiness is whether tables can be read: all of them or none (RDY-1). Ready is that all stores
// are open, all topics followed, and all partitions read up to the end that they had at start, and
// that nothing of the reasons has happened since.
type Readiness struct {
	Ready  bool
	At     time.Time // of the last change
	Causes []Cause   // why not, oldest first; must not be changed
}

// readiness is the state machine: ready while the set of causes is empty. It is safe for concurrent
// use.
type readiness struct {
	log   *slog.Logger
	state atomic.Pointer[NotReadyError] // nil while ready: what reads look at (RDY-5)

	mu      sync.Mutex // guards what follows, and changes of state
	at      time.Time
	changed chan struct{} // closed and replaced at each change
}

func newReadiness(log *slog.Logger) *readiness {
	r := &readiness{log: log, at: time.Now(), changed: make(chan struct{})}
	r.state.Store(&NotReadyError{Causes: []Cause{{Reason: Starting, At: r.at}}})
	return r
}

// err is nil while ready.
func (r *readiness) err() error {
	if e := r.state.Load(); e != nil {
		return e
	}
	return nil
}

// lost adds a cause, unless it is there.
func (r *readiness) lost(c Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	causes := r.causes()
	if slices.ContainsFunc(causes, c.same) {
		return
	}
	if c.At = time.Now(); len(causes) == 0 && c.Reason != Stopped { // who runs the engine knows that it ends
		r.log.Warn("tables are not ready any more", "reason", c)
	}
	r.changeLocked(append(slices.Clip(causes), c))
}

// regained takes a cause away, if it is there.
func (r *readiness) regained(c Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	causes := r.causes()
	if !slices.ContainsFunc(causes, c.same) {
		return
	}
	left := slices.DeleteFunc(slices.Clone(causes), c.same)
	if len(left) == 0 {
		r.log.Info("tables are ready", "after", time.Since(causes[0].At))
	}
	r.changeLocked(left)
}

// explain changes the error of a cause that is there.
func (r *readiness) explain(c Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	causes := slices.Clone(r.causes())
	i := slices.IndexFunc(causes, c.same)
	if i < 0 || causes[i].Err == nil && c.Err == nil {
		return
	}
	causes[i].Err = c.Err
	r.changeLocked(causes)
}

// set is lost or regained.
func (r *readiness) set(lost bool, c Cause) {
	if lost {
		r.lost(c)
	} else {
		r.regained(c)
	}
}

func (r *readiness) causes() []Cause {
	if e := r.state.Load(); e != nil {
		return e.Causes
	}
	return nil
}

func (c Cause) same(d Cause) bool {
	return c.Reason == d.Reason && c.Table == d.Table && c.Task == d.Task
}

func (r *readiness) changeLocked(causes []Cause) {
	r.at = time.Now()
	if len(causes) == 0 {
		r.state.Store(nil)
	} else {
		r.state.Store(&NotReadyError{Causes: causes})
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// now is the present state, and a channel that is closed when it changes.
func (r *readiness) now() (Readiness, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	causes := r.causes()
	return Readiness{Ready: len(causes) == 0, At: r.at, Causes: causes}, r.changed
}

// Readiness is whether tables can be read now.
func (e *Engine) Readiness() Readiness {
	now, _ := e.readiness.now()
	return now
}

// ReadinessChanges yields the present state, and then each new one when readiness, or one of its
// causes, comes or goes, until ctx or Run has ended; the last one then says Stopped. The engine
// never waits for the loop's body: while that is busy changes are passed over, and the next state
// is the one that holds then.
func (e *Engine) ReadinessChanges(ctx context.Context) iter.Seq[Readiness] {
	return func(yield func(Readiness) bool) {
		for {
			now, changed := e.readiness.now()
			if !yield(now) {
				return
			}
			select {
			case <-changed:
			case <-e.done:
				select {
				case <-changed: // both: the last state was not seen yet
				default:
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// WaitReady returns when every table is ready: at first when it has caught up with what its topic
// held when Run began; or with an error, which names what is missing, when ctx or the Engine ends
// first.
func (e *Engine) WaitReady(ctx context.Context) error {
	for {
		select {
		case <-e.done:
			return e.ended()
		default:
		}
		now, changed := e.readiness.now()
		if now.Ready {
			return nil
		}
		select {
		case <-changed:
		case <-e.done:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", e.missing(), ctx.Err())
		}
	}
}

// missing is the present NotReadyError, with how far tables are that are catching up.
func (e *Engine) missing() error {
	now, _ := e.readiness.now()
	causes := slices.Clone(now.Causes)
	for i := range causes {
		if t := e.tables[causes[i].Table]; t != nil && causes[i].Reason == CatchingUp {
			causes[i].Err = t.behind()
		}
	}
	return &NotReadyError{Causes: causes}
}
