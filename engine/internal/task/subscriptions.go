package task

import (
	"context"
	"fmt"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// subscriptions is a topology.Subscriptions at work. It keeps a row for each left row that has
// ordered: its key is the length of the foreign key, the foreign key, and the left row's key, so
// that those of one foreign key are neighbours; it holds the left row's partition.
type subscriptions struct {
	task   *Task
	name   string
	place  uint64
	op     *topology.Subscriptions
	right  *table
	encode func(any, []byte) ([]byte, error)
	rows   *keyed

	key, row, value []byte
}

func newSubscriptions(t *Task, name string, o *topology.Subscriptions) *subscriptions {
	encode, _ := o.Right.Op.(*topology.Materialize).Rows.OpenWire()
	return &subscriptions{task: t, name: name, place: t.pulse.add(name, ""), op: o, encode: encode,
		rows: newSorted(t, name, t.first(name)), row: []byte{}}
}

func (s *subscriptions) link() (err error) {
	s.right, err = s.task.table(s.op.Right)
	return err
}

// process is not called: records come by way of an input.
func (s *subscriptions) process(context.Context, *topology.Record) error {
	return fmt.Errorf("task: %s: a record that came by way of no input", s.name)
}

func (s *subscriptions) from(n int) runner {
	if n == 0 {
		return port(s.changed)
	}
	return port(s.ordered)
}

// ordered takes an order over, and answers it with the row that there is now.
func (s *subscriptions) ordered(ctx context.Context, r *topology.Record) error {
	o, err := parseOrder(*r.Value.(*topology.Raw))
	if err == nil && (r.Key == nil || o.partition >= s.task.cfg.Sinks[s.op.Answers]) {
		err = errOrder
	}
	if err != nil {
		return s.task.judge(failure{Undecodable, classDecode, s.name, err}, s.task.policyOf(s.name).Then)
	}
	s.key = append(appendBytes(s.key[:0], r.Key), o.key...)
	if !o.on {
		return s.rows.delete(s.key)
	}
	s.value = appendPartition(s.value[:0], o.partition)
	if err := s.rows.put(s.key, s.value); err != nil {
		return err
	}
	row, at, err := s.right.get(r.Key)
	if err != nil {
		return err
	}
	if row == nil {
		at = r.Time
	}
	value, err := s.answer(r.Key, row)
	if err != nil {
		return err
	}
	s.send(ctx, o.key, o.partition, value, at)
	return nil
}

// changed tells all who have ordered the row of a key that it is another one.
func (s *subscriptions) changed(ctx context.Context, r *topology.Record) error {
	var value []byte // the same bytes for all, made when there is one
	n := 0
	s.key = appendBytes(s.key[:0], r.Key)
	prefix := len(s.key)
	return s.rows.prefix(s.key, func(key, row []byte) (err error) {
		if n++; n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if value == nil {
			if value, err = s.answer(r.Key, r.Value); err != nil {
				return err
			}
		}
		partition, err := parsePartition(row)
		if err != nil {
			return s.rows.wrap("subscription", err)
		}
		s.send(ctx, key[prefix:], partition, value, r.Time)
		return nil
	})
}

// answer is an answer's bytes, which the producer may keep.
func (s *subscriptions) answer(foreign []byte, row any) ([]byte, error) {
	s.task.pulse.move(s.place)
	a := answer{foreign: foreign}
	if row != nil {
		var err error
		if s.row, err = s.encode(row, s.row[:0]); err != nil { // it was encoded when the table took it over
			return nil, s.rows.wrap("row of the table", err)
		}
		a.row = s.row
	}
	s.value = a.append(s.value[:0])
	return s.task.keep(s.value), nil
}

func (s *subscriptions) send(ctx context.Context, key []byte, partition int32, value []byte, at windows.Time) {
	s.task.hand(s.name, Output{Topic: s.op.Answers, Partition: partition, Key: s.task.keep(key), Value: value,
		Timestamp: at})
}

func (s *subscriptions) open(windows.Time) error            { return s.rows.open() }
func (s *subscriptions) tick(context.Context) (bool, error) { return false, nil }
func (s *subscriptions) sawRecords()                        {}
func (s *subscriptions) flush(context.Context) error        { return nil }
func (s *subscriptions) clock() (string, windows.Time)      { return "", 0 }
func (s *subscriptions) save() error                        { return s.rows.save() }
func (s *subscriptions) memory() int                        { return s.rows.bytes }
func (s *subscriptions) evict(enough func() bool)           { s.rows.evict(enough) }

func (s *subscriptions) log(ctx context.Context) error {
	s.rows.log(ctx)
	return nil
}
