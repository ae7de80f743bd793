package engine

import (
	"context"
	"errors"
	"iter"

	"github.com/ashi-stream/ashi/topology"
)

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
