package enginetest

import (
	"context"

	"github.com/ashi-stream/ashi/engine/internal/task"
)

// past reads topics of a task's partition beside those that it is fed with.
type past struct {
	d *Driver
	r *running
}

// Bounds says that nothing is deleted, unless Options.Purge has deleted what was read.
func (p *past) Bounds(topic string) (oldest, end int64, err error) {
	end = int64(len(*p.d.log.partition(topic, p.r.partition)))
	if p.d.o.Purge {
		for _, t := range p.d.plan.Internal {
			if t.Topic == topic {
				oldest = min(1, end)
			}
		}
	}
	return oldest, end, nil
}

func (p *past) Read(_ context.Context, topic string, until int64, apply func([]task.Record) error) error {
	records := (*p.d.log.partition(topic, p.r.partition))[:until]
	for n := range records {
		if p.d.o.FailFill != nil {
			if err := p.d.o.FailFill(n); err != nil {
				return err
			}
		}
		if err := apply(records[n : n+1]); err != nil {
			return err
		}
	}
	return nil
}
