package config_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/engine/config"
	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

var update = flag.Bool("update", false, "write what tests find to testdata and docs: read it before it is committed")

const password = "hunter2-is-secret"

type tick struct {
	Pair string `ashi:"pair,key"`
}

type count struct {
	Pair  string `ashi:"pair,key"`
	Count int64
}

// fx is a plan with final rows of 1 minute.
func fx(t *testing.T) *topology.Plan {
	t.Helper()
	b := dsl.New("fx")
	dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[tick](b, "rates")), windows.Minutes(1),
		func(g dsl.Group[string, tick]) count {
			return count{Pair: g.Key(), Count: aggregates.Count(g)}
		}).Final()
	plan, err := b.Build()
	require.NoError(t, err)
	return plan
}

// Each wrong configuration has its message beside it, word for word. Read them as those who get
// them will.
func TestWrongConfigurations(t *testing.T) {
	files, err := filepath.Glob("testdata/[0-9]*-*.*")
	require.NoError(t, err)
	checked := 0
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimSuffix(file, ".yaml"), ".json")
		if name == file {
			continue // a message, or an environment
		}
		checked++
		t.Run(filepath.Base(name), func(t *testing.T) {
			environ := []string{"PATH=/bin"}
			if text, err := os.ReadFile(name + ".env"); err == nil {
				environ = append(environ, strings.Split(strings.TrimSpace(string(text)), "\n")...)
			}
			var out bytes.Buffer
			_, err := config.Load(file, config.Options{Plan: fx(t), Environ: environ, Output: &out})
			require.ErrorIs(t, err, config.ErrInvalid)
			var all *config.Error
			require.True(t, errors.As(err, &all))
			require.NotEmpty(t, all.Problems)
			got := err.Error() + "\n" + withoutTime(out.String())
			require.NotContains(t, got, password)
			if *update {
				require.NoError(t, os.WriteFile(name+".txt", []byte(got), 0o644))
			}
			want, err := os.ReadFile(name + ".txt")
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
	require.GreaterOrEqual(t, checked, 20)
}

// withoutTime is log lines without the time, which they begin with.
func withoutTime(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		_, rest, _ := strings.Cut(line, " ")
		b.WriteString(rest)
	}
	return b.String()
}

func TestNoSuchFile(t *testing.T) {
	_, err := config.Load("testdata/none.yaml", config.Options{Output: io.Discard})
	require.ErrorIs(t, err, os.ErrNotExist)
}
