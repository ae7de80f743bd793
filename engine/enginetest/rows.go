package enginetest

import (
	"context"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Record is a record on the wire.
type Record struct {
	Key, Value []byte // nil is null
	Timestamp  windows.Time
	Headers    []Header
}

// Header is a record header.
type Header = task.Header

// Letter is a dead letter.
type Letter = task.Letter

// TopicLimits are what a topic takes, for Options.
type TopicLimits = task.TopicLimits

// Add puts rows into a stream's topic and processes them.
func Add[R any](d *Driver, to interface{ StreamRef() topology.StreamOf[R] }, rows ...R) {
	d.t.Helper()
	ref := to.StreamRef()
	d.check(ref.Err)
	records := make([]Record, len(rows))
	for i := range rows {
		var err error
		r := &records[i]
		r.Key, err = ref.Key(nil, &rows[i])
		d.check(err)
		r.Value, err = ref.Encode(nil, &rows[i])
		d.check(err)
		if at, ok := ref.Time(&rows[i]); ok {
			r.Timestamp = at
		} else {
			r.Timestamp = windows.At(d.now)
		}
	}
	d.AddRaw(ref.Topic, records...)
}

// AddRaw puts records into a topic, in the partition of their key, and processes them.
func (d *Driver) AddRaw(topic string, records ...Record) {
	d.t.Helper()
	d.check(d.TryRaw(topic, records...))
}

// TryRaw is AddRaw for tests that expect an error that ends the task.
func (d *Driver) TryRaw(topic string, records ...Record) error {
	d.Queue(topic, records...)
	return d.settle()
}

// Queue puts records into a topic, in the partition of their key, and leaves them there: they are
// processed with the next Add, Commit or Crash. So records of several topics can be there before
// the first of them is processed, as a task that catches up finds them.
func (d *Driver) Queue(topic string, records ...Record) {
	for _, r := range records {
		d.log.append(&task.Output{Topic: topic, Partition: task.OnKey, Key: r.Key, Value: r.Value,
			Timestamp: r.Timestamp, Headers: r.Headers})
	}
}

// Rows is the table with all that is committed, in order of (key, window start). A final that was
// written twice fails the test.
func Rows[K, R any](d *Driver, of interface{ Ref() topology.TableOf[K, R] }) []R {
	d.t.Helper()
	ref := of.Ref()
	d.check(ref.Err)
	store, err := d.mirror(ref.Table)
	d.check(err)
	rows, err := tables.NewReader(ref, store, nil, func() error { return nil }).ToList(context.Background())
	d.check(err)
	return rows
}

// Read is what has been committed to a stream's topic since the last Read, partition by partition,
// in order.
func Read[R any](d *Driver, from interface{ StreamRef() topology.StreamOf[R] }) []R {
	d.t.Helper()
	ref := from.StreamRef()
	d.check(ref.Err)
	var rows []R
	for _, r := range d.ReadRaw(ref.Topic) {
		if ref.Windows != nil {
			key, _, ok := ref.Windows.CutKey(r.Key)
			if !ok {
				d.t.Fatalf("enginetest: key %x of topic %s has no window", r.Key, ref.Topic)
			}
			r.Key = key
		}
		var row R
		d.check(ref.Decode(r.Key, r.Value, &row))
		rows = append(rows, row)
	}
	return rows
}

// ReadRaw is what has been committed to a topic since the last Read, partition by partition, in
// order.
func (d *Driver) ReadRaw(topic string) []Record {
	if d.read[topic] == nil {
		d.read[topic] = make([]int, d.log.partitions)
	}
	var records []Record
	for p := range d.log.partitions {
		all := d.Partition(topic, p)
		records = append(records, all[d.read[topic][p]:]...)
		d.read[topic][p] = len(all)
	}
	return records
}

// Partition is all that has been committed to one partition of a topic, in order.
func (d *Driver) Partition(topic string, partition int32) []Record {
	var records []Record
	for _, r := range *d.log.partition(topic, partition) {
		records = append(records, Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Headers: r.Headers})
	}
	return records
}

// DeadLetters is all that has been committed to the plan's dead letters, partition by partition, in
// order.
func (d *Driver) DeadLetters() []Letter {
	d.t.Helper()
	if d.plan.DeadLetters == "" {
		d.t.Fatal("enginetest: the plan has no dead letters")
	}
	var letters []Letter
	for p := range d.log.partitions {
		for _, r := range d.Partition(d.plan.DeadLetters, p) {
			l, ok := task.ParseLetter(&task.Record{Key: r.Key, Value: r.Value, Headers: r.Headers})
			if !ok {
				d.t.Fatalf("enginetest: a record of %s is no dead letter: key %q", d.plan.DeadLetters, r.Key)
			}
			letters = append(letters, l)
		}
	}
	return letters
}
