package task

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
)

// A step that is new in the plan may stand below a table whose topic the task has read already: a
// group of its rows, a foreign key join. Such a step undoes what a change replaces, so it must have
// been given what is replaced. It is given the rows that the table has as inserts, before the task
// goes on, by the order of their keys; the commit record says how many of them it has, so that a
// crash neither repeats nor skips one. Where the rows cannot be had from a table, the plan is
// refused.

// feed is the way of a table's rows to a step that needs all of them.
type feed struct {
	to    *topology.Node
	read  bool             // there may be rows
	from  *topology.Node   // the table; nil: none that holds what the step is to be given
	by    []*topology.Node // TableSteps and Regroups between both
	held  []*topology.Node // Suppresses between both: what they hold is not to be given yet
	below *topology.Node   // where from is nil: what the rows come from
}

// feeds is the ways to all steps that need all rows of a table, by the names of their operators,
// from above.
func (t *Task) feeds() (all []*feed) {
	seen := visited{}
	for _, root := range t.cfg.Sub.Roots {
		source := root.Op.(*topology.Source)
		f := feed{read: t.progress.Inputs[source.Topic] > 0}
		if source.Holds == changesHeld {
			f.below = root
		}
		all = feedsBelow(all, seen, root.Next, f, source.Table)
	}
	return all
}

// changesHeld is Source.Holds of an internal topic of changes of a table.
const changesHeld = "changes"

// visited is the nodes of streams that were visited: there may be very many ways to one, by way of
// merges.
type visited map[struct {
	node *topology.Node
	read bool
}]bool

func (v visited) before(n *topology.Node, read bool) bool {
	at := struct {
		node *topology.Node
		read bool
	}{n, read}
	was := v[at]
	v[at] = true
	return was
}

// feedsBelow walks down. fills says that a table here is filled from its topic.
func feedsBelow(all []*feed, seen visited, nodes []*topology.Node, f feed, fills bool) []*feed {
	target := func(n *topology.Node) {
		f := f
		f.to = n
		i := slices.IndexFunc(all, func(g *feed) bool { return g.to == n })
		if i < 0 {
			all = append(all, &f)
			return
		}
		all[i].read = all[i].read || f.read
	}
	for _, n := range nodes {
		if n == nil || f.from == nil && f.below == nil && !fills && seen.before(n, f.read) {
			continue
		}
		next, filled := feed{read: f.read}, false
		switch o := n.Op.(type) {
		case *topology.Materialize:
			if !fills && (f.from != nil || f.below != nil) {
				target(n)
			}
			next.from, filled = n, fills
		case *topology.TableStep, *topology.Regroup:
			next, filled = f, fills
			next.by = append(slices.Clip(f.by), n)
		case *topology.Suppress:
			next = f
			next.held = append(slices.Clip(f.held), n)
		case *topology.Aggregate:
			if o.Table {
				target(n)
			}
			all = feedsBelow(all, seen, slices.Concat(o.Changes, o.Finals), next, false)
		case *topology.Sink:
			if o.Internal && o.Changes {
				target(n)
			}
		case *topology.Input:
			next.below = o.To
			switch o.To.Op.(type) {
			case *topology.ForeignJoin:
				if o.Port == 0 {
					target(o.To)
				}
			case *topology.TableJoin:
			default:
				next.below = nil
			}
			all = feedsBelow(all, seen, o.To.Next, next, false)
			continue
		}
		all = feedsBelow(all, seen, n.Next, next, filled)
	}
	return all
}

// toFeed notes which steps are to be given the rows that tables have. It is an error where that
// cannot be done.
func (t *Task) toFeed(differences []topology.Difference) error {
	p := &t.progress
	changed := map[string]topology.Change{}
	for _, d := range differences {
		changed[d.Is.Name] = d.Change
	}
	var lost []string
	for _, f := range t.feeds() {
		fresh := changed[f.to.Name] == topology.New
		if !f.read {
			continue
		}
		if why := f.refused(fresh, changed); why != "" {
			lost = append(lost, fmt.Sprintf("\n    %s: %s", f.to.Name, why))
			continue
		}
		if !fresh || f.from == nil {
			continue
		}
		if p.Filling == nil {
			p.Filling = map[string]int64{}
		}
		p.Filling[f.to.Name] = 1
		t.cfg.Log.Info("step is new in the plan: it is given the rows of its table", "partition", t.cfg.Partition,
			"step", f.to.Name, "table", f.from.Name)
	}
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: these steps need all rows of tables that were read before, and do not get them:%s\n"+
		"  Leave the plan as it was, and give what is new to an application of another name, which reads its tables "+
		"from the oldest records",
		ErrForeign, t.where(), strings.Join(lost, ""))
}

// refused is why a step of which rows were read before cannot have its place; empty: it can.
func (f *feed) refused(fresh bool, changed map[string]topology.Change) string {
	if f.from == nil {
		_, foreign := f.below.Op.(*topology.ForeignJoin)
		begins := foreign && changed[f.below.Name] == topology.New // all its results are to come
		_, table := f.to.Op.(*topology.Materialize)
		switch {
		case fresh && !begins:
			return fmt.Sprintf("it is new, and stands below %s, which does not keep its rows", f.below.Name)
		case !fresh && begins && !table:
			return fmt.Sprintf(
				"it has rows of before, and stands below %s, which is new and begins again: give both other names (As)",
				f.below.Name)
		}
		return ""
	}
	for _, s := range f.held {
		if fresh && changed[s.Name] == topology.Kept {
			return fmt.Sprintf("it is new, and stands below %s, which holds rows back", s.Name)
		}
	}
	return ""
}

// feedSteps gives new steps the rows of their tables.
func (t *Task) feedSteps(ctx context.Context) error {
	for _, f := range t.feeds() {
		if t.progress.Filling[f.to.Name] == 0 || f.from == nil {
			continue
		}
		if err := t.Checkpoint(); err != nil { // the store is scanned
			return err
		}
		if err := t.feedStep(ctx, f); err != nil {
			return fmt.Errorf("task: %s: giving the rows of table %s to %s: %w", t.where(), f.from.Name, f.to.Name, err)
		}
		t.changed = true
		delete(t.progress.Filling, f.to.Name)
		if err := t.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// feedPage is how many rows are taken from the store at a time: it is not written to while it is
// scanned.
const feedPage = 1000

func (t *Task) feedStep(ctx context.Context, f *feed) error {
	t.begin(ctx)
	x := t.made[f.from].(*table)
	give := t.giver(f)
	from, to := stores.OperatorBounds(x.rows.op)
	done := t.progress.Filling[f.to.Name] - 1
	for n := int64(0); ; {
		page, err := t.page(from, to)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			if n++; n <= done {
				continue
			}
			if err := t.giveRow(ctx, x, e, give); err != nil {
				return err
			}
			if t.progress.Filling[f.to.Name] = n + 1; n%fillCommit == 0 {
				t.changed = true
				if err := t.Commit(ctx); err != nil {
					return err
				}
				t.begin(ctx)
			}
		}
		from = append(page[len(page)-1].key, 0)
	}
}

type storedRow struct{ key, value []byte }

// page is copies of the next rows in the store.
func (t *Task) page(from, to []byte) (rows []storedRow, err error) {
	for e, err := range t.cfg.Store.Scan(from, to) {
		if err != nil {
			return nil, err
		}
		if rows = append(rows, storedRow{slices.Clone(e.Key), slices.Clone(e.Value)}); len(rows) == feedPage {
			break
		}
	}
	return rows, nil
}

// giveRow hands a row of a table on as an insert.
func (t *Task) giveRow(ctx context.Context, x *table, e storedRow,
	give func(context.Context, *topology.Record) error) error {
	_, _, key, err := stores.ParseRowKey(e.key)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	row, at, err := x.decode(e.value, x.old)
	if err != nil || row == nil {
		return err
	}
	t.derived = &origin{offset: -1, time: at, key: key}
	defer func() { t.derived = nil }()
	return give(ctx, &topology.Record{Key: key, Group: key, Time: at, Value: row})
}

// giver is the way of a row: calls of the user's functions that failed when the row came fail
// again, and are not counted again.
func (t *Task) giver(f *feed) func(context.Context, *topology.Record) error {
	var ways []func(*topology.Record) bool
	for _, n := range f.by {
		switch o := n.Op.(type) {
		case *topology.TableStep:
			call := o.Open()
			ways = append(ways, func(r *topology.Record) bool {
				r.Value, _ = rowGuarded(call, r.Value)
				return r.Value != nil
			})
		case *topology.Regroup:
			g, key := newRegroup(t, n.Name, o, nil), []byte{}
			ways = append(ways, func(r *topology.Record) bool {
				ok, _ := g.keyGuarded(r.Value, &key)
				r.Key, r.Group = key, key
				return ok
			})
		}
	}
	to := t.made[f.to].process
	switch f.to.Op.(type) {
	case *topology.ForeignJoin:
		to = t.made[f.to].(joiner).from(0).process
	case *topology.Materialize:
		x := t.made[f.to].(*table)
		to = func(_ context.Context, r *topology.Record) error { // those below are given its rows when it has all
			_, err := x.take(r, true)
			return err
		}
	}
	return func(ctx context.Context, r *topology.Record) error {
		for _, way := range ways {
			if !way(r) {
				return nil
			}
		}
		return to(ctx, r)
	}
}
