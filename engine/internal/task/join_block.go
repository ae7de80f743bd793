package task

import (
	"encoding/binary"
	"errors"

	"github.com/ashi-stream/ashi/stores"
	"github.com/ashi-stream/ashi/windows"
)

// block is rows of one side of a join that came between two commits and have event times in one
// bucket, of all keys. Its data is one row of the changelog and of the store, and never changes
// once it is there. What a row's bytes are is for the side's codec; around them:
//
//	time after the start of the bucket, length of the key, key, length of the row, row     lengths and time are uvarints
//
// Its key is (operator, start of the bucket, sequence of the commit in 8 bytes, number in the
// commit in 4). Which of its rows were matched is another small row, with the same key of operator
// + 2: a bit a row, the lowest of the first byte first, without zero bytes at its end. It is
// written anew at each commit that changes it.
//
// Data is never written over, not even when the block is gone: rows that were decoded point into
// it.
type block struct {
	number   uint64 // of rows at one time those in a block with a lower number came first
	start    windows.Time
	sequence uint64 // of the commit; 0: not in the changelog yet
	part     uint32

	data   []byte   // nil: only in the store
	size   int      // of data
	ats    []uint32 // of each row: where in data its length stands
	groups []uint32 // of each row
	bits   []byte   // which rows are matched; shorter than there are rows, perhaps
	live   int      // rows that are in queues
	newest windows.Time

	saved        bool // the store has it, or will with the next checkpoint
	loaded       bool // data was read from the store and can go again
	gone         bool
	thin         bool // in joinSide.thin
	marksLogged  bool
	marked       bool // in joinSide.marked
	marksUnsaved bool // in joinSide.unsavedMarks
}

// blockBytes bounds a block: well below what a broker takes as one record. A larger row has a block
// of its own.
const blockBytes = 256 << 10

// add appends a row.
func (b *block) add(at windows.Time, group uint32, key, row []byte) (index uint32) {
	b.data = binary.AppendUvarint(b.data, uint64(at-b.start))
	b.data = binary.AppendUvarint(b.data, uint64(len(key)))
	b.data = append(b.data, key...)
	b.ats = append(b.ats, uint32(len(b.data)))
	b.data = binary.AppendUvarint(b.data, uint64(len(row)))
	b.data = append(b.data, row...)
	b.groups = append(b.groups, group)
	b.size = len(b.data)
	b.live++
	b.newest = max(b.newest, at)
	return uint32(len(b.ats) - 1)
}

// row is the bytes of a row, which stay as they are.
func (b *block) row(index uint32) []byte {
	rest := b.data[b.ats[index]:]
	n, w := binary.Uvarint(rest)
	end := w + int(n)
	return rest[w:end:end]
}

func (b *block) matched(index uint32) bool {
	i := int(index / 8)
	return i < len(b.bits) && b.bits[i]&(1<<(index%8)) != 0
}

// match notes that a row is matched; false: it was.
func (b *block) match(index uint32) bool {
	if b.matched(index) {
		return false
	}
	for i := int(index / 8); i >= len(b.bits); {
		b.bits = append(b.bits, 0)
	}
	b.bits[index/8] |= 1 << (index % 8)
	return true
}

// heldBytes is the memory that a block takes, without data.
func (b *block) heldBytes() int {
	const fields = 200
	return fields + 4*cap(b.ats) + 4*cap(b.groups) + cap(b.bits)
}

// appendKey appends the block's key, or with the operator of marks that of its marks.
func (b *block) appendKey(dst []byte, op uint16) []byte {
	dst = stores.AppendRowKey(dst, op, int64(b.start), nil)
	dst = binary.BigEndian.AppendUint64(dst, b.sequence)
	return binary.BigEndian.AppendUint32(dst, b.part)
}

// Errors of blocks in the store.
var (
	errBlockKey = errors.New("key of a block is not one")
	errBlock    = errors.New("block is cut short or has no rows")
	errMarks    = errors.New("marks of a block that is not there, or of more rows than it has")
)

// parseBlockKey reads what appendKey wrote.
func parseBlockKey(key []byte) (*block, error) {
	_, start, rest, err := stores.ParseRowKey(key)
	if err != nil || len(rest) != 12 || start < 0 {
		return nil, errBlockKey
	}
	b := &block{start: windows.Time(start), sequence: binary.BigEndian.Uint64(rest),
		part: binary.BigEndian.Uint32(rest[8:])}
	if b.sequence == 0 {
		return nil, errBlockKey
	}
	return b, nil
}

// parse takes data over, and calls row for each row, which appends its group to b.groups.
func (b *block) parse(data []byte, width windows.Time, row func(at windows.Time, key []byte)) error {
	d := decoder{b: data}
	for len(d.b) > 0 {
		after := d.uvarint()
		key := d.take(d.uvarint())
		at := len(data) - len(d.b)
		d.take(d.uvarint())
		if d.bad || after >= uint64(width) || windows.Time(after) > 1<<63-1-b.start {
			return errBlock
		}
		b.ats = append(b.ats, uint32(at))
		b.newest = max(b.newest, b.start+windows.Time(after))
		row(b.start+windows.Time(after), key)
	}
	if len(b.ats) == 0 {
		return errBlock
	}
	b.data, b.size, b.live = data, len(data), len(b.ats)
	return nil
}
