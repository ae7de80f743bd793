package task

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// table is a topology.Materialize at work: the last row of each key. A row is its event time, 8 bytes big-endian, and its encoded value.
type table struct {
	task   *Task
	name   string
	next   []runner
	rows   *keyed
	encode func(any, []byte) ([]byte, error)
	old    func([]byte) (any, error) // decoders: of what a change replaces, and of what joins ask for
	found  func([]byte) (any, error)

	streamTime windows.Time
	buf, was   []byte
	out        topology.Record
}

func newTable(t *Task, name string, m *topology.Materialize, next []runner) (*table, error) {
	encode, old := m.Rows.Open()
	_, found := m.Rows.Open()
	return &table{task: t, name: name, next: next, rows: newKeyed(t, name, m.ID*maxSizes), encode: encode, old: old, found: found,
		streamTime: windows.Min}, nil
}

// process takes a change over and hands it on with the row that it replaces.
func (x *table) process(ctx context.Context, r *topology.Record) error {
	if r.Key == nil {
		x.task.drops.drop(NullKey, x.name, x.task.offset, nil)
		return nil
	}
	before, err := x.rows.get(r.Key)
	if err != nil {
		return err
	}
	x.out = *r
	x.out.Old = nil
	if before != nil {
		x.was = append(x.was[:0], before...) // put writes to the row's memory
		if x.out.Old, _, err = x.decode(x.was, x.old); err != nil {
			return err
		}
	}
	switch {
	case r.Value != nil:
		x.buf = binary.BigEndian.AppendUint64(x.buf[:0], uint64(r.Time))
		if x.buf, err = x.encode(r.Value, x.buf); err != nil {
			x.task.drops.drop(Failed, x.name, x.task.offset, err)
			return nil
		}
		err = x.rows.put(r.Key, x.buf)
	case before == nil:
		return nil
	default:
		err = x.rows.delete(r.Key)
	}
	if err != nil {
		return err
	}
	x.streamTime = max(x.streamTime, r.Time)
	return forward(ctx, x.next, &x.out)
}

// get is the row of a key and its event time, nil if there is none. It is good until the next get.
func (x *table) get(key []byte) (any, windows.Time, error) {
	b, err := x.rows.get(key)
	if err != nil || b == nil {
		return nil, 0, err
	}
	return x.decode(b, x.found)
}

func (x *table) decode(b []byte, decode func([]byte) (any, error)) (any, windows.Time, error) {
	if len(b) < 8 {
		return nil, 0, fmt.Errorf("task: table %s: row of %d bytes: %w", x.name, len(b), stores.ErrCorrupt)
	}
	row, err := decode(b[8:])
	if err != nil {
		return nil, 0, fmt.Errorf("task: table %s: row in the store: %w: %w", x.name, err, stores.ErrCorrupt)
	}
	return row, windows.Time(binary.BigEndian.Uint64(b)), nil
}

func (x *table) open(streamTime windows.Time) error {
	x.streamTime = streamTime
	return x.rows.open()
}

func (x *table) tick(context.Context) (bool, error) { return false, nil }
func (x *table) sawRecords()                        {}
func (x *table) flush(context.Context) error        { return nil }
func (x *table) clock() (string, windows.Time)      { return x.name, x.streamTime }
func (x *table) memory() int                        { return x.rows.bytes }
func (x *table) evict(enough func() bool)           { x.rows.evict(enough) }

func (x *table) log(ctx context.Context) error {
	x.rows.log(ctx)
	return nil
}

func (x *table) save() error {
	x.rows.save()
	return nil
}
