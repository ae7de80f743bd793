package dsl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/dsl"
	"github.com/ashi-stream/ashi/windows"
)

// exported yields the exported functions and methods of package dsl that have a doc of their own,
// by name (methods as Type.Name), with the types of their parameters as they are written.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	found := map[string][]string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			name := f.Name.Name
			if f.Recv != nil {
				receiver := typeText(f.Recv.List[0].Type)
				if !ast.IsExported(receiver) {
					continue
				}
				name = receiver + "." + name
			}
			types := []string{}
			for _, p := range f.Type.Params.List {
				for range max(1, len(p.Names)) {
					types = append(types, typeText(p.Type))
				}
			}
			found[name] = types
		}
	}
	return found
}

// typeText is what matters of a type: "func", or the name of a type without pointer, package and
// parameters; of a variadic one "..." before it.
func typeText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.FuncType:
		return "func"
	case *ast.StarExpr:
		return typeText(e.X)
	case *ast.IndexExpr:
		return typeText(e.X)
	case *ast.IndexListExpr:
		return typeText(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	case *ast.Ellipsis:
		return "..." + typeText(e.Elt)
	}
	return ""
}

// having are the functions that have parameters of one of the types, by name; the receiver is none.
func having(functions map[string][]string, least int, types ...string) []string {
	var names []string
	for name, params := range functions {
		n := 0
		for _, p := range params {
			for _, want := range types {
				switch p {
				case want:
					n++
				case "..." + want:
					n += least
				}
			}
		}
		if n >= least {
			names = append(names, name)
		}
	}
	return names
}

// together are all functions that take two streams or tables.
var together = map[string]func(s, s2 *dsl.StreamOf[order], t, t2 *dsl.TableOf[string, order]){
	"Merge": func(s, s2 *dsl.StreamOf[order], _, _ *dsl.TableOf[string, order]) { dsl.Merge(s, s2).To("o") },
	"Join": func(s, s2 *dsl.StreamOf[order], _, _ *dsl.TableOf[string, order]) {
		dsl.Join(s, s2, dsl.Back(0), either).To("o")
	},
	"LeftJoin": func(s, s2 *dsl.StreamOf[order], _, _ *dsl.TableOf[string, order]) {
		dsl.LeftJoin(s, s2, dsl.Back(0), either).To("o")
	},
	"RightJoin": func(s, s2 *dsl.StreamOf[order], _, _ *dsl.TableOf[string, order]) {
		dsl.RightJoin(s, s2, dsl.Back(0), either).To("o")
	},
	"OuterJoin": func(s, s2 *dsl.StreamOf[order], _, _ *dsl.TableOf[string, order]) {
		dsl.OuterJoin(s, s2, dsl.Back(0), either).To("o")
	},
	"AsOf": func(s, s2 *dsl.StreamOf[order], _, _ *dsl.TableOf[string, order]) {
		dsl.AsOf(s, s2, dsl.Back(0), either).To("o")
	},
	"LeftAsOf": func(s, s2 *dsl.StreamOf[order], _, _ *dsl.TableOf[string, order]) {
		dsl.LeftAsOf(s, s2, dsl.Back(0), either).To("o")
	},
	"JoinTable": func(s, _ *dsl.StreamOf[order], _, t2 *dsl.TableOf[string, order]) {
		dsl.JoinTable(s, t2, either).To("o")
	},
	"LeftJoinTable": func(s, _ *dsl.StreamOf[order], _, t2 *dsl.TableOf[string, order]) {
		dsl.LeftJoinTable(s, t2, either).To("o")
	},
	"JoinBroadcast": func(s, _ *dsl.StreamOf[order], _, t2 *dsl.TableOf[string, order]) {
		dsl.JoinBroadcast(s, t2, orderedBy, either).To("o")
	},
	"LeftJoinBroadcast": func(s, _ *dsl.StreamOf[order], _, t2 *dsl.TableOf[string, order]) {
		dsl.LeftJoinBroadcast(s, t2, orderedBy, either).To("o")
	},
	"JoinTables": func(_, _ *dsl.StreamOf[order], t, t2 *dsl.TableOf[string, order]) {
		dsl.JoinTables(t, t2, either).To("o")
	},
	"LeftJoinTables": func(_, _ *dsl.StreamOf[order], t, t2 *dsl.TableOf[string, order]) {
		dsl.LeftJoinTables(t, t2, either).To("o")
	},
	"RightJoinTables": func(_, _ *dsl.StreamOf[order], t, t2 *dsl.TableOf[string, order]) {
		dsl.RightJoinTables(t, t2, either).To("o")
	},
	"OuterJoinTables": func(_, _ *dsl.StreamOf[order], t, t2 *dsl.TableOf[string, order]) {
		dsl.OuterJoinTables(t, t2, either).To("o")
	},
	"JoinForeign": func(_, _ *dsl.StreamOf[order], t, t2 *dsl.TableOf[string, order]) {
		dsl.JoinForeign(t, t2, foreignOf, either).To("o")
	},
	"LeftJoinForeign": func(_, _ *dsl.StreamOf[order], t, t2 *dsl.TableOf[string, order]) {
		dsl.LeftJoinForeign(t, t2, foreignOf, either).To("o")
	},
}

func either(l, r *order) (order, error) {
	if l != nil {
		return *l, nil
	}
	return *r, nil
}

func orderedBy(o *order) string         { return o.Customer }
func foreignOf(o *order) (string, bool) { return o.Customer, true }

// Streams and tables of two builders in one step are a mistake in both plans, whichever is built;
// of one they are none.
func TestBuildersMixed(t *testing.T) {
	var named []string
	for name := range together {
		named = append(named, name)
	}
	require.ElementsMatch(t, having(exported(t), 2, "StreamOf", "TableOf"), named,
		"a function that takes two is in the table above")
	for name, step := range together {
		t.Run(name, func(t *testing.T) {
			one, other := dsl.New("one"), dsl.New("other")
			streams := [2]*dsl.StreamOf[order]{dsl.Stream[order](one, "a"), dsl.Stream[order](other, "b")}
			tables := [2]*dsl.TableOf[string, order]{dsl.Table[string, order](one, "c"), dsl.Table[string, order](other,
				"d")}
			step(streams[0], streams[1], tables[0], tables[1])
			for _, b := range []*dsl.Builder{one, other} {
				_, err := b.Build()
				require.ErrorContains(t, err, `belong to two plans, "one" and "other"`)
				require.ErrorContains(t, err, "refused_test.go:")
			}
			b := dsl.New("one")
			step(dsl.Stream[order](b, "a"), dsl.Stream[order](b, "b"), dsl.Table[string, order](b, "c"),
				dsl.Table[string, order](b, "d"))
			_, err := b.Build()
			require.NoError(t, err)
		})
	}
}

// empty are all functions that take a function, a codec or a policy, called with nil.
var empty = map[string]func(s *dsl.StreamOf[order], t *dsl.TableOf[string, order], w *dsl.WindowedOf[string, spent]){
	"StreamOf.Filter": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		s.Filter(nil).To("o")
	},
	"StreamOf.Peek": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		s.Peek(nil).To("o")
	},
	"StreamOf.Split": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		s.Split(func(*order) (bool, error) { return true, nil }, nil)
	},
	"Map": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.Map[order, order](s, nil).To("o")
	},
	"FlatMap": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.FlatMap[order, order](s, nil).To("o")
	},
	"PartitionBy": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.PartitionBy[order, string](s, nil).To("o")
	},
	"GroupBy": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.GroupBy[order, string](s, nil)
	},
	"GroupTable": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.GroupTable[string, order, string](t, nil)
	},
	"Aggregate": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.Aggregate[string, order, spent](dsl.GroupByKey[string](s), windows.Minutes(1), nil).As("none").Final()
	},
	"Join": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.Join[order, order, order](s, s, dsl.Back(0), nil).To("o")
	},
	"LeftJoin": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.LeftJoin[order, order, order](s, s, dsl.Back(0), nil).To("o")
	},
	"RightJoin": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.RightJoin[order, order, order](s, s, dsl.Back(0), nil).To("o")
	},
	"OuterJoin": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.OuterJoin[order, order, order](s, s, dsl.Back(0), nil).To("o")
	},
	"AsOf": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.AsOf[order, order, order](s, s, dsl.Back(0), nil).To("o")
	},
	"LeftAsOf": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.LeftAsOf[order, order, order](s, s, dsl.Back(0), nil).To("o")
	},
	"JoinTable": func(s *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.JoinTable[string, order, order, order](s, t, nil).To("o")
	},
	"LeftJoinTable": func(s *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.LeftJoinTable[string, order, order, order](s, t, nil).To("o")
	},
	"JoinBroadcast": func(s *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.JoinBroadcast(s, t, nil, either).To("o")
	},
	"LeftJoinBroadcast": func(s *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.LeftJoinBroadcast[string, order, order, order](s, t, orderedBy, nil).To("o")
	},
	"JoinTables": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.JoinTables[string, order, order, order](t, t, nil).To("o")
	},
	"LeftJoinTables": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.LeftJoinTables[string, order, order, order](t, t, nil).To("o")
	},
	"RightJoinTables": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.RightJoinTables[string, order, order, order](t, t, nil).To("o")
	},
	"OuterJoinTables": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.OuterJoinTables[string, order, order, order](t, t, nil).To("o")
	},
	"JoinForeign": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.JoinForeign(t, t, nil, either).To("o")
	},
	"LeftJoinForeign": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.LeftJoinForeign[string, string, order, order, order](t, t, foreignOf, nil).To("o")
	},
	"TableOf.Filter": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		t.Filter(nil).To("o")
	},
	"MapTable": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.MapTable[string, order, order](t, nil).To("o")
	},
	"WindowedOf.Having": func(_ *dsl.StreamOf[order], _ *dsl.TableOf[string, order], w *dsl.WindowedOf[string, spent]) {
		w.Having(nil)
	},
	"OutputOf.Named": func(_ *dsl.StreamOf[order], _ *dsl.TableOf[string, order], w *dsl.WindowedOf[string, spent]) {
		w.Final().Named(nil)
	},
	"StreamOf.Codec": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		s.Codec(nil)
	},
	"TableOf.Codec": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		t.Codec(nil)
	},
	"SinkOf.Codec": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		s.To("o").Codec(nil)
	},
	"WindowedOf.Codec": func(_ *dsl.StreamOf[order], _ *dsl.TableOf[string, order], w *dsl.WindowedOf[string, spent]) {
		w.Codec(nil)
	},
	"WindowedOf.KeyCodec": func(_ *dsl.StreamOf[order], _ *dsl.TableOf[string, order],
		w *dsl.WindowedOf[string, spent]) {
		w.KeyCodec(nil)
	},
	"TableOf.KeyCodec": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		t.KeyCodec(nil)
	},
	"ReadKeys": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.ReadKeys[string](dsl.Stream[order](builderOf[s], "keys"), nil)
	},
	"WriteKeys": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		dsl.WriteKeys[string](s.To("o"), nil)
	},
	"StreamOf.OnError": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		s.OnError(nil)
	},
	"StreamOf.OnDecodeError": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order],
		_ *dsl.WindowedOf[string, spent]) {
		s.OnDecodeError(nil)
	},
	"TableOf.OnError": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		t.OnError(nil)
	},
	"TableOf.OnDecodeError": func(_ *dsl.StreamOf[order], t *dsl.TableOf[string, order],
		_ *dsl.WindowedOf[string, spent]) {
		t.OnDecodeError(nil)
	},
	"SinkOf.OnError": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order], _ *dsl.WindowedOf[string, spent]) {
		s.To("o").OnError(nil)
	},
	"WindowedOf.OnError": func(_ *dsl.StreamOf[order], _ *dsl.TableOf[string, order],
		w *dsl.WindowedOf[string, spent]) {
		w.OnError(nil)
	},
	"OutputOf.OnError": func(_ *dsl.StreamOf[order], _ *dsl.TableOf[string, order], w *dsl.WindowedOf[string, spent]) {
		w.Final().OnError(nil)
	},
	"column of an aggregate": func(s *dsl.StreamOf[order], _ *dsl.TableOf[string, order],
		_ *dsl.WindowedOf[string, spent]) {
		dsl.Aggregate(dsl.GroupByKey[string](s), windows.Minutes(1), func(g dsl.Group[string, order]) spent {
			return spent{Amount: aggregates.Sum[order, float64](g, nil)}
		}).As("none").Final()
	},
}

// builderOf is the builder of a stream that a case has got.
var builderOf = map[*dsl.StreamOf[order]]*dsl.Builder{}

// Where a function, a codec or a policy is nil Build says so, with the place. Each record would
// fail at it.
func TestNil(t *testing.T) {
	named := []string{"column of an aggregate", "Retry"} // a nil condition of Retry is every error
	for name := range empty {
		if name != "column of an aggregate" {
			named = append(named, name)
		}
	}
	require.ElementsMatch(t, append(having(exported(t), 1, "func", "Codec", "Policy"), "column of an aggregate"), named,
		"a function that takes one is in the table above")
	for name, step := range empty {
		t.Run(name, func(t *testing.T) {
			b := dsl.New("shop")
			s := dsl.Stream[order](b, "orders")
			builderOf[s] = b
			defer delete(builderOf, s)
			w := dsl.Aggregate(dsl.GroupByKey[string](dsl.Stream[order](b, "more")), windows.Minutes(1), spentOf)
			w.Final()
			step(s, dsl.Table[string, order](b, "customers"), w)
			_, err := b.Build()
			require.ErrorContains(t, err, "refused_test.go:")
			require.Condition(t, func() bool {
				text := err.Error()
				return strings.Contains(text, "is nil") || strings.Contains(text, "no codec for") ||
					strings.Contains(text, "no policy")
			}, "%v", err)
		})
	}
}

// Names that are empty, and topics that the plan has for itself.
func TestNamesThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		step func(b *dsl.Builder, s *dsl.StreamOf[order], w *dsl.WindowedOf[string, spent])
		want string
	}{
		"aggregation": {func(_ *dsl.Builder, _ *dsl.StreamOf[order], w *dsl.WindowedOf[string, spent]) { w.As("") },
			"As: the name is empty"},
		"join": {func(_ *dsl.Builder, s *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) {
			dsl.Join(s, s, dsl.Back(0), either).As(" ").To("o")
		}, "As: the name is empty"},
		"table": {func(_ *dsl.Builder, s *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) {
			dsl.ToTable[string](s).As("").To("o")
		}, "As: the name is empty"},
		"repartition": {func(_ *dsl.Builder, s *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) {
			s.Repartition("", 0).To("o")
		}, "Repartition: the name is empty"},
		"late": {func(_ *dsl.Builder, _ *dsl.StreamOf[order], w *dsl.WindowedOf[string, spent]) { w.LateTo("") },
			"LateTo: the name is empty"},
		"sink": {func(_ *dsl.Builder, s *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) { s.To("") },
			"name is empty"},
		"letters": {func(b *dsl.Builder, _ *dsl.StreamOf[order],
			_ *dsl.WindowedOf[string, spent]) {
			b.DeadLetters("")
		}, "has no name"},
		"letters: changelog": {func(b *dsl.Builder, _ *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) {
			b.DeadLetters("shop--orders-changelog")
		}, "have one name"},
		"letters: internal topic": {func(b *dsl.Builder, s *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) {
			s.Repartition("moved", 0).To("o")
			b.DeadLetters("shop--moved")
		}, "have one name"},
		"sink: changelog": {func(_ *dsl.Builder, s *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) {
			s.To("shop--orders-changelog")
		}, "have one name"},
		"sink: internal topic": {func(_ *dsl.Builder, s *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) {
			s.Repartition("moved", 0).To("shop--moved")
		}, "have one name"},
		"late: internal topic": {func(_ *dsl.Builder, s *dsl.StreamOf[order], w *dsl.WindowedOf[string, spent]) {
			s.Repartition("moved", 0).To("o")
			w.LateTo("shop--moved")
		}, "have one name"},
		"source: changelog": {func(b *dsl.Builder, _ *dsl.StreamOf[order], _ *dsl.WindowedOf[string, spent]) {
			dsl.Stream[order](b, "shop--orders-changelog").To("o")
		}, "have one name"},
	} {
		t.Run(name, func(t *testing.T) {
			b := dsl.New("shop")
			s := dsl.Stream[order](b, "orders")
			w := dsl.Aggregate(dsl.GroupByKey[string](s), windows.Minutes(1), spentOf)
			w.Final()
			c.step(b, s, w)
			_, err := b.Build()
			require.ErrorContains(t, err, c.want)
		})
	}
}
