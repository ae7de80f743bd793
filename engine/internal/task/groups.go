package task

import (
	"bytes"
	"hash/maphash"
)

// groupTable numbers the group keys that have rows in memory, so that a record's key is looked up
// once however many windows it is in. A number is used again when its last row is gone.
//
// It is a hash table with chains: heads and entries refer to each other by number. That is half of
// what a map with strings takes, which with a million groups is more than their rows.
type groupTable struct {
	seed    maphash.Seed
	heads   []uint32 // number + 1 of the first entry of a chain, 0 if there is none; a power of two of them
	entries []groupEntry
	free    []uint32
	bytes   int // that groups take; the space of those that are gone, which is used again, does not count
}

type groupEntry struct {
	key  []byte
	rows int32
	next uint32 // in the chain: number + 1, 0 at its end
}

// entryBytes is what an entry takes beside its key: here, in heads, in the list of free numbers,
// and as spare room of all three.
const entryBytes = 56

func newGroupTable() groupTable {
	return groupTable{seed: maphash.MakeSeed(), heads: make([]uint32, 16)}
}

// find is the number of key, if it has one.
func (g *groupTable) find(key []byte) (number uint32, ok bool) {
	for n := *g.head(key); n != 0; n = g.entries[n-1].next {
		if bytes.Equal(g.entries[n-1].key, key) {
			return n - 1, true
		}
	}
	return 0, false
}

// intern is the number of key; fresh says that it has none yet and was given one.
func (g *groupTable) intern(key []byte) (number uint32, fresh bool) {
	if n, ok := g.find(key); ok {
		return n, false
	}
	k := append(make([]byte, 0, len(key)), key...) // not nil, also of an empty key: nil is null
	n := uint32(len(g.entries))
	if last := len(g.free) - 1; last >= 0 {
		n, g.free = g.free[last], g.free[:last]
	} else {
		g.entries = append(g.entries, groupEntry{})
	}
	g.entries[n] = groupEntry{key: k}
	g.bytes += entryBytes + cap(k)
	if len(g.entries) > len(g.heads) {
		g.rehash(2 * len(g.heads)) // links n too
		return n, true
	}
	g.link(n)
	return n, true
}

// release takes rows off the count of a group, and frees its number at 0.
func (g *groupTable) release(n uint32, rows int32) {
	e := &g.entries[n]
	if e.rows -= rows; e.rows > 0 {
		return
	}
	at := g.head(e.key)
	for *at != n+1 {
		at = &g.entries[*at-1].next
	}
	*at = e.next
	g.bytes -= entryBytes + cap(e.key)
	*e = groupEntry{}
	g.free = append(g.free, n)
}

func (g *groupTable) rehash(heads int) {
	g.heads = make([]uint32, heads)
	for n := range g.entries {
		if g.entries[n].key != nil {
			g.link(uint32(n))
		}
	}
}

func (g *groupTable) link(n uint32) {
	e := &g.entries[n]
	at := g.head(e.key)
	e.next, *at = *at, n+1
}

func (g *groupTable) head(key []byte) *uint32 {
	return &g.heads[maphash.Bytes(g.seed, key)&uint64(len(g.heads)-1)]
}
