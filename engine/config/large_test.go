package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/config"
)

// A file that is far too large, or has far too many mistakes, is refused at once, with a text that
// can be read.
func TestLargeFiles(t *testing.T) {
	many := func(n int, line string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, line+"\n", i)
		}
		return b.String()
	}
	shared := "topics:\n  settings: &s\n" + many(1000, "    k%d: v") + "  of:\n" + many(1000, "    t%d: {settings: *s}")
	for name, c := range map[string]struct{ text, want string }{
		"unknown keys":      {many(100_000, "k%d: 1"), "and 99900 more that are no keys"},
		"unknown in a part": {"core:\n" + many(70_000, "  k%d: 1"), "and 69900 more that are no keys"},
		"too large":         {many(200_000, "key%d: 1"), "has more than 1024 KiB"},
		"a list": {"messaging: {brokers: [" + strings.Repeat("x,", 300_000) + "x]}",
			"more than 100000 values"},
		"wrong items":    {"messaging: {brokers: [" + strings.Repeat("x,", 50_000) + "x]}", "more problems"},
		"the same twice": {"core:\n" + strings.Repeat("  maxLag: 1\n", 80_000), "more problems"},
		"no YAML":        {"core:\n" + many(80_000, "  k%d: 1") + "  - x\n", "is no YAML"},
		"shared values":  {shared, "more than 100000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ashi.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
			began := time.Now()
			_, err := config.Load(file, config.Options{Environ: []string{}})
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 100_000)
			require.Less(t, time.Since(began), 20*time.Second) // quadratic ones take minutes
		})
	}
}
