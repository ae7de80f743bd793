package task

import (
	"bytes"
	"context"

	"github.com/ashi-stream/ashi/windows"
)

// close puts out what stream time has closed, in order of time, right rows before left ones, then
// keys [J10], and frees what is not needed any more.
func (j *join) close(ctx context.Context) error {
	left, right := j.sides[leftSide], j.sides[rightSide]
	for {
		l, r := left.closing(), right.closing()
		var err error
		switch {
		case r && (!l || right.waiting[0].time <= left.waiting[0].time):
			err = right.closeFirst(ctx)
		case l:
			err = left.closeFirst(ctx)
		default:
			left.expire(ctx)
			right.expire(ctx)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// closing says that the first row that waits has closed.
func (s *joinSide) closing() bool {
	return len(s.waiting) > 0 && s.waiting[0].time < s.join.streamTime-s.open
}

// closeFirst puts out the first row that waits: of a join, alone if nothing has matched it.
func (s *joinSide) closeFirst(ctx context.Context) error {
	j, e := s.join, s.pop()
	if s.marks && s.blocks[e.block].matched(e.index) {
		return nil
	}
	row, err := s.load(e)
	if err != nil {
		return err
	}
	group := s.blocks[e.block].groups[e.index]
	key := j.groups.entries[group].key
	j.closed = origin{offset: -1, time: e.time, key: key}
	before := j.task.derived
	j.task.derived = &j.closed // not the record that moved stream time
	if j.asOf {
		err = j.lookUp(ctx, key, group, true, row, e.time)
	} else {
		err = j.alone(ctx, s, key, row, e.time)
	}
	j.task.derived = before
	return err
}

// lookUp puts out a left row of an as-of join with the last right row at or before it, if that is
// not too old.
func (j *join) lookUp(ctx context.Context, key []byte, group uint32, known bool, row any, at windows.Time) error {
	left, right := j.sides[leftSide], j.sides[rightSide]
	if known && int(group) < len(right.queues) {
		q := &right.queues[group]
		if i := q.after(at) - 1; i >= q.head && q.entries[i].time >= at-left.back {
			last, err := right.load(q.entries[i])
			if err != nil {
				return err
			}
			return j.emit(ctx, key, row, last, at)
		}
	}
	if left.keeps {
		return j.emit(ctx, key, row, nil, at)
	}
	return nil
}

// less is the order in which rows that wait are put out: time, key, arrival.
func (s *joinSide) less(a, b entry) bool {
	if a.time != b.time {
		return a.time < b.time
	}
	x, y := s.blocks[a.block], s.blocks[b.block]
	if m, n := x.groups[a.index], y.groups[b.index]; m != n {
		return bytes.Compare(s.join.groups.entries[m].key, s.join.groups.entries[n].key) < 0
	}
	if a.block != b.block {
		return x.number < y.number
	}
	return a.index < b.index
}

// push adds a row to those that wait, which are a binary heap. One that is matched later stays, and
// is passed over when it comes up.
func (s *joinSide) push(e entry) {
	s.waiting = append(s.waiting, e)
	h := s.waiting
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !s.less(h[i], h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// pop takes the first row that waits.
func (s *joinSide) pop() entry {
	h := s.waiting
	first, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if s.less(h[c], h[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	s.waiting = h
	return first
}
