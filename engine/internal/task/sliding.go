package task

import (
	"bytes"
	"context"
	"math"
	"slices"
	"sort"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/windows"
)

// sliding is the sliding windows of one aggregate in a task (semantics.md [L1] to [L3]). What is
// kept is not windows but points: for each group and each time that records have, the state of
// those records. A record is added to one point, however many windows have it; which windows there
// are follows from the times of the points, and a window that is put out is merged from its points
// (pointSums).
//
// A point is of use until no open window can have it nor begin right behind it. Each is a row in
// store and changelog. In memory are the groups that were in use since the last eviction; of the
// others the number and the due time.
type sliding struct {
	kind   windows.Kind
	diff   windows.Time
	groups []*slidingGroup // by group number; nil where a group has none
	// ends of windows, in place of stream times: when groups have something to close, or earlier
	due     dueHeap
	batch   []uint32   // scratch of nextDue
	dirty   []pointRef // changed since the last commit
	unsaved []pointRef // changed since the last checkpoint
	changed []uint32   // groups with windows that were not put out since they changed
	passing pointSums  // of the group whose changes are being put out
	total   *point     // scratch: the last window that was merged of two sums

	spare      []*point
	inUse      int // points that are not spare, those of sums too
	held       int // bytes of parts of all points
	large      int // bytes of the objects of points at their last commit
	pointBytes int // of a point, without parts and objects
}

// point is the records of a group at one time; or a sum of such.
type point struct {
	at    windows.Time
	state aggregates.State
	flags uint8
	large int // bytes of its objects at the last commit
}

// pointRef names a point that may be gone.
type pointRef struct {
	group uint32
	at    windows.Time
}

// Flags of points beside those of rows.
const (
	flagStored  = flagShown << (1 + iota) // the store has it
	flagChanged                           // windows with it were not put out as changes since
	flagFresh                             // nor was the window that begins behind it
)

// slidingGroup is the points of a group.
type slidingGroup struct {
	points  []*point // points[head:], ascending
	head    int
	due     windows.Time   // end of the window to look at next; 0: none
	absent  bool           // the points are in the store only
	changed bool           // in sliding.changed
	sums    pointSums      // of the windows that were put out as final last
	shown   []windows.Time // starts of the windows that were put out as changes; kept where there is a condition only
}

func newSliding(kind windows.Kind, p aggregates.Aggregator) *sliding {
	return &sliding{kind: kind, diff: windows.Time(kind.Size().Milliseconds()), pointBytes: 120 + p.Size() +
		24*p.Vars() + 16*p.Objs()}
}

// closing is the time before which windows that end are closed [L2].
func (w *windowed) closing() windows.Time {
	if w.streamTime == windows.Min {
		return windows.Min
	}
	return w.streamTime - w.grace
}

// own is the window that is there because of a record at a time: the one that ends there, or the
// first of all [L1] [L2].
func (x *sliding) own(at windows.Time) windows.Window {
	return windows.Window{Start: max(0, at-x.diff), End: max(x.diff, at)}
}

// behind is the window that begins after a record at a time: it is there if another record is in it
// [L1].
func (x *sliding) behind(at windows.Time) windows.Window {
	at = min(at, math.MaxInt64-1) + 1
	return windows.Window{Start: at, End: x.kind.End(at)}
}

// live is the points, ascending: good until the next change of them.
func (g *slidingGroup) live() []*point { return g.points[g.head:] }

// search is the place of the first of points that is at a time or later.
func search(points []*point, at windows.Time) int {
	if n := len(points); n == 0 || points[n-1].at < at {
		return n // of most records
	}
	return sort.Search(len(points), func(i int) bool { return points[i].at >= at })
}

// find is the point at a time, nil if there is none.
func (g *slidingGroup) find(at windows.Time) *point {
	points := g.live()
	if i := search(points, at); i < len(points) && points[i].at == at {
		return points[i]
	}
	return nil
}

// addToSliding adds the record to its point, unless every window that may hold it is closed. It
// returns 1 if its own window is: it is in later ones then, at most.
func (w *windowed) addToSliding(ctx context.Context, s *size, group uint32, at windows.Time) (late int, err error) {
	x, closing := s.sliding, w.closing()
	if x.own(at).End < closing {
		w.task.drops.drop(Late, w.name, w.task.offset, nil)
		late = 1
	}
	if x.kind.End(at) < closing {
		return late, nil
	}
	g, err := w.slidingGroup(s, group)
	if err != nil {
		return late, err
	}
	i := g.head + search(g.live(), at)
	made := i == len(g.points) || g.points[i].at != at
	if made {
		p := x.take(w.program)
		p.at, p.flags = at, flagFresh
		g.points = slices.Insert(g.points, i, p)
	}
	p := g.points[i]
	before := held(p.state)
	w.task.pulse.move(w.place)
	err = w.program.Add(p.state, w.cells, w.task.at(at))
	x.held += held(p.state) - before
	if err != nil {
		if made {
			g.points = slices.Delete(g.points, i, i+1)
			x.give(p)
		}
		x.tidy(w, group)
		return late, w.refuse(1, err)
	}
	x.touch(group, p)
	if at <= g.sums.upTo {
		x.reset(&g.sums)
	}
	next := x.own(at).End
	if late > 0 {
		next = x.behind(at).End
	}
	x.schedule(w, group, g, next)
	if s.changes == nil {
		return late, nil
	}
	p.flags |= flagChanged
	if w.task.cfg.EveryUpdate {
		return late, w.putOutSlides(ctx, s, group, g)
	}
	if !g.changed {
		g.changed = true
		x.changed = append(x.changed, group)
	}
	return late, nil
}

// slidingGroup is the points of a group, made or loaded if need be. In the table of groups it
// counts as a row.
func (w *windowed) slidingGroup(s *size, n uint32) (*slidingGroup, error) {
	x := s.sliding
	for int(n) >= len(x.groups) {
		x.groups = append(x.groups, nil)
	}
	g := x.groups[n]
	if g == nil {
		g = &slidingGroup{}
		x.groups[n] = g
		w.groups.entries[n].rows++
	}
	if g.absent {
		return g, w.loadPoints(s, n, g)
	}
	return g, nil
}

// take is an empty point.
func (x *sliding) take(p aggregates.Aggregator) *point {
	x.inUse++
	if n := len(x.spare) - 1; n >= 0 {
		one := x.spare[n]
		x.spare[n], x.spare = nil, x.spare[:n]
		return one
	}
	return &point{state: aggregates.NewState(p)}
}

// give takes a point back for reuse. As many are kept as are in use, and some: sums come and go by
// the hundred.
func (x *sliding) give(p *point) {
	x.inUse--
	x.large -= p.large
	clear(p.state.Objs)
	if len(x.spare) >= max(maxSpare, x.inUse) {
		x.held -= held(p.state)
		return
	}
	clear(p.state.Fixed)
	for i := range p.state.Vars {
		p.state.Vars[i] = p.state.Vars[i][:0]
	}
	p.at, p.flags, p.large = 0, 0, 0
	x.spare = append(x.spare, p)
}

// touch notes that a point has changed.
func (x *sliding) touch(n uint32, p *point) {
	if p.flags&flagDirty == 0 {
		x.dirty = append(x.dirty, pointRef{n, p.at})
	}
	if p.flags&flagUnsaved == 0 {
		x.unsaved = append(x.unsaved, pointRef{n, p.at})
	}
	p.flags |= flagDirty | flagUnsaved
}

// tidy forgets a group that has nothing. process lets go of its number.
func (x *sliding) tidy(w *windowed, n uint32) {
	if g := x.groups[n]; len(g.points) == g.head {
		x.groups[n] = nil
		w.groups.entries[n].rows--
	}
}

// schedule makes sure that the group is looked at when the window with this end has closed.
func (x *sliding) schedule(w *windowed, n uint32, g *slidingGroup, end windows.Time) {
	if g.due == 0 || g.due > end {
		g.due = end
		x.due.push(due{end, n})
		w.nextClose = min(w.nextClose, x.closes(w, end))
	}
}

// closes is the stream time from which on windows with an end are closed.
func (x *sliding) closes(w *windowed, end windows.Time) windows.Time {
	return x.kind.Closes(end-x.diff, w.grace)
}

// closeSliding puts out the windows that stream time has closed, in order of (start, key), and lets
// go of points that no open window can have. All windows are of one length, so what is due first is
// what starts first.
func (w *windowed) closeSliding(ctx context.Context, s *size) error {
	x := s.sliding
	for {
		end, groups := x.nextDue(w)
		if len(groups) == 0 {
			break
		}
		for _, n := range groups {
			if err := w.closeSlide(ctx, s, n, end); err != nil {
				return err
			}
		}
	}
	if len(x.due) > 0 {
		w.nextClose = min(w.nextClose, x.closes(w, x.due[0].at))
	}
	return nil
}

// slideClosesBy says whether a window would be closed at a stream time. A group may be due without
// one.
func (w *windowed) slideClosesBy(s *size, now windows.Time) (bool, error) {
	x := s.sliding
	for n, g := range x.groups {
		if g == nil || g.due == 0 || g.due >= now-w.grace {
			continue
		}
		g, err := w.slidingGroup(s, uint32(n))
		if err != nil {
			return false, err
		}
		for i := (slides{sliding: x, points: g.live()}); i.next(); {
			if i.End >= w.closing() && i.End < now-w.grace {
				return true, nil
			}
		}
	}
	return false, nil
}

// nextDue is the earliest end that is closed and that groups are due at, and those groups by key.
func (x *sliding) nextDue(w *windowed) (end windows.Time, groups []uint32) {
	x.batch = x.batch[:0]
	for len(x.due) > 0 && x.due[0].at < w.closing() && (len(x.batch) == 0 || x.due[0].at == end) {
		d := x.due.pop()
		if g := x.groups[d.group]; g != nil && g.due == d.at { // else an earlier one has replaced it
			g.due, end = 0, d.at
			x.batch = append(x.batch, d.group)
		}
	}
	slices.SortFunc(x.batch, func(a, b uint32) int {
		return bytes.Compare(w.groups.entries[a].key,
			w.groups.entries[b].key)
	})
	return end, x.batch
}

// closeSlide puts out the window of a group with an end, if there is one, lets go of points, and
// schedules what is next.
func (w *windowed) closeSlide(ctx context.Context, s *size, n uint32, end windows.Time) error {
	x := s.sliding
	g, err := w.slidingGroup(s, n)
	if err != nil {
		return err
	}
	win := windows.Window{Start: end - x.diff, End: end}
	if opener, ok := x.there(g, win); ok {
		if err := w.putOutClosedSlide(ctx, s, n, g, win, opener); err != nil {
			return err
		}
	}
	for points := g.live(); len(points) > 0 && x.behind(points[0].at).End <= end; points = g.live() {
		w.dropFirst(ctx, s, n, g)
	}
	points := g.live()
	if len(points) == 0 {
		x.reset(&g.sums)
		x.groups[n] = nil
		w.groups.release(n, 1)
		return nil
	}
	next := x.behind(points[0].at).End
	if i := search(points, end+1); i < len(points) {
		next = min(next, x.own(points[i].at).End)
	}
	x.schedule(w, n, g, next)
	return nil
}

// there says whether a group has a window that is being closed; opener is the point before it, if
// no record ends it. What opened older windows is gone already.
func (x *sliding) there(g *slidingGroup, win windows.Window) (opener *point, ok bool) {
	points := g.live()
	switch {
	case len(points) == 0:
		return nil, false
	case win.Start == 0 && points[0].at <= x.diff, g.find(win.End) != nil:
		return nil, true
	case points[0].at == win.Start-1 && len(points) > 1 && points[1].at <= win.End:
		return points[0], true
	}
	return nil, false
}
