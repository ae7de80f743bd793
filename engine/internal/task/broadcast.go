package task

import (
	"bytes"
	"context"
	"fmt"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
)

// TableRows reads a table that the process mirrors. Keys are those of stores.AppendTableKey.
type TableRows interface {
	// Get appends the value of key to dst and says whether there is one, as a stores.Store does.
	Get(dst, key []byte) (value []byte, ok bool, err error)
}

// broadcast is a topology.BroadcastLookup at work.
type broadcast struct {
	task   *Task
	name   string
	place  uint64
	op     *topology.BroadcastLookup
	table  TableRows
	key    func(*topology.Record, []byte) ([]byte, error)
	decode func(key, value []byte) (any, error)
	join   func(left, right any) (any, error)
	next   []runner

	buf, skey []byte
	out       topology.Record
}

func newBroadcast(t *Task, name string, o *topology.BroadcastLookup, next []runner) (*broadcast, error) {
	b := &broadcast{task: t, name: name, place: t.pulse.add(name, ""), op: o, key: o.OpenKey(), decode: o.OpenRow(),
		join: o.OpenJoin(), next: next, buf: []byte{}}
	if t.cfg.Tables != nil {
		b.table = t.cfg.Tables(o.Table.Topic)
	}
	if b.table == nil {
		return nil, fmt.Errorf("task: step %s: table %s is not mirrored into this process", name, o.Table.Topic)
	}
	return b, nil
}

func (b *broadcast) process(ctx context.Context, r *topology.Record) error {
	row, found, reason, err := b.find(r)
	for n := 0; err != nil && reason != reasons && b.task.again(b.task.policyOf(b.name), n, err); n++ {
		row, found, reason, err = b.find(r)
	}
	switch {
	case err != nil && reason == reasons:
		return fmt.Errorf("task: %s: table %s: %w", b.name, b.op.Table.Topic, err)
	case err != nil:
		class := classFunction
		if reason == Undecodable {
			class = classDecode
		}
		return b.task.judge(failure{reason, class, b.name, err}, b.task.policyOf(b.name).Then)
	case !found && !b.op.Keep:
		return nil
	}
	b.out = *r
	if b.out.Value, err = b.task.joined(b.place, b.name, b.join, r.Value, row); err != nil {
		return b.task.failed(b.name, err)
	}
	return forward(ctx, b.next, &b.out)
}

// find is the row of the table for a record. An error is the record's, which is dropped for the
// reason, or the store's (reasons).
func (b *broadcast) find(r *topology.Record) (row any, found bool, reason Reason, err error) {
	b.task.pulse.move(b.place)
	key, err := b.keyGuarded(r)
	if err != nil || key == nil {
		return nil, false, Failed, err
	}
	b.buf = key
	b.skey = stores.AppendTableKey(b.skey[:0], key)
	value, found, err := b.table.Get(nil, b.skey)
	if err != nil || !found {
		return nil, false, reasons, err
	}
	row, err = b.rowGuarded(bytes.Clone(key), value) // of bytes of its own: its strings may be views of them
	return row, err == nil, Undecodable, err
}

func (b *broadcast) keyGuarded(r *topology.Record) (key []byte, err error) {
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	key, err = b.key(r, b.buf[:0])
	done = true
	return key, err
}

func (b *broadcast) rowGuarded(key, value []byte) (row any, err error) {
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	row, err = b.decode(key, value)
	done = true
	return row, err
}
