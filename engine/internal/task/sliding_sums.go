package task

import (
	"fmt"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/windows"
)

// pointSums merges windows of a group that come by ascending start from two sums each, as sums does
// for hopping windows: of the front there is the sum of the points from each one on, of the back
// one sum, which grows. A point is merged a few times in all, however many windows have it. A
// record for a point that has been summed up makes the sums useless. They are in memory only.
type pointSums struct {
	front []*point     // the sums from the latest point on come first; at is the earliest point in each
	back  *point       // the points from the end of the front to upTo; nil: none
	upTo  windows.Time // no later point is in a sum
}

// slide is the state of a window, good until the next call, and the newest event time in it [W6].
// points are those of the group from the window's first on; there is one.
func (w *windowed) slide(x *sliding, c *pointSums, points []*point, win windows.Window) (_ aggregates.State,
	newest windows.Time, err error) {
	end := len(points)
	if points[end-1].at > win.End {
		end = search(points, win.End+1)
	}
	points = points[:end]
	newest = points[end-1].at
	for n := len(c.front) - 1; n >= 0 && c.front[n].at < win.Start; n-- {
		x.give(c.front[n])
		c.front = c.front[:n]
	}
	if len(c.front) == 0 {
		err = w.newFront(x, c, points)
	} else if first := search(points, c.upTo+1); first < end {
		if c.back == nil {
			c.back = x.take(w.program)
		}
		for _, p := range points[first:] {
			if err = w.mergePoint(x, c.back, p); err != nil {
				break
			}
		}
	}
	c.upTo = win.End
	front := c.front[len(c.front)-1]
	if err != nil || c.back == nil {
		return front.state, newest, err
	}
	if x.total == nil {
		x.total = &point{state: aggregates.NewState(w.program)}
	}
	if err = w.copyPoint(x, x.total, front); err == nil {
		err = w.mergePoint(x, x.total, c.back)
	}
	return x.total.state, newest, err
}

// newFront makes points the front, and the back empty.
func (w *windowed) newFront(x *sliding, c *pointSums, points []*point) error {
	x.reset(c)
	for i := len(points) - 1; i >= 0; i-- {
		sum := x.take(w.program)
		sum.at = points[i].at
		if n := len(c.front); n > 0 {
			if err := w.copyPoint(x, sum, c.front[n-1]); err != nil {
				return err
			}
		}
		c.front = append(c.front, sum)
		if err := w.mergePoint(x, sum, points[i]); err != nil {
			return err
		}
	}
	return nil
}

// reset throws sums away.
func (x *sliding) reset(c *pointSums) {
	for _, p := range c.front {
		x.give(p)
	}
	clear(c.front)
	c.front = c.front[:0]
	if c.back != nil {
		x.give(c.back)
		c.back = nil
	}
	c.upTo = windows.Min
}

// copyPoint makes to's state, whatever it is, what from's is.
func (w *windowed) copyPoint(x *sliding, to, from *point) error {
	if w.vars == 0 && w.program.Objs() == 0 {
		copy(to.state.Fixed, from.state.Fixed)
		return nil
	}
	clear(to.state.Fixed)
	clear(to.state.Objs)
	for i := range to.state.Vars {
		to.state.Vars[i] = to.state.Vars[i][:0]
	}
	return w.mergePoint(x, to, from)
}

// mergePoint adds the records of from to to.
func (w *windowed) mergePoint(x *sliding, to, from *point) error {
	before := held(to.state)
	w.task.pulse.move(w.place)
	err := w.program.Merge(to.state, from.state)
	x.held += held(to.state) - before
	if err != nil {
		return fmt.Errorf("task: aggregate %s: merging records of a sliding window: %w", w.name, err)
	}
	return nil
}
