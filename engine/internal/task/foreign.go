package task

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// foreignJoin is a topology.ForeignJoin at work. It keeps a row for each left row that has a
// foreign key: see match. An answer counts if it is about the foreign key that the left row has
// now; all about one foreign key come from one task, in its order, so the last of them is about the
// row as it is now, whatever came before on other ways. So nothing has to be remembered of rows
// that are deleted.
type foreignJoin struct {
	task  *Task
	name  string
	place uint64
	op    *topology.ForeignJoin
	next  []runner
	left  *table
	rows  *keyed

	foreign func(row any, dst []byte) ([]byte, error)
	join    [2]func(left, right any) (any, error) // of what was, of what is: each has a result of its own
	right   [2]func([]byte) (any, error)
	encode  func(any, []byte) ([]byte, error)
	owed    func([]byte) (any, error)
	sent    func([]byte) (any, error)         // right rows as answers have them
	keptRow func(any, []byte) ([]byte, error) // and as they are kept

	was, buf, key, now []byte
	out                topology.Record
}

// matching is how far a left row has come.
type matching byte

const (
	unordered matching = iota // it has no foreign key, or there is no such row; not kept
	waiting                   // for an answer; nothing was put out before
	owing                     // for an answer; of what was before a result stands, which has to be replaced
	alone                     // there is no right row
	matched
)

// match is what is kept of a left row.
//
//	1 byte: matching; 8 bytes big-endian: at; uvarint: length of the foreign key; foreign key; row
type match struct {
	matching
	at      windows.Time // event time of the right row, or of its deletion; waiting: Min
	foreign []byte
	row     []byte // matched: the right row; owing: the result
}

func (m match) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, byte(m.matching)), uint64(m.at))
	return append(appendBytes(dst, m.foreign), m.row...)
}

func parseMatch(b []byte) (match, error) {
	d := decoder{b: b}
	state, at, foreign := d.take(1), d.take(8), d.take(d.uvarint())
	if d.bad || state[0] < byte(waiting) || state[0] > byte(matched) {
		return match{}, ErrDamaged
	}
	m := match{matching(state[0]), windows.Time(binary.BigEndian.Uint64(at)), foreign, d.b}
	if (m.matching == waiting || m.matching == alone) && len(m.row) > 0 {
		return match{}, ErrDamaged
	}
	return m, nil
}

func newForeignJoin(t *Task, name string, o *topology.ForeignJoin, next []runner) *foreignJoin {
	j := &foreignJoin{task: t, name: name, place: t.pulse.add(name, ""), op: o, next: next,
		rows: newKeyed(t, name, t.first(name)), foreign: o.OpenKey(), key: []byte{}}
	for i := range 2 {
		j.join[i] = o.Open()
		j.right[i] = t.decoder(name, "right", &o.Right)
	}
	j.encode, j.owed = t.encoder(name, "result", &o.Result), t.decoder(name, "result", &o.Result)
	j.keptRow = t.encoder(name, "right", &o.Right)
	_, j.sent = o.Right.OpenWire()
	return j
}

func (j *foreignJoin) link() (err error) {
	j.left, err = j.task.table(j.op.Left)
	return err
}

// process is not called: records come by way of an input.
func (j *foreignJoin) process(context.Context, *topology.Record) error {
	return fmt.Errorf("task: foreign key join %s: a record that came by way of no input", j.name)
}

func (j *foreignJoin) from(n int) runner {
	if n == 0 {
		return port(j.changed)
	}
	return port(j.answered)
}

// changed takes a change of a left row over [FK2].
func (j *foreignJoin) changed(ctx context.Context, r *topology.Record) error {
	m, err := j.load(r.Key)
	if err != nil {
		return err
	}
	old, err := j.before(m, r.Old)
	if err != nil {
		return err
	}
	foreign := j.foreignKey(r.Value)
	at := max(r.Time, m.at)
	switch same := m.matching != unordered && foreign != nil && bytes.Equal(foreign, m.foreign); {
	case same && (m.matching == waiting || m.matching == owing):
		return nil // the answer will find the row as it is then
	case same:
	case foreign != nil:
		return j.subscribe(ctx, r, m, foreign, old)
	case m.matching != unordered:
		j.order(ctx, m.foreign, r.Key, r.Time, false)
		if err := j.rows.delete(r.Key); err != nil {
			return err
		}
		m = match{}
	}
	row, err := j.after(m, r.Value)
	if err != nil {
		return err
	}
	return j.handOn(ctx, r.Key, at, old, row)
}

// subscribe orders the row of another foreign key. What was put out stands until it is there.
func (j *foreignJoin) subscribe(ctx context.Context, r *topology.Record, m match, foreign []byte, old any) (err error) {
	if m.matching != unordered {
		j.order(ctx, m.foreign, r.Key, r.Time, false)
	}
	j.order(ctx, foreign, r.Key, r.Time, true)
	n := match{matching: waiting, at: windows.Min, foreign: foreign}
	if old != nil {
		n.matching = owing
		if n.row, err = j.encode(old, j.now[:0]); err != nil {
			_ = j.task.failed(j.name, err)   // Run sees it
			n.matching, n.row = waiting, nil // it cannot be kept: it goes now
			err = j.handOn(ctx, r.Key, max(r.Time, m.at), old, nil)
		} else {
			j.now = n.row
		}
	}
	if err != nil {
		return err
	}
	return j.keep(r.Key, n)
}

// answered takes an answer over.
func (j *foreignJoin) answered(ctx context.Context, r *topology.Record) error {
	a, err := parseAnswer(*r.Value.(*topology.Raw))
	if err == nil && r.Key == nil {
		err = errAnswer
	}
	if err != nil {
		return j.task.judge(failure{Undecodable, classDecode, j.name, err}, j.task.policyOf(j.name).Then)
	}
	m, err := j.load(r.Key)
	if err != nil || m.matching == unordered || !bytes.Equal(a.foreign, m.foreign) {
		return err // the left row is gone, or has another foreign key
	}
	left, at, err := j.left.get(r.Key)
	if err != nil || left == nil {
		return err
	}
	old, err := j.before(m, left)
	if err != nil {
		return err
	}
	n := match{alone, r.Time, a.foreign, nil}
	if a.row != nil {
		right, err := j.sent(a.row)
		switch {
		case errors.Is(err, topology.ErrForm):
			return j.task.unreadable(err)
		case err == nil:
			n.row, err = j.keptRow(right, j.now[:0])
		}
		if err != nil {
			return j.task.judge(failure{Undecodable, classDecode, j.name, err}, j.task.policyOf(j.name).Then)
		}
		n.matching, j.now = matched, n.row
	}
	if err := j.keep(r.Key, n); err != nil {
		return err
	}
	row, err := j.after(n, left)
	if err != nil {
		return err
	}
	return j.handOn(ctx, r.Key, max(at, r.Time), old, row)
}

// load is what is kept of a left row, good until the next load.
func (j *foreignJoin) load(key []byte) (match, error) {
	j.task.pulse.move(j.place)
	b, err := j.rows.get(key)
	if err != nil || b == nil {
		return match{at: windows.Min}, err
	}
	j.was = append(j.was[:0], b...) // keep writes to the row's memory
	m, err := parseMatch(j.was)
	return m, j.rows.wrap("row", err)
}

func (j *foreignJoin) keep(key []byte, m match) error {
	j.buf = m.append(j.buf[:0])
	return j.rows.put(key, j.buf)
}

// before is the result that stands for a left row, nil if there is none. Where the joiner fails it
// failed before, and there is none.
func (j *foreignJoin) before(m match, left any) (any, error) {
	switch m.matching {
	case waiting:
		return nil, nil
	case owing:
		row, err := j.owed(m.row)
		return row, j.rows.wrap("result that was kept", err)
	}
	row, failed, err := j.result(0, m, left)
	if failed != nil {
		return nil, nil
	}
	return row, err
}

// after is the result for a left row, nil if there is none.
func (j *foreignJoin) after(m match, left any) (any, error) {
	row, failed, err := j.result(1, m, left)
	if failed != nil {
		_ = j.task.failed(j.name, failed) // Run sees it
		return nil, nil
	}
	return row, err
}

// result joins a left row, if there is one, with the right one that it has; failed is the joiner's
// error.
func (j *foreignJoin) result(which int, m match, left any) (row any, failed, err error) {
	var right any
	j.task.pulse.move(j.place)
	if m.matching == matched {
		if right, err = j.right[which](m.row); err != nil {
			return nil, nil, j.rows.wrap("right row", fmt.Errorf("%w: %w", err, ErrDamaged))
		}
	}
	if left == nil || right == nil && !j.op.Keep {
		return nil, nil, nil
	}
	row, failed = j.task.joined(j.place, j.name, j.join[which], left, right)
	return row, failed, nil
}

// foreignKey is that of a row, nil if it has none: the row is counted then if an inner join leaves
// it out [FK3].
func (j *foreignJoin) foreignKey(row any) []byte {
	if row == nil {
		return nil
	}
	key, err := j.keyGuarded(row)
	for n := 0; err != nil && j.task.again(j.task.policyOf(j.name), n, err); n++ {
		key, err = j.keyGuarded(row)
	}
	switch {
	case err != nil:
		_ = j.task.failed(j.name, err) // Run sees it
		return nil
	case key == nil && !j.op.Keep:
		j.task.unfit(NullKey, j.name, nil)
	case key != nil:
		j.key = key
	}
	return key
}

func (j *foreignJoin) keyGuarded(row any) (key []byte, err error) {
	j.task.pulse.move(j.place)
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	key, err = j.foreign(row, j.key[:0])
	done = true
	return key, err
}

// order asks for the row of a foreign key, or takes that back.
func (j *foreignJoin) order(ctx context.Context, foreign, key []byte, at windows.Time, on bool) {
	t := j.task
	j.buf = order{on, t.cfg.Partition, key}.append(j.buf[:0])
	t.hand(j.name, Output{Topic: j.op.Orders, Partition: t.cfg.PartitionOf(foreign, t.cfg.Sinks[j.op.Orders]),
		Key: t.keep(foreign), Value: t.keep(j.buf), Timestamp: at})
}

// handOn hands a change of the result on, if there is one.
func (j *foreignJoin) handOn(ctx context.Context, key []byte, at windows.Time, old, row any) error {
	if old == nil && row == nil {
		return nil
	}
	j.out = topology.Record{Key: key, Group: key, Time: at, Old: old, Value: row}
	return forward(ctx, j.next, &j.out)
}

func (j *foreignJoin) open(windows.Time) error            { return j.rows.open() }
func (j *foreignJoin) tick(context.Context) (bool, error) { return false, nil }
func (j *foreignJoin) sawRecords()                        {}
func (j *foreignJoin) flush(context.Context) error        { return nil }
func (j *foreignJoin) clock() (string, windows.Time)      { return "", 0 }
func (j *foreignJoin) save() error                        { return j.rows.save() }
func (j *foreignJoin) memory() int                        { return j.rows.bytes }
func (j *foreignJoin) evict(enough func() bool)           { j.rows.evict(enough) }

func (j *foreignJoin) log(ctx context.Context) error {
	j.rows.log(ctx)
	return nil
}
