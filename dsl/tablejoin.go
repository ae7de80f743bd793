package dsl

import "github.com/ashi-stream/ashi/topology"

// JoinTable joins each row of a stream with the row that a table has for its key; rows without one
// are left out [ST1]. Stream and table are read in the order of event times, of equal ones the
// table's first, as far as records of both are there. So a replay has the same result where each
// topic is in the order of its event times, and no record of the table was written after rows of
// the stream of its time or later were joined. A table without a timestamp column has the time at
// which its rows were written: loaded today, it is not joined to rows of yesterday in a replay.
// Give it a timestamp column, or make it Versioned.
//
// The topics must have the same number of partitions, and the same keys; PartitionBy gives rows of
// the stream the table's.
//
// Only rows of the stream have results, with their key and event time; a row of the table that
// comes later has none. Where the table is Versioned it is the row that was in force at the event
// time of the stream's row [ST3]. Rows without a key are dropped and counted [ST2], and so are
// those for which joiner fails. Its arguments are good until it returns.
func JoinTable[K, L, R, O any](s *StreamOf[L], t *TableOf[K, R], joiner func(*L, *R) (O, error)) *StreamOf[O] {
	return lookup(s, t, false, joiner)
}

// LeftJoinTable is JoinTable with rows that the table has nothing for, which joiner gets with a nil
// right row; so are rows without a key.
func LeftJoinTable[K, L, R, O any](s *StreamOf[L], t *TableOf[K, R], joiner func(*L, *R) (O, error)) *StreamOf[O] {
	return lookup(s, t, true, joiner)
}

func lookup[K, L, R, O any](s *StreamOf[L], t *TableOf[K, R], keep bool, joiner func(*L, *R) (O, error)) *StreamOf[O] {
	b := s.b
	b.alone("JoinTable", t.b)
	b.given("JoinTable", map[string]any{"joiner": joiner})
	b.sameKeys("JoinTable", s.form, t.key.Form())
	s = s.placed()
	kept := t.keeping()
	op := &topology.TableLookup{Row: typeName[O](), Table: kept, Keep: keep, Open: openJoin(joiner)}
	b.atBuild = append(b.atBuild, func() { op.AsOf = kept.Op.(*topology.Materialize).History > 0 })
	n := &topology.Node{Name: b.unique(s.node.Name + "-lookup"), Place: place(), Op: op}
	s.node.Next = append(s.node.Next, n)
	unite(s.part, t.part)
	return &StreamOf[O]{b: b, node: n, part: s.part, origin: s.origin, form: s.form, format: madeRows[O]()}
}

// JoinTables is the table of the rows of two tables with one key: where both have a row for it,
// what joiner makes of them. It follows every change of either: a row that has no partner any more
// is deleted ([TT1], [TT2]). Its event times are the later of the two rows'. The topics must have
// the same number of partitions.
//
// The result is the same in whatever order the changes of the two come, once all have. joiner must
// give the same for the same rows, and keep none of them; a pair for which it fails is counted as
// failed and has no row.
func JoinTables[K, L, R, O any](l *TableOf[K, L], r *TableOf[K, R], joiner func(*L, *R) (O, error)) *TableOf[K, O] {
	return joinTables(l, r, [2]bool{false, false}, joiner)
}

// LeftJoinTables is JoinTables with the rows of l that have no partner: r is nil for joiner then.
func LeftJoinTables[K, L, R, O any](l *TableOf[K, L], r *TableOf[K, R], joiner func(*L, *R) (O, error)) *TableOf[K, O] {
	return joinTables(l, r, [2]bool{true, false}, joiner)
}

// RightJoinTables is JoinTables with the rows of r that have no partner: l is nil for joiner then.
func RightJoinTables[K, L, R, O any](l *TableOf[K, L], r *TableOf[K, R],
	joiner func(*L, *R) (O, error)) *TableOf[K, O] {
	return joinTables(l, r, [2]bool{false, true}, joiner)
}

// OuterJoinTables is JoinTables with the rows of both that have no partner.
func OuterJoinTables[K, L, R, O any](l *TableOf[K, L], r *TableOf[K, R],
	joiner func(*L, *R) (O, error)) *TableOf[K, O] {
	return joinTables(l, r, [2]bool{true, true}, joiner)
}

func joinTables[K, L, R, O any](l *TableOf[K, L], r *TableOf[K, R], keep [2]bool,
	joiner func(*L, *R) (O, error)) *TableOf[K, O] {
	b := l.b
	b.alone("JoinTables", r.b)
	b.given("JoinTables", map[string]any{"joiner": joiner})
	sides := [2]*topology.Node{l.keeping(), r.keeping()}
	n := &topology.Node{Name: b.unique(l.origin + "-" + r.origin + "-join"), Place: place(),
		Op: &topology.TableJoin{Row: typeName[O](), Sides: sides, Keep: keep, Open: openJoin(joiner)}}
	b.feed(sides[0], n, 0)
	b.feed(sides[1], n, 1)
	unite(l.part, r.part)
	return &TableOf[K, O]{b: b, key: l.key, origin: l.origin, node: n, part: l.part, made: true, format: madeRows[O]()}
}

// Filter is the table of the rows for which keep is true: one that was in it and does not pass any
// more is deleted, one that never passed is not [A3]. keep must give the same for the same row; a
// row for which it fails does not pass, and is counted.
func (t *TableOf[K, T]) Filter(keep func(*T) (bool, error)) *TableOf[K, T] {
	t.b.given("Filter", map[string]any{"keep": keep})
	filtered := tableStep[K, T, T](t, "filter", func() func(any) (any, error) {
		return func(row any) (any, error) {
			if ok, err := keep(row.(*T)); !ok || err != nil {
				return nil, err
			}
			return row, nil
		}
	})
	filtered.format = same(t.format)
	return filtered
}

// MapTable is the table of what f makes of each row; keys and event times stay. f must give the
// same for the same row: it is asked again when the row is replaced. A row for which it fails is
// not in the result, and is counted.
func MapTable[K, T, U any](t *TableOf[K, T], f func(*T) (U, error)) *TableOf[K, U] {
	t.b.given("MapTable", map[string]any{"f": f})
	return tableStep[K, T, U](t, "map", func() func(any) (any, error) {
		mapped := new(U)
		return func(row any) (_ any, err error) {
			*mapped, err = f(row.(*T))
			return mapped, err
		}
	})
}

func tableStep[K, T, U any](t *TableOf[K, T], kind string, open func() func(any) (any, error)) *TableOf[K, U] {
	t.use()
	n := &topology.Node{Name: t.b.unique(t.node.Name + "-" + kind), Place: place(),
		Op: &topology.TableStep{Kind: "table " + kind, Row: typeName[U](), Open: open}}
	t.node.Next = append(t.node.Next, n)
	return &TableOf[K, U]{b: t.b, key: t.key, origin: t.origin, node: n, part: t.part, made: true,
		format: madeRows[U]()}
}
