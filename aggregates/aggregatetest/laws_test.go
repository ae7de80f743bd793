package aggregatetest_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/aggregates/aggregatetest"
)

type definition = aggregates.Definition[int, []int64, int64]

// sum keeps all values, so that there is something to get wrong.
func sum() definition {
	return definition{
		Name: "sum",
		Add:  func(s []int64, v int) []int64 { return append(s, int64(v)) },
		Undo: func(s []int64, v int) []int64 {
			i := slices.Index(s, int64(v))
			return slices.Delete(s, i, i+1)
		},
		Merge: func(a, b []int64) []int64 { return append(a, b...) },
		Encode: func(dst []byte, s []int64) []byte {
			for _, v := range s {
				dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
			}
			return dst
		},
		Decode: func(b []byte) (s []int64, _ error) {
			for ; len(b) > 0; b = b[8:] {
				s = append(s, int64(binary.LittleEndian.Uint64(b)))
			}
			return s, nil
		},
		Result: func(s []int64) (sum int64) {
			for _, v := range s {
				sum += v
			}
			return sum
		},
	}
}

// recording is a test that notes how it failed.
type recording struct {
	testing.TB
	text strings.Builder
}

func (r *recording) Name() string                      { return "recording" }
func (r *recording) Helper()                           {}
func (r *recording) Logf(format string, args ...any)   {}
func (r *recording) Errorf(format string, args ...any) { fmt.Fprintf(&r.text, format, args...) }
func (r *recording) FailNow()                          { runtime.Goexit() }

// check is what the laws complain about.
func check(d definition) string {
	r := &recording{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		aggregatetest.Laws[int, int64]{
			Project: func(g aggregates.Rows[int]) int64 {
				return aggregates.Custom(g, d, func(v *int) int { return *v })
			},
			Row: func(r *rand.Rand) int { return 1 + r.IntN(9) },
		}.Check(r)
	}()
	<-done
	return r.text.String()
}

// A kit that finds nothing is worth nothing: each mistake breaks the law that it should.
func TestMistakesAreFound(t *testing.T) {
	require.Empty(t, check(sum()))
	mistakes := map[string]func(*definition){
		"merged from parts": func(d *definition) {
			d.Merge = func(a, b []int64) []int64 { return append(a[:0:0], b...) }
		},
		"after it was merged into another": func(d *definition) {
			d.Merge = func(a, b []int64) []int64 {
				for i := range b {
					b[i]++
				}
				return append(a, b...)
			}
		},
		"with one undone": func(d *definition) { // right for the last row only
			d.Undo = func(s []int64, _ int) []int64 { return s[:len(s)-1] }
		},
		"stored, loaded and stored again": func(d *definition) {
			decode := d.Decode
			d.Decode = func(b []byte) ([]int64, error) { s, err := decode(b); return append(s, 1), err }
		},
		"equal histories are equal bytes": func(d *definition) {
			n, encode := byte(0), d.Encode
			d.Encode = func(dst []byte, s []int64) []byte { n++; return append(encode(dst, s), n) }
			d.Decode = func(b []byte) ([]int64, error) { return nil, nil }
		},
		"the same merged into nothing": func(d *definition) {
			d.Init = func() []int64 { return []int64{1} }
		},
	}
	for law, mistake := range mistakes {
		d := sum()
		mistake(&d)
		require.Contains(t, check(d), law)
	}
}
