package task

import (
	"context"
	"slices"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// putOutClosedSlide puts out a window that has closed: as a change too, if it has changed since it
// was put out last.
func (w *windowed) putOutClosedSlide(ctx context.Context, s *size, n uint32, g *slidingGroup, win windows.Window,
	opener *point) error {
	points := g.live()
	points = points[search(points, win.Start):]
	change := g.changed && (opener != nil && opener.flags&flagFresh != 0 ||
		slices.ContainsFunc(points, func(p *point) bool { return p.flags&flagChanged != 0 && p.at <= win.End }))
	if change || s.finals != nil {
		state, newest, err := w.slide(s.sliding, &g.sums, points, win)
		if err != nil {
			return err
		}
		if change {
			if err := w.emitSlideChange(ctx, s, n, g, win, state, newest); err != nil {
				return err
			}
		}
		if s.finals != nil {
			if err := w.emitSlide(ctx, s, s.finals, n, win, state, newest); err != nil {
				return err
			}
		}
	}
	if i, ok := slices.BinarySearch(g.shown, win.Start); ok {
		g.shown = slices.Delete(g.shown, 0, i+1)
	}
	return nil
}

// putOutSlides puts out the open windows of a group that have changed, oldest first.
func (w *windowed) putOutSlides(ctx context.Context, s *size, n uint32, g *slidingGroup) error {
	x, points, closing := s.sliding, g.live(), w.closing()
	defer x.reset(&x.passing)
	d := 0 // the first point that has changed and may be in the window
	for i := (slides{sliding: x, points: points}); i.next(); {
		for d < len(points) && (points[d].at < i.Start || points[d].flags&flagChanged == 0) {
			d++
		}
		changed := d < len(points) && points[d].at <= i.End || i.opener != nil && i.opener.flags&flagFresh != 0
		if !changed || i.End < closing {
			continue
		}
		state, newest, err := w.slide(x, &x.passing, points[search(points, i.Start):], i.Window)
		if err == nil {
			err = w.emitSlideChange(ctx, s, n, g, i.Window, state, newest)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range points {
		p.flags &^= flagChanged | flagFresh
	}
	g.changed = false
	return nil
}

// slides goes through the windows of points, by ascending start.
type slides struct {
	*sliding
	points []*point
	own    int // place of the next point whose own window is to come
	open   int // place of the next point behind which one may open

	windows.Window
	opener *point // behind which the window opens, if no record ends it
}

func (i *slides) next() bool {
	for i.open+1 < len(i.points) && i.points[i.open+1].at > i.behind(i.points[i.open].at).End {
		i.open++ // nothing follows
	}
	opened := i.open+1 < len(i.points)
	if i.own == len(i.points) {
		if opened {
			i.Window, i.opener = i.behind(i.points[i.open].at), i.points[i.open]
			i.open++
		}
		return opened
	}
	own := i.sliding.own(i.points[i.own].at)
	if opened {
		behind := i.behind(i.points[i.open].at)
		if behind.Start <= own.Start {
			i.opener = i.points[i.open]
			i.open++
		}
		if behind.Start < own.Start {
			i.Window = behind
			return true
		}
	}
	i.Window, i.opener = own, nil
	for i.own < len(i.points) && i.sliding.own(i.points[i.own].at) == own {
		i.own++
	}
	return true
}

// emitSlideChange puts a window out as a change, if it passes; a tombstone if it did when it was
// put out last and does not any more.
func (w *windowed) emitSlideChange(ctx context.Context, s *size, n uint32, g *slidingGroup, win windows.Window,
	state aggregates.State, newest windows.Time) error {
	if w.agg.Having == nil {
		return w.emitSlide(ctx, s, s.changes, n, win, state, newest)
	}
	_, pass, err := w.makeRow(s.changes, w.groups.entries[n].key, win, state)
	i, shown := slices.BinarySearch(g.shown, win.Start)
	switch {
	case err != nil:
		return err
	case pass:
		if !shown {
			g.shown = slices.Insert(g.shown, i, win.Start)
		}
		return w.emitSlide(ctx, s, s.changes, n, win, state, newest)
	case shown:
		g.shown = slices.Delete(g.shown, i, i+1)
		group := w.groups.entries[n].key
		w.out = topology.Record{Key: w.slideKey(s.sliding, group, win), Group: group, Time: newest}
		return forward(ctx, s.changes, &w.out)
	}
	return nil
}

// emitSlide puts a window out, if it passes.
func (w *windowed) emitSlide(ctx context.Context, s *size, to []runner, n uint32, win windows.Window,
	state aggregates.State, newest windows.Time) error {
	group := w.groups.entries[n].key
	row, pass, err := w.makeRow(to, group, win, state)
	if err != nil || !pass {
		return err
	}
	w.out = topology.Record{Key: w.slideKey(s.sliding, group, win), Group: group, Value: row, Time: newest}
	return forward(ctx, to, &w.out)
}

// slideKey is Kafka Streams' key of a window: the group's, start.
func (w *windowed) slideKey(x *sliding, group []byte, win windows.Window) []byte {
	w.wkey = x.kind.AppendKey(append(w.wkey[:0], group...), win)
	return w.wkey
}
