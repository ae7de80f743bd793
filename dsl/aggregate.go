package dsl

import (
	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl/codecs"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// WindowedOf is the result of an aggregation: a row of type R per group and window.
type WindowedOf[K, R any] struct {
	b       *Builder
	node    *topology.Node
	part    *part
	agg     *topology.Aggregate
	origin  string
	codec   codecs.Codec[R]
	model   *entity.Model
	keyOf   func(dst []byte, key K) ([]byte, error)
	keyFrom func([]byte) (K, error)
	keys    codecs.Codec[K] // nil: the KAFKA format
	changes *OutputOf[K, R]
	finals  *OutputOf[K, R]
}

// Aggregate keeps, for each group and window, what project calls for. project is run here to learn
// that, and again for each row that is emitted: it must make the same aggregate calls each time,
// and should do no more than put results together. It is run here on made-up groups too - of one
// row, of many, of nulls, of large values - and one that makes other calls for some of them, or
// panics, is a mistake.
//
// Key columns of R must be those of the group's key. They are filled from it when a row is emitted,
// whatever project makes of them, so that a row and its key never disagree.
//
// Nothing is emitted unless Final or Changes is called on the result.
func Aggregate[K, T, R any](g *GroupedOf[K, T], w windows.Spec, project func(Group[K, T]) R) *WindowedOf[K, R] {
	g = g.placed()
	b := g.stream.b
	program := &aggregates.Program[T]{}
	if b.given("Aggregate", map[string]any{"project": project}) {
		var err error
		if program, err = record(project, w, g.table); err != nil {
			b.wrong(place(), "Aggregate: %w", err)
		}
	}
	model, errs := entity.For[R]()
	for _, err := range errs {
		b.wrong(place(), "Aggregate: result: %w", err)
	}
	checkResultKey(g, model)
	agg := &topology.Aggregate{Key: typeName[K](), KeyForm: g.form(), Global: g.global, Row: typeName[R](), Windows: w,
		Program: program, Table: g.table, Rekeyed: g.stream.moved != nil, OpenKey: g.openKey,
		OpenRow: openRow(g, program, model, project)}
	if g.table {
		checkTable(b, agg)
	}
	node := &topology.Node{Name: g.stream.origin + "-aggregate", Place: place(), Op: agg}
	g.stream.node.Next = append(g.stream.node.Next, node)
	return &WindowedOf[K, R]{b: b, node: node, part: g.stream.part, agg: agg, origin: g.stream.origin,
		codec: codecs.JSON[R](), model: model, keyOf: g.append, keyFrom: g.decode}
}

// As names the aggregation. Its state is kept under the name: a plan that is changed keeps state
// only where names stay. Without it the name is that of the topic with -aggregate, so a second
// aggregation of a topic needs one.
func (w *WindowedOf[K, R]) As(name string) *WindowedOf[K, R] {
	w.b.named("As", name)
	w.node.Name = name
	return w
}

// Codec sets how result rows are encoded: JSON if it is not called.
func (w *WindowedOf[K, R]) Codec(c codecs.Codec[R]) *WindowedOf[K, R] {
	w.codec = c
	return w
}

// Having puts out only rows for which pass is true: of finals, the windows that pass when they
// close; of changes, the rows that pass, and a tombstone for one that passed at the last commit and
// does not any more (semantics.md [G10]). All rows are kept up to date.
func (w *WindowedOf[K, R]) Having(pass func(*R) bool) *WindowedOf[K, R] {
	if !w.b.given("Having", map[string]any{"pass": pass}) {
		return w
	}
	w.agg.Having = func(row any) bool { return pass(row.(*R)) }
	return w
}

// LateTo writes records that come when a window of theirs is closed to a topic, as they came: key,
// value, headers and timestamp; each once, however many of its windows are closed. They are counted
// as late all the same.
func (w *WindowedOf[K, R]) LateTo(topic string) *WindowedOf[K, R] {
	w.b.named("LateTo", topic)
	w.agg.Late = topic
	return w
}

// Final puts out one row per group and window, when the window closes, to a compacted topic per
// size: rates_15min_final for a stream of the topic rates (FIN-3). Every process mirrors it into a
// table.
func (w *WindowedOf[K, R]) Final() *OutputOf[K, R] {
	if w.finals == nil {
		w.finals = newOutput(w, "final", true)
		w.agg.Finals = w.finals.nodes
	}
	return w.finals
}

// Changes puts out the rows that have changed at each commit, the last state of each, to a
// compacted topic per size: rates_15min_window_raw for a stream of the topic rates. They are
// provisional: a later one replaces an earlier.
func (w *WindowedOf[K, R]) Changes() *OutputOf[K, R] {
	if w.changes == nil {
		w.changes = newOutput(w, "window_raw", false)
		w.agg.Changes = w.changes.nodes
	}
	return w.changes
}
