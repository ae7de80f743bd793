package task

import (
	"encoding/binary"
	"math"

	"github.com/ashi-stream/ashi/aggregates"
	"github.com/ashi-stream/ashi/windows"
)

// rowHeader is the bytes of a row before its state: the newest event time in it, 8 bytes
// big-endian.
const rowHeader = 8

// bucket is the rows of one window of one size: all groups that had a record in [start, end). The
// rows are one slab of bytes without pointers, found by the group's number; closing a window frees
// it as a whole.
type bucket struct {
	start, end, closes windows.Time

	slot   []int32 // by group: place of its row + 1, 0 where it has none; shorter than there are groups, perhaps
	groups []uint32
	flags  []uint8
	slabs  [][]byte            // stride bytes a row: header, then State.Fixed; slabRows in each but the last
	space  int                 // bytes that slabs have
	parts  [][]byte            // vars a row
	held   int                 // bytes that parts hold, those for later rows too
	objs   []aggregates.Object // perRow a row
	perRow int
	sizes  []int32 // bytes of each row's objects at its last commit, if there are any
	large  int     // sum of sizes
	taken  int     // bytes when they were last counted (windowed.count)

	dirty   []int32 // rows changed since the last commit
	unsaved []int32 // rows changed since the last checkpoint
	stored  bool    // the store may hold rows of this window
	absent  bool    // the store may hold rows that are not in memory
}

const (
	flagDirty   = 1 << iota // in dirty
	flagUnsaved             // in unsaved
	flagLogged              // the changelog has it
	flagShown               // it was put out as a change when it was last put out
)

// row is the place of a group's row, or -1.
func (b *bucket) row(group uint32) int32 {
	if int(group) >= len(b.slot) {
		return -1
	}
	return b.slot[group] - 1
}

// add makes a row of zeroes for a group, of which there are groups.
func (b *bucket) add(group uint32, groups, stride, vars int) int32 {
	for int(group) >= len(b.slot) {
		b.slot = append(b.slot, make([]int32, groups-len(b.slot))...)
	}
	i := int32(len(b.groups))
	b.slot[group] = i + 1
	b.groups = append(b.groups, group)
	b.flags = append(b.flags, 0)
	b.addBytes(int(i)/slabRows, stride)
	for range b.perRow {
		b.objs = append(b.objs, nil)
	}
	if b.perRow > 0 {
		b.sizes = append(b.sizes, 0)
	}
	for range vars {
		if n := len(b.parts); n < cap(b.parts) {
			b.parts = b.parts[:n+1]
			b.parts[n] = b.parts[n][:0]
		} else {
			b.parts = append(b.parts, nil)
		}
	}
	return i
}

// addBytes adds a row of zeroes to a slab. Only the first grows, from almost nothing; further ones
// are made as a whole, so that a large bucket is never copied, which would take its memory twice.
func (b *bucket) addBytes(slab, stride int) {
	if slab == len(b.slabs) {
		b.slabs = append(b.slabs, nil)
		if slab > 0 {
			b.slabs[slab] = make([]byte, 0, slabRows*stride)
			b.space += slabRows * stride
		}
	}
	s := b.slabs[slab]
	n := len(s)
	if n+stride <= cap(s) {
		s = s[:n+stride]
		clear(s[n:])
	} else {
		b.space -= cap(s)
		s = append(s, make([]byte, stride)...)
		b.space += cap(s)
	}
	b.slabs[slab] = s
}

// slabRows is how many rows a slab has.
const slabRows = 1 << 9

// bytesOf is the header and the fixed part of row i.
func (b *bucket) bytesOf(i int32, stride int) []byte {
	n := int(uint32(i)%slabRows) * stride
	return b.slabs[uint32(i)/slabRows][n : n+stride : n+stride]
}

// copyRows makes the fixed parts of all rows those of o.
func (b *bucket) copyRows(o *bucket) {
	for len(b.slabs) < len(o.slabs) {
		b.slabs = append(b.slabs, nil)
	}
	b.space = 0
	for i := range b.slabs {
		b.slabs[i] = b.slabs[i][:0]
		if i < len(o.slabs) {
			b.slabs[i] = append(b.slabs[i], o.slabs[i]...)
		}
		b.space += cap(b.slabs[i])
	}
}

// state is the state of row i: views, good until the next add.
func (b *bucket) state(i int32, stride, vars int) aggregates.State {
	return aggregates.State{
		Fixed: b.bytesOf(i, stride)[rowHeader:],
		Vars:  b.parts[int(i)*vars : (int(i)+1)*vars : (int(i)+1)*vars],
		Objs:  b.objs[int(i)*b.perRow : (int(i)+1)*b.perRow : (int(i)+1)*b.perRow],
	}
}

// measure notes how large the objects of row i are.
func (b *bucket) measure(i int32, s aggregates.State) {
	n := int32(min(s.Bytes(), math.MaxInt32))
	b.large += int(n) - int(b.sizes[i])
	b.sizes[i] = n
}

// takeBack undoes the last add, of a row that nothing was added to.
func (b *bucket) takeBack(stride, vars int) {
	i := len(b.groups) - 1
	b.slot[b.groups[i]] = 0
	b.groups, b.flags, b.parts = b.groups[:i], b.flags[:i], b.parts[:i*vars]
	last := &b.slabs[i/slabRows]
	*last = (*last)[:i%slabRows*stride]
	b.objs = b.objs[:i*b.perRow]
	if b.perRow > 0 {
		b.sizes = b.sizes[:i]
	}
}

// held is the bytes that the parts of a state hold.
func held(s aggregates.State) (n int) {
	for _, part := range s.Vars {
		n += cap(part)
	}
	return n
}

// newest is the newest event time in row i.
func (b *bucket) newest(i int32, stride int) windows.Time {
	return windows.Time(binary.BigEndian.Uint64(b.bytesOf(i, stride)))
}

// saw moves the newest event time of row i on to at.
func (b *bucket) saw(i int32, stride int, at windows.Time) {
	h := b.bytesOf(i, stride)
	if at > windows.Time(binary.BigEndian.Uint64(h)) {
		binary.BigEndian.PutUint64(h, uint64(at))
	}
}

// touch notes that row i has changed.
func (b *bucket) touch(i int32) {
	f := b.flags[i]
	if f&flagDirty == 0 {
		b.dirty = append(b.dirty, i)
	}
	if f&flagUnsaved == 0 {
		b.unsaved = append(b.unsaved, i)
	}
	b.flags[i] = f | flagDirty | flagUnsaved
}

// forget drops all rows from memory and keeps their space.
func (b *bucket) forget() {
	for _, g := range b.groups {
		b.slot[g] = 0
	}
	b.groups, b.flags, b.parts = b.groups[:0], b.flags[:0], b.parts[:0]
	for i := range b.slabs {
		b.slabs[i] = b.slabs[i][:0]
	}
	b.dirty, b.unsaved = b.dirty[:0], b.unsaved[:0]
	clear(b.objs)
	b.objs, b.sizes, b.large = b.objs[:0], b.sizes[:0], 0
}

// bytes is how much memory the bucket takes, roughly: objects as they were at the last commit, and
// every row as changed.
func (b *bucket) bytes() int {
	const perRow = 4 + 1 + 4 + 4 // groups, flags, dirty, unsaved
	return b.space + 24*cap(b.slabs) + 4*cap(b.slot) + perRow*cap(b.groups) + 24*cap(b.parts) + b.held +
		16*cap(b.objs) + 4*cap(b.sizes) + b.large
}
