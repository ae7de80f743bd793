package codecs

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sync"
	"unsafe"
)

// anyNode is of interfaces without methods. They are written as what is in them, and read as nil,
// bool, string, json.Number, []any and map[string]any.
type anyNode struct{}

// anyNodes has the node of each type that was met in an any, or the error of one that has none.
var anyNodes sync.Map

type anyOutcome struct {
	node jsonNode
	err  error
}

func nodeOf(t reflect.Type) (jsonNode, error) {
	known, ok := anyNodes.Load(t)
	if !ok {
		var o anyOutcome
		o.node, o.err = newCompiler().node(t, t.String())
		known, _ = anyNodes.LoadOrStore(t, o)
	}
	o := known.(anyOutcome)
	return o.node, o.err
}

func (anyNode) append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error) {
	switch v := (*(*any)(at)).(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return appendText(dst, v)
	default:
		value := reflect.ValueOf(v)
		if value.CanFloat() && (math.IsNaN(value.Float()) || math.IsInf(value.Float(), 0)) {
			return dst, fmt.Errorf("%v in an any: it would be read as a text", v)
		}
		n, err := nodeOf(value.Type())
		if err != nil {
			return dst, err
		}
		p := reflect.New(value.Type()) // what is in an interface has no address
		p.Elem().Set(value)
		return n.append(dst, p.UnsafePointer(), depth)
	}
}

func (anyNode) read(r *jsonReader, at unsafe.Pointer) (err error) {
	*(*any)(at), err = r.any()
	return err
}

// any reads a value of any kind.
func (r *jsonReader) any() (any, error) {
	switch r.next() {
	case '{':
		m := map[string]any{}
		err := r.object(func(name string) error {
			v, err := r.any()
			m[name] = v
			return err
		})
		return m, err
	case '[':
		if err := r.enter(); err != nil {
			return nil, err
		}
		list := []any{}
		for {
			more, err := r.element(len(list) == 0)
			if err != nil || !more {
				return list, err
			}
			v, err := r.any()
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	case '"':
		return r.text()
	case 't':
		return true, r.literal("true")
	case 'f':
		return false, r.literal("false")
	case 'n':
		return nil, r.literal("null")
	}
	text, err := r.number()
	return json.Number(text), err
}

func (anyNode) schema([]jsonNode) *schemaText { return &schemaText{} }
