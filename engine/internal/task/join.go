package task

import (
	"context"
	"fmt"
	"math"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// join is a stream join at work in one task: rows of both sides are kept until nothing can match
// them any more, and each record is joined with those of the other side that match it (semantics.md
// [J1] to [J10]).
//
// A row is open, and may be matched, until stream time is past its time, what may follow it, and
// grace. Then it is put out alone if its side is preserved and nothing has matched it. So what
// stream time is says which rows are gone: state has no note of it.
type join struct {
	task  *Task
	name  string
	place uint64
	asOf  bool
	grace windows.Time
	call  func(left, right any) (any, error)
	next  []runner

	streamTime windows.Time // newest event time of the records of both sides [J11]
	sides      [2]*joinSide
	groups     groupTable // their rows are those in the queues of both sides

	closed origin          // the row that is put out as stream time has closed it
	out    topology.Record // reused for results
	row    []byte
	key    []byte
}

// The sides, and ports.
const (
	leftSide  = 0
	rightSide = 1
)

func newJoin(t *Task, name string, o *topology.StreamJoin, next []runner) (*join, error) {
	j := &join{task: t, name: name, place: t.pulse.add(name, ""), asOf: o.AsOf, grace: o.Grace, call: o.Open(),
		next: next, streamTime: windows.Min, groups: newGroupTable()}
	for port := range j.sides {
		s := &joinSide{join: j, port: port, op: t.first(name) + uint16(port), keeps: o.Keep[port],
			late: o.Before + o.After + o.Grace}
		s.back, s.ahead = o.Before, o.After
		if port == rightSide {
			s.back, s.ahead = o.After, o.Before
		}
		s.open = s.ahead + o.Grace
		s.waits, s.marks = s.keeps, s.keeps
		// put out once when stream time has come to its time and grace, whatever there is
		if o.AsOf && port == leftSide {
			s.open, s.late, s.waits, s.marks = o.Grace-1, o.Grace, true, false
		}
		s.width = max(leastWidth, (s.open+1)/bucketsPerSpan)
		of := [...]string{"left", "right"}[port]
		s.encode, s.decode = t.encoder(name, of, &o.Sides[port]), t.decoder(name, of, &o.Sides[port])
		j.sides[port] = s
	}
	return j, nil
}

// from is the runner of one side.
func (j *join) from(port int) runner { return j.sides[port] }

// process is not called: records come to a side.
func (j *join) process(context.Context, *topology.Record) error {
	return fmt.Errorf("task: join %s: a record that belongs to no side", j.name)
}

// process puts out what the record's time closes, then joins the record, then keeps it [J2].
func (s *joinSide) process(ctx context.Context, r *topology.Record) error {
	j := s.join
	if r.Value == nil {
		j.task.unfit(NullValue, j.name, nil)
		return nil
	}
	if r.Time > j.streamTime {
		j.streamTime = r.Time
		if err := j.close(ctx); err != nil {
			return err
		}
	}
	switch {
	case r.Key == nil && s.keeps: // it can match nothing: [J3]
		return j.alone(ctx, s, nil, r.Value, r.Time)
	case r.Key == nil:
		j.task.unfit(NullKey, j.name, nil)
		return nil
	// a row of a preserved side is in the result, however late
	case r.Time < j.streamTime-s.late && (j.asOf || !s.keeps):
		j.task.drops.drop(Late, j.name, j.task.offset, nil)
		return nil
	case r.Time < j.streamTime-s.open:
		return s.pass(ctx, r)
	}
	if err := s.encodeGuarded(r.Value); err != nil {
		return j.task.failed(j.name, err)
	}
	group, _ := j.groups.intern(r.Key)
	matched, err := s.probe(ctx, r, group)
	if err != nil {
		return err
	}
	s.put(group, r.Time, j.row, matched)
	if j.asOf && s.port == rightSide {
		s.supersede(group)
	}
	return nil
}

// pass joins a record that is not kept, since it is closed already: it comes beyond its own grace,
// or is an as-of join's whose grace is over with the record.
func (s *joinSide) pass(ctx context.Context, r *topology.Record) error {
	j := s.join
	group, known := j.groups.find(r.Key)
	if j.asOf {
		return j.lookUp(ctx, r.Key, group, known, r.Value, r.Time)
	}
	if known {
		matched, err := s.probe(ctx, r, group)
		if err != nil || matched {
			return err
		}
	}
	if s.keeps {
		return j.alone(ctx, s, r.Key, r.Value, r.Time)
	}
	return nil
}

// probe puts out the record with each open row of the other side that matches it, in order of time,
// then arrival [J1].
func (s *joinSide) probe(ctx context.Context, r *topology.Record, group uint32) (matched bool, err error) {
	j, other := s.join, s.join.sides[1-s.port]
	if j.asOf || int(group) >= len(other.queues) {
		return false, nil
	}
	from := max(r.Time-s.back, j.streamTime-other.open)
	to := r.Time + min(s.ahead, math.MaxInt64-r.Time)
	q := &other.queues[group]
	for i := q.from(from); i < len(q.entries) && q.entries[i].time <= to; i++ {
		e := q.entries[i]
		if other.marks {
			other.mark(e)
		}
		row, err := other.load(e)
		if err != nil {
			return true, err
		}
		left, right := r.Value, row
		if s.port == rightSide {
			left, right = row, r.Value
		}
		if err := j.emit(ctx, r.Key, left, right, max(r.Time, e.time)); err != nil {
			return true, err
		}
		matched = true
	}
	return matched, nil
}

// alone puts out a row that nothing matches.
func (j *join) alone(ctx context.Context, s *joinSide, key []byte, row any, at windows.Time) error {
	if s.port == leftSide {
		return j.emit(ctx, key, row, nil, at)
	}
	return j.emit(ctx, key, nil, row, at)
}

// emit puts out a result. One that the joiner fails to make is dropped and counted; what it was to
// be made of counts as matched.
func (j *join) emit(ctx context.Context, key []byte, left, right any, at windows.Time) error {
	row, err := j.task.joined(j.place, j.name, j.call, left, right)
	if err != nil {
		return j.task.failed(j.name, err)
	}
	j.out = topology.Record{Key: key, Group: key, Value: row, Time: at}
	return forward(ctx, j.next, &j.out)
}

// encodeGuarded fills join.row with the bytes of a row: a codec may call methods of the user's.
func (s *joinSide) encodeGuarded(row any) (err error) {
	s.join.task.pulse.move(s.join.place)
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	s.join.row, err = s.encode(row, s.join.row[:0])
	done = true
	return err
}
