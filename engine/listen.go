package engine

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/topology"
)

// errLeft is what ends ForEach when the loop over Rows is left.
var errLeft = errors.New("engine: the loop was left")

// listened counts what ForEach and Rows passed over, by topic.
type listened struct {
	mu sync.Mutex // guards of
	of map[string]*passedOver
}

// passedOver is the count of one topic, for any number of readers.
type passedOver struct{ nulls, undecodable atomic.Int64 }

// on is the count of a topic. It is shown from then on.
func (l *listened) on(topic string) *passedOver {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]*passedOver{}
	}
	if l.of[topic] == nil {
		l.of[topic] = new(passedOver)
	}
	return l.of[topic]
}

// counts is what was passed over so far, by topic and reason; nil if nobody has listened.
func (l *listened) counts() map[string]map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		return nil
	}
	all := map[string]map[string]int64{}
	for topic, p := range l.of {
		all[topic] = map[string]int64{task.NullValue.String(): p.nulls.Load(),
			task.Undecodable.String(): p.undecodable.Load()}
	}
	return all
}

// Rows is ForEach as a loop: for row, err := range engine.Rows(ctx, eng, rates). It yields each row
// that is committed to the topic, from the oldest on, and waits for more. When ctx ends, or the
// topic cannot be read, it yields that error with a zero row, and ends. Each loop reads the topic
// from its start; leaving it lets go of the connection.
func Rows[R any](ctx context.Context, e *Engine,
	from interface{ StreamRef() topology.StreamOf[R] }) iter.Seq2[R, error] {
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
