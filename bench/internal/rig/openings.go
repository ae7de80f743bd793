package rig

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const openingPoll = time.Millisecond

// OpenedLine is what the engine logs about each task that is opened, restored and ready: there is
// no other sign of that outside of it.
const OpenedLine = "task opened"

// Openings keeps these lines of an engine, and hands all lines on that are of the level of the
// handler behind it.
type Openings struct {
	slog.Handler
	opened *opened
}

type opened struct {
	mu    sync.Mutex // guards tasks
	tasks []map[string]slog.Value
}

// NewOpenings hands lines on to h.
func NewOpenings(h slog.Handler) *Openings { return &Openings{h, new(opened)} }

// Enabled lets the lines pass whatever the level of the log is.
func (o *Openings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle keeps a line, or hands it on.
func (o *Openings) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == OpenedLine {
		attrs := map[string]slog.Value{}
		r.Attrs(func(a slog.Attr) bool {
			attrs[a.Key] = a.Value
			return true
		})
		o.opened.mu.Lock()
		o.opened.tasks = append(o.opened.tasks, attrs)
		o.opened.mu.Unlock()
	}
	if !o.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

// WithAttrs keeps the lines.
func (o *Openings) WithAttrs(a []slog.Attr) slog.Handler {
	return &Openings{o.Handler.WithAttrs(a), o.opened}
}

// WithGroup keeps the lines.
func (o *Openings) WithGroup(name string) slog.Handler {
	return &Openings{o.Handler.WithGroup(name), o.opened}
}

// Tasks is the attributes of the lines so far.
func (o *Openings) Tasks() []map[string]slog.Value {
	o.opened.mu.Lock()
	defer o.opened.mu.Unlock()
	return slices.Clone(o.opened.tasks)
}

// Await returns when n tasks have been opened.
func (o *Openings) Await(ctx context.Context, n int) error {
	return Await(ctx, openingPoll, func() (bool, error) { return len(o.Tasks()) >= n, nil })
}
