package codecs

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/internal/input"
)

type pointerNode struct {
	elem reflect.Type
	node jsonNode
}

func (n *pointerNode) append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error) {
	p := *(*unsafe.Pointer)(at)
	if p == nil {
		return append(dst, "null"...), nil
	}
	return n.node.append(dst, p, depth)
}

func (n *pointerNode) read(r *jsonReader, at unsafe.Pointer) error {
	p := reflect.New(n.elem).UnsafePointer()
	*(*unsafe.Pointer)(at) = p
	_, err := r.value(n.node, p)
	return err
}

func (n *pointerNode) schema(open []jsonNode) *schemaText {
	return n.node.schema(append(slices.Clip(open), n)).orNull()
}

type sliceNode struct {
	typ, elem reflect.Type
	node      jsonNode
}

func (n *sliceNode) append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error) {
	s := (*[]byte)(at) // its elements are not touched as bytes: only where they are and how many
	if *s == nil {
		return append(dst, "null"...), nil
	}
	return appendList(dst, unsafe.Pointer(unsafe.SliceData(*s)), len(*s), n.elem.Size(), n.node, depth+1)
}

func appendList(dst []byte, first unsafe.Pointer, length int, size uintptr, node jsonNode, depth int) (_ []byte,
	err error) {
	if depth > maxDepth {
		return dst, errDeep
	}
	dst = append(dst, '[')
	for i := range length {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = node.append(dst, unsafe.Add(first, uintptr(i)*size), depth); err != nil {
			return dst, within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return append(dst, ']'), nil
}

func (n *sliceNode) read(r *jsonReader, at unsafe.Pointer) error {
	if r.next() != '[' {
		return r.unfit("a list")
	}
	if err := r.enter(); err != nil {
		return err
	}
	s := reflect.NewAt(n.typ, at).Elem()
	for i := 0; ; i++ {
		more, err := r.element(i == 0)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if i == s.Cap() {
			s.Grow(max(i, 4))
		}
		s.SetLen(i + 1)
		if _, err := r.value(n.node, s.Index(i).Addr().UnsafePointer()); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
	}
	if s.IsNil() {
		s.Set(reflect.MakeSlice(n.typ, 0, 0))
	}
	return nil
}

func (n *sliceNode) schema(open []jsonNode) *schemaText {
	return &schemaText{Types: []any{"array", "null"}, Items: n.node.schema(append(slices.Clip(open), n))}
}

type arrayNode struct {
	elem   reflect.Type
	node   jsonNode
	length int
}

func (n *arrayNode) append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error) {
	return appendList(dst, at, n.length, n.elem.Size(), n.node, depth+1)
}

// read leaves elements that the list does not have zero.
func (n *arrayNode) read(r *jsonReader, at unsafe.Pointer) error {
	if r.next() != '[' {
		return r.unfit("a list")
	}
	if err := r.enter(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.element(i == 0)
		if err != nil || !more {
			return err
		}
		if i == n.length {
			return fmt.Errorf("want a list of %d, found a longer one", n.length)
		}
		if _, err := r.value(n.node, unsafe.Add(at, uintptr(i)*n.elem.Size())); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
	}
}

func (n *arrayNode) schema(open []jsonNode) *schemaText {
	return &schemaText{Types: "array", Items: n.node.schema(append(slices.Clip(open), n))}
}

// mapNode is an object of any names, which are written in their order.
type mapNode struct {
	typ  reflect.Type
	keys keyNames
	node jsonNode
}

// entry is one of a map that is written.
type entry struct {
	name  string
	value unsafe.Pointer
}

func (n *mapNode) append(dst []byte, at unsafe.Pointer, depth int) (_ []byte, err error) {
	m := reflect.NewAt(n.typ, at).Elem()
	if m.IsNil() {
		return append(dst, "null"...), nil
	}
	if depth++; depth > maxDepth {
		return dst, errDeep
	}
	entries := make([]entry, 0, m.Len())
	values := reflect.MakeSlice(reflect.SliceOf(n.typ.Elem()), m.Len(), m.Len()) // copies have addresses
	for i, it := 0, m.MapRange(); it.Next() && i < m.Len(); i++ {
		name, err := n.keys.name(it.Key())
		if err != nil {
			return dst, input.Bounded(err)
		}
		values.Index(i).Set(it.Value())
		entries = append(entries, entry{name, values.Index(i).Addr().UnsafePointer()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	dst = append(dst, '{')
	for i, e := range entries {
		if i > 0 {
			if e.name == entries[i-1].name {
				return dst, fmt.Errorf("two keys are both %q", input.Show(e.name))
			}
			dst = append(dst, ',')
		}
		if dst, err = appendText(dst, e.name); err != nil {
			return dst, err
		}
		if dst, err = n.node.append(append(dst, ':'), e.value, depth); err != nil {
			return dst, within(input.Show(e.name), err)
		}
	}
	return append(dst, '}'), nil
}

func (n *mapNode) read(r *jsonReader, at unsafe.Pointer) error {
	m := reflect.MakeMap(n.typ)
	elem := reflect.New(n.typ.Elem())
	err := r.object(func(name string) error {
		key, err := n.keys.key(name)
		if err != nil {
			return input.Bounded(err)
		}
		elem.Elem().SetZero()
		if _, err := r.value(n.node, elem.UnsafePointer()); err != nil {
			return within(input.Show(name), err)
		}
		m.SetMapIndex(key, elem.Elem())
		return nil
	})
	reflect.NewAt(n.typ, at).Elem().Set(m)
	return err
}

func (n *mapNode) schema(open []jsonNode) *schemaText {
	return &schemaText{Types: []any{"object", "null"}, Additional: n.node.schema(append(slices.Clip(open), n))}
}

// keyNames turns the keys of a map into names and back.
type keyNames struct {
	name func(reflect.Value) (string, error)
	key  func(string) (reflect.Value, error)
}

// keysOf is false for keys that have no text: those that are neither strings nor whole numbers, and
// do not have both methods for texts.
func keysOf(t reflect.Type) (keyNames, bool) {
	if own := reflect.PointerTo(t); own.Implements(textMarshaler) && own.Implements(textUnmarshaler) {
		return keyNames{
			name: func(k reflect.Value) (string, error) {
				p := reflect.New(t)
				p.Elem().Set(k)
				if at, ok := p.Interface().(*time.Time); ok {
					*at = at.UTC()
				}
				text, err := p.Interface().(encoding.TextMarshaler).MarshalText()
				return string(text), err
			},
			key: func(name string) (reflect.Value, error) {
				p := reflect.New(t)
				err := p.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(name))
				if at, ok := p.Interface().(*time.Time); ok {
					*at = at.UTC()
				}
				return p.Elem(), err
			},
		}, true
	}
	of := func(v any) (reflect.Value, error) { return reflect.ValueOf(v).Convert(t), nil }
	switch t.Kind() {
	case reflect.String:
		return keyNames{
			name: func(k reflect.Value) (string, error) { return k.String(), nil },
			key:  func(name string) (reflect.Value, error) { return of(name) },
		}, true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return keyNames{
			name: func(k reflect.Value) (string, error) { return strconv.FormatInt(k.Int(), 10), nil },
			key: func(name string) (reflect.Value, error) {
				n, err := strconv.ParseInt(name, 10, t.Bits())
				if err != nil {
					return reflect.Value{}, fmt.Errorf("want %s for a name, found %q", t, input.Show(name))
				}
				return of(n)
			},
		}, true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return keyNames{
			name: func(k reflect.Value) (string, error) { return strconv.FormatUint(k.Uint(), 10), nil },
			key: func(name string) (reflect.Value, error) {
				n, err := strconv.ParseUint(name, 10, t.Bits())
				if err != nil {
					return reflect.Value{}, fmt.Errorf("want %s for a name, found %q", t, input.Show(name))
				}
				return of(n)
			},
		}, true
	}
	return keyNames{}, false
}
