package aggregates

import (
	"math"
	"reflect"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// Number is every built-in number, and types made of one.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// Numeric is a number, or a pointer to one, where nil is null.
type Numeric interface {
	Number | *int | *int32 | *int64 | *uint32 | *uint64 | *float32 | *float64
}

// Summable can be added up: a number, a decimal, or a pointer to one, where nil is null.
type Summable interface {
	Numeric | apd.Decimal | *apd.Decimal
}

// Ordered has an order: what is Summable, a string, a time, or a pointer to one, where nil is null.
type Ordered interface {
	Summable | ~string | time.Time | *string | *time.Time
}

// Value is every type that a column may return: what is Ordered, a bool, or a pointer to one.
type Value interface {
	Ordered | ~bool | *bool
}

// Scalar is every Value that is not a pointer.
type Scalar interface {
	Number | apd.Decimal | ~string | time.Time | ~bool
}

// Cell is the value of one column for one record.
type Cell struct {
	Bits    uint64 // numbers, times (microseconds) and bools
	Text    string
	Decimal *apd.Decimal
	Null    bool
	Other   any // input of a Custom: a pointer to it, which is used again for the next record
}

// kind is how a value is kept.
type kind uint8

const (
	kindInt kind = iota + 1
	kindUint
	kindFloat
	kindTime
	kindBool
	kindText
	kindDecimal
)

var kindNames = [...]string{"", "int", "uint", "float", "time", "bool", "text", "decimal"}

func (k kind) String() string { return kindNames[k] }

// variable says that values of this kind have no fixed size.
func (k kind) variable() bool { return k == kindText || k == kindDecimal }

// order maps bits to an int64 with the order of the values. Floats are in Java's order, which is
// that of ksqlDB: -0 before +0, NaN last.
func (k kind) order(bits uint64) int64 {
	switch k {
	case kindFloat:
		if f := math.Float64frombits(bits); f != f {
			return math.MaxInt64
		}
		b := int64(bits)
		return b ^ int64(uint64(b>>63)>>1)
	case kindUint:
		return int64(bits ^ 1<<63)
	default:
		return int64(bits)
	}
}

// kindOf is how values of type t are kept; 0 if they cannot be. A pointer has the kind of what it
// points to.
func kindOf(t reflect.Type) kind {
	switch {
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t == reflect.TypeFor[time.Time]():
		return kindTime
	case t == reflect.TypeFor[apd.Decimal]():
		return kindDecimal
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return kindInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return kindUint
	case reflect.Float32, reflect.Float64:
		return kindFloat
	case reflect.Bool:
		return kindBool
	case reflect.String:
		return kindText
	}
	return 0
}

// fill puts v into c. The common types are told apart without reflection; it must not keep v, which
// would put every value on the heap.
func fill[V any](c *Cell, v *V) {
	c.Null = false
	switch p := any(v).(type) {
	case *float64:
		c.Bits = math.Float64bits(*p)
	case *int64:
		c.Bits = uint64(*p)
	case *int:
		c.Bits = uint64(*p)
	case *int32:
		c.Bits = uint64(*p)
	case *uint64:
		c.Bits = *p
	case *float32:
		c.Bits = math.Float64bits(float64(*p))
	case *string:
		c.Text = *p
	case *time.Time:
		c.Bits = uint64(p.UnixMicro())
	case **float64:
		fillPointer(c, *p)
	case **int64:
		fillPointer(c, *p)
	case **string:
		fillPointer(c, *p)
	case **time.Time:
		fillPointer(c, *p)
	case **apd.Decimal:
		c.Decimal, c.Null = *p, *p == nil
	default:
		fillReflect(c, reflect.ValueOf(*v))
	}
}

func fillPointer[V any](c *Cell, p *V) {
	if p == nil {
		c.Null = true
		return
	}
	fill(c, p)
}

func fillReflect(c *Cell, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			c.Null = true
			return
		}
		v = v.Elem()
	}
	switch {
	case v.CanInt():
		c.Bits = uint64(v.Int())
	case v.CanUint():
		c.Bits = v.Uint()
	case v.CanFloat():
		c.Bits = math.Float64bits(v.Float())
	case v.Kind() == reflect.String:
		c.Text = v.String()
	case v.Kind() == reflect.Bool:
		if c.Bits = 0; v.Bool() {
			c.Bits = 1
		}
	}
}

// value is the V that bits or text stand for.
func value[V any](bits uint64, text []byte) (v V) {
	switch p := any(&v).(type) {
	case *float64:
		*p = math.Float64frombits(bits)
	case *int64:
		*p = int64(bits)
	case *int:
		*p = int(bits)
	case *int32:
		*p = int32(bits)
	case *uint64:
		*p = bits
	case *float32:
		*p = float32(math.Float64frombits(bits))
	case *bool:
		*p = bits != 0
	case **float64:
		*p = pointerTo[float64](bits, text)
	case **int64:
		*p = pointerTo[int64](bits, text)
	case *string:
		*p = string(text)
	case *time.Time:
		*p = time.UnixMicro(int64(bits)).UTC()
	default:
		return valueReflect[V](bits, text)
	}
	return v
}

// pointerTo is a value on the heap: who gets a row with it may keep it.
func pointerTo[V any](bits uint64, text []byte) *V {
	v := value[V](bits, text)
	return &v
}

// valueReflect is value for all other types; apart, so that only these pay for a V on the heap.
func valueReflect[V any](bits uint64, text []byte) V {
	v := new(V)
	setReflect(reflect.ValueOf(v).Elem(), bits, text)
	return *v
}

func setReflect(v reflect.Value, bits uint64, text []byte) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = time.UnixMicro(int64(bits)).UTC()
		return
	case *apd.Decimal:
		p.Set(parseDecimal(text))
		return
	}
	switch {
	case v.CanInt():
		v.SetInt(int64(bits))
	case v.CanUint():
		v.SetUint(bits)
	case v.CanFloat():
		v.SetFloat(math.Float64frombits(bits))
	case v.Kind() == reflect.String:
		v.SetString(string(text))
	case v.Kind() == reflect.Bool:
		v.SetBool(bits != 0)
	}
}

// float is a number of kind k.
func (k kind) float(bits uint64) float64 {
	switch k {
	case kindFloat:
		return math.Float64frombits(bits)
	case kindUint:
		return float64(bits)
	default:
		return float64(int64(bits))
	}
}
