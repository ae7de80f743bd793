package task

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tidwall/btree"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// suppress is a topology.Suppress at work. A row is kept for each key that waits: see heldBack.
// Which keys wait, and since when, is in memory too, and is read from the store when the task is
// opened; rows are dropped from memory as others are.
type suppress struct {
	task   *Task
	name   string
	place  uint64
	op     *topology.Suppress
	next   []runner
	rows   *keyed
	queue  *btree.BTreeG[waitingKey]
	bytes  int // of queue
	encode func(any, []byte) ([]byte, error)
	decode [2]func([]byte) (any, error) // of what was, of what is

	streamTime    windows.Time // of the records that came here [P3]
	buf, old, row []byte
	out           topology.Record
	released      origin // the row that is let go
}

// waitingKey is a key that waits. They go in this order.
type waitingKey struct {
	since windows.Time // event time of the first change that was held
	key   string
}

// waitingBytes is what a waitingKey takes beside its key.
const waitingBytes = 48

// heldBack is the change of a key that waits.
//
//	8 bytes big-endian: since; 8 bytes: at; 1 byte: 1 there was a row before, 0 there was none; its length as a uvarint, 0 for none; its bytes;
//	1 byte: 1 there is a row now, 0 it is deleted; the row
type heldBack struct {
	since windows.Time // event time of the first change
	at    windows.Time // event time of the last
	old   []byte       // the row before the first; nil: there was none
	row   []byte       // of the last; nil: deleted
}

func (h heldBack) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.since))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.at))
	dst = appendBytes(appendFlag(dst, h.old != nil), h.old)
	return append(appendFlag(dst, h.row != nil), h.row...)
}

func parseHeldBack(b []byte) (heldBack, error) {
	d := decoder{b: b}
	since, at, was := d.take(8), d.take(8), d.flag()
	old := d.take(d.uvarint())
	is := d.flag()
	if d.bad || !was && len(old) > 0 || !is && len(d.b) > 0 {
		return heldBack{}, ErrDamaged
	}
	h := heldBack{since: windows.Time(binary.BigEndian.Uint64(since)), at: windows.Time(binary.BigEndian.Uint64(at))}
	if was {
		h.old = old
	}
	if is {
		h.row = d.b
	}
	return h, nil
}

func newSuppress(t *Task, name string, o *topology.Suppress, next []runner) *suppress {
	s := &suppress{task: t, name: name, place: t.pulse.add(name, ""), op: o, next: next,
		rows: newKeyed(t, name, t.first(name)), streamTime: windows.Min, old: []byte{}, row: []byte{}}
	s.queue = btree.NewBTreeGOptions(func(a, b waitingKey) bool {
		return cmp.Or(cmp.Compare(a.since, b.since), strings.Compare(a.key, b.key)) < 0
	}, btree.Options{NoLocks: true})
	s.encode = t.encoder(name, "rows", &o.Rows)
	for i := range s.decode {
		s.decode[i] = t.decoder(name, "rows", &o.Rows)
	}
	return s
}

// open finds out which keys wait.
func (s *suppress) open(streamTime windows.Time) error {
	s.streamTime = streamTime
	from, to := stores.OperatorBounds(s.rows.op)
	for e, err := range s.task.cfg.Store.Scan(from, to) {
		if err != nil {
			return s.rows.wrap("looking for changes that wait", err)
		}
		_, _, key, err := stores.ParseRowKey(e.Key)
		if err != nil {
			return s.rows.wrap("looking for changes that wait", fmt.Errorf("%w: %w", err, ErrDamaged))
		}
		h, err := parseHeldBack(e.Value)
		if err != nil {
			return s.rows.wrap("looking for changes that wait", err)
		}
		s.enqueue(h.since, string(key))
		s.rows.absent = true
	}
	return nil
}

// process holds a change back, and hands on what is due, which it may be itself.
func (s *suppress) process(ctx context.Context, r *topology.Record) error {
	if r.Key == nil {
		s.task.unfit(NullKey, s.name, nil)
		return nil
	}
	s.task.pulse.move(s.place)
	s.streamTime = max(s.streamTime, r.Time)
	if err := s.hold(r); err != nil {
		return err
	}
	for {
		first, ok := s.queue.Min()
		due := s.op.Every > 0 && first.since <= s.streamTime-s.op.Every || s.op.MaxRows > 0 &&
			s.queue.Len() > s.op.MaxRows
		if !ok || !due {
			return nil
		}
		if err := s.release(ctx, first); err != nil {
			return err
		}
	}
}

// hold keeps a change, with what was before the first one and in that one's place [P1]. One that
// cannot be encoded is dropped.
func (s *suppress) hold(r *topology.Record) error {
	b, err := s.rows.get(r.Key)
	if err != nil {
		return err
	}
	h := heldBack{since: r.Time}
	if b != nil {
		if h, err = parseHeldBack(b); err != nil {
			return s.rows.wrap("change that waits", err)
		}
		h.row = nil
	} else if r.Old != nil {
		if s.old, err = s.encode(r.Old, s.old[:0]); err == nil {
			h.old = s.old
		}
	}
	if h.at = r.Time; err == nil && r.Value != nil {
		if s.row, err = s.encode(r.Value, s.row[:0]); err == nil {
			h.row = s.row
		}
	}
	if err != nil {
		return s.task.failed(s.name, err)
	}
	if b == nil {
		s.enqueue(h.since, string(r.Key))
	}
	s.buf = h.append(s.buf[:0])
	return s.rows.put(r.Key, s.buf)
}

// release hands a change on, unless nothing is all that it changes [P2].
func (s *suppress) release(ctx context.Context, w waitingKey) error {
	s.task.pulse.move(s.place)
	s.queue.Delete(w)
	s.bytes -= waitingBytes + len(w.key)
	key := []byte(w.key)
	b, err := s.rows.get(key)
	if err != nil {
		return err
	}
	s.buf = append(s.buf[:0], b...) // what is deleted may be written over
	h, err := parseHeldBack(s.buf)
	if err != nil {
		return s.rows.wrap("change that waits", err)
	}
	if err := s.rows.delete(key); err != nil {
		return err
	}
	s.out = topology.Record{Key: key, Group: key, Time: h.at}
	if s.out.Old, err = s.decoded(0, h.old); err != nil {
		return err
	}
	if s.out.Value, err = s.decoded(1, h.row); err != nil {
		return err
	}
	if s.out.Old == nil && s.out.Value == nil {
		return nil
	}
	before := s.task.derived
	s.released = origin{offset: -1, time: h.at, key: key}
	s.task.derived = &s.released // not the record that it has waited for
	err = forward(ctx, s.next, &s.out)
	s.task.derived = before
	return err
}

// decoded is a row that was kept, nil if there is none.
func (s *suppress) decoded(which int, b []byte) (any, error) {
	if b == nil {
		return nil, nil
	}
	row, err := s.decode[which](b)
	if err != nil {
		return nil, s.rows.wrap("change that waits", fmt.Errorf("%w: %w", err, ErrDamaged))
	}
	return row, nil
}

func (s *suppress) enqueue(since windows.Time, key string) {
	s.queue.Set(waitingKey{since, key})
	s.bytes += waitingBytes + len(key)
}

func (s *suppress) tick(context.Context) (bool, error) { return false, nil }
func (s *suppress) sawRecords()                        {}
func (s *suppress) flush(context.Context) error        { return nil }
func (s *suppress) clock() (string, windows.Time)      { return s.name, s.streamTime }
func (s *suppress) save() error                        { return s.rows.save() }
func (s *suppress) memory() int                        { return s.rows.bytes + s.bytes }
func (s *suppress) evict(enough func() bool)           { s.rows.evict(enough) }

func (s *suppress) log(ctx context.Context) error {
	s.rows.log(ctx)
	return nil
}
