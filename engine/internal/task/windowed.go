package task

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// windowed is an aggregate at work in one task.
type windowed struct {
	task    *Task
	name    string
	place   uint64
	agg     *topology.Aggregate
	program aggregates.Aggregator
	stride  int // bytes of a row with its header
	vars    int

	groupKey func(*topology.Record, []byte) ([]byte, error)
	project  func([]byte, windows.Window, aggregates.State) (any, error)

	streamTime windows.Time // newest event time of the records that came here [T3]
	nextClose  windows.Time // no window closes before stream time has come to this
	grace      windows.Time
	idle       idleClock
	// offset after the last record that went to the late topic: a flatmap may bring several rows of
	// one here
	passed int64

	groups groupTable
	sizes  []*size
	taken  int // bytes of the buckets of all sizes, spare ones too

	key   []byte
	cells []aggregates.Cell
	table tableChange
	out   topology.Record // reused for rows that are put out
	wkey  []byte
	row   []byte
	order []int32 // by byKey; what closes may close something below, so it is each operator's own
}

// size is one kind of windows of an aggregate.
type size struct {
	windows.Kind
	op              uint16 // in row keys
	changes, finals []runner
	open            []*bucket // ascending start
	last            *bucket   // the one that the last record was in: most are in the same
	spare           []*bucket
	hop             *hop      // of hopping windows made of slices, which the buckets are; else nil
	sessions        *sessions // of session windows, which have no buckets; else nil
	sliding         *sliding  // of sliding windows, which have none either; else nil
}

func newWindowed(t *Task, name string, a *topology.Aggregate) (*windowed, error) {
	w := &windowed{task: t, name: name, place: t.pulse.add(name, ""), agg: a, program: a.Program,
		stride: rowHeader + a.Program.Size(), vars: a.Program.Vars(), groupKey: a.OpenKey(), project: a.OpenRow(),
		streamTime: windows.Min, nextClose: math.MaxInt64, grace: a.Windows.GraceTime(),
		idle: idleClock{after: time.Duration(a.Windows.IdleTime()) * time.Millisecond}, groups: newGroupTable(),
		cells: make([]aggregates.Cell, a.Program.Cells())}
	if a.Global && t.cfg.Partitions != 1 {
		return nil,
			fmt.Errorf(
				"task: aggregate %s: one global group needs one partition, topic %s has %d: write it with one, "+
					"group by its key, or send it through Repartition with one", name, t.cfg.Sub.Topics()[0],
				t.cfg.Partitions)
	}
	first := t.first(name)
	for i, kind := range a.Windows.Kinds() {
		s := &size{Kind: kind, op: first + uint16(i)}
		var err error
		if s.changes, err = t.output(a.Changes, i); err != nil {
			return nil, err
		}
		if s.finals, err = t.output(a.Finals, i); err != nil {
			return nil, err
		}
		writesRows(s.finals, true)
		writesRows(s.changes, false)
		if kind.Form() == windows.FormSession {
			s.sessions = newSessions(kind, w.program)
		}
		if kind.Form() == windows.FormSliding {
			s.sliding = newSliding(kind, w.program)
		}
		if slice, ok := kind.Slice(); ok && w.agg.Sliced() {
			newHop(s, slice, w.program.Objs())
		}
		w.sizes = append(w.sizes, s)
	}
	return w, nil
}

// output makes the runner of one size's output, if there is one.
func (t *Task) output(nodes []*topology.Node, i int) ([]runner, error) {
	if len(nodes) == 0 || nodes[i] == nil {
		return nil, nil
	}
	return t.runners(nodes[i : i+1])
}

// writesRows tells sinks that their rows are an aggregate's. Final ones end the task where they
// cannot be written, unless the plan says otherwise: none may get lost (FIN-2, FIN-8).
func writesRows(to []runner, final bool) {
	for _, r := range to {
		if s, ok := r.(*sink); ok {
			s.made, s.must = true, final
		}
	}
}

// process closes the windows that a record's time closes, then adds it to those that it is in.
func (w *windowed) process(ctx context.Context, r *topology.Record) error {
	if r.Key == nil && !w.agg.Global {
		w.task.unfit(NullKey, w.name, nil)
		return nil
	}
	if w.agg.Table {
		if !w.evaluateChange(r) {
			return nil
		}
	} else if err := w.evaluated(r); err != nil {
		return w.task.failed(w.name, err)
	}
	if err := w.checkPartition(r); err != nil {
		return w.task.judge(failure{Misplaced, Misplaced.String(), w.name, err}, w.task.policyOf(w.name).Then)
	}
	w.task.progress.Rows++
	if r.Time > w.streamTime {
		// What the record's time closes is put out before the record is added: it is in none of
		// those windows.
		if w.streamTime = r.Time; w.streamTime >= w.nextClose {
			if err := w.close(ctx); err != nil {
				return err
			}
		}
	}
	group, fresh := w.groups.intern(w.key)
	late := 0
	for _, s := range w.sizes {
		n, err := w.addTo(ctx, s, group, r.Time)
		if err != nil {
			return err
		}
		late += n
	}
	if late > 0 && w.agg.Late != "" && w.passed <= w.task.offset {
		w.task.passLate(w.name, w.agg.Late)
		w.passed = w.task.offset + 1
	}
	if fresh && w.groups.entries[group].rows == 0 {
		w.groups.release(group, 0) // late for every window, or refused
	}
	return nil
}

// evaluated is evaluate, again where the policy says so.
func (w *windowed) evaluated(r *topology.Record) error {
	err := w.evaluate(r)
	for n := 0; err != nil && w.task.again(w.task.policyOf(w.name), n, err); n++ {
		err = w.evaluate(r)
	}
	return err
}

// evaluate runs the user's functions: the group key into w.key, the columns into w.cells.
func (w *windowed) evaluate(r *topology.Record) (err error) {
	w.task.pulse.move(w.place)
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	if w.key, err = w.groupKey(r, w.key[:0]); err == nil {
		err = w.program.Eval(w.cells, r.Value)
	}
	done = true
	return err
}

// errElsewhere says that a group's rows would be spread over partitions.
var errElsewhere = errors.New(
	"the group's key belongs to another partition than the record is in: leave AssumeCopartitioned out, " +
		"or give the rows that key before with PartitionBy or Repartition; where the keys of the topic are in " +
		"another format, name it with ReadKeys")

// checkPartition makes sure that a group is this task's. Rows of one record key are in one
// partition, whoever wrote the topic, so a group with the record's own key is in its place. Any
// other belongs where its hash says: elsewhere another task would have a part of the group. It
// comes before the record has any effect, as its policy decides what becomes of it.
func (w *windowed) checkPartition(r *topology.Record) error {
	if w.agg.Global || !w.agg.Rekeyed && string(w.key) == string(r.Key) {
		return nil
	}
	c := &w.task.cfg
	if at := c.PartitionOf(w.key, c.Partitions); at != c.Partition {
		return fmt.Errorf(
			"task: aggregate %s: group %q of the record with key %q at offset %d of %s/%d belongs to partition %d: %w",
			w.name, w.key, r.Key, w.task.offset, c.Sub.Name, c.Partition, at, errElsewhere)
	}
	return nil
}

// addTo adds the record to the windows of one kind that hold it, oldest first, and returns how many
// of them are closed.
func (w *windowed) addTo(ctx context.Context, s *size, group uint32, at windows.Time) (late int, err error) {
	switch {
	case s.hop != nil:
		return w.addToSlice(ctx, s, group, at)
	case s.sliding != nil:
		return w.addToSliding(ctx, s, group, at)
	case s.sessions != nil:
		return w.addToSession(ctx, s, group, at)
	}
	if b := s.last; b != nil && at >= b.start && at < b.end {
		return 0, w.add(ctx, s, b, group, at, 1)
	}
	newest := s.Start(at)
	for start := s.First(at); ; start += windows.Time(s.Advance().Milliseconds()) {
		b := w.bucketAt(s, start)
		if b == nil {
			w.task.drops.drop(Late, w.name, w.task.offset, nil)
			late++
		} else if err := w.add(ctx, s, b, group, at, 1); err != nil {
			return late, err
		}
		if start >= newest {
			if s.Form() != windows.FormHopping {
				s.last = b
			}
			return late, nil
		}
	}
}

// bucketAt is the bucket of the window that starts at start, made if need be; nil if that window is
// closed.
func (w *windowed) bucketAt(s *size, start windows.Time) *bucket {
	if s.closes(start, w.grace) <= w.streamTime {
		return nil
	}
	i := len(s.open)
	for i > 0 && s.open[i-1].start >= start {
		if i--; s.open[i].start == start {
			return s.open[i]
		}
	}
	return w.openBucket(s, i, start)
}

// openBucket makes a bucket at place i of the open ones.
func (w *windowed) openBucket(s *size, i int, start windows.Time) *bucket {
	b := &bucket{perRow: w.program.Objs()}
	if n := len(s.spare) - 1; n >= 0 {
		b, s.spare[n] = s.spare[n], nil // or it would be held there when it is dropped for good
		s.spare = s.spare[:n]
		b.stored, b.absent = false, false
	}
	if s.hop != nil {
		s.hop.next = max(s.hop.next, s.hop.after(w.streamTime, w.grace)) // older windows are closed, and were empty
	}
	b.start, b.end, b.closes = start, s.End(start), s.closes(start, w.grace)
	s.open = append(s.open, nil)
	copy(s.open[i+1:], s.open[i:])
	s.open[i] = b
	w.nextClose = min(w.nextClose, s.nextClose(start, w.grace))
	return b
}

// add adds w.cells to the row of a group. The bucket is part of n open windows.
func (w *windowed) add(ctx context.Context, s *size, b *bucket, group uint32, at windows.Time, n int) error {
	i := b.row(group)
	made := i < 0
	if made {
		var err error
		if i, err = w.addRow(s, b, group); err != nil {
			return err
		}
	}
	state := b.state(i, w.stride, w.vars)
	before := held(state)
	err := w.apply(state, w.task.at(at))
	after := held(state)
	if b.held += after - before; made || after != before {
		w.count(b)
	}
	if err != nil {
		return w.refused(b, i, made, n, err)
	}
	b.saw(i, w.stride, at)
	b.touch(i)
	if w.task.cfg.EveryUpdate && s.changes != nil {
		return w.emitChange(ctx, s, b, i)
	}
	return nil
}

// count brings what is known of a bucket's memory up to date. It is called where that has changed,
// so that Task.Memory, which is asked after each batch, need not look at the buckets: there may be
// as many as rows.
func (w *windowed) count(b *bucket) {
	n := b.bytes()
	w.taken += n - b.taken
	b.taken = n
}

// apply adds the record at work to a state.
func (w *windowed) apply(s aggregates.State, at aggregates.At) error {
	w.task.pulse.move(w.place)
	if w.agg.Table {
		return w.applyChange(s, at)
	}
	return w.program.Add(s, w.cells, at)
}

// refused drops a record that the aggregates of row i do not take. A row made for it goes too. n is
// the windows that do without it.
func (w *windowed) refused(b *bucket, i int32, made bool, n int, err error) error {
	if err := w.refuse(n, err); err != nil {
		return err
	}
	if made && b.flags[i]&flagLogged == 0 {
		w.groups.entries[b.groups[i]].rows-- // process lets go of a group without rows
		b.takeBack(w.stride, w.vars)
	}
	return nil
}

// refuse drops the record at work from n windows for an error of the aggregates, unless the error
// is the state's.
func (w *windowed) refuse(n int, err error) error {
	if errors.Is(err, aggregates.ErrState) {
		return fmt.Errorf("task: aggregate %s: %w", w.name, err)
	}
	for range n {
		if err := w.task.failed(w.name, err); err != nil {
			return err
		}
	}
	return nil
}

// appendRow appends row i as it is stored and logged: header, then state.
func (w *windowed) appendRow(dst []byte, b *bucket, i int32) ([]byte, error) {
	w.task.pulse.move(w.place)
	dst, err := w.program.Append(append(dst, b.bytesOf(i, w.stride)[:rowHeader]...), b.state(i, w.stride, w.vars))
	if err != nil {
		return nil, fmt.Errorf("task: aggregate %s: encoding the row of group %q: %w", w.name, w.key0(b, i), err)
	}
	return dst, nil
}

// addRow makes a group's row in memory: from the store if it has it.
func (w *windowed) addRow(s *size, b *bucket, group uint32) (int32, error) {
	i := b.add(group, len(w.groups.entries), w.stride, w.vars)
	w.groups.entries[group].rows++
	if !b.absent {
		return i, nil
	}
	key := stores.AppendRowKey(w.wkey[:0], s.op, int64(b.start), w.groups.entries[group].key)
	w.wkey = key
	var ok bool
	var err error
	if w.row, ok, err = w.task.cfg.Store.Get(w.row[:0], key); err != nil {
		return 0, fmt.Errorf("task: aggregate %s: reading a row: %w", w.name, err)
	}
	if ok {
		b.flags[i] = flagLogged
		if err = w.loadRow(b, i, w.row); err == nil {
			err = w.loadShown(s, b, i)
		}
	}
	return i, err
}

// loadRow fills row i from what appendRow wrote.
func (w *windowed) loadRow(b *bucket, i int32, row []byte) error {
	if len(row) < rowHeader {
		return fmt.Errorf("task: aggregate %s: row of %d bytes in the store: %w", w.name, len(row), stores.ErrCorrupt)
	}
	w.task.pulse.move(w.place)
	copy(b.bytesOf(i, w.stride), row[:rowHeader])
	state := b.state(i, w.stride, w.vars)
	before := held(state)
	err := w.program.Load(state, row[rowHeader:])
	b.held += held(state) - before
	w.count(b)
	if err != nil {
		return fmt.Errorf("task: aggregate %s: row in the store: %w: %w", w.name, err, stores.ErrCorrupt)
	}
	return nil
}
