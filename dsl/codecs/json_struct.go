package codecs

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/cockroachdb/apd/v3"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/dsl/internal/input"
)

// structNode is an object with a member for each field: a row, or a struct inside one.
type structNode struct {
	fields []jsonField
	names  map[string]int // index of a field
	folded map[string]int // the same by names in lower case; -1 where several fields differ only in case

	defaulted bool // some field has a default
}

// jsonField is one member.
type jsonField struct {
	name    string
	prefix  string // what stands before the value: "name":
	offset  uintptr
	through []embedded // pointers to embedded structs on the way to the field
	typ     reflect.Type
	node    jsonNode
	empty   func(unsafe.Pointer) bool // the field is left out where this is true; nil: never
	initial reflect.Value             // of columns: the default
	maxLen  int                       // of columns, for the schema
}

// embedded is a pointer to a struct: where it is in the struct around it, and what it points to.
type embedded struct {
	offset uintptr
	elem   reflect.Type
}

func newCompiler() *jsonCompiler { return &jsonCompiler{known: map[reflect.Type]*lateNode{}} }

// jsonRow is the node of a whole row: its members are the columns of the model.
func jsonRow(m *entity.Model, r *relaxed) (*structNode, error) {
	n := new(structNode)
	c := newCompiler()
	var errs []error
	for i := range m.Columns {
		col := &m.Columns[i]
		node, err := c.column(m, col)
		if err != nil {
			errs = append(errs, fmt.Errorf("codecs: json %w", err))
			continue
		}
		if d, ok := node.(*decimalNode); ok && r != nil {
			d.rounded = &r.counts[i]
		} else if p, ok := node.(*pointerNode); ok && r != nil {
			if d, ok := p.node.(*decimalNode); ok {
				d.rounded = &r.counts[i]
			}
		}
		f := jsonField{name: col.Name, offset: col.Offset, typ: col.Type, node: node, maxLen: col.MaxLen}
		f.initial, _ = col.Default()
		n.fields = append(n.fields, f)
	}
	n.index()
	return n, errors.Join(errs...)
}

// column is the node of a column, which has what its tag says.
func (c *jsonCompiler) column(m *entity.Model, col *entity.Column) (jsonNode, error) {
	base, pointer := col.Type, col.Type.Kind() == reflect.Pointer
	if pointer {
		base = base.Elem()
	}
	var n jsonNode
	switch {
	case base == decimalType:
		n = &decimalNode{move{precision: col.Precision, scale: col.Scale}}
	case base != timeType || col.Format == entity.RFC3339:
		return c.node(col.Type, m.Type.String()+"."+m.Type.Field(col.Field).Name)
	case col.Format == entity.Millis || col.Format == entity.Micros || col.Format == entity.Nanos:
		n = epochNode{col.Format}
	default:
		n = layoutNode{col.Format}
	}
	if pointer {
		n = &pointerNode{base, n}
	}
	return n, nil
}

// structNode is the node of a struct that is no row: its members are its fields, by the rules of
// encoding/json.
func (c *jsonCompiler) structNode(t reflect.Type, place string) (jsonNode, error) {
	n := new(structNode)
	var errs []error
	for _, f := range dominant(structFields(t, nil, 0, nil)) {
		node, err := c.node(f.typ, place+"."+f.field.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n.fields = append(n.fields, jsonField{name: f.name, offset: f.offset, through: f.through, typ: f.typ,
			node: f.quoted(node), empty: f.emptiness()})
	}
	if t.NumField() > 0 && len(n.fields) == 0 && len(errs) == 0 && slices.ContainsFunc(reflect.VisibleFields(t),
		hiddenField) {
		errs = append(errs,
			fmt.Errorf("%s: %s has no exported fields and no methods for JSON: its values would be lost", place, t))
	}
	n.index()
	return n, errors.Join(errs...)
}

// dominant are the fields that have their name for themselves, in their order: of several the one
// that is embedded the least, and of these the one that has it from its tag. Where that leaves
// several, as in Go none has it.
func dominant(found []foundField) []foundField {
	var left []foundField
	for _, f := range found {
		beaten := slices.ContainsFunc(found, func(other foundField) bool {
			return other.name == f.name && !slices.Equal(other.index, f.index) &&
				cmp.Or(cmp.Compare(other.depth, f.depth), cmp.Compare(f.tagged(), other.tagged())) <= 0
		})
		if !beaten {
			left = append(left, f)
		}
	}
	return left
}

func hiddenField(f reflect.StructField) bool { return !f.IsExported() && f.Name != "_" }

// index makes what finds fields.
func (n *structNode) index() {
	n.names, n.folded = map[string]int{}, map[string]int{}
	for i := range n.fields {
		f := &n.fields[i]
		prefix, _ := appendText(nil, f.name)
		f.prefix = string(prefix) + ":"
		n.defaulted = n.defaulted || f.initial.IsValid()
		n.names[f.name] = i
		lower := folded(f.name)
		if _, twice := n.folded[lower]; twice {
			i = -1
		}
		n.folded[lower] = i
	}
}

// find is the index of the field with a name, in any case where only one has it but for its case;
// -1: there is none. Members mostly come in the order of the fields, so the one that is expected is
// looked at first.
func (n *structNode) find(name string, expected int) int {
	if expected < len(n.fields) && n.fields[expected].name == name {
		return expected
	}
	if i, ok := n.names[name]; ok {
		return i
	}
	var lower [64]byte
	for i := range len(name) {
		b := name[i]
		if i == len(lower) || b >= 0x80 {
			return n.fold(folded(name))
		}
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		lower[i] = b
	}
	return n.fold(view(lower[:len(name)]))
}

// folded is a name without its case, also that of letters with two lower ones.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }

func (n *structNode) fold(lower string) int {
	if i, ok := n.folded[lower]; ok {
		return i
	}
	return -1
}

// at is where the field is in a struct; nil if that is behind a pointer that is nil, unless make
// says to make what it points to.
func (f *jsonField) at(base unsafe.Pointer, make bool) unsafe.Pointer {
	for _, e := range f.through {
		p := (*unsafe.Pointer)(unsafe.Add(base, e.offset))
		if *p == nil {
			if !make {
				return nil
			}
			*p = reflect.New(e.elem).UnsafePointer()
		}
		base = *p
	}
	return unsafe.Add(base, f.offset)
}

func (n *structNode) append(dst []byte, base unsafe.Pointer, depth int) (_ []byte, err error) {
	if depth++; depth > maxDepth {
		return dst, errDeep
	}
	separator := byte('{')
	for i := range n.fields {
		f := &n.fields[i]
		at := unsafe.Add(base, f.offset)
		if f.through != nil {
			if at = f.at(base, false); at == nil {
				continue
			}
		}
		if f.empty != nil && f.empty(at) {
			continue
		}
		dst = append(append(dst, separator), f.prefix...)
		separator = ','
		if dst, err = f.node.append(dst, at, depth); err != nil {
			return dst, within(f.name, err)
		}
	}
	if separator == '{' {
		dst = append(dst, '{')
	}
	return append(dst, '}'), nil
}

// fieldSet says which fields have a value.
type fieldSet struct {
	few  [2]uint64
	more []uint64
}

func (s *fieldSet) word(i int) *uint64 {
	if i < 64*len(s.few) {
		return &s.few[i/64]
	}
	for i/64-len(s.few) >= len(s.more) {
		s.more = append(s.more, 0)
	}
	return &s.more[i/64-len(s.few)]
}

func (s *fieldSet) has(i int) bool { return *s.word(i)>>(i%64)&1 == 1 }

func (s *fieldSet) set(i int, has bool) {
	w := s.word(i)
	*w &^= 1 << (i % 64)
	if has {
		*w |= 1 << (i % 64)
	}
}

func (n *structNode) read(r *jsonReader, base unsafe.Pointer) error {
	if r.next() != '{' {
		return r.unfit("an object")
	}
	if err := r.enter(); err != nil {
		return err
	}
	var has fieldSet
	expected := 0
	for first := true; ; first = false {
		name, more, err := r.member(first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		i := n.find(name, expected)
		if i < 0 {
			if r.exact {
				return fmt.Errorf("no column %q", input.Show(name))
			}
			if err := r.skip(); err != nil {
				return err
			}
			continue
		}
		expected = i + 1
		f := &n.fields[i]
		at := unsafe.Add(base, f.offset)
		if f.through != nil {
			if at = f.at(base, r.next() != 'n'); at == nil {
				if err := r.skip(); err != nil { // null in a struct that is nil
					return err
				}
				continue
			}
		}
		if has.has(i) { // the last of two equal names wins
			if r.exact {
				return fmt.Errorf("column %q twice", f.name)
			}
			reflect.NewAt(f.typ, at).Elem().SetZero()
		}
		valued, err := r.value(f.node, at)
		if err != nil {
			return within(f.name, err)
		}
		has.set(i, valued)
	}
	if !n.defaulted && !r.exact {
		return nil
	}
	return n.complete(base, &has, r.exact)
}

// complete gives columns without a value their default; of a key all must have one.
func (n *structNode) complete(base unsafe.Pointer, has *fieldSet, exact bool) error {
	for i := range n.fields {
		f := &n.fields[i]
		switch {
		case !exact && !f.initial.IsValid(), has.has(i):
		case exact:
			return fmt.Errorf("column %q is missing or null", f.name)
		case f.typ == decimalType: // copies of decimals may share their digits
			(*apd.Decimal)(unsafe.Add(base, f.offset)).Set(f.initial.Addr().Interface().(*apd.Decimal))
		default:
			reflect.NewAt(f.typ, unsafe.Add(base, f.offset)).Elem().Set(f.initial)
		}
	}
	return nil
}

// foundField is a field of a struct or of one that is embedded in it.
type foundField struct {
	field   reflect.StructField
	typ     reflect.Type
	name    string
	named   bool // by its tag
	options []string
	index   []int
	depth   int
	offset  uintptr
	through []embedded
}

// tagged is 1 if the tag has the name: such a field goes before others of the name.
func (f *foundField) tagged() int {
	if f.named {
		return 1
	}
	return 0
}

// structFields finds the fields of t and of the structs that are embedded in it. around is what t
// is embedded in.
func structFields(t reflect.Type, index []int, offset uintptr, through []embedded,
	around ...reflect.Type) []foundField {
	if slices.Contains(around, t) {
		return nil
	}
	var found []foundField
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _ := f.Tag.Lookup("json")
		if tag == "-" {
			continue
		}
		options := strings.Split(tag, ",")
		own, elem := append(slices.Clip(index), i), f.Type
		if f.Type.Kind() == reflect.Pointer {
			elem = f.Type.Elem()
		}
		if f.Anonymous && options[0] == "" && elem.Kind() == reflect.Struct && specialNode(elem) == nil &&
			!hasMethods(elem) {
			if elem == f.Type {
				found = append(found, structFields(elem, own, offset+f.Offset, through,
					append(slices.Clip(around), t)...)...)
			} else if f.IsExported() { // encoding/json cannot make one that is not exported either
				to := append(slices.Clip(through), embedded{offset + f.Offset, elem})
				found = append(found, structFields(elem, own, 0, to, append(slices.Clip(around), t)...)...)
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		name := cmp.Or(options[0], f.Name)
		found = append(found, foundField{field: f, typ: f.Type, name: name, named: options[0] != "",
			options: options[1:], index: own, depth: len(own), offset: offset + f.Offset, through: through})
	}
	return found
}

// hasMethods says that a type has methods for its JSON or its text.
func hasMethods(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonMarshaler) || p.Implements(jsonUnmarshaler) || p.Implements(textMarshaler) ||
		p.Implements(textUnmarshaler)
}

// quoted is the node of the field, in a text if its tag says ",string" of a scalar or a pointer to
// one.
func (f *foundField) quoted(n jsonNode) jsonNode {
	if !slices.Contains(f.options, "string") {
		return n
	}
	if p, ok := n.(*pointerNode); ok {
		if q := quotedScalar(p.node); q != nil {
			return &pointerNode{p.elem, q}
		}
	} else if q := quotedScalar(n); q != nil {
		return q
	}
	return n
}

// quotedScalar is a scalar in a text; nil of others.
func quotedScalar(n jsonNode) jsonNode {
	switch n.(type) {
	case boolNode, wholeNode, naturalNode, floatNode, numberNode:
		return &quotedNode{n, false}
	case textNode:
		return &quotedNode{n, true}
	}
	return nil
}

// emptiness is when the field is left out.
func (f *foundField) emptiness() func(unsafe.Pointer) bool {
	value := func(at unsafe.Pointer) reflect.Value { return reflect.NewAt(f.typ, at).Elem() }
	switch {
	case slices.Contains(f.options, "omitzero"):
		return func(at unsafe.Pointer) bool {
			v := value(at)
			if z, ok := v.Addr().Interface().(interface{ IsZero() bool }); ok && (v.Kind() != reflect.Pointer ||
				!v.IsNil()) {
				return z.IsZero()
			}
			return v.IsZero()
		}
	case slices.Contains(f.options, "omitempty"):
		return func(at unsafe.Pointer) bool {
			switch v := value(at); v.Kind() {
			case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
				return v.Len() == 0
			case reflect.Struct:
				return false
			default:
				return v.IsZero()
			}
		}
	}
	return nil
}
