package task_test

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/engine/enginetest"
)

func line(r enginetest.Record) string {
	if r.Value == nil {
		return fmt.Sprintf("%q deleted @%d", r.Key, r.Timestamp)
	}
	return fmt.Sprintf("%q %s @%d", r.Key, r.Value, r.Timestamp)
}

// same fails at the first record that differs.
func same(t *testing.T, want, got []enginetest.Record, format string, args ...any) {
	t.Helper()
	what := fmt.Sprintf(format, args...)
	for i := range min(len(want), len(got)) {
		if a, b := line(want[i]), line(got[i]); a != b && !near(a, b) {
			require.Equal(t, a, b, "%s, record %d", what, i)
		}
	}
	require.Len(t, got, len(want), what)
}

// rough are numbers that depend on the order of additions, ~, or that a sketch estimates, ?.
var rough = regexp.MustCompile(`[~?][^ "\]]+`)

// near says that two lines differ by rounding only.
func near(a, b string) bool {
	if rough.ReplaceAllString(a, "") != rough.ReplaceAllString(b, "") {
		return false
	}
	x, y := rough.FindAllString(a, -1), rough.FindAllString(b, -1)
	for i := range min(len(x), len(y)) {
		v, err := strconv.ParseFloat(x[i][1:], 64)
		w, err2 := strconv.ParseFloat(y[i][1:], 64)
		within := map[byte]float64{'~': 1e-9, '?': 0.0101}[x[i][0]]
		if x[i] != y[i] && (err != nil || err2 != nil || !(math.Abs(v-w) <= within*max(math.Abs(v), math.Abs(w)))) {
			return false
		}
	}
	return len(x) == len(y)
}
