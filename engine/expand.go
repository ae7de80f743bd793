package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ashi-stream/ashi/engine/kafka"
)

// expandedEvery is the time between two looks at how many partitions there are.
const expandedEvery = 30 * time.Second

// watchPartitions keeps Expanded. read is the topics that others write, with the partitions that they had when Run began.
func (e *Engine) watchPartitions(ctx context.Context, read map[string]int32) error {
	admin, err := kafka.NewAdmin(e.kafka)
	if err != nil {
		return fmt.Errorf("engine: watch partitions: %w", err)
	}
	defer admin.Close()
	tick := time.NewTicker(expandedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := admin.Partitions(ctx, slices.Sorted(maps.Keys(read))...)
		if err != nil {
			continue // that nobody answers is said elsewhere
		}
		if err := expanded(read, now); err != nil {
			e.readiness.lost(Cause{Reason: Expanded, Err: err})
		}
	}
}

// expanded is an error that names the topics that have more partitions now than before.
func expanded(before, now map[string]int32) error {
	var errs []error
	for _, topic := range slices.Sorted(maps.Keys(before)) {
		if now[topic] > before[topic] {
			errs = append(errs, fmt.Errorf("topic %s has %d partitions, and had %d when Run began: nobody reads the others, and state is kept by "+
				"partition; send its records to a new topic, and read that under another name of the application", topic, now[topic], before[topic]))
		}
	}
	return errors.Join(errs...)
}
