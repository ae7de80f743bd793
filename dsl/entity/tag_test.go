package entity

import (
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// Whatever a tag says it is understood or explained, and a default that was taken is of the
// column's type.
func FuzzTag(f *testing.F) {
	types := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[*int8](), reflect.TypeFor[float64](),
		reflect.TypeFor[time.Time](), reflect.TypeFor[apd.Decimal](), reflect.TypeFor[[]byte](),
		reflect.TypeFor[bool](), reflect.TypeFor[time.Duration](), reflect.TypeFor[[]string]()}
	for i, tag := range []string{"pair,key=1,maxlen=10", ",default=5", "bid,default=1.5e3", "at,timestamp,format=ms",
		"size,precision=18,scale=2", "raw,default=x", "ok,default='true'", "for,default=5s", "tags,format='a,b=c'"} {
		f.Add(byte(i), tag)
		f.Add(byte(i+3), tag+",default=9999-12-31T23:59:59Z")
	}
	f.Fuzz(func(t *testing.T, i byte, tag string) {
		parts, err := splitTag(tag)
		if err != nil {
			return
		}
		if len(parts) == 0 {
			t.Fatal("a tag without a part")
		}
		c := Column{Name: "f", Type: types[int(i)%len(types)]}
		b := &builder{model: &Model{Type: reflect.TypeFor[struct{}](), Timestamp: -1}}
		b.column("F", c, parts[1:])
		for _, c := range b.model.Columns {
			if v, ok := c.Default(); ok && v.Type() != c.Type {
				t.Fatalf("default of %v is %v", c.Type, v.Type())
			}
		}
	})
}
