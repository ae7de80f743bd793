package codecs

import (
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"time"
	"unsafe"

	"github.com/cockroachdb/apd/v3"
	"github.com/twmb/avro"

	"github.com/ashi-stream/ashi/dsl/entity"
)

var (
	decimalType = reflect.TypeFor[apd.Decimal]()
	avroName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	notAvroName = regexp.MustCompile(`[^A-Za-z0-9_]+`)
)

// avroBuilder makes the twin of a type and its schema, and gathers every mistake on the way.
type avroBuilder struct {
	place string
	errs  []error
	open  []reflect.Type          // the structs around the one at work, to find one that contains itself
	named map[string]reflect.Type // records by name
}

func (b *avroBuilder) wrong(name, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("codecs: avro %s, column %q: %s", b.place, name, fmt.Sprintf(format, args...)))
}

// twin is a struct type with the fields of the model's, in the same places, whose tags have the columns' names.
func (b *avroBuilder) twin(m *entity.Model) reflect.Type {
	names := make([]string, m.Type.NumField())
	for _, c := range m.Columns {
		names[c.Field] = c.Name
	}
	return b.twinStruct(m.Type, names)
}

func (b *avroBuilder) twinStruct(t reflect.Type, names []string) reflect.Type {
	fields := make([]reflect.StructField, t.NumField())
	for i := range fields {
		fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: t.Field(i).Type, Tag: `avro:"-"`}
		if name := names[i]; name != "" {
			fields[i].Type, fields[i].Tag = b.twinOf(name, t.Field(i).Type), reflect.StructTag(fmt.Sprintf("avro:%q", name))
		}
	}
	return reflect.StructOf(fields)
}

// twinOf is a type that lies in memory like t. Whatever holds structs is made of twins of them.
func (b *avroBuilder) twinOf(name string, t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Pointer:
		return reflect.PointerTo(b.twinOf(name, t.Elem()))
	case reflect.Slice:
		return reflect.SliceOf(b.twinOf(name, t.Elem()))
	case reflect.Struct:
		if t == timeType || t == decimalType || !b.enter(name, t) {
			return t
		}
		defer b.leave()
		return b.twinStruct(t, fieldNames(t))
	}
	return t
}

// enter notes that a struct is at work; false if it already is.
func (b *avroBuilder) enter(name string, t reflect.Type) bool {
	for _, o := range b.open {
		if o == t {
			b.wrong(name, "%s contains itself", t)
			return false
		}
	}
	b.open = append(b.open, t)
	return true
}

func (b *avroBuilder) leave() { b.open = b.open[:len(b.open)-1] }

// fieldNames are the names of the fields of a struct that is no entity, as JSON has them; empty for those that are left out.
func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.IsExported() && name != "-" {
			if names[i] = name; name == "" {
				names[i] = f.Name
			}
		}
	}
	return names
}

// record is the schema of an entity. If a writer's is given, it is one to read what that writer has written.
func (b *avroBuilder) record(m *entity.Model, writer *avro.SchemaNode) *avro.SchemaNode {
	b.named = map[string]reflect.Type{}
	b.open = append(b.open, m.Type)
	defer b.leave()
	n := b.emptyRecord(m.Type, writer)
	for i := range m.Columns {
		c := &m.Columns[i]
		n.Fields = append(n.Fields, b.field(c.Name, c.Type, c, writer))
	}
	return n
}

// emptyRecord is an empty record with a name that is free.
func (b *avroBuilder) emptyRecord(t reflect.Type, writer *avro.SchemaNode) *avro.SchemaNode {
	if writer != nil {
		return &avro.SchemaNode{Type: "record", Name: writer.Name, Namespace: writer.Namespace}
	}
	name, _, _ := strings.Cut(t.Name(), "[")
	if name = strings.Trim(notAvroName.ReplaceAllString(name, "_"), "_"); !avroName.MatchString(name) {
		name = "Row"
	}
	for try, n := name, 2; ; n++ {
		if b.named[try] == nil || b.named[try] == t { // the library writes the second one as a name
			b.named[try] = t
			return &avro.SchemaNode{Type: "record", Name: try}
		}
		try = fmt.Sprintf("%s%d", name, n)
	}
}

// field is one column, or with a nil c one field of a nested struct.
func (b *avroBuilder) field(name string, t reflect.Type, c *entity.Column, writer *avro.SchemaNode) avro.SchemaField {
	f := avro.SchemaField{Name: name}
	if !avroName.MatchString(name) {
		b.wrong(name, "is no Avro name: letters, digits and underscores, no digit first")
	}
	null := t.Kind() == reflect.Pointer
	written := writtenField(writer, name)
	if written != nil && written.Name != name {
		f.Aliases = []string{written.Name}
	}
	var value *avro.SchemaNode
	if written != nil {
		nullable := false
		value, nullable = notNull(&written.Type)
		null = null || nullable
	}
	if null && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	f.Type = b.node(name, t, c, value)
	missing := writer != nil && written == nil
	if initial, ok := defaultOf(c); ok && !null {
		f.Default, f.HasDefault = initial, true
		return f
	}
	if null || missing {
		f.Type = avro.SchemaNode{Type: "union", Branches: []avro.SchemaNode{{Type: "null"}, f.Type}}
		f.HasDefault = true
	}
	return f
}

// writtenField finds the writer's field of a name, or else the only one of that name in another case.
func writtenField(writer *avro.SchemaNode, name string) *avro.SchemaField {
	var like *avro.SchemaField
	if writer == nil {
		return nil
	}
	for i := range writer.Fields {
		f := &writer.Fields[i]
		if f.Name == name {
			return f
		}
		if strings.EqualFold(f.Name, name) {
			if like != nil {
				return nil
			}
			like = f
		}
	}
	return like
}

// notNull takes null out of a union of two, as ksqlDB and Connect write every column.
func notNull(n *avro.SchemaNode) (value *avro.SchemaNode, nullable bool) {
	if n.Type != "union" || len(n.Branches) != 2 {
		return n, false
	}
	for i := range n.Branches {
		if n.Branches[i].Type == "null" {
			return &n.Branches[1-i], true
		}
	}
	return n, false
}

// node is the schema of a Go type; of a column if c is not nil.
func (b *avroBuilder) node(name string, t reflect.Type, c *entity.Column, writer *avro.SchemaNode) avro.SchemaNode {
	switch t {
	case timeType:
		if writer != nil && (strings.Contains(writer.LogicalType, "timestamp-") || writer.LogicalType == "date") {
			return *writer
		}
		return avro.SchemaNode{Type: "long", LogicalType: b.timestamp(name, c)}
	case decimalType:
		if writer != nil && writer.LogicalType == "decimal" {
			return *writer
		}
		if c == nil || c.Precision == 0 {
			b.wrong(name, "an Avro decimal has its digits in the schema: tag it with precision and scale")
			return avro.SchemaNode{Type: "bytes"}
		}
		return avro.SchemaNode{Type: "bytes", LogicalType: "decimal", Precision: c.Precision, Scale: c.Scale}
	}
	switch t.Kind() {
	case reflect.String:
		if writer != nil && writer.Type == "enum" {
			return *writer
		}
		return avro.SchemaNode{Type: "string"}
	case reflect.Bool:
		return avro.SchemaNode{Type: "boolean"}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16:
		return avro.SchemaNode{Type: "int"}
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint, reflect.Uint64:
		return avro.SchemaNode{Type: "long"}
	case reflect.Float32:
		return avro.SchemaNode{Type: "float"}
	case reflect.Float64:
		return avro.SchemaNode{Type: "double"}
	case reflect.Struct:
		return b.nested(name, t, writer)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return avro.SchemaNode{Type: "bytes"}
		}
		var items *avro.SchemaNode
		if writer != nil && writer.Type == "array" {
			items = writer.Items
		}
		of := b.element(name, t.Elem(), items)
		return avro.SchemaNode{Type: "array", Items: &of}
	case reflect.Map:
		if e := t.Elem().Kind(); t.Key().Kind() != reflect.String || e == reflect.Struct || e == reflect.Pointer || e == reflect.Slice || e == reflect.Map {
			break
		}
		var values *avro.SchemaNode
		if writer != nil && writer.Type == "map" {
			values = writer.Values
		}
		of := b.element(name, t.Elem(), values)
		return avro.SchemaNode{Type: "map", Values: &of}
	}
	b.wrong(name, "a %s has no Avro form", t)
	return avro.SchemaNode{Type: "null"}
}

// element is the schema of what a slice or map holds.
func (b *avroBuilder) element(name string, t reflect.Type, writer *avro.SchemaNode) avro.SchemaNode {
	null := t.Kind() == reflect.Pointer
	if null {
		t = t.Elem()
	}
	if writer != nil {
		nullable := false
		writer, nullable = notNull(writer)
		null = null || nullable
	}
	n := b.node(name, t, nil, writer)
	if null {
		return avro.SchemaNode{Type: "union", Branches: []avro.SchemaNode{{Type: "null"}, n}}
	}
	return n
}

func (b *avroBuilder) nested(name string, t reflect.Type, writer *avro.SchemaNode) avro.SchemaNode {
	if writer != nil && writer.Type != "record" {
		writer = nil
	}
	for _, o := range b.open { // twin has told it
		if o == t {
			return avro.SchemaNode{Type: "null"}
		}
	}
	b.open = append(b.open, t)
	defer b.leave()
	n := b.emptyRecord(t, writer)
	for i, field := range fieldNames(t) {
		if field != "" {
			n.Fields = append(n.Fields, b.field(field, t.Field(i).Type, nil, writer))
		}
	}
	if len(n.Fields) == 0 {
		b.wrong(name, "a %s has no fields to write", t)
	}
	return *n
}

// timestamp is the logical type of a time column. Times in nested structs have milliseconds.
func (b *avroBuilder) timestamp(name string, c *entity.Column) string {
	if c == nil {
		return "timestamp-millis"
	}
	switch c.Format {
	case entity.Micros:
		return "timestamp-micros"
	case entity.Nanos:
		return "timestamp-nanos"
	case entity.RFC3339, entity.Millis:
	default:
		b.wrong(name, "a time with the layout %q has no Avro form: its format can be ms, us or ns", c.Format)
	}
	return "timestamp-millis"
}

// defaultOf is the default of a column as the library takes it.
func defaultOf(c *entity.Column) (any, bool) {
	if c == nil {
		return nil, false
	}
	v, ok := c.Default()
	if !ok {
		return nil, false
	}
	switch x := v.Interface().(type) {
	case time.Time:
		n, err := entity.ToEpoch(c.Format, x)
		return n, err == nil
	case apd.Decimal:
		digits, err := decimalBytes(x, c.Precision, c.Scale)
		return digits, err == nil
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), true
	case reflect.Bool:
		return v.Bool(), true
	case reflect.Float32, reflect.Float64:
		return v.Float(), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return int64(v.Uint()), true
	}
	return v.Int(), true
}

// resolve is a schema that decodes what was written with another one.
func (f *avroForm) resolve(text string) (*avro.Schema, error) {
	writer, err := avro.Parse(text, avroTypes...)
	if err != nil {
		return nil, fmt.Errorf("the writer's schema: %w", err)
	}
	if writer.String() == f.schema.String() {
		return f.schema, nil
	}
	root := writer.Root()
	if value, _ := notNull(root); value.Type != "record" {
		return nil, fmt.Errorf("the writer's schema is of a %s, not of a record", root.Type)
	}
	b := avroBuilder{place: f.model.Type.String()}
	reader, err := b.record(f.model, root).Schema(avroTypes...)
	if err != nil {
		return nil, fmt.Errorf("a schema for reading: %w", err)
	}
	both, err := avro.Resolve(writer, reader)
	if err != nil {
		return nil, fmt.Errorf("what was written with another schema cannot be read: %w", err)
	}
	return both, nil
}

// avroTypes are what the library cannot do by itself: apd.Decimal, and the zero time in nanoseconds, which cannot reach the year 1.
var avroTypes = []avro.SchemaOpt{
	avro.CustomType{LogicalType: "decimal", GoType: decimalType,
		Encode: func(v any, n *avro.SchemaNode) (any, error) {
			return decimalBytes(v.(apd.Decimal), n.Precision, n.Scale)
		},
		Decode: func(v any, n *avro.SchemaNode) (any, error) {
			raw, ok := v.([]byte)
			if !ok || len(raw) > maxExponent {
				return nil, fmt.Errorf("a decimal of %d bytes (%T)", len(raw), v)
			}
			return decimalOf(raw, n.Scale), nil
		}},
	avro.NewCustomType("timestamp-nanos",
		func(t time.Time, _ *avro.SchemaNode) (int64, error) { return entity.ToEpoch(entity.Nanos, t) },
		func(n int64, _ *avro.SchemaNode) (time.Time, error) { return entity.FromEpoch(entity.Nanos, n), nil }),
}

// decimalBytes is the unscaled number as two's complement, big-endian, in as few bytes as it takes, as Java's BigInteger has it.
func decimalBytes(d apd.Decimal, precision, scale int) ([]byte, error) {
	if d.Form != apd.Finite {
		return nil, fmt.Errorf("Avro has no %v", &d)
	}
	fitted, err := (&move{precision: precision, scale: scale}).fit(&d)
	if err != nil {
		return nil, err
	}
	n := fitted.Coeff.MathBigInt()
	if !fitted.Negative || n.Sign() == 0 {
		return n.FillBytes(make([]byte, n.BitLen()/8+1)), nil
	}
	size := new(big.Int).Sub(n, big.NewInt(1)).BitLen()/8 + 1
	n.Sub(new(big.Int).Lsh(big.NewInt(1), uint(size)*8), n)
	return n.FillBytes(make([]byte, size)), nil
}

// decimalOf is the way back from decimalBytes.
func decimalOf(raw []byte, scale int) apd.Decimal {
	n := new(big.Int).SetBytes(raw)
	if len(raw) > 0 && raw[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(raw))*8))
	}
	return *apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(n), -int32(scale))
}

// refit gives a decimal column that came in another scale its own.
func (m *move) refit(row unsafe.Pointer) error {
	at := unsafe.Add(row, m.at)
	if m.pointer {
		if at = *(*unsafe.Pointer)(at); at == nil {
			return nil
		}
	}
	d := (*apd.Decimal)(at)
	if d.Exponent == -int32(m.scale) && d.NumDigits() <= int64(m.precision) || d.Exponent == 0 && d.IsZero() {
		return nil // the latter has not been written
	}
	fitted, err := m.fit(d)
	if err != nil {
		return m.wrong(err)
	}
	d.Set(fitted)
	return nil
}
