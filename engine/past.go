package engine

import (
	"context"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
)

// past reads topics of a worker's partition beside those that its task is fed with: see task.Past.
type past struct{ w *worker }

var _ task.Past = (*past)(nil)

// Bounds are the offsets of the oldest record and behind the last committed one.
func (p *past) Bounds(topic string) (oldest, end int64, err error) {
	ctx := context.Background() // an admin bounds how long it asks
	admin, err := kafka.NewAdmin(p.w.engine.kafka)
	if err != nil {
		return 0, 0, err
	}
	defer admin.Close()
	counts, err := admin.Partitions(ctx, topic)
	if err != nil || counts[topic] <= p.w.partition {
		return 0, 0, err
	}
	starts, err := admin.Starts(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	ends, err := admin.Ends(ctx, topic, true)
	return starts[p.w.partition], ends[p.w.partition], err
}

// Read hands on committed records from the oldest on.
func (p *past) Read(ctx context.Context, topic string, until int64, apply func([]task.Record) error) error {
	return kafka.Follow(ctx, p.w.engine.kafka, kafka.FollowConfig{Topic: topic,
		From: map[int32]int64{p.w.partition: kafka.Oldest}, Until: map[int32]int64{p.w.partition: until},
		Ahead: p.w.engine.shareOf(p.w.state).restore(), Apply: func(_ int32, records []task.Record,
			_ int64) error {
			return apply(before(records, until))
		}})
}

// before is the records before an offset: what is behind it comes when it is read.
func before(records []task.Record, until int64) []task.Record {
	for len(records) > 0 && records[len(records)-1].Offset >= until {
		records = records[:len(records)-1]
	}
	return records
}
