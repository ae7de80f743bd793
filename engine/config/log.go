package config

import (
	"context"
	"io"
	"log/slog"
)

// component is the attribute of lines that says which part of the engine writes them; those without
// one are of core too.
const component = "component"

// levels are the level of each component; core is that of lines without one.
type levels struct {
	core slog.Level
	of   map[string]slog.Level
	// lowest of all: what is lower still need not be made.
	lowest slog.Level
}

// leveled drops lines below the level of their component (LOG-1).
type leveled struct {
	slog.Handler
	levels *levels
	level  slog.Level
	named  bool // the component is known already
}

var _ slog.Handler = (*leveled)(nil)

func (l *logging) logger(output io.Writer) *slog.Logger {
	all := &levels{core: l.Core.slog(), of: map[string]slog.Level{"core": l.Core.slog(),
		"messaging": l.Messaging.slog(), "serialization": l.Serialization.slog()}}
	all.lowest = all.core
	for _, other := range all.of {
		all.lowest = min(all.lowest, other)
	}
	options := &slog.HandlerOptions{Level: all.lowest}
	var inner slog.Handler = slog.NewTextHandler(output, options)
	if l.Format == "json" {
		inner = slog.NewJSONHandler(output, options)
	}
	return slog.New(&leveled{Handler: inner, levels: all, level: all.core})
}

// slog is a level by its name; the default is info.
func (l level) slog() slog.Level {
	var known slog.Level
	if l != "" {
		if err := known.UnmarshalText([]byte(l)); err != nil {
			return slog.LevelInfo // the decoder has said what is wrong
		}
	}
	return known
}

// Enabled implements slog.Handler. A component may still be named by the line itself.
func (h *leveled) Enabled(_ context.Context, at slog.Level) bool {
	if h.named {
		return at >= h.level
	}
	return at >= h.levels.lowest
}

// Handle implements slog.Handler.
func (h *leveled) Handle(ctx context.Context, r slog.Record) error {
	least := h.level
	if !h.named {
		r.Attrs(func(a slog.Attr) bool {
			if known, ok := h.levels.of[a.Value.String()]; a.Key == component && ok {
				least = known
				return false
			}
			return true
		})
	}
	if r.Level < least {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.Handler = h.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		if known, ok := h.levels.of[a.Value.String()]; a.Key == component && ok {
			next.level, next.named = known, true
		}
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *leveled) WithGroup(name string) slog.Handler {
	next := *h
	next.Handler = h.Handler.WithGroup(name)
	return &next
}
