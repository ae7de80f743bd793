package dsl_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/dsl/codecs"
)

type untidy struct {
	K string `ashi:"k,kye"`
	V int    `ashi:"v,maxlen=3"`
}

type uncarried struct {
	K string              `ashi:"k,key"`
	M map[float64]string  `ashi:"m"`
	F map[string]chan int `ashi:"f"`
}

// Each mistake in the tags of a type has one line, with its place, however many declarations and
// codecs have the type.
func TestMistakesOfTagsOnce(t *testing.T) {
	b := dsl.New("app")
	s := dsl.Stream[untidy](b, "s")
	s.To("out")
	s.To("more").Codec(codecs.Fixed[untidy]())
	dsl.ReadKeys(dsl.Stream[uncarried](b, "u"), codecs.JSONKey[untidy]())
	_, err := b.Build()
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")[1:]
	for mistake, times := range map[string]int{`unknown option "kye"`: 1, "maxlen on an int": 1,
		"uncarried.M: a map by float64": 1, "uncarried.F: a chan int": 1} {
		n := 0
		for _, line := range lines {
			require.Regexp(t, `^\S+\.go:\d+: |^application`, line)
			if strings.Contains(line, mistake) {
				n++
			}
		}
		require.Equal(t, times, n, "%s in\n%v", mistake, err)
	}
}
