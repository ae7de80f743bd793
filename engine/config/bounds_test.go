package config

import (
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/stretchr/testify/require"
)

// A value that the file may not have is refused in a program's engine.Config too, in the same
// words; a value at a bound is taken by both. This holds for every key with bounds, of the whole
// schema.
func TestBoundsAreTheEngines(t *testing.T) {
	n := 0
	eachBounded(reflect.TypeFor[document](), "", nil, func(path string, f reflect.StructField, index [][]int) {
		n++
		t.Run(path, func(t *testing.T) {
			for _, end := range []struct {
				tag    string
				beyond int64
			}{{"min", -1}, {"max", 1}} {
				bound, ok := boundOf(t, f, end.tag)
				if !ok || end.tag == "max" && bound == math.MaxInt16 && strings.HasSuffix(path, "eplication") {
					continue // more does not fit into the engine's field
				}
				if bound != 0 { // which is the default
					require.NoError(t, validated(index, bound), "at the bound")
				}
				beyond := bound + end.beyond
				if beyond == -1 && f.Tag.Get("none") == "-1" || beyond == 0 {
					continue
				}
				engines, files := validated(index, beyond), set(reflect.New(f.Type).Elem(), f.Tag, literal(f, beyond))
				require.Error(t, files)
				require.Error(t, engines)
				if strings.HasPrefix(path, "messaging.") && path != "messaging.sessionTimeout" {
					continue // package kafka's own words
				}
				_, is, _ := strings.Cut(files.Error(), " is too ")
				is, _, _ = strings.Cut(is, "; without a unit")
				require.ErrorContains(t, engines, " is too "+strings.Replace(is, ", or none", ", or NoBound", 1))
			}
			for _, wrong := range []int64{-4, math.MinInt16} {
				require.Error(t, validated(index, wrong), "%d", wrong)
			}
		})
	})
	require.Greater(t, n, 20)
}

// eachBounded calls do for each key with bounds that goes into an engine.Config, with the indexes
// of the fields that lead to it.
func eachBounded(in reflect.Type, path string, index [][]int, do func(path string, f reflect.StructField,
	index [][]int)) {
	for i := range in.NumField() {
		f := in.Field(i)
		key, at := join(path, f.Tag.Get("key")), append(index[:len(index):len(index)], f.Index)
		if inner := sectionOf(f.Type); inner != nil && key != "registry" {
			eachBounded(inner, key, at, do)
		} else if f.Tag.Get("min") != "" {
			do(key, f, at)
		}
	}
}

// boundOf is a bound of a key as a number.
func boundOf(t *testing.T, f reflect.StructField, tag string) (int64, bool) {
	text, ok := f.Tag.Lookup(tag)
	if !ok {
		return 0, false
	}
	switch f.Type {
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		require.NoError(t, err)
		return int64(d), true
	case reflect.TypeFor[size]():
		b, err := humanize.ParseBytes(text)
		require.NoError(t, err)
		return int64(b), true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n, true
}

// literal is a number as a file has it.
func literal(f reflect.StructField, n int64) string {
	if f.Type == reflect.TypeFor[time.Duration]() {
		return time.Duration(n).String()
	}
	return strconv.FormatInt(n, 10)
}

// validated is what the engine says of a document of which nothing is set but one field, and that a
// broker is there.
func validated(index [][]int, n int64) error {
	doc := document{}
	doc.Messaging.Brokers = []string{"kafka-1:9092"}
	setAt(reflect.ValueOf(&doc).Elem(), index, n)
	return doc.engine(io.Discard).Validate()
}

// setAt sets a field, in a map that of the name rates.
func setAt(v reflect.Value, index [][]int, n int64) {
	switch v = v.FieldByIndex(index[0]); {
	case len(index) == 1:
		v.SetInt(n)
	case v.Kind() == reflect.Map:
		of := reflect.New(v.Type().Elem()).Elem()
		setAt(of, index[1:], n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("rates"), of)
	default:
		setAt(v, index[1:], n)
	}
}
