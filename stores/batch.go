package stores

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// OpKind says what an operation of a Batch does. The numbers are RocksDB's record tags.
type OpKind byte

// The operations of a Batch.
const (
	OpDelete      OpKind = 0x0
	OpPut         OpKind = 0x1
	OpDeleteRange OpKind = 0xF
)

// Op is one operation of a Batch. Its bytes are part of the batch.
type Op struct {
	Kind OpKind
	// Key is the key that is put or deleted, or where a deleted range begins.
	Key []byte
	// Value is what is put; nil for the other kinds.
	Value []byte
	// To is the key before which a deleted range ends; nil for the other kinds.
	To []byte
}

// batchHeader is RocksDB's: a sequence number, which the store sets when it writes, and the number
// of records.
const (
	batchHeader   = 12
	batchCountPos = 8
)

// Batch collects operations that a Store applies in order and as one: of two operations on a key
// the later one counts.
//
// Its bytes are those of a RocksDB WriteBatch (fixed64 sequence 0, fixed32 count, then per record a
// tag and varint32-prefixed strings, little-endian), which lets that store take a whole batch in
// one call. The zero value is an empty batch, ready to use. After Reset the memory is used again,
// so that a batch that has grown once allocates no more. A Batch is not safe for concurrent use;
// reading it from several goroutines is.
type Batch struct {
	data []byte
}

// Put sets the value of key. Both are copied; a value may be empty. Neither may reach 4 GiB.
func (b *Batch) Put(key, value []byte) {
	b.begin(OpPut)
	b.append(key)
	b.append(value)
}

// Delete removes key, if it is there. The key is copied.
func (b *Batch) Delete(key []byte) {
	b.begin(OpDelete)
	b.append(key)
}

// DeleteRange removes every key with from <= key < to that is in the store or earlier in the batch.
// Unlike those of a Scan the bounds are plain keys: nil is the empty key. A range that cannot hold
// a key (from >= to) adds nothing.
func (b *Batch) DeleteRange(from, to []byte) {
	// RocksDB refuses a reversed range half-way through the batch, so it must not get in.
	if string(from) >= string(to) {
		return
	}
	b.begin(OpDeleteRange)
	b.append(from)
	b.append(to)
}

// Len is the number of operations.
func (b *Batch) Len() int {
	if len(b.data) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(b.data[batchCountPos:]))
}

// Size is the length of Data in bytes.
func (b *Batch) Size() int {
	return max(len(b.data), batchHeader)
}

// Reset empties the batch and keeps its memory. Bytes that Data and Ops gave are no longer valid.
func (b *Batch) Reset() {
	if len(b.data) == 0 {
		return
	}
	b.data = b.data[:batchHeader]
	clear(b.data)
}

// Data is the batch in RocksDB's format, valid until the next change of the batch. It must not be
// changed.
func (b *Batch) Data() []byte {
	if len(b.data) == 0 {
		return make([]byte, batchHeader)
	}
	return b.data
}

// Ops yields the operations in order, as slices into the batch: the batch must not change
// meanwhile.
func (b *Batch) Ops() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		rest := b.Data()[batchHeader:]
		for len(rest) > 0 {
			op := Op{Kind: OpKind(rest[0])}
			op.Key, rest = cutString(rest[1:])
			switch op.Kind {
			case OpPut:
				op.Value, rest = cutString(rest)
			case OpDeleteRange:
				op.To, rest = cutString(rest)
			}
			if !yield(op) {
				return
			}
		}
	}
}

// begin counts an operation and writes its tag.
func (b *Batch) begin(kind OpKind) {
	if len(b.data) == 0 {
		b.data = append(b.data, make([]byte, batchHeader)...)
	}
	count := b.data[batchCountPos:batchHeader]
	binary.LittleEndian.PutUint32(count, binary.LittleEndian.Uint32(count)+1)
	b.data = append(b.data, byte(kind))
}

func (b *Batch) append(s []byte) {
	if uint64(len(s)) > math.MaxUint32 {
		panic(fmt.Sprintf("stores: a key or value of %d bytes in a batch; the format ends at 4 GiB", len(s)))
	}
	b.data = binary.AppendUvarint(b.data, uint64(len(s)))
	b.data = append(b.data, s...)
}

// cutString takes a length-prefixed string off bytes that this package wrote. Its capacity ends
// with it, so that a reader who appends cannot write into the batch.
func cutString(data []byte) (s, rest []byte) {
	n, size := binary.Uvarint(data)
	end := size + int(n)
	return data[size:end:end], data[end:]
}
