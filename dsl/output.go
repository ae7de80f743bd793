package dsl

import (
	"fmt"
	"time"

	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// OutputOf is the final or the changed rows of an aggregation: a topic per window size, and for finals a table.
type OutputOf[K, R any] struct {
	windowed *WindowedOf[K, R]
	sizes    []windows.Tumble
	nodes    []*topology.Node
	tables   []*topology.Table // of finals
}

func newOutput[K, R any](w *WindowedOf[K, R], suffix string, final bool) *OutputOf[K, R] {
	o := &OutputOf[K, R]{windowed: w, sizes: w.agg.Windows.Tumbles()}
	at := place()
	for _, s := range o.sizes {
		topic := fmt.Sprintf("%s_%s_%s", w.origin, s.Name(), suffix)
		n := sinkNode(w.b, topic, true, func() codecs.Codec[R] { return w.codec })
		o.nodes = append(o.nodes, n)
		if !final {
			continue
		}
		size := s
		t := &topology.Table{Topic: topic, Place: at, Folder: w.origin, File: "window_" + s.Name(), Windows: &size, AppendOnly: true,
			Row: typeName[R]()}
		o.tables = append(o.tables, t)
		w.b.plan.Tables = append(w.b.plan.Tables, t)
	}
	return o
}

// Named gives the topics other names than the generated ones: name is asked once for each size.
func (o *OutputOf[K, R]) Named(name func(size time.Duration) string) *OutputOf[K, R] {
	for i, s := range o.sizes {
		topic := name(s.Size())
		o.nodes[i].Name = o.windowed.b.unique("to-" + topic)
		o.nodes[i].Op.(*topology.Sink).Topic = topic
		if o.tables != nil {
			o.tables[i].Topic, o.tables[i].Folder = topic, topic
		}
	}
	return o
}

// Topic is the name of the topic of one size. The error lists the sizes that there are.
func (o *OutputOf[K, R]) Topic(size time.Duration) (string, error) {
	i, err := o.index(size)
	if err != nil {
		return "", err
	}
	return o.nodes[i].Op.(*topology.Sink).Topic, nil
}

func (o *OutputOf[K, R]) index(size time.Duration) (int, error) {
	for i, s := range o.sizes {
		if s.Size() == size {
			return i, nil
		}
	}
	_, err := o.windowed.agg.Windows.Size(size)
	return 0, err
}

// Size is the table of one size, as the engine's Table wants it: finals only. What is wrong with the size is told there.
func (o *OutputOf[K, R]) Size(size time.Duration) topology.TableOf[K, R] {
	i, err := o.index(size)
	switch {
	case err != nil:
		return topology.TableOf[K, R]{Err: err}
	case o.tables == nil:
		return topology.TableOf[K, R]{Err: fmt.Errorf("dsl: there are tables of final rows only: ask Final() for it")}
	}
	return topology.TableOf[K, R]{Table: o.tables[i], Key: o.windowed.keyOf, Decode: o.decode}
}

// Stream is the topic of one size, as the engine's ForEach wants it. What is wrong with the size is told there.
func (o *OutputOf[K, R]) Stream(size time.Duration) topology.StreamOf[R] {
	topic, err := o.Topic(size)
	return topology.StreamOf[R]{Topic: topic, Windowed: true, Decode: o.decode, Err: err}
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
	return w.model.SetKey(row, key)
}
