package task

// groupTable numbers the group keys that have rows in memory, so that a record's key is looked up once however many windows
// it is in. A number is used again when its last row is gone.
type groupTable struct {
	numbers map[string]uint32
	entries []groupEntry
	free    []uint32
	bytes   int
}

type groupEntry struct {
	key  []byte
	rows int32
}

// entryBytes is what an entry takes beside its key: here, in the map, and in the list of free numbers.
const entryBytes = 96

// intern is the number of key; fresh says that it has none yet and was given one.
func (g *groupTable) intern(key []byte) (number uint32, fresh bool) {
	if n, ok := g.numbers[string(key)]; ok {
		return n, false
	}
	k := append(make([]byte, 0, len(key)), key...) // not nil, also of an empty key: nil is null
	n := uint32(len(g.entries))
	if last := len(g.free) - 1; last >= 0 {
		n, g.free = g.free[last], g.free[:last]
		g.entries[n] = groupEntry{key: k}
	} else {
		g.entries = append(g.entries, groupEntry{key: k})
	}
	g.numbers[string(k)] = n
	g.bytes += entryBytes + len(k)
	return n, true
}

// release takes rows off the count of a group, and frees its number at 0.
func (g *groupTable) release(n uint32, rows int32) {
	e := &g.entries[n]
	if e.rows -= rows; e.rows > 0 {
		return
	}
	delete(g.numbers, string(e.key))
	g.bytes -= entryBytes + len(e.key)
	e.key = nil
	g.free = append(g.free, n)
}
