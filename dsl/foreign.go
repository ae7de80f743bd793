package dsl

import (
	"errors"

	"github.com/ashi-stream/ashi/dsl/entity"
	"github.com/ashi-stream/ashi/topology"
)

// JoinForeign is the table of the rows of l, each with the row of r that it names: foreign gives
// the key of that row, or false where there is none. It has the keys of l, and follows every change
// of either table: a row of l whose foreign key changes, or has no row in r any more, gets another
// partner or is deleted ([FK1] to [FK5]). Its event times are the later of the two rows'.
//
//	orders := dsl.Table[string, Order](b, "orders")
//	customers := dsl.Table[int64, Customer](b, "customers")
//	billed := dsl.JoinForeign(orders, customers, func(o *Order) (int64, bool) { return o.Customer, o.Customer != 0 }, bill)
//
// The topics may have any number of partitions: orders for rows of r, and answers, go through two
// internal topics. So the result follows a change with a delay of some commits, in which the row
// from before stands; it is the same in whatever order changes come, once all have, but the rows in
// between are not [FK5]. A change of a row of l that leaves its foreign key as it is goes to no
// other task.
//
// Rows without a foreign key are left out and counted as null_key [FK3]. foreign and joiner must
// give the same for the same rows, and keep none of them. A row for which foreign fails has no
// foreign key; a pair for which joiner fails has no row; both are counted as failed.
func JoinForeign[K, F, L, R, O any](l *TableOf[K, L], r *TableOf[F, R], foreign func(*L) (F, bool),
	joiner func(*L, *R) (O, error)) *TableOf[K, O] {
	return joinForeign(l, r, false, foreign, joiner)
}

// LeftJoinForeign is JoinForeign with the rows of l that have no partner, or no foreign key: r is
// nil for joiner then.
func LeftJoinForeign[K, F, L, R, O any](l *TableOf[K, L], r *TableOf[F, R], foreign func(*L) (F, bool),
	joiner func(*L, *R) (O, error)) *TableOf[K, O] {
	return joinForeign(l, r, true, foreign, joiner)
}

func joinForeign[K, F, L, R, O any](l *TableOf[K, L], r *TableOf[F, R], keep bool, foreign func(*L) (F, bool),
	joiner func(*L, *R) (O, error)) *TableOf[K, O] {
	b := l.b
	b.alone("JoinForeign", r.b)
	b.given("JoinForeign", map[string]any{"foreign": foreign, "joiner": joiner})
	left, right := l.keeping(), r.keeping()
	name := b.unique(l.origin + "-" + r.origin + "-foreign")
	orders, answers := b.internal(b.unique(name+"-orders"), 0), b.internal(b.unique(name+"-answers"), 0)
	op := &topology.ForeignJoin{Row: typeName[O](), Left: left, Keep: keep, Orders: orders,
		OpenKey: openForeign(r.key, foreign), Open: openJoin(joiner)}
	join := &topology.Node{Name: name, Place: place(), Op: op}
	result := &TableOf[K, O]{b: b, key: l.key, origin: l.origin, node: join, part: l.part, format: madeRows[O]()}
	r.format.keepIn(b, name, &op.Right)
	result.format.keepIn(b, name, &op.Result)
	subscriptions := &topology.Node{Name: b.unique(name + "-subscriptions"), Place: place(),
		Op: &topology.Subscriptions{Right: right, Answers: answers}}
	b.feed(left, join, 0)
	unite(l.part, b.raw(answers, "answers", join))
	b.feed(right, subscriptions, 0)
	unite(r.part, b.raw(orders, "orders", subscriptions))
	return result
}

// raw reads an internal topic for an operator, as its input 1.
func (b *Builder) raw(topic, what string, to *topology.Node) *part {
	source := &topology.Node{Name: b.unique(topic), Place: place(), Op: &topology.Source{Topic: topic, Internal: true,
		Row: what, Codec: "raw", Holds: what, Open: topology.OpenRaw}}
	b.feed(source, to, 1)
	return b.root(source, true)
}

// openForeign makes what appends a row's foreign key, nil if it has none.
func openForeign[F, L any](codec entity.KeyCodec[F], foreign func(*L) (F, bool)) func() func(any, []byte) ([]byte,
	error) {
	return func() func(any, []byte) ([]byte, error) {
		return func(row any, dst []byte) ([]byte, error) {
			key, ok := foreign(row.(*L))
			if !ok {
				return nil, nil
			}
			return appendOrNull(codec, dst, key)
		}
	}
}

// appendOrNull appends a key's bytes, or is nil if the key is null.
func appendOrNull[K any](codec entity.KeyCodec[K], dst []byte, key K) ([]byte, error) {
	appended, err := codec.Append(dst, key)
	if errors.Is(err, entity.ErrNull) {
		return nil, nil
	}
	return appended, err
}
