package stores

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"math"
	"slices"
)

// Loader is a Store that takes a Run for less than a Write of the same rows, once there are many of
// them: a store that is filled from a log is filled by Loads.
type Loader interface {
	Store
	// Load is a Write of what the run has in the end, as one and durable when it returns, and with
	// it all Writes that returned before it was called. Nobody may write to the store meanwhile.
	// The run is sorted, else not changed; an empty run changes nothing.
	Load(r *Run) error
}

// Run collects rows in any order, and gives the last of each key in the order of keys. The zero
// value is empty and ready to use. After Reset the memory is used again. A Run is not safe for
// concurrent use.
type Run struct {
	data []byte // keys, each with its value behind it
	ops  []runOp
}

// runOp is where a row is. The first 16 bytes of the key behind those that the keys of a run begin
// with decide nearly all comparisons, without a look at the key, which is anywhere in memory.
type runOp struct {
	high, low uint64
	at        uint32
	key       uint32
	value     int32 // -1: the key is deleted
}

// runOpBytes is what a row takes beside its key and value.
const runOpBytes = 32

// Put sets the value of key. Both are copied; a value may be empty. All of a run's may not reach 4
// GiB, nor a value 2.
func (r *Run) Put(key, value []byte) {
	r.ops = append(r.ops, runOp{at: uint32(len(r.data)), key: uint32(len(key)), value: int32(len(value))})
	r.data = append(append(r.data, key...), value...)
}

// Delete removes key. It is copied.
func (r *Run) Delete(key []byte) {
	r.ops = append(r.ops, runOp{at: uint32(len(r.data)), key: uint32(len(key)), value: -1})
	r.data = append(r.data, key...)
}

// Len is how many operations were collected since the last Reset; Ops may give fewer.
func (r *Run) Len() int { return len(r.ops) }

// Size is about how many bytes of memory the operations take.
func (r *Run) Size() int { return len(r.data) + runOpBytes*len(r.ops) }

// Reset empties the run and keeps its memory. Bytes that Ops gave are no longer valid.
func (r *Run) Reset() { r.data, r.ops = r.data[:0], r.ops[:0] }

// Ops sorts the run, and yields the last operation of each key in ascending order: OpPut and
// OpDelete. Their bytes are part of the run, which must not change meanwhile.
func (r *Run) Ops() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		r.sort()
		for i := range r.ops {
			o := &r.ops[i]
			key := r.keyOf(o)
			if i+1 < len(r.ops) && o.sameFront(&r.ops[i+1]) && bytes.Equal(key, r.keyOf(&r.ops[i+1])) {
				continue
			}
			op := Op{Kind: OpDelete, Key: key}
			if o.value >= 0 {
				from := int(o.at) + int(o.key)
				to := from + int(o.value)
				op.Kind, op.Value = OpPut, r.data[from:to:to]
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

func (r *Run) keyOf(o *runOp) []byte {
	to := int(o.at) + int(o.key)
	return r.data[o.at:to:to]
}

func (o *runOp) sameFront(p *runOp) bool { return o.high == p.high && o.low == p.low }

// sort orders by key, then by when an operation came.
func (r *Run) sort() {
	if len(r.ops) == 0 {
		return
	}
	shared := r.shared()
	for i := range r.ops {
		r.ops[i].front(r.keyOf(&r.ops[i]), shared)
	}
	slices.SortFunc(r.ops, func(a, b runOp) int {
		switch {
		case a.high < b.high:
			return -1
		case a.high > b.high:
			return 1
		case a.low < b.low:
			return -1
		case a.low > b.low:
			return 1
		}
		if c := bytes.Compare(r.keyOf(&a), r.keyOf(&b)); c != 0 {
			return c
		}
		return cmp.Compare(a.at, b.at)
	})
}

// shared is what the keys of the kind that is in the middle begin with: a run has rows of one kind,
// and a position.
func (r *Run) shared() []byte {
	shared := r.keyOf(&r.ops[len(r.ops)/2])
	for i := range r.ops {
		key := r.keyOf(&r.ops[i])
		if bytes.HasPrefix(key, shared) || len(key) == 0 || len(shared) == 0 || key[0] != shared[0] {
			continue
		}
		n := 1
		for n < len(key) && key[n] == shared[n] {
			n++
		}
		shared = shared[:n]
	}
	return shared
}

// front sets what is compared first, so that its order never contradicts that of the keys: bytes
// behind shared, filled up with zeros; the least and the greatest of all for keys before and behind
// those that begin with shared.
func (o *runOp) front(key, shared []byte) {
	if !bytes.HasPrefix(key, shared) {
		o.high, o.low = 0, 0
		if bytes.Compare(key, shared) > 0 {
			o.high, o.low = math.MaxUint64, math.MaxUint64
		}
		return
	}
	key = key[len(shared):]
	if len(key) < 16 {
		var filled [16]byte
		copy(filled[:], key)
		key = filled[:]
	}
	o.high, o.low = binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:])
}
