package kafka

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

var errUserData = errors.New("kafka: user data of a member is not ours")

// subState is what a member says of one of its sub-topologies when it joins: its inputs, up to
// which offset of the changelog it has the state of each partition, and of which partitions it
// keeps copies.
type subState struct {
	name      string
	topics    []string
	positions map[int32]int64
	standbys  []int32
}

// appendStates is a member's user data. All numbers are uvarints but positions, which are varints;
// texts and lists have their length before them.
func appendStates(b []byte, states []subState) []byte {
	b = append(b, userVersion)
	b = binary.AppendUvarint(b, uint64(len(states)))
	for _, s := range states {
		b = appendText(b, s.name)
		b = binary.AppendUvarint(b, uint64(len(s.topics)))
		for _, topic := range s.topics {
			b = appendText(b, topic)
		}
		b = binary.AppendUvarint(b, uint64(len(s.positions)))
		for _, p := range slices.Sorted(maps.Keys(s.positions)) {
			b = binary.AppendUvarint(b, uint64(p))
			b = binary.AppendVarint(b, s.positions[p])
		}
		b = appendPartitions(b, s.standbys)
	}
	return b
}

// share is what an assignment says of one sub-topology: into how many tasks it was divided, and of
// which of them the member is to keep copies.
type share struct {
	tasks    int32
	standbys []int32
}

// appendShares is the user data of an assignment, by sub-topology.
func appendShares(b []byte, shares map[string]share) []byte {
	b = append(b, userVersion)
	b = binary.AppendUvarint(b, uint64(len(shares)))
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		b = binary.AppendUvarint(appendText(b, name), uint64(shares[name].tasks))
		b = appendPartitions(b, slices.Sorted(slices.Values(shares[name].standbys)))
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendPartitions(b []byte, partitions []int32) []byte {
	b = binary.AppendUvarint(b, uint64(len(partitions)))
	for _, p := range partitions {
		b = binary.AppendUvarint(b, uint64(p))
	}
	return b
}

func readStates(data []byte) (states []subState, err error) {
	r := userData{rest: data}
	r.version()
	for range r.count() {
		s := subState{name: r.text(), positions: make(map[int32]int64)}
		for range r.count() {
			s.topics = append(s.topics, r.text())
		}
		for range r.count() {
			p := r.partition()
			s.positions[p] = r.position()
		}
		s.standbys = r.partitions()
		r.bad = r.bad || s.name == "" || len(s.topics) == 0
		states = append(states, s)
	}
	return states, r.end()
}

func readShares(data []byte) (map[string]share, error) {
	r := userData{rest: data}
	r.version()
	shares := make(map[string]share)
	for range r.count() {
		name := r.text()
		shares[name] = share{tasks: r.partition(), standbys: r.partitions()}
	}
	return shares, r.end()
}

// userData reads what another member wrote, or something else: bad is set by the first thing that
// cannot be, and all that follows is zero.
type userData struct {
	rest []byte
	bad  bool
}

func (r *userData) version() {
	if r.bad = len(r.rest) == 0 || r.rest[0] != userVersion; !r.bad {
		r.rest = r.rest[1:]
	}
}

func (r *userData) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	return took(r, v, n)
}

func (r *userData) position() int64 {
	v, n := binary.Varint(r.rest)
	return took(r, v, n)
}

func took[T uint64 | int64](r *userData, v T, n int) T {
	if r.bad = r.bad || n <= 0; r.bad {
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count is of things that take a byte at least each.
func (r *userData) count() uint64 {
	v := r.number()
	if r.bad = r.bad || v > uint64(len(r.rest)); r.bad {
		return 0
	}
	return v
}

func (r *userData) text() string {
	n := r.count()
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

func (r *userData) partition() int32 {
	v := r.number()
	if r.bad = r.bad || v > 1<<31-1; r.bad {
		return 0
	}
	return int32(v)
}

func (r *userData) partitions() []int32 {
	var list []int32
	for range r.count() {
		list = append(list, r.partition())
	}
	return list
}

func (r *userData) end() error {
	if r.bad || len(r.rest) > 0 {
		return errUserData
	}
	return nil
}
