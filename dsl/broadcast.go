package dsl

import "github.com/ashi-stream/ashi/topology"

// JoinBroadcast joins each row of a stream with a row of a table that every process mirrors
// (Table), by any key: key gives that of the table's row. Rows of the stream for which the table
// has none are left out. Neither topic needs the partitions of the other, and nothing goes through
// an internal topic, whatever the key; but each process holds the whole table.
//
// Tasks begin when the table has caught up with what its topic held when the process began. From
// then on each row sees the table as it is at that moment: there is no order between the two
// topics, so the result of the same rows may differ when they are processed again. Where that
// matters, use JoinTable. A row of the table that comes later has no results [ST1].
//
// Rows for which key or joiner fails are dropped and counted as failed, those whose partner cannot
// be decoded as undecodable. joiner's arguments are good until it returns.
func JoinBroadcast[K, L, R, O any](s *StreamOf[L], t *TableOf[K, R], key func(*L) K,
	joiner func(*L, *R) (O, error)) *StreamOf[O] {
	return joinBroadcast(s, t, false, key, joiner)
}

// LeftJoinBroadcast is JoinBroadcast with the rows that the table has nothing for: r is nil for
// joiner then.
func LeftJoinBroadcast[K, L, R, O any](s *StreamOf[L], t *TableOf[K, R], key func(*L) K,
	joiner func(*L, *R) (O, error)) *StreamOf[O] {
	return joinBroadcast(s, t, true, key, joiner)
}

func joinBroadcast[K, L, R, O any](s *StreamOf[L], t *TableOf[K, R], keep bool, key func(*L) K,
	joiner func(*L, *R) (O, error)) *StreamOf[O] {
	b := s.b
	b.alone("JoinBroadcast", t.b)
	b.given("JoinBroadcast", map[string]any{"key": key, "joiner": joiner})
	if t.table == nil {
		b.wrong(place(), "JoinBroadcast: table %s is in no topic: write it to one with To, and declare that with Table",
			t.node.Name)
		return &StreamOf[O]{b: b, node: &topology.Node{}, part: s.part, origin: s.origin, format: madeRows[O]()}
	}
	op := &topology.BroadcastLookup{Row: typeName[O](), Table: t.table, Keep: keep, OpenRow: t.source.openTable,
		OpenJoin: openJoin(joiner)}
	op.OpenKey = func() func(*topology.Record, []byte) ([]byte, error) {
		return func(r *topology.Record, dst []byte) ([]byte, error) {
			return appendOrNull(t.key, dst, key(r.Value.(*L)))
		}
	}
	n := &topology.Node{Name: b.unique(s.node.Name + "-broadcast"), Place: place(), Op: op}
	s.node.Next = append(s.node.Next, n)
	joined := &StreamOf[O]{b: b, node: n, part: s.part, origin: s.origin, form: s.form, format: madeRows[O]()}
	if s.moved != nil {
		joined.moved = &moved[O]{}
	}
	return joined
}

// openTable makes a decoder of a table's rows, with a row of its own.
func (s *sourceOf[T]) openTable() func(key, value []byte) (any, error) {
	row := new(T)
	return func(key, value []byte) (any, error) { return row, s.decode(key, value, row) }
}
