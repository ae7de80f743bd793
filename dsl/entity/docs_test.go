package entity

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/entities.md has every option, and none that is not there.
func TestOptionsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/entities.md")
	require.NoError(t, err)
	options := func(title string) []string {
		_, section, ok := strings.Cut(string(text), "\n## "+title+"\n")
		require.True(t, ok)
		section, _, _ = strings.Cut(section, "\n## ")
		var names []string
		for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section, -1) {
			for _, name := range strings.Split(row[1], ", ") {
				names = append(names, strings.Trim(name, "`"))
			}
		}
		slices.Sort(names)
		return names
	}
	require.Equal(t, slices.Sorted(slices.Values(append([]string{"-"}, columnOptions...))), options("Columns"))
	require.Equal(t, slices.Sorted(slices.Values(typeOptions)), options("Types"))
}
