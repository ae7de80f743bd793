package aggregates

// keep records the accumulator k, or, when reading, finds its object: nil if nothing was added.
func keep[T any](r *Recorder[T], title string, k keeper, l layout, columns ...input[T]) Object {
	o := r.call(op{code: opKeep, kind: l.kind, nulls: l.nulls, seq: l.seq, title: title, keeper: k}, columns...)
	if o == nil {
		return nil
	}
	return r.state.Objs[o.obj]
}

// keeper is an accumulator whose state is an Object. Its methods get the objects that its own empty
// or load made.
type keeper interface {
	// String is its name with all parameters that its state depends on.
	String() string
	// columns tells it the places of its columns.
	columns(cols []int)
	// canUndo says whether undo works.
	canUndo() bool
	empty() Object
	load(b []byte) (Object, error)
	// add and undo get rows whose first column is not null, unless null is a value to the
	// accumulator.
	add(o Object, cells []Cell, at At)
	undo(o Object, cells []Cell)
	// merge adds src to dst and leaves src alone.
	merge(dst, src Object)
}

// stager is a keeper whose work may fail. stage does it beside the state of *o, which it makes if
// it is nil; then either add or undo puts it in place, or cancel forgets it. If stage fails it has
// left *o as it was.
type stager interface {
	keeper
	stage(o *Object, cells []Cell, undo bool) error
	cancel(o *Object) error
}

// noUndo is for keepers that cannot undo.
type noUndo struct{}

func (noUndo) canUndo() bool       { return false }
func (noUndo) undo(Object, []Cell) { panic("aggregates: Undo where CheckUndo does not pass") }
