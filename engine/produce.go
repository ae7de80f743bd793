package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/rare"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// adder is the producer behind Add: made when it is first needed, shared by all callers.
type adder struct {
	// room for one: who has put something in may use producer. A caller waits for its turn no
	// longer than its ctx lasts
	turn     chan struct{}
	producer *kafka.Producer
}

func newAdder() adder { return adder{turn: make(chan struct{}, 1)} }

// Add writes rows to a stream's or table's topic and returns when the broker has them. The key is
// made of the row's key columns, the timestamp is its event time, or now if it has none. Local
// tables change only once the rows come back from Kafka: a read right after Add may not see them
// (ENT-4).
func Add[R any](ctx context.Context, e *Engine, to interface{ StreamRef() topology.StreamOf[R] }, rows ...R) error {
	ref := to.StreamRef()
	if ref.Err != nil {
		return fmt.Errorf("engine: add: %w", ref.Err)
	}
	if err := ctx.Err(); err != nil { // not what a client makes of it
		return fmt.Errorf("engine: add to %s: %w", ref.Topic, err)
	}
	if ref.Encode == nil {
		return fmt.Errorf("engine: add: topic %s is written by the engine only", ref.Topic)
	}
	outputs := make([]task.Output, len(rows))
	for i := range rows {
		o := &outputs[i]
		*o = task.Output{Topic: ref.Topic, Partition: task.OnKey, Timestamp: windows.At(time.Now())}
		var err error
		if o.Key, err = ref.Key(nil, &rows[i]); err != nil {
			return fmt.Errorf("engine: add to %s: row %d: key: %w", ref.Topic, i, err)
		}
		if o.Value, err = ref.Encode(nil, &rows[i]); err != nil {
			return fmt.Errorf("engine: add to %s: row %d: %w", ref.Topic, i, err)
		}
		if at, ok := ref.Time(&rows[i]); ok {
			o.Timestamp = at
		}
	}
	return e.adder.add(ctx, e, outputs)
}

func (a *adder) add(ctx context.Context, e *Engine, outputs []task.Output) (err error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return fmt.Errorf("engine: add: %w", ctx.Err())
	case <-e.done:
		return e.ended()
	}
	select {
	case <-e.done:
		return e.ended()
	default:
	}
	if a.producer == nil {
		if a.producer, err = kafka.NewProducer(ctx, e.kafka, kafka.ProducerConfig{}); err != nil {
			return fmt.Errorf("engine: add: %w", err)
		}
	}
	for i := range outputs {
		a.producer.Produce(ctx, &outputs[i])
	}
	if err := a.producer.Commit(ctx); err != nil {
		err = errors.Join(err, a.producer.Close())
		a.producer = nil
		return fmt.Errorf("engine: add: %w", err)
	}
	return nil
}

func (a *adder) close() error {
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	if a.producer == nil {
		return nil
	}
	err := a.producer.Close()
	a.producer = nil
	return err
}

// ForEach calls handle with each row that is committed to a stream's topic, all partitions, from
// the oldest on, until ctx ends or handle fails, with its error. It needs no Run. Rows that cannot
// be decoded and nulls are passed over, counted (ashi_passed_over_records_total, Status.PassedOver)
// and logged; those whose schema cannot be asked for now are waited for. handle is called from this
// goroutine, a row at a time, which is its to keep. There is no call that pulls rows out of a
// stream now: state is read from tables (ENT-5).
func ForEach[R any](ctx context.Context, e *Engine, from interface{ StreamRef() topology.StreamOf[R] },
	handle func(R) error) error {
	ref := from.StreamRef()
	if ref.Err != nil {
		return fmt.Errorf("engine: for each: %w", ref.Err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	parts, err := e.allPartitions(ctx, ref.Topic)
	if err != nil {
		return fmt.Errorf("engine: for each: %w", err)
	}
	log, passed := rare.New(e.codecs), e.listened.on(ref.Topic)
	var failed error
	err = kafka.Follow(ctx, e.kafka, kafka.FollowConfig{Topic: ref.Topic, From: parts,
		Apply: func(p int32, records []task.Record, _ int64) error {
			for i := range records {
				if failed = deliver(ctx, log, passed, &ref, p, &records[i], handle); failed != nil {
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

func deliver[R any](ctx context.Context, log *rare.Log, passed *passedOver, ref *topology.StreamOf[R], p int32,
	r *task.Record, handle func(R) error) error {
	key := r.Key
	ok := true
	if ref.Windows != nil {
		key, _, ok = ref.Windows.CutKey(key)
	}
	var row R
	var err error
	count := &passed.undecodable
	switch {
	case r.Err != nil:
		err = r.Err
	case r.Value == nil:
		err, count = errors.New("value is null"), &passed.nulls
	case !ok:
		err = errors.New("key has no window")
	default:
		key, value := slices.Clone(key), slices.Clone(r.Value)
		decode := func() error { return ref.Decode(key, value, &row) }
		if err = decode(); errors.Is(err, topology.ErrUnavailable) {
			if err = patient(ctx, decode); ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	if err != nil {
		if errors.Is(err, topology.ErrNull) {
			count = &passed.nulls
		}
		count.Add(1)
		log.Warn("record passed over", "topic", ref.Topic, "partition", p, "offset", r.Offset, "error", err)
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
