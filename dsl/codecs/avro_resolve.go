package codecs

import (
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	"github.com/ashi-stream/ashi/dsl/entity"
)

// avroResolver makes reads of what was written with one schema into values of Go types.
// docs/codecs.md has its rules as a table. A type that cannot be read as it should be is an error
// of the whole schema, but within a union, an array and a map it is one of the records that have
// it.
type avroResolver struct {
	model *entity.Model // nil: of a key without columns
	done  map[avroPair]avroResult
}

// avroPair is a type as it was written and as it is read. Each is resolved once, however often the
// schema names it.
type avroPair struct {
	writer *avroType
	reader reflect.Type
	column *entity.Column
	strict bool
}

type avroResult struct {
	read avroRead
	err  error
}

// resolveRow is the read of a row. A null is ErrNull.
func resolveRow(m *entity.Model, writer *avroType) (avroRead, error) {
	x := &avroResolver{model: m, done: map[avroPair]avroResult{}}
	return x.root(m.Type, writer, x.row)
}

// resolveKey is the read of a key without columns. A null is ErrNull.
func resolveKey(t reflect.Type, writer *avroType) (avroRead, error) {
	x := &avroResolver{done: map[avroPair]avroResult{}}
	return x.root(t, writer, func(writer *avroType, _ bool) (avroRead, error) { return x.value(t, nil, writer) })
}

func (x *avroResolver) root(t reflect.Type, writer *avroType, read func(*avroType, bool) (avroRead, error)) (avroRead,
	error) {
	null := func(*avroReader, unsafe.Pointer) error { return ErrNull }
	switch writer.kind {
	case "null":
		return null, nil
	case "union":
		return x.union(t, writer, null, read), nil
	}
	return read(writer, false)
}

// union reads the branch that was written, null as null does. Of several records the one is read
// that has the name of the Go type; where none has it, those that have all columns without a
// default.
func (x *avroResolver) union(t reflect.Type, writer *avroType, null avroRead,
	read func(writer *avroType, strict bool) (avroRead, error)) avroRead {
	records, named := 0, []int(nil)
	for i, b := range writer.branches {
		if b.kind == "record" {
			if records++; strings.EqualFold(b.shortName(), avroNameOf(base(t))) {
				named = append(named, i)
			}
		}
	}
	branches := make([]avroResult, len(writer.branches))
	for i, b := range writer.branches {
		other := b.kind == "record" && records > 1
		switch {
		case b.kind == "null":
			branches[i].read = null
		case other && len(named) == 1 && named[0] != i:
			branches[i].err = fmt.Errorf("a %s was written, not a %s", b, writer.branches[named[0]])
		default:
			branches[i].read, branches[i].err = read(b, other && len(named) != 1)
		}
	}
	return func(r *avroReader, at unsafe.Pointer) error {
		i, err := r.choice(len(branches))
		if err != nil {
			return err
		}
		if err := branches[i].err; err != nil {
			return err
		}
		return branches[i].read(r, at)
	}
}

// base is what a pointer points to.
func base(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// value is the read of any type. c is its column, or nil.
func (x *avroResolver) value(t reflect.Type, c *entity.Column, writer *avroType) (avroRead, error) {
	return x.once(avroPair{writer, t, c, false}, func() (avroRead, error) {
		switch writer.kind {
		case "null":
			return x.initial(c), nil
		case "union":
			return x.union(t, writer, x.initial(c), func(b *avroType, strict bool) (avroRead, error) {
				if strict && base(t).Kind() == reflect.Struct {
					return x.pointed(t, func(t reflect.Type) (avroRead, error) {
						return x.record(t, fieldTargets(t), b,
							true)
					})
				}
				return x.value(t, c, b)
			}), nil
		}
		return x.pointed(t, func(t reflect.Type) (avroRead, error) { return x.plain(t, c, writer) })
	})
}

func (x *avroResolver) once(p avroPair, make func() (avroRead, error)) (avroRead, error) {
	if known, ok := x.done[p]; ok {
		return known.read, known.err
	}
	var res avroResult
	res.read, res.err = make()
	x.done[p] = res
	return res.read, res.err
}

// pointed reads what a pointer points to, which is made.
func (x *avroResolver) pointed(t reflect.Type, make func(reflect.Type) (avroRead, error)) (avroRead, error) {
	if t.Kind() != reflect.Pointer {
		return make(t)
	}
	of := t.Elem()
	read, err := make(of)
	if err != nil {
		return nil, err
	}
	return func(r *avroReader, at unsafe.Pointer) error {
		fresh := reflect.New(of).UnsafePointer()
		if err := read(r, fresh); err != nil {
			return err
		}
		*(*unsafe.Pointer)(at) = fresh
		return nil
	}, nil
}

// initial sets a column that is null or not there: to its default, or it stays zero.
func (x *avroResolver) initial(c *entity.Column) avroRead {
	if c == nil {
		return nothing
	}
	v, ok := c.Default()
	if !ok {
		return nothing
	}
	if c.Type == decimalType {
		return func(_ *avroReader, at unsafe.Pointer) error {
			setDecimal(at, v.Interface())
			return nil
		}
	}
	t := c.Type
	return func(_ *avroReader, at unsafe.Pointer) error {
		reflect.NewAt(t, at).Elem().Set(v)
		return nil
	}
}

func nothing(*avroReader, unsafe.Pointer) error { return nil }

// unreadable is the error of a type that is none of those that a Go type is read from.
func unreadable(t reflect.Type, writer *avroType) error {
	return fmt.Errorf("what was written as %s cannot be read as %s", writer, t)
}

func (x *avroResolver) plain(t reflect.Type, c *entity.Column, writer *avroType) (avroRead, error) {
	switch t {
	case timeType:
		return x.time(c, writer)
	case decimalType:
		return x.decimal(c, writer)
	case durationType:
		return x.duration(writer)
	}
	switch t.Kind() {
	case reflect.Bool:
		if writer.kind == "boolean" {
			return func(r *avroReader, at unsafe.Pointer) (err error) {
				*(*bool)(at), err = r.boolean()
				return err
			}, nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return x.integer(t, c, writer)
	case reflect.Float32, reflect.Float64:
		return floatRead(t, writer)
	case reflect.String:
		return textRead(t, writer)
	case reflect.Struct:
		if writer.kind == "record" {
			return x.record(t, fieldTargets(t), writer, false)
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return bytesRead(t, writer)
		}
		if writer.kind == "array" {
			return x.list(t, writer), nil
		}
	case reflect.Map:
		if writer.kind == "map" {
			return x.table(t, writer), nil
		}
	}
	return nil, unreadable(t, writer)
}

// avroTarget is a column or field that is read into.
type avroTarget struct {
	name   string
	typ    reflect.Type
	offset uintptr
	column *entity.Column // nil: a field of a nested struct
}

// row is the record of the model. Columns of it are known by their places in the model.
func (x *avroResolver) row(writer *avroType, strict bool) (avroRead, error) {
	if writer.kind != "record" {
		return nil, fmt.Errorf("the writer's schema is of a %s, not of a record", writer)
	}
	targets := make([]avroTarget, len(x.model.Columns))
	for i := range targets {
		c := &x.model.Columns[i]
		targets[i] = avroTarget{c.Name, c.Type, c.Offset, c}
	}
	return x.record(x.model.Type, targets, writer, strict)
}

func fieldTargets(t reflect.Type) []avroTarget {
	var targets []avroTarget
	for i, name := range fieldNames(t) {
		if name != "" {
			targets = append(targets, avroTarget{name, t.Field(i).Type, t.Field(i).Offset, nestedColumn(t, i)})
		}
	}
	return targets
}

// avroStep is one field of a record: it is read into a target, or passed over.
type avroStep struct {
	name   string
	offset uintptr
	read   avroRead // nil: passed over
	typ    *avroType
}

func (x *avroResolver) record(t reflect.Type, targets []avroTarget, writer *avroType, strict bool) (avroRead, error) {
	steps := make([]avroStep, len(writer.fields))
	for i, f := range writer.fields {
		steps[i] = avroStep{name: f.name, typ: f.typ}
	}
	var missing []avroStep
	found := pairNames(targets, writer)
	for i := range targets {
		to := &targets[i]
		if found[i] < 0 {
			if _, ok := defaultOf(to.column); strict && !ok && to.typ.Kind() != reflect.Pointer {
				return nil, fmt.Errorf("%s has no field for column %q, and is not called %s", writer, to.name,
					avroNameOf(t))
			}
			missing = append(missing, avroStep{offset: to.offset, read: x.initial(to.column)})
			continue
		}
		step := &steps[found[i]]
		read, err := x.value(to.typ, to.column, step.typ)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", to.name, err)
		}
		step.name, step.offset, step.read = to.name, to.offset, read
	}
	return func(r *avroReader, at unsafe.Pointer) error {
		for i := range missing {
			_ = missing[i].read(nil, unsafe.Add(at, missing[i].offset)) // a default fits
		}
		for i := range steps {
			s := &steps[i]
			var err error
			if s.read == nil {
				err = r.skip(s.typ)
			} else {
				err = s.read(r, unsafe.Add(at, s.offset))
			}
			if err != nil {
				return fmt.Errorf("column %q: %w", s.name, err)
			}
		}
		return nil
	}, nil
}

// pairNames finds the field of each target, -1 if there is none: that of the name, or else the only
// one of that name in another case that is not another target's.
func pairNames(targets []avroTarget, writer *avroType) []int {
	found, taken := make([]int, len(targets)), make([]bool, len(writer.fields))
	for i := range targets {
		found[i] = -1
		for j := range writer.fields {
			if writer.fields[j].name == targets[i].name {
				found[i], taken[j] = j, true
				break
			}
		}
	}
	for i := range targets {
		if found[i] >= 0 {
			continue
		}
		like := -1
		for j := range writer.fields {
			if !taken[j] && strings.EqualFold(writer.fields[j].name, targets[i].name) {
				if like >= 0 {
					like = -1
					break
				}
				like = j
			}
		}
		if like >= 0 {
			found[i], taken[like] = like, true
		}
	}
	return found
}

// item is the read of what a list or map holds. One that cannot be read is an error once there is
// an item.
func (x *avroResolver) item(t reflect.Type, writer *avroType) avroRead {
	read, err := x.value(t, nil, writer)
	if err != nil {
		return func(*avroReader, unsafe.Pointer) error { return err }
	}
	return read
}

func (x *avroResolver) list(t reflect.Type, writer *avroType) avroRead {
	of := t.Elem()
	read := x.item(of, writer.items)
	return func(r *avroReader, at unsafe.Pointer) error {
		list := reflect.NewAt(t, at).Elem()
		return r.items(func() error {
			n := list.Len()
			list.Grow(1)
			list.SetLen(n + 1)
			return read(r, unsafe.Add(list.UnsafePointer(), uintptr(n)*of.Size()))
		})
	}
}

func (x *avroResolver) table(t reflect.Type, writer *avroType) avroRead {
	of := t.Elem()
	read := x.item(of, writer.items)
	return func(r *avroReader, at unsafe.Pointer) error {
		table := reflect.MakeMap(t)
		err := r.items(func() error {
			key, err := r.text()
			if err != nil {
				return err
			}
			value := reflect.New(of)
			if err := read(r, value.UnsafePointer()); err != nil {
				return err
			}
			table.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), value.Elem())
			return nil
		})
		reflect.NewAt(t, at).Elem().Set(table)
		return err
	}
}
