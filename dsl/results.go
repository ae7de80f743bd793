package dsl

import (
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// ToStream is the stream of the rows of one kind of windows, to be filtered, joined and aggregated
// again: bars.Final().ToStream(windows.Tumbling(time.Minute)). A row's key is its group's, without
// the window, and its event time the newest in it [W6]. Rows are in the stream as they are put out,
// in the topic too; of changes that is one row a commit, and deletions are not in it.
func (o *OutputOf[K, R]) ToStream(one windows.Spec) *StreamOf[R] {
	w := o.windowed
	s := &StreamOf[R]{b: w.b, node: o.pick("ToStream", one), part: w.part, origin: w.origin}
	below := step[R, R](s, "stream", func() func(*topology.Record, []*topology.Record) ([]*topology.Record, error) {
		var row topology.Record
		return func(r *topology.Record, out []*topology.Record) ([]*topology.Record, error) {
			if r.Value == nil {
				return out, nil
			}
			row = *r
			row.Key, row.Old = r.Group, nil
			return append(out, &row), nil
		}
	})
	below.form, below.format = w.agg.KeyForm, w.format()
	if w.model != nil && len(w.model.Key) > 0 {
		below.keyed = w.model
	}
	return below
}

// ToTable is the table of the changes of windows.Unbounded(), by the group's key, to be joined,
// filtered, grouped and aggregated again. A row that does not pass Having is not in it. Changes
// come to it at each commit, the last of each group.
func (o *OutputOf[K, R]) ToTable() *TableOf[K, R] {
	w := o.windowed
	key, err := entity.KeyOf[K]()
	if err != nil && !w.agg.Global {
		w.b.wrong(place(), "ToTable: %w", err)
	}
	below := o.pick("ToTable", windows.Unbounded())
	n := keep(w.b, below, w.b.unique(w.origin+"-result-table"), w.format())
	return &TableOf[K, R]{b: w.b, key: key, origin: w.origin, node: n, kept: n, part: w.part, made: true,
		format: w.format()}
}

// format is that of the result's rows, which the projection makes and the codec of the outputs
// writes.
func (w *WindowedOf[K, R]) format() *format[R] {
	return &format[R]{codec: func() codecs.Codec[R] { return w.codec }, made: true}
}

// pick is the node of one kind of windows; a mistake where there is none.
func (o *OutputOf[K, R]) pick(what string, one windows.Spec) *topology.Node {
	w := o.windowed
	k, err := w.agg.Windows.Pick(one)
	if err != nil {
		w.b.wrong(place(), "%s: %w", what, err)
		return &topology.Node{}
	}
	n := o.nodes[o.index(k)]
	if n == nil {
		w.b.wrong(place(), "%s: windows %s never close: there are no final rows, ask for Changes", what, k)
		return &topology.Node{}
	}
	return n
}
