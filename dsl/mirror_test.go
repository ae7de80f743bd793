package dsl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/windows"
)

// TC-1: a table without mirror is declared so with a reason, by the option or in the tag; one of
// results cannot be.
func TestWithoutMirror(t *testing.T) {
	type limit struct {
		Account string `ashi:"account,key"`
		Amount  int64
	}
	type tagged struct {
		_       struct{} `ashi:"topic=desks,table,nomirror='read by joins only, and large'"`
		Account string   `ashi:"account,key"`
	}
	b := dsl.New("app")
	dsl.Table[string, limit](b, "limits").WithoutMirror(" too large ")
	dsl.Table[string, tagged](b)
	dsl.Table[string, limit](b, "others")
	plan, err := b.Build()
	require.NoError(t, err)
	require.Contains(t, plan.Describe(),
		"table limits/main <- topic limits (dsl_test.limit) without mirror: too large\n")
	require.Contains(t, plan.Describe(), "without mirror: read by joins only, and large\n")
	require.Contains(t, plan.Describe(), "table others/main <- topic others (dsl_test.limit)\n")
}

func TestWithoutMirrorMistakes(t *testing.T) {
	type silent struct {
		_       struct{} `ashi:"topic=desks,table,nomirror"`
		Account string   `ashi:"account,key"`
	}
	type total struct {
		_       struct{} `ashi:"nomirror='large'"`
		Account string   `ashi:"account,key"`
		N       int64
	}
	type row struct {
		Account string `ashi:"account,key"`
	}
	b := dsl.New("app")
	dsl.Table[string, silent](b)
	dsl.Table[string, row](b, "rows").WithoutMirror(" ")
	rows := dsl.Stream[row](b, "clicks")
	dsl.ToTable[string](rows).WithoutMirror("large")
	dsl.Aggregate(dsl.GroupByKey[string](rows), windows.Minutes(1), func(g dsl.Group[string, row]) total {
		return total{Account: g.Key(), N: aggregates.Count(g)}
	}).Final()
	_, err := b.Build()
	for _, text := range []string{"nomirror needs a reason", `say why table "rows"`,
		"only a table that was declared with Table is mirrored",
		"tables of windows cannot be without mirror one by one"} {
		require.ErrorContains(t, err, text)
	}
}
