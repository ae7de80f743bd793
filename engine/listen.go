package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
)

// ForEach calls handle with each row that is committed to a stream's topic, all partitions, from the oldest on, until ctx ends or
// handle fails, with its error. It needs no Run. Rows that cannot be decoded and nulls are logged and passed over. handle is called from this
// goroutine, a row at a time, which is its to keep. There is no call that pulls rows out of a stream now: state is read from tables (ENT-5).
func ForEach[R any](ctx context.Context, e *Engine, from interface{ StreamRef() topology.StreamOf[R] }, handle func(R) error) error {
	ref := from.StreamRef()
	if ref.Err != nil {
		return fmt.Errorf("engine: for each: %w", ref.Err)
	}
	parts, err := e.allPartitions(ctx, ref.Topic)
	if err != nil {
		return fmt.Errorf("engine: for each: %w", err)
	}
	var failed error
	err = kafka.Follow(ctx, e.kafka, kafka.FollowConfig{Topic: ref.Topic, From: parts, Apply: func(p int32, records []task.Record, _ int64) error {
		for i := range records {
			if failed = deliver(e, &ref, p, &records[i], handle); failed != nil {
				return failed
			}
		}
		return nil
	}})
	if failed == nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("engine: for each of %s: %w", ref.Topic, err)
}

// errLeft is what ends ForEach when the loop over Rows is left.
var errLeft = errors.New("engine: the loop was left")

// Rows is ForEach as a loop: for row, err := range engine.Rows(ctx, eng, rates). It yields each row that is committed to the topic, from the
// oldest on, and waits for more. When ctx ends, or the topic cannot be read, it yields that error with a zero row, and ends. Each loop reads
// the topic from its start; leaving it lets go of the connection.
func Rows[R any](ctx context.Context, e *Engine, from interface{ StreamRef() topology.StreamOf[R] }) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		err := ForEach(ctx, e, from, func(row R) error {
			if !yield(row, nil) {
				return errLeft
			}
			return nil
		})
		if !errors.Is(err, errLeft) {
			var none R
			yield(none, err)
		}
	}
}

func deliver[R any](e *Engine, ref *topology.StreamOf[R], p int32, r *task.Record, handle func(R) error) error {
	key := r.Key
	ok := true
	if ref.Windows != nil {
		key, _, ok = ref.Windows.CutKey(key)
	}
	var row R
	err := errors.New("value is null")
	switch {
	case !ok:
		err = errors.New("key has no window")
	case r.Value != nil:
		err = ref.Decode(slices.Clone(key), slices.Clone(r.Value), &row)
	}
	if err != nil {
		e.cfg.Log.Warn("record passed over", "topic", ref.Topic, "partition", p, "offset", r.Offset, "error", err)
		return nil
	}
	return handle(row)
}

// allPartitions is every partition of a topic, from its start.
func (e *Engine) allPartitions(ctx context.Context, topic string) (map[int32]int64, error) {
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	counts, err := admin.Partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	if counts[topic] == 0 {
		return nil, fmt.Errorf("topic %s does not exist", topic)
	}
	from := map[int32]int64{}
	for p := range counts[topic] {
		from[p] = kafka.Oldest
	}
	return from, nil
}
