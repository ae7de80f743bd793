package task

import (
	"math"
	"slices"
	"sort"

	"github.com/ashi-stream/ashi/windows"
)

// entry is where a row is: 16 bytes, no pointers.
type entry struct {
	time  windows.Time
	block uint32 // its number in joinSide.blocks
	index uint32 // of the row in the block
}

const entrySize = 16

// queue is the rows of one key and side in order of time, then arrival: entries[head:].
type queue struct {
	entries []entry
	head    int
}

// from is the place of the first entry at or after t. It is looked for from the newest on, in steps
// that double, as most records match rows near their own time: what is buffered before those costs
// nothing.
func (q *queue) from(t windows.Time) int {
	low, high := q.head, len(q.entries)
	for step := 1; high-step >= low; step *= 2 {
		if q.entries[high-step].time < t {
			low = high - step + 1
			break
		}
		high -= step
	}
	return low + sort.Search(high-low, func(i int) bool { return q.entries[low+i].time >= t })
}

// after is the place behind the last entry at or before t.
func (q *queue) after(t windows.Time) int {
	if t == math.MaxInt64 {
		return len(q.entries)
	}
	return q.from(t + 1)
}

// insert adds an entry behind those of its time, and returns by how many bytes the queue has grown.
// In order that is an append; else the newer entries of the key move.
func (q *queue) insert(e entry) (grown int) {
	before := cap(q.entries)
	if q.head > 16 && 2*q.head > len(q.entries) {
		q.entries = slices.Delete(q.entries, 0, q.head)
		q.head = 0
	}
	q.entries = slices.Insert(q.entries, q.after(e.time), e)
	return entrySize * (cap(q.entries) - before)
}

// keepEntries is the capacity that an empty queue keeps for the next key that has its number.
const keepEntries = 16

// popThrough drops the entries up to a time, and returns how many, and by how many bytes the queue
// has shrunk.
func (q *queue) popThrough(t windows.Time) (popped int32, shrunk int) {
	first := q.head
	for q.head < len(q.entries) && q.entries[q.head].time <= t {
		q.head++
	}
	popped = int32(q.head - first)
	if q.head == len(q.entries) {
		if cap(q.entries) > keepEntries {
			shrunk = entrySize * cap(q.entries)
			q.entries = nil
		}
		q.entries, q.head = q.entries[:0], 0
	}
	return popped, shrunk
}
