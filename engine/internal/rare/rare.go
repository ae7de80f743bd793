// Package rare limits log lines that would repeat: the first is said, and after that one in ten
// seconds, with how many were not.
//
// A [Limit] is that rule alone, for one line and one goroutine. A [Log] is a logger with a Limit
// for each message, for lines whose causes come and go in several places.
package rare

import (
	"log/slog"
	"sync"
	"time"
)

// Every is the least time between two lines about the same.
const Every = 10 * time.Second

// Limit says when a line is due again. The zero value is ready; one goroutine at a time may use it.
type Limit struct {
	Unsaid int // since the last line
	next   time.Time
}

// Due says whether the line is to be said now, and if so how many were not since the last one.
func (l *Limit) Due(now time.Time) (unsaid int, due bool) {
	if now.Before(l.next) {
		l.Unsaid++
		return 0, false
	}
	unsaid = l.Unsaid
	l.next, l.Unsaid = now.Add(Every), 0
	return unsaid, true
}

// Log says each message at most once in Every. It is safe for concurrent use.
type Log struct {
	log *slog.Logger

	mu     sync.Mutex
	limits map[string]*Limit // by message: of those that the program has, so they are few
}

// New limits what goes to log.
func New(log *slog.Logger) *Log { return &Log{log: log, limits: map[string]*Limit{}} }

// Warn says msg, unless it was said less than Every ago, with the attribute unsaid where lines were
// dropped before.
func (l *Log) Warn(msg string, args ...any) {
	if args, due := l.due(msg, args); due {
		l.log.Warn(msg, args...)
	}
}

// Error is Warn for errors.
func (l *Log) Error(msg string, args ...any) {
	if args, due := l.due(msg, args); due {
		l.log.Error(msg, args...)
	}
}

func (l *Log) due(msg string, args []any) ([]any, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.limits[msg]
	if limit == nil {
		limit = new(Limit)
		l.limits[msg] = limit
	}
	unsaid, due := limit.Due(time.Now())
	if unsaid > 0 {
		args = append(args, "unsaid", unsaid)
	}
	return args, due
}
