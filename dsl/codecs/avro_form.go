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
	decimalType  = reflect.TypeFor[apd.Decimal]()
	durationType = reflect.TypeFor[time.Duration]()

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

// twin is a struct type with the fields of the model's, in the same places, whose tags have the
// columns' names.
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
			fields[i].Type, fields[i].Tag = b.twinOf(name, t.Field(i).Type),
				reflect.StructTag(fmt.Sprintf("avro:%q", name))
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

// fieldNames are the names of the fields of a struct that is no entity, as JSON has them; empty for
// those that are left out.
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

// record is the schema of an entity.
func (b *avroBuilder) record(m *entity.Model) *avro.SchemaNode {
	b.named = map[string]reflect.Type{}
	b.open = append(b.open, m.Type)
	defer b.leave()
	n := b.emptyRecord(m.Type)
	for i := range m.Columns {
		c := &m.Columns[i]
		n.Fields = append(n.Fields, b.field(c.Name, c.Type, c))
	}
	return n
}

// avroNameOf is the name of a Go type as Avro can have it.
func avroNameOf(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	if name = strings.Trim(notAvroName.ReplaceAllString(name, "_"), "_"); !avroName.MatchString(name) {
		return "Row"
	}
	return name
}

// emptyRecord is an empty record with a name that is free.
func (b *avroBuilder) emptyRecord(t reflect.Type) *avro.SchemaNode {
	name := avroNameOf(t)
	for try, n := name, 2; ; n++ {
		if b.named[try] == nil || b.named[try] == t { // the library writes the second one as a name
			b.named[try] = t
			return &avro.SchemaNode{Type: "record", Name: try}
		}
		try = fmt.Sprintf("%s%d", name, n)
	}
}

// field is one column, or one field of a nested struct.
func (b *avroBuilder) field(name string, t reflect.Type, c *entity.Column) avro.SchemaField {
	f := avro.SchemaField{Name: name}
	if !avroName.MatchString(name) {
		b.wrong(name, "is no Avro name: letters, digits and underscores, no digit first")
	}
	f.Type = b.nullable(name, t, c)
	if t.Kind() == reflect.Pointer {
		f.HasDefault = true
	} else {
		f.Default, f.HasDefault = defaultOf(c)
	}
	return f
}

// nullable is the schema of a Go type: of a pointer a union with null.
func (b *avroBuilder) nullable(name string, t reflect.Type, c *entity.Column) avro.SchemaNode {
	if t.Kind() != reflect.Pointer {
		return b.node(name, t, c)
	}
	return avro.SchemaNode{Type: "union", Branches: []avro.SchemaNode{{Type: "null"}, b.node(name, t.Elem(), c)}}
}

// node is the schema of a Go type; of a column if c is not nil.
func (b *avroBuilder) node(name string, t reflect.Type, c *entity.Column) avro.SchemaNode {
	switch t {
	case timeType:
		return avro.SchemaNode{Type: "long", LogicalType: b.timestamp(name, c)}
	case decimalType:
		if c == nil || c.Precision == 0 {
			b.wrong(name, "an Avro decimal has its digits in the schema: tag it with precision and scale")
			return avro.SchemaNode{Type: "bytes"}
		}
		return avro.SchemaNode{Type: "bytes", LogicalType: "decimal", Precision: c.Precision, Scale: c.Scale}
	}
	switch t.Kind() {
	case reflect.String:
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
		return b.nested(name, t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return avro.SchemaNode{Type: "bytes"}
		}
		of := b.nullable(name, t.Elem(), nil)
		return avro.SchemaNode{Type: "array", Items: &of}
	case reflect.Map:
		if e := t.Elem().Kind(); t.Key().Kind() != reflect.String || e == reflect.Struct || e == reflect.Pointer ||
			e == reflect.Slice || e == reflect.Map {
			break
		}
		of := b.nullable(name, t.Elem(), nil)
		return avro.SchemaNode{Type: "map", Values: &of}
	}
	b.wrong(name, "a %s has no Avro form", t)
	return avro.SchemaNode{Type: "null"}
}

func (b *avroBuilder) nested(name string, t reflect.Type) avro.SchemaNode {
	for _, o := range b.open { // twin has told it
		if o == t {
			return avro.SchemaNode{Type: "null"}
		}
	}
	b.open = append(b.open, t)
	defer b.leave()
	n := b.emptyRecord(t)
	for i, field := range fieldNames(t) {
		if field != "" {
			n.Fields = append(n.Fields, b.field(field, t.Field(i).Type, nestedColumn(t, i)))
		}
	}
	if len(n.Fields) == 0 {
		b.wrong(name, "a %s has no fields to write", t)
	}
	return *n
}

// nestedColumn is what the tag of a field of a nested struct says: of a decimal its precision and
// scale, else nil. Its Field is -1, as it is no column of the row.
func nestedColumn(t reflect.Type, field int) *entity.Column {
	if base(t.Field(field).Type) != decimalType {
		return nil
	}
	m, _ := entity.Of(t)
	if m == nil {
		return nil
	}
	for i := range m.Columns {
		if c := &m.Columns[i]; c.Field == field {
			return &entity.Column{Name: c.Name, Field: -1, Type: c.Type, Precision: c.Precision, Scale: c.Scale}
		}
	}
	return nil
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

// avroTypes are what the library cannot write by itself: apd.Decimal, and the zero time in
// nanoseconds, which cannot reach the year 1.
var avroTypes = []avro.SchemaOpt{
	avro.CustomType{LogicalType: "decimal", GoType: decimalType,
		Encode: func(v any, n *avro.SchemaNode) (any, error) {
			return decimalBytes(v.(apd.Decimal), n.Precision, n.Scale)
		}},
	avro.CustomType{LogicalType: "timestamp-nanos", GoType: timeType,
		Encode: func(v any, _ *avro.SchemaNode) (any, error) { return entity.ToEpoch(entity.Nanos, v.(time.Time)) }},
}

// decimalBytes is the unscaled number as two's complement, big-endian, in as few bytes as it takes,
// as Java's BigInteger has it.
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
	if len(raw) > 0 && len(raw) <= 8 {
		n := int64(int8(raw[0]))
		for _, b := range raw[1:] {
			n = n<<8 | int64(b)
		}
		return *apd.New(n, -int32(scale))
	}
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
