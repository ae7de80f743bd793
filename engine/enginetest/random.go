package enginetest

import (
	"context"
	"slices"
)

// inOrder is the tasks in the order in which they are at work: that of the plan, or one that is
// drawn.
func (d *Driver) inOrder() []*running {
	if d.o.Random == nil {
		return d.tasks
	}
	order := slices.Clone(d.tasks)
	d.o.Random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// wander does some steps: as many as there are tasks, more or less.
func (d *Driver) wander() error {
	for range d.o.Random.IntN(2 * len(d.tasks)) {
		if err := d.step(d.tasks[d.o.Random.IntN(len(d.tasks))]); err != nil {
			return err
		}
	}
	return nil
}

// step lets a task do something.
func (d *Driver) step(r *running) error {
	switch x := d.o.Random.IntN(60); {
	case x == 0:
		if err := d.end(r); err != nil {
			return err
		}
		return d.openTask(r)
	case x < 20:
		return r.task.Commit(context.Background())
	}
	_, err := d.feedTask(r)
	return err
}
