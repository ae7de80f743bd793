package dsl

import (
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/windows"
)

// record learns the calls of a projection for windows w, and finds out whether it makes them for
// every group. After an error the program is empty.
func record[K, T, R any](project func(Group[K, T]) R, w windows.Spec, table bool) (*aggregates.Program[T], error) {
	var program *aggregates.Program[T]
	err := projecting("zero values", func() (err error) {
		program, err = aggregates.Record(
			func(r *aggregates.Recorder[T]) { project(Group[K, T]{&groupRef[K, T]{recorder: r}}) },
			aggregates.Needs{Merge: w.Merges(), Undo: table})
		return err
	})
	if err == nil {
		err = trial(project, program, w)
	}
	if err != nil {
		return &aggregates.Program[T]{}, err
	}
	return program, nil
}

// trial runs a projection on made-up groups. It is there to refuse one that would end the
// application when the first such group comes; no plan depends on what it finds.
func trial[K, T, R any](project func(Group[K, T]) R, program *aggregates.Program[T], w windows.Spec) error {
	var key, none K
	makeUpKey(reflect.ValueOf(&key).Elem())
	const at = windows.Time(1_700_000_040_000)
	spans := []windows.Window{{Start: at, End: at + 60_000}}
	for _, k := range w.Kinds() {
		if k.Form() == windows.FormUnbounded {
			spans = append(spans, windows.Window{End: math.MaxInt64})
			break
		}
	}
	const sizes = "results of aggregates may be null, zero, empty or of any size: look before you use them"
	ref := &groupRef[K, T]{recorder: aggregates.NewReader(program)}
	for name, state := range program.Samples() {
		for _, ref.window = range spans {
			for _, ref.key = range []K{key, none} {
				ref.recorder.Reset(state)
				err := projecting(name, func() error {
					project(Group[K, T]{ref})
					if err := ref.recorder.Done(); err != nil {
						return fmt.Errorf("on a group of %s: %w", name, err)
					}
					return nil
				})
				if errors.Is(err, errProjection) {
					return fmt.Errorf("%w: %s", err, sizes)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// errProjection is a panic of a projection.
var errProjection = errors.New("the projection panicked")

// projecting runs a projection; a panic is an error that wraps errProjection.
func projecting(group string, run func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w on a group of %s: %v", errProjection, group, r)
		}
	}()
	return run()
}

// makeUpKey fills a key with values that are not zero.
func makeUpKey(v reflect.Value) {
	switch {
	case !v.CanSet():
	case v.Kind() == reflect.String:
		v.SetString("key")
	case v.CanInt():
		v.SetInt(7)
	case v.CanFloat():
		v.SetFloat(7)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes([]byte("key"))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			makeUpKey(v.Field(i))
		}
	}
}

// checkResultKey notes key columns of a result that are not the key of its group: readers could not
// read them.
func checkResultKey[K, T any](g *GroupedOf[K, T], result *entity.Model) {
	if result == nil || len(result.Key) == 0 {
		return
	}
	switch form := g.form(); {
	case g.global:
		g.stream.b.wrong(place(),
			"Aggregate: result %v has key columns, but the one group of GroupAll has no key: leave `key` out of its "+
				"tags", result.Type)
	case form != "" && form != result.KeyForm():
		g.stream.b.wrong(place(),
			"Aggregate: the group's key, of type %v, is %s, but the key columns of result %v are %s: tag the "+
				"columns as key that the group's "+
				"key has, with its types and in its order, or none", reflect.TypeFor[K](), form, result.Type,
			result.KeyForm())
	}
}

// openRow makes a task's own projection.
func openRow[K, T, R any](g *GroupedOf[K, T], program *aggregates.Program[T], model *entity.Model,
	project func(Group[K, T]) R) func() func([]byte, windows.Window, aggregates.State) (any, error) {
	keyed := model != nil && len(model.Key) > 0
	return func() func([]byte, windows.Window, aggregates.State) (any, error) {
		ref := &groupRef[K, T]{recorder: aggregates.NewReader(program)}
		row := new(R)
		return func(group []byte, w windows.Window, s aggregates.State) (_ any, err error) {
			if ref.key, err = g.decode(group); err != nil {
				return nil, err
			}
			ref.window = w
			ref.recorder.Reset(s)
			*row = project(Group[K, T]{ref})
			if err := ref.recorder.Done(); err != nil || !keyed {
				return row, err
			}
			return row, model.SetKey(row, group)
		}
	}
}
