package enginetest

import (
	"context"
	"fmt"
	"slices"

	"github.com/ashi-stream/ashi/engine/internal/murmur"
	"github.com/ashi-stream/ashi/engine/internal/task"
)

// brokerLog is topics in memory. Only what is committed is in them.
type brokerLog struct {
	partitions int32
	topics     map[string][][]task.Record
}

// partition is the records of one partition; a topic is made when it is first asked for.
func (l *brokerLog) partition(topic string, p int32) *[]task.Record {
	if l.topics[topic] == nil {
		l.topics[topic] = make([][]task.Record, l.partitions)
	}
	return &l.topics[topic][p]
}

func (l *brokerLog) append(o *task.Output) {
	p := o.Partition
	if p == task.OnKey {
		p = murmur.Partition(o.Key, l.partitions)
	}
	records := l.partition(o.Topic, p)
	if o.Offset != nil {
		*o.Offset = int64(len(*records))
	}
	*records = append(*records, task.Record{Key: slices.Clone(o.Key), Value: slices.Clone(o.Value), Headers: o.Headers,
		Timestamp: o.Timestamp, Offset: int64(len(*records))})
}

// producer is one task's producer: what it commits goes to the log, as one.
type producer struct {
	log     *brokerLog
	pending []task.Output
	fail    error // the next Commit returns it
	closed  bool
}

func (p *producer) Produce(_ context.Context, o *task.Output) { p.pending = append(p.pending, *o) }

func (p *producer) Commit(context.Context) error {
	if p.closed {
		return fmt.Errorf("enginetest: producer is closed")
	}
	if err := p.fail; err != nil {
		p.fail, p.closed = nil, true
		return err
	}
	for i := range p.pending {
		p.log.append(&p.pending[i])
	}
	p.pending = p.pending[:0]
	return nil
}

func (p *producer) Close() error {
	p.pending, p.closed = nil, true
	return nil
}
