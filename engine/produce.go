package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/engine/kafka"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// adder is the producer behind Add: made when it is first needed, shared by all callers.
type adder struct {
	mu       sync.Mutex // guards producer
	producer *kafka.Producer
}

// Add writes rows to a stream's or table's topic and returns when the broker has them. The key is made of the row's key columns,
// the timestamp is its event time, or now if it has none. Local tables change only once the rows come back from Kafka: a read right
// after Add may not see them (ENT-4).
func Add[R any](ctx context.Context, e *Engine, to interface{ StreamRef() topology.StreamOf[R] }, rows ...R) error {
	ref := to.StreamRef()
	if ref.Err != nil {
		return fmt.Errorf("engine: add: %w", ref.Err)
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
	a.mu.Lock()
	defer a.mu.Unlock()
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
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.producer == nil {
		return nil
	}
	err := a.producer.Close()
	a.producer = nil
	return err
}
