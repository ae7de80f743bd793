package task

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// table is a topology.Materialize at work: the last row of each key. A row is its event time, 8
// bytes big-endian, and its value (rows.go); with a history it is the versions that are kept
// (versions.go).
type table struct {
	task    *Task
	name    string
	place   uint64
	next    []runner
	rows    *keyed
	history windows.Time // 0: none
	ends    ends         // with a history
	encode  func(any, []byte) ([]byte, error)
	old     func([]byte) (any, error) // decoders: of what a change replaces, and of what joins ask for
	found   func([]byte) (any, error)

	streamTime windows.Time
	value, buf []byte // encoded: of the change under way, and its row
	was        []byte
	out        topology.Record
	outWas     windows.Time // event time of out.Old
	changes    uint64       // handed on so far; the last is under way while handing is true
	handing    bool
}

func newTable(t *Task, name string, m *topology.Materialize, next []runner) (*table, error) {
	encode, old, found := t.encoder(name, "rows", &m.Rows), t.decoder(name, "rows", &m.Rows),
		t.decoder(name, "rows", &m.Rows)
	return &table{task: t, name: name, place: t.pulse.add(name, ""), next: next, rows: newKeyed(t, name, t.first(name)),
		history: m.History, ends: ends{task: t, op: t.first(name) + 1}, encode: encode, old: old, found: found,
		streamTime: windows.Min}, nil
}

// process takes a change over and hands it on with the row that it replaces.
func (x *table) process(ctx context.Context, r *topology.Record) error {
	if newest, err := x.take(r, false); err != nil || !newest || r.Value == nil && x.out.Old == nil {
		return err
	}
	x.changes++
	x.handing = true
	err := forward(ctx, x.next, &x.out)
	x.handing = false
	return err
}

// take makes a change part of the table, and x.out what is to be handed on; newest is false where
// nothing is. A record that cannot be taken over is passed over, silently or by its policy.
func (x *table) take(r *topology.Record, silently bool) (newest bool, err error) {
	if r.Key == nil {
		if !silently {
			x.task.unfit(NullKey, x.name, nil)
		}
		return false, nil
	}
	x.task.pulse.move(x.place)
	x.streamTime = max(x.streamTime, r.Time)
	if x.history > 0 && r.Time < x.streamTime-x.history {
		if !silently {
			x.task.drops.drop(Late, x.name, x.task.offset, nil)
		}
		return false, nil
	}
	if err := x.expire(); err != nil {
		return false, err
	}
	before, err := x.rows.get(r.Key)
	if err != nil {
		return false, err
	}
	x.out = *r
	x.out.Old, x.outWas = nil, windows.Min
	x.was = append(x.was[:0], before...) // put writes to the row's memory
	if before != nil {
		if x.out.Old, x.outWas, err = x.decode(x.was, x.old); err != nil {
			return false, err
		}
	}
	x.value = x.value[:0]
	if r.Value != nil {
		if x.value, err = x.encode(r.Value, x.value); err != nil && silently {
			return false, nil
		} else if err != nil {
			return false, x.task.failed(x.name, err)
		}
	}
	if err := x.put(r); err != nil {
		return false, err
	}
	overtaken := x.history > 0 && r.Time < x.outWas
	if x.history > 0 && r.Value == nil && !overtaken {
		x.ends.add(r.Time, r.Key)
	}
	return !overtaken, nil
}

// expire forgets keys whose newest version is a deletion from before the history.
func (x *table) expire() error {
	for {
		e, ok := x.ends.pop(x.streamTime - x.history)
		if !ok {
			return nil
		}
		row, err := x.rows.get([]byte(e.key))
		if err != nil {
			return err
		}
		if row == nil {
			continue
		}
		v, _, err := history(row).next()
		if err != nil {
			return x.rows.wrap("row", err)
		}
		if v.value == nil && v.at == e.at {
			if err := x.rows.delete([]byte(e.key)); err != nil {
				return err
			}
		}
	}
}

// put keeps x.value as the row of a record's key, whose row was x.was.
func (x *table) put(r *topology.Record) (err error) {
	switch {
	case x.history > 0:
		v := version{at: r.Time}
		if r.Value != nil {
			if v.value = x.value; v.value == nil {
				v.value = []byte{}
			}
		}
		if x.buf, err = history(x.was).with(x.buf[:0], v, x.streamTime-x.history); err != nil {
			return x.rows.wrap("row", err)
		}
	case r.Value != nil:
		x.buf = binary.BigEndian.AppendUint64(x.buf[:0], uint64(r.Time))
		x.buf = append(x.buf, x.value...)
	default:
		x.buf = x.buf[:0]
	}
	if len(x.buf) == 0 {
		return x.rows.delete(r.Key)
	}
	return x.rows.put(r.Key, x.buf)
}

// get is the row of a key and its event time, nil if there is none. It is good until the next get.
func (x *table) get(key []byte) (any, windows.Time, error) { return x.find(key, x.found) }

// find is get with the caller's own decoder: the row is good until its next call.
func (x *table) find(key []byte, decode func([]byte) (any, error)) (any, windows.Time, error) {
	b, err := x.rows.get(key)
	if err != nil || b == nil {
		return nil, windows.Min, err
	}
	return x.decode(b, decode)
}

// findAsOf is the row that was in force at a time. What was in force before the history begins is
// not known, except where it still is.
func (x *table) findAsOf(key []byte, at windows.Time, decode func([]byte) (any, error)) (any, error) {
	b, err := x.rows.get(key)
	if err != nil || b == nil {
		return nil, err
	}
	v, newest, ok, err := history(b).asOf(at)
	if err != nil {
		return nil, x.rows.wrap("row", err)
	}
	if !ok || v.value == nil || !newest && at < x.streamTime-x.history {
		return nil, nil
	}
	return x.row(v.value, decode)
}

// findTold is the row of a key as those know it who were told so many changes: while the last one
// is being handed on, it is the row before for those below who have not been told yet. So the
// inputs of a join change one after the other also where one is made from the other.
func (x *table) findTold(key []byte, told uint64, decode func([]byte) (any, error)) (any, windows.Time, error) {
	if x.handing && told != x.changes && bytes.Equal(key, x.out.Key) {
		return x.out.Old, x.outWas, nil
	}
	return x.find(key, decode)
}

// decode is the row and event time of what the state has for a key; of versions the newest, of
// which the row may be nil.
func (x *table) decode(b []byte, decode func([]byte) (any, error)) (any, windows.Time, error) {
	v := version{}
	switch {
	case x.history > 0:
		var err error
		if v, _, err = history(b).next(); err != nil {
			return nil, 0, x.rows.wrap("row", err)
		}
		if v.value == nil {
			return nil, v.at, nil
		}
	case len(b) < 8:
		return nil, 0, fmt.Errorf("task: table %s: row of %d bytes: %w", x.name, len(b), stores.ErrCorrupt)
	default:
		v = version{windows.Time(binary.BigEndian.Uint64(b)), b[8:]}
	}
	row, err := x.row(v.value, decode)
	return row, v.at, err
}

func (x *table) row(value []byte, decode func([]byte) (any, error)) (any, error) {
	row, err := decode(value)
	if err != nil {
		return nil, fmt.Errorf("task: table %s: row in the store: %w: %w", x.name, err, stores.ErrCorrupt)
	}
	return row, nil
}

func (x *table) open(streamTime windows.Time) error {
	x.streamTime = streamTime
	if err := x.ends.open(); err != nil {
		return err
	}
	return x.rows.open()
}

func (x *table) tick(context.Context) (bool, error) { return false, nil }
func (x *table) sawRecords()                        {}
func (x *table) flush(context.Context) error        { return nil }
func (x *table) clock() (string, windows.Time)      { return x.name, x.streamTime }
func (x *table) memory() int                        { return x.rows.bytes + x.ends.memory() }
func (x *table) evict(enough func() bool)           { x.rows.evict(enough) }

func (x *table) log(ctx context.Context) error {
	x.rows.log(ctx)
	x.ends.log(ctx)
	return nil
}

func (x *table) save() error {
	if err := x.rows.save(); err != nil {
		return err
	}
	return x.ends.save()
}
