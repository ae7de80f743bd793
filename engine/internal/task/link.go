package task

import (
	"context"
	"fmt"

	"github.com/ashi-stream/ashi/topology"
)

// linked is a runner that reads the table of another node. It is linked when all runners are made:
// that of the node may be in the making while that of its reader is, which stands below it.
type linked interface{ link() error }

// link links the runners.
func (t *Task) link() error {
	for _, r := range t.made {
		if l, ok := r.(linked); ok {
			if err := l.link(); err != nil {
				return err
			}
		}
	}
	return nil
}

// table is that of a node.
func (t *Task) table(n *topology.Node) (*table, error) {
	x, ok := t.made[n].(*table)
	if !ok {
		return nil, fmt.Errorf("task: step %s keeps no table in sub-topology %s", n.Name, t.cfg.Sub.Name)
	}
	return x, nil
}

// joinGuarded calls a joiner; a panic is its error.
func joinGuarded(join func(left, right any) (any, error), left, right any) (row any, err error) {
	done := false
	defer func() {
		if !done {
			err = panicked(recover())
		}
	}()
	row, err = join(left, right)
	done = true
	return row, err
}

// port is the runner of one of the inputs of an operator.
type port func(ctx context.Context, r *topology.Record) error

func (p port) process(ctx context.Context, r *topology.Record) error { return p(ctx, r) }
