package stores

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
)

// Loader is a Store that takes a Run for less than a Write of the same rows, once there are many of them: a store that is filled
// from a log is filled by Loads.
type Loader interface {
	Store
	// Load is a Write of what the run has in the end, as one and durable when it returns, and with it all Writes that returned before
	// it was called. Nobody may write to the store meanwhile. The run is sorted, else not changed; an empty run changes nothing.
	Load(r *Run) error
}

// Run collects rows in any order, and gives the last of each key in the order of keys. The zero value is empty and ready to use. After Reset
// the memory is used again. A Run is not safe for concurrent use.
type Run struct {
	data []byte // keys, each with its value behind it
	ops  []runOp
}

// runOp is where a row is. The first 8 bytes of the key behind those that all keys of the run begin with decide most comparisons.
type runOp struct {
	prefix uint64
	at     int
	key    int32
	value  int32 // -1: the key is deleted
}

// runOpBytes is what a row takes beside its key and value.
const runOpBytes = 24

// Put sets the value of key. Both are copied; a value may be empty. Neither may reach 2 GiB.
func (r *Run) Put(key, value []byte) {
	r.ops = append(r.ops, runOp{at: len(r.data), key: int32(len(key)), value: int32(len(value))})
	r.data = append(append(r.data, key...), value...)
}

// Delete removes key. It is copied.
func (r *Run) Delete(key []byte) {
	r.ops = append(r.ops, runOp{at: len(r.data), key: int32(len(key)), value: -1})
	r.data = append(r.data, key...)
}

// Len is how many operations were collected since the last Reset; Ops may give fewer.
func (r *Run) Len() int { return len(r.ops) }

// Size is about how many bytes of memory the operations take.
func (r *Run) Size() int { return len(r.data) + runOpBytes*len(r.ops) }

// Reset empties the run and keeps its memory. Bytes that Ops gave are no longer valid.
func (r *Run) Reset() { r.data, r.ops = r.data[:0], r.ops[:0] }

// Ops sorts the run, and yields the last operation of each key in ascending order: OpPut and OpDelete. Their bytes are part of the run,
// which must not change meanwhile.
func (r *Run) Ops() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		r.sort()
		for i := range r.ops {
			o := &r.ops[i]
			key := r.keyOf(o)
			if i+1 < len(r.ops) && o.prefix == r.ops[i+1].prefix && bytes.Equal(key, r.keyOf(&r.ops[i+1])) {
				continue
			}
			op := Op{Kind: OpDelete, Key: key}
			if o.value >= 0 {
				end := o.at + int(o.key)
				op.Kind, op.Value = OpPut, r.data[end:end+int(o.value):end+int(o.value)]
			}
			if !yield(op) {
				return
			}
		}
	}
}

// Batch appends what Ops gives to b.
func (r *Run) Batch(b *Batch) {
	for op := range r.Ops() {
		if op.Kind == OpPut {
			b.Put(op.Key, op.Value)
		} else {
			b.Delete(op.Key)
		}
	}
}

func (r *Run) keyOf(o *runOp) []byte { return r.data[o.at : o.at+int(o.key) : o.at+int(o.key)] }

// sort orders by key, then by when an operation came.
func (r *Run) sort() {
	if len(r.ops) == 0 {
		return
	}
	shared := r.shared()
	for i := range r.ops {
		o := &r.ops[i]
		o.prefix = prefixOf(r.keyOf(o)[shared:])
	}
	slices.SortFunc(r.ops, func(a, b runOp) int {
		if a.prefix != b.prefix {
			if a.prefix < b.prefix {
				return -1
			}
			return 1
		}
		// Of equal prefixes one may be a key's end, filled up with zeros.
		if c := bytes.Compare(r.keyOf(&a), r.keyOf(&b)); c != 0 {
			return c
		}
		return cmp.Compare(a.at, b.at)
	})
}

// shared is how many bytes all keys begin with.
func (r *Run) shared() int {
	first := r.keyOf(&r.ops[0])
	n := len(first)
	for i := range r.ops {
		key := r.keyOf(&r.ops[i])
		if len(key) < n || !bytes.Equal(first[:n], key[:n]) {
			n = min(n, len(key))
			for k := range n {
				if first[k] != key[k] {
					n = k
					break
				}
			}
		}
	}
	return n
}

func prefixOf(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}
