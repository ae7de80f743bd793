package enginetest

import (
	"fmt"
	"log/slog"

	"github.com/ashi-stream/ashi/engine/internal/tables"
	"github.com/ashi-stream/ashi/engine/internal/task"
	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/stores/memory"
	"github.com/ashi-stream/ashi/topology"
)

// mirrored is a table that tasks read, as the processes of an engine mirror it.
type mirrored struct {
	table  *topology.Table
	mirror *tables.Mirror
	store  stores.Store
	next   []int // by partition
}

func (d *Driver) newMirrored(table *topology.Table) *mirrored {
	store := memory.New()
	return &mirrored{table: table, store: store, next: make([]int, d.o.Partitions),
		mirror: tables.NewMirror(table, store, 0, slog.New(slog.NewTextHandler(d.t.Output(), nil)))}
}

// catchUp takes over what was committed to the topics of the tables that tasks read. It is done
// before each batch of a task, as if mirrors had no delay.
func (d *Driver) catchUp() error {
	for _, m := range d.broadcasts {
		for p := range d.log.partitions {
			records := (*d.log.partition(m.table.Topic, p))[m.next[p]:]
			if len(records) == 0 {
				continue
			}
			m.next[p] += len(records)
			if err := m.mirror.Apply(p, records, int64(m.next[p])); err != nil {
				return err
			}
		}
	}
	return nil
}

// broadcast is what tasks read of a table.
func (d *Driver) broadcast(topic string) task.TableRows {
	if m := d.broadcasts[topic]; m != nil {
		return m.store
	}
	return nil
}

// mirror is the store of a table with all that is committed to its topic.
func (d *Driver) mirror(table *topology.Table) (stores.Store, error) {
	store := memory.New()
	m := tables.NewMirror(table, store, 0, slog.New(slog.NewTextHandler(d.t.Output(), nil)))
	for p := range d.log.partitions {
		records := *d.log.partition(table.Topic, p)
		if err := m.Apply(p, records, int64(len(records))); err != nil {
			return nil, err
		}
	}
	if m.Contradictions.Load() > 0 || m.Duplicates.Load() > 0 {
		return nil, fmt.Errorf("table %s: %d rows were written twice, %d with other contents", table.Topic,
			m.Duplicates.Load(), m.Contradictions.Load())
	}
	return store, nil
}
