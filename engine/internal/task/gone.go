package task

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/topology"
)

// mostCounted is how many rows of a step that is gone are counted: a look at more would hold the
// start up.
const mostCounted = 100_000

// admitGone is an error where steps that hold something are not in the plan any more, unless it
// says that they may go. A step whose name alone has changed would else begin empty, and nobody
// would see that windows have only half of their records.
func (t *Task) admitGone(differences []topology.Difference) error {
	if t.cfg.Rebuild && len(of(differences, topology.Changed)) > 0 {
		return nil // all state goes, by the program's word
	}
	var lost, names []string
	for _, d := range of(differences, topology.Gone) {
		if slices.Contains(t.cfg.Sub.Dropped, d.Was.Name) {
			continue
		}
		held, err := t.held(d.Was)
		if err != nil {
			return err
		}
		if held != "" {
			lost, names = append(lost, fmt.Sprintf("\n    %s: %s", d.Was, held)),
				append(names, fmt.Sprintf("%q", d.Was.Name))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf(
		"%w: %s: these steps are not in the plan any more, and hold:%s\n  A step that was renamed keeps its state "+
			"under the name that it had: "+
			"give it that (As, Repartition). If what they hold may be lost, say so in the plan: Dropped(%s)",
		ErrForeign, t.where(), strings.Join(lost, ""), strings.Join(names, ", "))
}

// held is what an operator holds, for people; empty: nothing.
func (t *Task) held(o topology.Operator) (string, error) {
	if o.Kind == topology.InternalTopic {
		return t.unread(o.Name)
	}
	rows, windows, err := t.countRows(o)
	switch {
	case err != nil || rows == 0:
		return "", err
	case rows > mostCounted:
		return "more than 100,000 rows", nil
	case windows > 0:
		return fmt.Sprintf("%s in %s", number(rows, "row"), number(windows, "open window")), nil
	}
	return number(rows, "row"), nil
}

func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// countRows counts the rows of an operator in the store, and of an aggregate the windows that they
// are in.
func (t *Task) countRows(o topology.Operator) (rows, windows int, err error) {
	numbers := o.Numbers
	switch o.Kind {
	case "join":
		numbers.Count = marksOp // the rest is marks
	case "table":
		numbers.Count = 1 // the other is of deletions
	}
	if numbers.Count == 0 {
		return 0, 0, nil
	}
	from, _ := stores.OperatorBounds(numbers.First)
	_, to := stores.OperatorBounds(numbers.First + numbers.Count - 1)
	last := []byte(nil)
	for e, err := range t.cfg.Store.Scan(from, to) {
		if err != nil {
			return 0, 0, fmt.Errorf("task: %s: counting rows: %w", t.where(), err)
		}
		if rows > mostCounted {
			break
		}
		n := 1
		if o.Kind == "join" {
			n = rowsOfBlock(e.Value)
		}
		rows += n
		const untilStart = 1 + 2 + 8 // of a row key: what comes before the group
		if o.Kind == "aggregate" && len(e.Key) >= untilStart && binary.BigEndian.Uint64(e.Key[3:]) != 0 &&
			string(last) != string(e.Key[:untilStart]) {
			last = append(last[:0], e.Key[:untilStart]...)
			windows++
		}
	}
	return rows, windows, nil
}

// rowsOfBlock counts the rows of a join's block.
func rowsOfBlock(data []byte) (n int) {
	for d := (decoder{b: data}); len(d.b) > 0 && !d.bad; n++ {
		d.uvarint()
		d.take(d.uvarint())
		d.take(d.uvarint())
	}
	return n
}

// unread is what waits in an internal topic that is not read any more.
func (t *Task) unread(topic string) (string, error) {
	if t.cfg.Past == nil {
		return "", nil
	}
	_, end, err := t.cfg.Past.Bounds(topic)
	if left := end - t.progress.Inputs[topic]; err == nil && left > 0 {
		return fmt.Sprintf("records that were not read, %d at most", left), nil
	}
	return "", err
}
