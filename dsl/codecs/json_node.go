package codecs

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
)

// jsonNode is how values of one type look in JSON. Nodes reach values by their address in memory:
// at points to a value of exactly the type that the node was made for, and everything is read and
// written through a pointer of its own kind, so that the garbage collector sees every pointer that
// is stored. A node never changes once made.
type jsonNode interface {
	// append writes the value; depth is how many objects and lists it is in.
	append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error)
	// read sets the value, which is zero, from what comes next. That is null only where the type
	// has a method for it.
	read(r *jsonReader, at unsafe.Pointer) error
	// schema is the JSON Schema of what append writes.
	// The nodes that it is in are open: one of them is not written again.
	schema(open []jsonNode) *schemaText
}

var (
	numberType   = reflect.TypeFor[json.Number]()
	bigIntType   = reflect.TypeFor[big.Int]()
	bigRatType   = reflect.TypeFor[big.Rat]()
	bigFloatType = reflect.TypeFor[big.Float]()

	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// jsonCompiler makes nodes.
type jsonCompiler struct {
	known map[reflect.Type]*lateNode
}

// node is that of a type; place is where the type is, for errors.
func (c *jsonCompiler) node(t reflect.Type, place string) (jsonNode, error) {
	if n := specialNode(t); n != nil {
		return n, nil
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Pointer, reflect.Array: // may contain themselves
	default:
		return c.compile(t, place)
	}
	if n, ok := c.known[t]; ok {
		if n.node == nil {
			return n, nil
		}
		return n.node, nil
	}
	late := new(lateNode)
	c.known[t] = late
	n, err := c.compile(t, place)
	late.node = n
	return n, err
}

// specialNode is that of a type whose values look otherwise than encoding/json has them, or are
// quicker without their methods; nil of others.
func specialNode(t reflect.Type) jsonNode {
	switch t {
	case timeType:
		return timeNode{}
	case durationType:
		return wholeNode{t}
	case reflect.TypeFor[apd.Decimal]():
		return &decimalNode{}
	case numberType:
		return numberNode{}
	case bigIntType:
		return bigIntNode{}
	case bigRatType:
		return bigRatNode{}
	case bigFloatType:
		return bigFloatNode{}
	}
	return nil
}

func (c *jsonCompiler) compile(t reflect.Type, place string) (jsonNode, error) {
	own := reflect.PointerTo(t)
	if t.Kind() == reflect.Interface { // what is in it has the methods
		own = t
	}
	m := &methodNode{typ: t, marshal: own.Implements(jsonMarshaler), unmarshal: own.Implements(jsonUnmarshaler),
		marshalText: own.Implements(textMarshaler), unmarshalText: own.Implements(textUnmarshaler)}
	if t.Kind() == reflect.Interface || !m.marshal && !m.unmarshal && !m.marshalText && !m.unmarshalText {
		return c.plain(t, place)
	}
	if (m.marshal || m.marshalText) && (m.unmarshal || m.unmarshalText) {
		return m, nil
	}
	var err error // one direction goes by the type's kind
	m.other, err = c.plain(t, place)
	return m, err
}

// plain is the node of a type by its kind.
func (c *jsonCompiler) plain(t reflect.Type, place string) (n jsonNode, err error) {
	switch t.Kind() {
	case reflect.Bool:
		return boolNode{}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return wholeNode{t}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return naturalNode{t}, nil
	case reflect.Float32, reflect.Float64:
		return floatNode{t}, nil
	case reflect.String:
		return textNode{}, nil
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return nil, fmt.Errorf("%s: an interface with methods, %s, cannot be read from JSON", place, t)
		}
		return anyNode{}, nil
	case reflect.Pointer:
		n, err = c.node(t.Elem(), place)
		return &pointerNode{t.Elem(), n}, err
	case reflect.Slice:
		if e := t.Elem(); e.Kind() == reflect.Uint8 && !reflect.PointerTo(e).Implements(jsonMarshaler) &&
			!reflect.PointerTo(e).Implements(textMarshaler) {
			return bytesNode{}, nil
		}
		n, err = c.node(t.Elem(), place)
		return &sliceNode{t, t.Elem(), n}, err
	case reflect.Array:
		n, err = c.node(t.Elem(), place)
		return &arrayNode{t.Elem(), n, t.Len()}, err
	case reflect.Map:
		keys, ok := keysOf(t.Key())
		if !ok {
			return nil, fmt.Errorf("%s: a map by %s cannot be in JSON: names are texts", place, t.Key())
		}
		n, err = c.node(t.Elem(), place)
		return &mapNode{t, keys, n}, err
	case reflect.Struct:
		return c.structNode(t, place)
	}
	return nil, fmt.Errorf("%s: a %s cannot be in JSON", place, t)
}

// lateNode is the node of a type inside itself, which is still being made when it is asked for.
type lateNode struct{ node jsonNode }

func (n *lateNode) append(dst []byte, at unsafe.Pointer, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, errDeep
	}
	return n.node.append(dst, at, depth)
}

func (n *lateNode) read(r *jsonReader, at unsafe.Pointer) error { return n.node.read(r, at) }

// schema is that of anything inside the type itself, as it would not end.
func (n *lateNode) schema(open []jsonNode) *schemaText {
	if slices.Contains(open, n.node) {
		return &schemaText{}
	}
	return n.node.schema(open)
}

// placed is an error with the place of the value that it is about, below the row.
type placed struct {
	path string
	err  error
}

func (p *placed) Error() string { return fmt.Sprintf("column %q: %v", p.path, p.err) }

func (p *placed) Unwrap() error { return p.err }

// within puts the name of a member before the place of an error. Errors of syntax have no place but
// their byte.
func within(name string, err error) error {
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		return err
	}
	p, ok := err.(*placed)
	switch {
	case !ok:
		return &placed{name, err}
	case len(p.path) > 200: // deep enough to be found
	case strings.HasPrefix(p.path, "["):
		p.path = name + p.path
	default:
		p.path = name + "." + p.path
	}
	return p
}
