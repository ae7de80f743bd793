package task

import "github.com/ashi-stream/ashi/windows"

// sums is what lets a hopping window be merged from two buckets in place of all its slices ("two
// stacks", in the literature on sliding-window aggregation): the slices are cut into a front and a
// back. For each window that begins in the front there is the sum of the slices from its start to
// the end of the front; of the back there is one sum, which grows. A window that closes is one of
// the first plus the second. When windows begin to begin in the back, it becomes the front. So a
// slice is merged a few times in all, and not once for every window that has it.
//
// A record for a slice that has been summed up makes the sums useless: they are thrown away, and
// made anew when the next window closes. They are in memory only.
type sums struct {
	first, front windows.Time // fronts[i] is the slices of [first + i*advance, front)
	fronts       []*bucket
	back         *bucket // the slices of [front, upTo)
	upTo         windows.Time
}

// worthSums is the number of slices in a window from which on sums are kept.
const worthSums = 6

// mergeWindow is the rows of the window that starts at start, merged from its slices. Give the
// bucket back.
func (w *windowed) mergeWindow(s *size, start windows.Time) (m *bucket, err error) {
	h := s.hop
	end := h.End(start)
	if h.Size() < worthSums*s.Size() {
		m = h.take()
		err = w.mergeSlices(s, m, start, end)
	} else {
		m, err = w.mergeSums(s, start, end)
	}
	if m != nil {
		m.start, m.end = start, end
	}
	return m, err
}

// mergeSums is the sum of the front for the window [start, end), with that of the back added to it.
func (w *windowed) mergeSums(s *size, start, end windows.Time) (*bucket, error) {
	h := s.hop
	if h.sums == nil || start < h.sums.first || start >= h.sums.front {
		if err := w.newSums(s, start, end); err != nil {
			return nil, err
		}
	}
	c := h.sums
	if err := w.mergeSlices(s, c.back, c.upTo, end); err != nil {
		return nil, err
	}
	c.upTo = max(c.upTo, end)
	i := (start - c.first) / windows.Time(h.Advance().Milliseconds())
	m := c.fronts[i]
	c.fronts[i] = nil // no other window needs it
	return m, w.mergeAll(m, c.back)
}

// newSums makes the slices of [from, to) the front, and the back empty.
func (w *windowed) newSums(s *size, from, to windows.Time) error {
	s.hop.dropSums()
	advance := windows.Time(s.hop.Advance().Milliseconds())
	n := (to - from + advance - 1) / advance
	c := &sums{first: from, front: to, upTo: to, fronts: make([]*bucket, n), back: s.hop.take()}
	for i := n - 1; i >= 0; i-- {
		b := s.hop.take()
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

// dropSums forgets the sums and keeps their space.
func (h *hop) dropSums() {
	if h.sums == nil {
		return
	}
	h.give(h.sums.back)
	for _, b := range h.sums.fronts {
		if b != nil {
			h.give(b)
		}
	}
	h.sums = nil
}

// take is an empty bucket.
func (h *hop) take() *bucket {
	if n := len(h.spare) - 1; n >= 0 {
		b := h.spare[n]
		h.spare[n], h.spare = nil, h.spare[:n]
		return b
	}
	return &bucket{perRow: h.objs}
}

// give takes a bucket back for reuse. There are never more of them than one set of sums needs.
func (h *hop) give(b *bucket) {
	b.forget()
	h.spare = append(h.spare, b)
}

// copyAll makes m, which is empty, what b is.
func (w *windowed) copyAll(m, b *bucket) error {
	if b.perRow > 0 || w.vars > 0 {
		return w.mergeAll(m, b)
	}
	m.slot = append(m.slot[:0], b.slot...)
	m.groups = append(m.groups[:0], b.groups...)
	m.flags = append(m.flags[:0], b.flags...)
	m.copyRows(b)
	w.count(m)
	return nil
}
