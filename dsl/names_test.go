package dsl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/dsl"
)

// Names that go by the order of declarations are warned of where they have state, and As takes them
// away.
func TestNamesWithNumbers(t *testing.T) {
	build := func(named bool) (warnings, names []string) {
		b := dsl.New("shop")
		orders := dsl.Stream[order](b, "orders").Filter(func(*order) (bool, error) { return true, nil }).Filter(
			func(*order) (bool, error) { return true, nil })
		table := func(name string) *dsl.TableOf[string, order] {
			if t := dsl.ToTable[string](orders); named {
				return t.As(name)
			} else {
				return t
			}
		}
		first, second := table("first"), table("second")
		first.To("one")
		held := second.Suppress(time.Second, 0)
		again := second.Suppress(time.Minute, 0)
		if named {
			again.As("again")
		}
		held.To("held")
		dsl.JoinTables(again, first, func(l, r *order) (order, error) { return *l, nil }).To("two")
		plan, err := b.Build()
		require.NoError(t, err)
		for _, o := range plan.Subs[0].Operators() {
			names = append(names, o.Name)
		}
		for _, w := range plan.Warnings {
			if len(w) > 5 && w[:5] == "names" {
				warnings = append(warnings, w)
			}
		}
		return warnings, names
	}
	warnings, names := build(false)
	require.ElementsMatch(t, []string{"orders-table", "orders-table-2", "orders-table-3", "orders-suppress",
		"orders-suppress-2"}, names)
	require.Len(t, warnings, 3)
	require.Contains(t, warnings[0], `names_test.go:`)
	require.Contains(t, warnings[0], `table "orders-table-2" has its name from the order of declarations`)
	warnings, names = build(true)
	require.Empty(t, warnings)
	require.ElementsMatch(t, []string{"first", "second", "orders-suppress", "again", "again-table"}, names)
}
