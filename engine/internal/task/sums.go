package task

import "github.com/ashi-stream/ashi/windows"

// sums is what lets a hopping window be merged from two buckets in place of all its slices ("two stacks", in the literature on
// sliding-window aggregation): the slices are cut into a front and a back. For each window that begins in the front there is the sum of
// the slices from its start to the end of the front; of the back there is one sum, which grows. A window that closes is one of the
// first plus the second. When windows begin to begin in the back, it becomes the front. So a slice is merged a few times in all, and
// not once for every window that has it.
//
// A record for a slice that has been summed up makes the sums useless: they are thrown away, and made anew when the next window
// closes. They are in memory only.
type sums struct {
	first, front windows.Time // fronts[i] is the slices of [first + i*advance, front)
	fronts       []*bucket
	back         *bucket // the slices of [front, upTo)
	upTo         windows.Time
}

// worthSums is the number of slices in a window from which on sums are kept.
const worthSums = 6

// mergeWindow adds the slices of [m.start, m.end) to m.
func (w *windowed) mergeWindow(s *size, m *bucket) error {
	h := s.hop
	if h.Size() < worthSums*s.Size() {
		return w.mergeSlices(s, m, m.start, m.end)
	}
	if h.sums == nil || m.start < h.sums.first || m.start >= h.sums.front {
		if err := w.newSums(s, m.start, m.end); err != nil {
			return err
		}
	}
	c := h.sums
	if err := w.mergeSlices(s, c.back, c.upTo, m.end); err != nil {
		return err
	}
	c.upTo = max(c.upTo, m.end)
	i := (m.start - c.first) / windows.Time(h.Advance().Milliseconds())
	if err := w.copyAll(m, c.fronts[i]); err != nil {
		return err
	}
	c.fronts[i] = nil
	return w.mergeAll(m, c.back)
}

// newSums makes the slices of [from, to) the front, and the back empty.
func (w *windowed) newSums(s *size, from, to windows.Time) error {
	advance := windows.Time(s.hop.Advance().Milliseconds())
	n := (to - from + advance - 1) / advance
	c := &sums{first: from, front: to, upTo: to, fronts: make([]*bucket, n), back: w.newBucket()}
	for i := n - 1; i >= 0; i-- {
		b := w.newBucket()
		if i+1 < n {
			if err := w.copyAll(b, c.fronts[i+1]); err != nil {
				return err
			}
		}
		if err := w.mergeSlices(s, b, from+i*advance, min(from+(i+1)*advance, to)); err != nil {
			return err
		}
		c.fronts[i] = b
	}
	s.hop.sums = c
	return nil
}

func (w *windowed) newBucket() *bucket { return &bucket{perRow: w.program.Objs()} }

// copyAll makes m, which is empty, what b is.
func (w *windowed) copyAll(m, b *bucket) error {
	if b.perRow > 0 || w.vars > 0 {
		return w.mergeAll(m, b)
	}
	m.slot = append(m.slot[:0], b.slot...)
	m.groups = append(m.groups[:0], b.groups...)
	m.flags = append(m.flags[:0], b.flags...)
	m.copyRows(b)
	return nil
}

// bytes is roughly the memory that the sums take.
func (c *sums) bytes() int {
	if c == nil {
		return 0
	}
	n := c.back.bytes()
	for _, b := range c.fronts {
		if b != nil {
			n += b.bytes()
		}
	}
	return n
}
