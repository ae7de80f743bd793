package dsl

import (
	"fmt"
	"time"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// OutputOf is the final or the changed rows of an aggregation: a topic per kind of windows, and a
// table of each for finals and for what has no windows.
type OutputOf[K, R any] struct {
	windowed *WindowedOf[K, R]
	kinds    []windows.Kind
	nodes    []*topology.Node  // nil for finals of a kind without bounds: there are none
	tables   []*topology.Table // nil where there is none
}

func newOutput[K, R any](w *WindowedOf[K, R], suffix string, final bool) *OutputOf[K, R] {
	o := &OutputOf[K, R]{windowed: w, kinds: w.agg.Windows.Kinds()}
	at := place()
	if w.model != nil && w.model.NoMirror != "" {
		w.b.wrong(at,
			"tables of windows cannot be without mirror one by one: leave nomirror out of the tag of %s, and switch "+
				"all tables of a process off if need be", typeName[R]())
	}
	for _, k := range o.kinds {
		topic := w.origin + "_" + k.Name() + "_" + suffix
		table := &topology.Table{Place: at, Folder: w.origin, File: "window_" + k.Name(), AppendOnly: final,
			Row: typeName[R]()}
		switch unbounded := k.Form() == windows.FormUnbounded; {
		case unbounded && final:
			o.nodes, o.tables = append(o.nodes, nil), append(o.tables, nil)
			continue
		case unbounded:
			topic, table.File = w.origin+"_"+k.Name(), k.Name()
		case final:
			table.Windows = &k
		default:
			table = nil
		}
		node := sinkNode(w.b, topic, true, func() codecs.Codec[R] { return w.codec })
		w.writeKeys(at, node.Op.(*topology.Sink))
		o.nodes = append(o.nodes, node)
		o.tables = append(o.tables, table)
		if table != nil {
			table.Topic = topic
			w.b.plan.Tables = append(w.b.plan.Tables, table)
		}
	}
	return o
}

// Named gives the topics other names than the generated ones: name is asked once for each kind of
// windows.
func (o *OutputOf[K, R]) Named(name func(windows.Kind) string) *OutputOf[K, R] {
	if !o.windowed.b.given("Named", map[string]any{"name": name}) {
		return o
	}
	for i, k := range o.kinds {
		if o.nodes[i] == nil {
			continue
		}
		topic := name(k)
		o.nodes[i].Name = o.windowed.b.unique("to-" + topic)
		o.nodes[i].Op.(*topology.Sink).Topic = topic
		if o.tables[i] != nil {
			o.tables[i].Topic, o.tables[i].Folder = topic, topic
		}
	}
	return o
}

// Topic is the name of the topic of the tumbling windows of a size. The error lists the windows
// that there are.
func (o *OutputOf[K, R]) Topic(size time.Duration) (string, error) {
	s := o.Stream(size)
	return s.Topic, s.Err
}

// Size is the table of the tumbling windows of a size, as the engine's Table wants it: final rows
// only. What is wrong with the size is told there.
func (o *OutputOf[K, R]) Size(size time.Duration) topology.TableOf[K, R] {
	return o.table(o.windowed.agg.Windows.Size(size))
}

// Of is the table of windows of another kind: final.Of(windows.Hopping(time.Hour, time.Minute)).
func (o *OutputOf[K, R]) Of(one windows.Spec) topology.TableOf[K, R] {
	return o.table(o.windowed.agg.Windows.Pick(one))
}

func (o *OutputOf[K, R]) table(k windows.Kind, err error) topology.TableOf[K, R] {
	if err != nil {
		return topology.TableOf[K, R]{Err: err}
	}
	t := o.tables[o.index(k)]
	if t == nil {
		return topology.TableOf[K, R]{Err: fmt.Errorf(
			"dsl: there are tables of final rows, and of changes of what has no windows: windows %s have none here", k)}
	}
	return topology.TableOf[K, R]{Table: t, Key: o.windowed.keyIn(t.Topic), Decode: o.decode}
}

// Stream is the topic of the tumbling windows of a size, as the engine's ForEach wants it. What is
// wrong with the size is told there.
func (o *OutputOf[K, R]) Stream(size time.Duration) topology.StreamOf[R] {
	return o.stream(o.windowed.agg.Windows.Size(size))
}

// StreamOf is the topic of windows of another kind.
func (o *OutputOf[K, R]) StreamOf(one windows.Spec) topology.StreamOf[R] {
	return o.stream(o.windowed.agg.Windows.Pick(one))
}

func (o *OutputOf[K, R]) stream(k windows.Kind, err error) topology.StreamOf[R] {
	if err != nil {
		return topology.StreamOf[R]{Err: err}
	}
	n := o.nodes[o.index(k)]
	if n == nil {
		return topology.StreamOf[R]{Err: fmt.Errorf("dsl: windows %s never close: there are no final rows", k)}
	}
	return topology.StreamOf[R]{Topic: n.Op.(*topology.Sink).Topic, Windows: &k, Decode: o.decode}
}

// index is the place of a kind that is one of o's.
func (o *OutputOf[K, R]) index(k windows.Kind) int {
	for i := range o.kinds {
		if o.kinds[i] == k {
			return i
		}
	}
	panic("dsl: kind is not of this aggregation")
}

// decode fills a row from its value, and its key columns, if it has any, from the group's key.
func (o *OutputOf[K, R]) decode(key, value []byte, row *R) error {
	w := o.windowed
	if err := w.codec.Decode(value, row); err != nil {
		return err
	}
	if w.model == nil || len(w.model.Key) == 0 {
		return nil
	}
	key, err := w.plainKey(key)
	if err != nil {
		return err
	}
	return w.model.SetKey(row, key)
}
