package dsl

import (
	"time"

	"github.com/ashi-stream/ashi/topology"
	"github.com/ashi-stream/ashi/windows"
)

// Suppress holds changes of the table back, so that what is below sees fewer of them: of each key
// only the last one goes on, when the stream time of the table's changes is every after the first
// one that was held [P3]. Time goes by changes alone: when none come, what is held stays [P5]. A
// key that was made and deleted in between is not seen at all; one that was there before is deleted
// when its time has come [P2].
//
// At most maxRows keys wait; 0 is no bound. One more, and the oldest go at once: the result is
// right all the same, only less is held back. With an every of 0 only that lets them go. Held
// changes are state of the application: they survive restarts. Milliseconds count.
//
// Only the final row of each window is what Final puts out; Suppress is not needed for it.
func (t *TableOf[K, T]) Suppress(every time.Duration, maxRows int) *TableOf[K, T] {
	t.use()
	if every > 0 && every < time.Millisecond {
		t.b.wrong(place(), "Suppress: a time of %v: give a millisecond or more", every)
	}
	op := &topology.Suppress{Every: windows.Time(every.Milliseconds()), MaxRows: maxRows}
	n := &topology.Node{Name: t.b.unique(t.origin + "-suppress"), Place: place(), Op: op}
	t.format.keepIn(t.b, n.Name, &op.Rows)
	t.node.Next = append(t.node.Next, n)
	return &TableOf[K, T]{b: t.b, key: t.key, origin: t.origin, node: n, held: n, part: t.part, format: same(t.format)}
}
